"""Headers that one process passes on to the next, and those by which proxies and nodes speak of it."""

import re

from hookline.errors import InvalidRequest
from hookline.http_api.messages import ApiRequest, AsgiSend, HeaderPair, Reply

EPOCH = b"hookline-epoch"  # on every call of a proxy: the topology it decided by
TOPOLOGY = b"hookline-topology"  # beside it: the digest of that document
CLUSTER = b"hookline-for-cluster"  # on every call of a proxy: whom it believes to call
PROXY = b"hookline-proxy"  # on a proxy's probes: HOST:PORT where it listens, so that no job is sent there
DECIDED = b"hookline-decided"  # with a topology: the shard of the cluster that decided for it, or UNKNOWN
UNKNOWN = b"unknown"
TIMEOUT = b"hookline-timeout-ms"  # how long the caller still waits
FALLBACK = b"hookline-fallback"  # "allow": a client's own id or key may go to another cluster than its home
ADDRESSES = b"hookline-addresses"  # with what is audited: the addresses of the client and of those who passed it on
ACTOR = b"hookline-actor"  # with what a proxy has all clusters do: the client's call, and the id of its key
TENANT = b"hookline-tenant"  # for whom an operator acts: a tenant's name
FORWARDED = b"hookline-forwarded"  # on what a follower passes on: it goes no further

# Of one connection only (RFC 9110, section 7.6.1), or written anew by whoever sends.
HOP_HEADERS = frozenset(
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
# What an HTTP library takes for another path before it sends it (https://url.spec.whatwg.org): dot segments,
# percent-encoded too, backslashes, a fragment. The route was chosen by the path as it came.
_AMBIGUOUS = re.compile(rb"[\\#]|/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


class ForwardedReply(Reply):
    """An answer of another process, with that process's own identity headers."""

    async def send(self, send: AsgiSend, identity: list[HeaderPair]) -> None:
        await super().send(send, [])


def target_of(request: ApiRequest) -> str:
    """Path and query as they came, percent-encoded. Raises InvalidRequest when they could be read as another path."""
    scope = request.scope
    path: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    if _AMBIGUOUS.search(path) or b"#" in query:
        raise InvalidRequest("the path has a '.' or '..' segment, a backslash or '#'; percent-encode what is a name")
    return ((path + b"?" + query) if query else path).decode("ascii")


def is_asked_to_force(request: ApiRequest) -> bool:
    """``?force=true``: the operator knows better than the rules for a change. Raises InvalidRequest."""
    value = request.query("force").get("force", "false")
    if value not in ("true", "false"):
        raise InvalidRequest("force must be true or false", field="force")
    return value == "true"
