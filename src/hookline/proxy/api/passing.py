"""What of a request goes on to a node, and what of the node's answer goes back. No decisions about where to."""

from collections.abc import Iterable

from hookline.errors import InvalidRequest
from hookline.http_api.exchange import HeaderPair, Reply, Request
from hookline.http_api.hops import FALLBACK, HOP_HEADERS, SAFE_METHODS, HopReply, target_of
from hookline.proxy.sender import Answer, Call

_OURS = b"hookline-"


def passed_on(headers: Iterable[HeaderPair]) -> tuple[HeaderPair, ...]:
    """The headers for the node. Those that only proxies and nodes may set are taken out of what a client sent."""
    pairs = list(headers)
    named = {
        name.strip().lower() for known, value in pairs if known == b"connection" for name in value.split(b",") if name
    }
    return tuple(
        pair
        for pair in pairs
        if pair[0] not in HOP_HEADERS
        and pair[0] not in named
        and (not pair[0].startswith(_OURS) or pair[0] == FALLBACK)
    )


def allows_fallback(request: Request) -> bool:
    """The client's own id or key may go to another cluster than its home. Raises InvalidRequest."""
    value = request.header(FALLBACK)
    if value not in (None, "allow"):
        raise InvalidRequest("the header Hookline-Fallback takes only the value allow", field="Hookline-Fallback")
    return value is not None


def call_of(request: Request, body: bytes = b"", *, is_repeatable: bool | None = None) -> Call:
    """The request as a call; repeatable if it only reads, unless it is said."""
    method = "GET" if request.scope["method"] == "HEAD" else request.scope["method"]
    repeatable = method in SAFE_METHODS if is_repeatable is None else is_repeatable
    return Call(method, target_of(request), passed_on(request.headers), body, repeatable)


def reply_of(answer: Answer) -> Reply:
    """The answer of a node, as it came."""
    return HopReply(answer.status, answer.body, answer.content_type, answer.headers)
