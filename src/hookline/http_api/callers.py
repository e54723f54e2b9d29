"""Reads from a call's headers who makes it, where they are believed; ``inner_door`` says where.

Whoever is believed is heard, no more: nodes check the routes that proxies chose. A proxy believes nobody. For whom a
client acts and what it may do, its key says: see ``guard``. An operator may act for any tenant: a header names it.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from hookline.errors import Forbidden, InvalidRequest
from hookline.http_api.forwarded_headers import (
    ACTOR,
    ADDRESSES,
    CLUSTER,
    DECIDED,
    EPOCH,
    FALLBACK,
    FORWARDED,
    PROXY,
    TENANT,
    TIMEOUT,
    TOPOLOGY,
)
from hookline.http_api.messages import AsgiScope, HeaderPair, only_value, whole_number
from hookline.protocol.api_keys import KEY_SCOPES, KeyScope
from hookline.protocol.calls import Call
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.tenants import tenant_of

_OURS = b"hookline-"
_CLIENTS = frozenset({FALLBACK, TIMEOUT, TENANT})  # of ours, what anybody may say
_PROXIES = frozenset({EPOCH, TOPOLOGY, CLUSTER, DECIDED, PROXY, ADDRESSES, ACTOR})
_NODES = frozenset({FORWARDED})
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
        key: id of its API key, ``ROOT``, the name of a pass or, where nobody is asked for one, nothing.
        scopes: of that key.
        body: SHA-256 of the body, in hex, as a process of ours has proven it; None: the caller has proven nothing.
        key_tenant: whose key it is.
        named: the tenant that it asks to act for, by its name; None: it does not.
    """

    kind: Literal["client", "proxy", "node"] = "client"
    epoch: int | None = None
    digest: str | None = None
    cluster: str | None = None
    is_forwarded: bool = False
    tenant: str = DEFAULT_TENANT
    key: str = ""
    scopes: tuple[KeyScope, ...] = KEY_SCOPES
    body: bytes | None = None
    key_tenant: str = DEFAULT_TENANT
    named: str | None = None

    @property
    def is_proven(self) -> bool:
        """It is a process of ours."""
        return self.body is not None

    @property
    def is_operator(self) -> bool:
        """May it act for any tenant? With the scope admin, the default tenant's keys may, the root key among them."""
        return self.key_tenant == DEFAULT_TENANT and "admin" in self.scopes

    def acting(self) -> "ApiCaller":
        """The caller, acting for the tenant that it asks to. After its key was looked at.

        Raises:
            InvalidRequest: no tenant can have that name.
            Forbidden: it may not.
        """
        if self.named is None:
            return self
        tenant = tenant_of(self.named, field=TENANT.decode())
        if tenant != self.key_tenant and not self.is_operator:
            raise Forbidden("the key is another tenant's, and may not act for this one")
        return self._replace(tenant=tenant)


CLIENT = ApiCaller()

HeaderPairs = list[HeaderPair]
Admit = Callable[[Call, AsgiScope], tuple[ApiCaller, HeaderPairs]]
"""Says who makes a call, and which of its headers are believed. Raises what the call is refused with."""


def admit_ours(headers: HeaderPairs) -> tuple[ApiCaller, HeaderPairs]:
    """From one of ours: it says by its headers what it is. Raises InvalidRequest for a bad number."""
    marks: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name.startswith(_OURS) and (name == TENANT or name not in _CLIENTS):
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
            named=only_value(TENANT, marks.get(TENANT, ())),
        ),
        headers,
    )


def admit_clients(headers: HeaderPairs) -> tuple[ApiCaller, HeaderPairs]:
    """From anybody else: it is a client, whatever the headers say."""
    kept = [pair for pair in headers if not pair[0].startswith(_OURS) or pair[0] in _CLIENTS]
    named = named_in(kept)
    return CLIENT if named is None else CLIENT._replace(named=named), kept


def named_in(headers: HeaderPairs) -> str | None:
    """The name of the tenant that the caller asks to act for. Raises InvalidRequest when there is more than one."""
    return only_value(TENANT, [value for name, value in headers if name == TENANT])


def admit_as_client(_call: Call, scope: AsgiScope) -> tuple[ApiCaller, HeaderPairs]:
    """At a proxy, a worker, and a node's public door: everybody is a client."""
    return admit_clients(scope["headers"])


def check_epoch_is_said(caller: ApiCaller) -> None:
    """Raise InvalidRequest unless the caller says by which topology it routed the call."""
    if caller.epoch is None:
        raise InvalidRequest(f"this call needs the header {EPOCH.decode()}", field=EPOCH.decode())
