"""What of a request goes on to a node, and what of the node's answer goes back. No decisions about where to."""

from collections.abc import Iterable

from hookline.errors import InvalidRequest
from hookline.http_api.exchange import HeaderPair, Reply, Request, Send
from hookline.proxy.sender import FALLBACK, SAFE_METHODS, Answer, Call

# Of this connection only (RFC 9110 section 7.6.1), or written anew for the next one.
_HOP_HEADERS = frozenset(
    {
        b"host",
        b"connection",
        b"content-length",
        b"transfer-encoding",
        b"keep-alive",
        b"te",
        b"trailer",
        b"upgrade",
        b"expect",
        b"proxy-connection",
        b"proxy-authorization",
        b"proxy-authenticate",
    }
)
_OURS = b"hookline-"


class NodeReply(Reply):
    """An answer of a node, with that node's own identity headers."""

    async def send(self, send: Send, identity: list[HeaderPair]) -> None:
        await super().send(send, [])


def passed_on(headers: Iterable[HeaderPair]) -> tuple[HeaderPair, ...]:
    """The headers for the node. Those that only proxies and nodes may set are taken out of what a client sent."""
    pairs = list(headers)
    named = {
        name.strip().lower() for known, value in pairs if known == b"connection" for name in value.split(b",") if name
    }
    return tuple(
        pair
        for pair in pairs
        if pair[0] not in _HOP_HEADERS
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
    scope = request.scope
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    repeatable = method in SAFE_METHODS if is_repeatable is None else is_repeatable
    return Call(method, (scope["raw_path"] + query).decode("ascii"), passed_on(request.headers), body, repeatable)


def reply_of(answer: Answer) -> Reply:
    """The answer of a node, as it came."""
    return NodeReply(answer.status, answer.body, answer.content_type, answer.headers)
