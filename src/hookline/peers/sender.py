"""Shapes of what one of our processes sends to a node and gets back; ``http_sender`` carries them over HTTP.

The one distinction that all of Hookline rests on is made here: ``NotSent``, the node surely did not take the call, and
``Unclear``, it may have.
"""

from functools import cached_property
from typing import Any, Protocol, Self

import msgspec
from msgspec.structs import replace

from hookline.errors import HooklineError
from hookline.http_api.messages import PROBLEM_JSON, HeaderPair
from hookline.protocol.calls import SAFE_METHODS, Call

# What msgspec raises for a body of another kind: the process that listens at a node's url may send anything.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class NodeCall(msgspec.Struct, frozen=True, gc=False):
    """One request for a node.

    Attributes:
        method: as it came.
        target: path with query, still percent-encoded.
        headers: as they are sent; names in lower case.
        body: passed on as it is.
        is_repeatable: sending it twice has the effect of sending it once.
        is_again: it was sent before and got no answer, or waited for others that got none.
        fresh: over a connection of its own; None: if it may not be repeated, or was sent before.
        may_be_cut: an answer that broke off is of use, too.
    """

    method: str
    target: str
    headers: tuple[HeaderPair, ...] = ()
    body: bytes = b""
    is_repeatable: bool = True
    is_again: bool = False
    fresh: bool | None = None
    may_be_cut: bool = False

    @classmethod
    def to(cls, call: Call, body: bytes = b"", *headers: HeaderPair, query: str = "") -> Self:
        """A call of our own, whose path has no parameter."""
        typed = ((b"content-type", b"application/json"), *headers) if body else headers
        return cls(call.method, call.path + query, typed, body, call.may_repeat())

    @property
    def is_safe(self) -> bool:
        """It changes nothing."""
        return self.method in SAFE_METHODS

    def with_headers(self, *headers: HeaderPair) -> Self:
        """The call with these in the place of headers of the same name."""
        names = {name for name, _ in headers}
        return replace(self, headers=(*(pair for pair in self.headers if pair[0] not in names), *headers))


class NodeAnswer(msgspec.Struct, frozen=True, dict=True):
    """The answer of a node.

    Attributes:
        status: the HTTP status.
        body: the whole body.
        content_type: its type.
        headers: all others but those of the connection; names in lower case.
        is_whole: all of the body is there.
        waited_ms: before it was sent, for others to travel with.
        is_after_ambiguous: an earlier try of the same call on this cluster may have been accepted.
    """

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: tuple[HeaderPair, ...] = ()
    is_after_ambiguous: bool = False
    is_whole: bool = True
    waited_ms: float = 0

    @cached_property
    def problem(self) -> dict[str, Any]:
        """The problem document; empty when this is none."""
        if self.status < 400 or self.content_type != PROBLEM_JSON:
            return {}
        try:
            return msgspec.json.decode(self.body, type=dict[str, Any])
        except UNREADABLE:
            return {}

    @property
    def code(self) -> str:
        """The problem's code; empty when this is none."""
        return str(self.problem.get("code", ""))

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name."""
        return next((value for known, value in self.headers if known == name), None)


class NotSent(HooklineError):
    """Nothing of the call reached the node."""

    code = "not_sent"


class NeverLeft(NotSent):
    """Its time was over before anything was tried, which by itself says nothing about the node.

    Args:
        detail: for people.
        is_silence: the node answered nothing in all that time, though calls before this one waited for it.
    """

    code = "never_left"

    def __init__(self, detail: str | None = None, *, is_silence: bool = False) -> None:
        super().__init__(detail)
        self.is_silence = is_silence


class Unclear(HooklineError):
    """No answer came; the node may have taken the call."""

    code = "unclear"


class Sender(Protocol):
    """Sends calls to nodes. One try each; nothing is repeated inside."""

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        """The answer of the node at ``url``. Raises NotSent or Unclear."""
