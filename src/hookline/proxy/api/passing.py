"""What of a request goes on to a node, and what of the node's answer goes back. No decisions about where to."""

from hookline.errors import InvalidRequest
from hookline.http_api.exchange import HeaderPair, Reply, Request, only_value
from hookline.http_api.hops import FALLBACK, HOP_HEADERS, SAFE_METHODS, HopReply, target_of
from hookline.proxy.sender import Answer, Call

_OURS = b"hookline-"


class Incoming(Request):
    """A request to a proxy, whose headers are gone through once.

    Attributes:
        passed_on: the headers for the node. Those of one connection, and those that only proxies and nodes may set,
            are not among them.
    """

    __slots__ = ("_values", "passed_on")

    def __init__(self, request: Request) -> None:
        super().__init__(request.scope, request.receive)
        self._values: dict[bytes, list[bytes]] = {}
        passed_on = []
        for pair in self.headers:
            name = pair[0]
            self._values.setdefault(name, []).append(pair[1])
            if name not in HOP_HEADERS and (name == FALLBACK or not name.startswith(_OURS)):
                passed_on.append(pair)
        named = {name.strip().lower() for value in self._values.get(b"connection", ()) for name in value.split(b",")}
        self.passed_on: tuple[HeaderPair, ...] = tuple(pair for pair in passed_on if pair[0] not in named)

    def header(self, name: bytes) -> str | None:
        return only_value(name, self._values.get(name, ()))


def allows_fallback(request: Request) -> bool:
    """The client's own id or key may go to another cluster than its home. Raises InvalidRequest."""
    value = request.header(FALLBACK)
    if value not in (None, "allow"):
        raise InvalidRequest("the header Hookline-Fallback takes only the value allow", field="Hookline-Fallback")
    return value is not None


def call_of(request: Incoming, body: bytes = b"", *, is_repeatable: bool | None = None) -> Call:
    """The request as a call; repeatable if it only reads, unless it is said."""
    method = "GET" if request.scope["method"] == "HEAD" else request.scope["method"]
    repeatable = method in SAFE_METHODS if is_repeatable is None else is_repeatable
    return Call(method, target_of(request), request.passed_on, body, repeatable)


def reply_of(answer: Answer) -> Reply:
    """The answer of a node, as it came."""
    return HopReply(answer.status, answer.body, answer.content_type, answer.headers)
