"""Describes one call of the API in prose; ``protocol.calls`` holds its facts."""

from dataclasses import dataclass, field
from typing import Any

from hookline import errors as e
from hookline.errors import HooklineError
from hookline.protocol.calls import CALLS, Call, Server

# What calls refuse: without a body, with one, with the fields of a job in it; a page of a list.
NO_BODY = (e.InvalidJson, e.PayloadTooLarge, e.UnsupportedMedia)
BODY = (e.InvalidJson, e.UnknownField, e.PayloadTooLarge, e.UnsupportedMedia)
JOB_FIELDS = (*BODY, e.InvalidUrl, e.ForbiddenDestination, e.InvalidHeader, e.InvalidTime, e.InvalidSecret)
PAGE = (e.InvalidCursor,)
SHOP = "https://shop.example/hooks"  # of examples


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call in words.

    Attributes:
        name: that of its row.
        query: names of query parameters, described in ``PARAMETERS``.
        headers: names of request headers, described in ``PARAMETERS``.
        proxy_headers: those that only a proxy looks at.
        body: the type of the request, if it takes one.
        body_required: whether it must be there.
        replies: status to (type, types to choose from or media type, what it means).
        refusals: what else it may answer, beyond what every call may.
        example: a body to show.
    """

    name: str
    tag: str
    summary: str
    description: str = ""
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    proxy_headers: tuple[str, ...] = ()
    body: Any = None
    body_required: bool = True
    replies: dict[int, tuple[Any, str]] = field(default_factory=dict)
    refusals: tuple[type[HooklineError], ...] = ()
    example: Any = None

    @property
    def call(self) -> Call:
        """Its row."""
        return CALLS[self.name]

    def is_of(self, server: Server) -> bool:
        """Does the server answer it?"""
        return server in self.call.servers
