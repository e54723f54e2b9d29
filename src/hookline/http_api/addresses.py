"""The addresses that a call came by, for the audit log: the client's, then those of our processes that passed it on."""

from collections.abc import Iterable

from hookline.http_api.forwarded_headers import ACTOR, ADDRESSES
from hookline.http_api.messages import ApiRequest, HeaderPair

_CHARS_MAX = 200


def addresses_in(headers: Iterable[HeaderPair], client: tuple[str, int] | None) -> list[str]:
    """Lists those that were said and, last, the one that this process sees; empty for a call of its own."""
    said = next((value for name, value in headers if name == ADDRESSES), b"").decode("latin-1")[:_CHARS_MAX]
    hops = [hop.strip() for hop in said.split(",")]
    return [*(hop for hop in hops if hop and hop.isprintable()), *([client[0]] if client else [])]


def addresses_of(request: ApiRequest) -> list[str]:
    """The same of a request."""
    return addresses_in(request.headers, request.scope.get("client"))


def passing(request: ApiRequest) -> tuple[HeaderPair, ...]:
    """The header that says it to the next process, if the call is audited."""
    if request.call.audited == "no":
        return ()
    return ((ADDRESSES, ", ".join(addresses_of(request)).encode("latin-1", "replace")),)


def acting(request: ApiRequest) -> tuple[HeaderPair, ...]:
    """The headers that say in whose name this process has something done by a call of its own."""
    return (*passing(request), (ACTOR, f"{request.call.name} {request.caller.key}".strip().encode()))
