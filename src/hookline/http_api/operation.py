"""What one call of the API is, and who answers it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from hookline.errors import HooklineError, InvalidJson, PayloadTooLarge, UnsupportedMedia

Server = Literal["node", "proxy"]
BOTH: tuple[Server, ...] = ("node", "proxy")
NO_BODY = (InvalidJson, PayloadTooLarge, UnsupportedMedia)  # what a call refuses that takes no body


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method on one path.

    Attributes:
        name: its ``operationId``.
        servers: who answers it.
        query: names of query parameters, described in ``PARAMETERS``.
        headers: names of request headers, described in ``PARAMETERS``.
        proxy_headers: those that only a proxy looks at.
        body: the type of the request, if it takes one.
        body_required: whether it must be there.
        replies: status to (type or media type, what it means).
        refusals: what else it may answer, beyond what every call may.
        example: a body to show.
    """

    name: str
    method: str
    path: str
    tag: str
    summary: str
    servers: tuple[Server, ...] = BOTH
    description: str = ""
    query: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    proxy_headers: tuple[str, ...] = ()
    body: Any = None
    body_required: bool = True
    replies: dict[int, tuple[Any, str]] = field(default_factory=dict)
    refusals: tuple[type[HooklineError], ...] = ()
    example: Any = None
