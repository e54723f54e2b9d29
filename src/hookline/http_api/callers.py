"""Decides who calls and whose word is taken, in one place for nodes and proxies.

*Proven* means today: by nothing but the network. A node believes whoever can reach it and says what only proxies and
nodes say, so nobody else may reach its port; see docs/how-to/run-three-nodes.md. Whoever says so is heard, no more:
nodes check the routes that proxies chose. Only calls whose row says ``needs_mac`` ask for a proof. A proxy believes
nobody. For whom a client acts and what it may do, its key says: see ``guard``.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from hookline.errors import InvalidRequest
from hookline.http_api.forwarded_headers import (
    ACTOR,
    ADDRESSES,
    CLUSTER,
    DECIDED,
    EPOCH,
    FALLBACK,
    FORWARDED,
    MAC,
    PROXY,
    TIMEOUT,
    TOPOLOGY,
)
from hookline.http_api.messages import HeaderPair, only_value, whole_number
from hookline.protocol.api_keys import KEY_SCOPES, KeyScope
from hookline.protocol.jobs import DEFAULT_TENANT

_OURS = b"hookline-"
_CLIENTS = frozenset({FALLBACK, TIMEOUT})  # of ours, what anybody may say
_PROXIES = frozenset({EPOCH, TOPOLOGY, CLUSTER, DECIDED, PROXY, ADDRESSES, ACTOR})
_NODES = frozenset({FORWARDED, MAC})
_EPOCH_DIGITS_MAX = 16


class ApiCaller(NamedTuple):
    """The one that makes a call.

    Attributes:
        kind: who is at the other end of the connection.
        epoch: of the topology that the call was routed by; None: it was not.
        digest: of that topology's document; None: the caller did not say.
        cluster: whom the caller believes to call; None: it did not say.
        is_forwarded: a follower passed it on; it goes no further.
        tenant: for whom it acts: whose jobs, keys, schedules and destinations it sees.
        key: id of its API key, ``ROOT`` or, where nobody is asked for one, nothing.
        scopes: of that key.
    """

    kind: Literal["client", "proxy", "node"] = "client"
    epoch: int | None = None
    digest: str | None = None
    cluster: str | None = None
    is_forwarded: bool = False
    tenant: str = DEFAULT_TENANT
    key: str = ""
    scopes: tuple[KeyScope, ...] = KEY_SCOPES


CLIENT = ApiCaller()

HeaderPairs = list[HeaderPair]
Admit = Callable[[HeaderPairs], tuple[ApiCaller, HeaderPairs]]
"""Reads from the headers who calls, and returns those of them that are believed."""


def admit_ours(headers: HeaderPairs) -> tuple[ApiCaller, HeaderPairs]:
    """At a node: proxies and nodes say by their headers what they are. Raises InvalidRequest for a bad number."""
    marks: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name.startswith(_OURS) and name not in _CLIENTS:
            marks.setdefault(name, []).append(value)
    if not marks:
        return CLIENT, headers
    if not (_PROXIES | _NODES) & marks.keys():
        return admit_clients(headers)
    epoch = only_value(EPOCH, marks.get(EPOCH, ()))
    return (
        ApiCaller(
            "node" if _NODES & marks.keys() else "proxy",
            None if epoch is None else whole_number(epoch, EPOCH, _EPOCH_DIGITS_MAX),
            only_value(TOPOLOGY, marks.get(TOPOLOGY, ())),
            only_value(CLUSTER, marks.get(CLUSTER, ())),
            FORWARDED in marks,
        ),
        headers,
    )


def admit_clients(headers: HeaderPairs) -> tuple[ApiCaller, HeaderPairs]:
    """At a proxy: everybody is a client, whatever the headers say."""
    return CLIENT, [pair for pair in headers if not pair[0].startswith(_OURS) or pair[0] in _CLIENTS]


def check_epoch_is_said(caller: ApiCaller) -> None:
    """Raise InvalidRequest unless the caller says by which topology it routed the call."""
    if caller.epoch is None:
        raise InvalidRequest(f"this call needs the header {EPOCH.decode()}", field=EPOCH.decode())
