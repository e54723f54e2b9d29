"""Learns where the other processes of this service listen, so that no job calls them.

The nodes of its own cluster and the members of etcd are known for sure. What the topology lists may come from anybody
as long as there is no authentication: so a node of another cluster counts when a node of that cluster answers at the
very address. Else a topology that names somebody's host could keep jobs from it. Only ``GET /health`` goes there.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from hookline.errors import InvalidTopology, ResolveFailed
from hookline.http_client.client import HttpClient, HttpEndpoint, Limits, NoAnswer, NoConnection
from hookline.http_client.request import request_parts
from hookline.node.attempts.heard_proxies import HeardProxies
from hookline.node.attempts.own_addresses import HostPort, OwnAddresses, is_name, is_of_this_machine, places_of
from hookline.node.attempts.resolver import Resolver
from hookline.protocol.addresses import connected_to
from hookline.protocol.commands import SetTopology
from hookline.protocol.destination_rules import Rules
from hookline.protocol.topology import parse_topology
from hookline.tls.live import LiveTls

_EVERY_S: Final = 1.0
_ASKED_MAX: Final = 32  # in one round
_LIMITS: Final = Limits(1.0, 1.0, body_max=64 * 1024)


class _Answers(msgspec.Struct):
    cluster: str | None = None
    shard: int | None = None


class Listed(NamedTuple):
    """A node of another cluster, as the topology has it."""

    url: str
    cluster: str
    shard: int


class _Found(NamedTuple):
    listed: Listed
    address: str


def may_matter(rules: Rules, address: str) -> bool:
    """Can a job go there, or to the same process by another address?"""
    return rules.may_lead_to(address) or is_of_this_machine(address)


class OwnProcesses:
    """Tells ``own`` what it learns.

    Args:
        own: is told.
        proxies: those that were heard; the silent ones are forgotten.
        resolver: for hosts that are names.
        known: urls of processes that are ours for sure.
        topology: the newest one.
        cluster: this node's; its nodes are among ``known``.
        is_of_interest: only such addresses are asked: to others no job goes anyway.
        tls: that of this process; None: it has none.
    """

    def __init__(
        self,
        own: OwnAddresses,
        proxies: HeardProxies,
        resolver: Resolver,
        *,
        known: Callable[[], Iterable[str]],
        topology: Callable[[], SetTopology | None],
        cluster: str,
        is_of_interest: Callable[[str], bool],
        tls: LiveTls | None = None,
    ) -> None:
        self._own = own
        self._proxies = proxies
        self._resolver = resolver
        self._known = known
        self._topology = topology
        self._cluster = cluster
        self._is_of_interest = is_of_interest
        self._client = HttpClient(tls=None if tls is None else tls.client_context)
        self._document = b""
        self._listed: list[Listed] = []
        self._confirmed: set[_Found] = set()
        self._waiting: dict[_Found, None] = {}  # those asked longest ago first
        self._addresses: dict[str, tuple[str, ...]] = {}  # of names, as they were resolved last

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(_EVERY_S)
        finally:
            await self.close()

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()

    async def look(self) -> None:
        """One round."""
        self._proxies.forget_silent()
        known = places_of(self._known())
        self._read_topology()
        await self._resolve(dict((*known, *places_of(it.url for it in self._listed))))
        self._own.tell("nodes and etcd", (place for one in known for place in self._places(one)))
        found = {_Found(it, host) for it in self._listed for place in places_of([it.url]) for host in self._at(place)}
        self._confirmed &= found
        self._waiting = {it: None for it in self._waiting if it in found}
        self._waiting |= dict.fromkeys(sorted(found - self._confirmed - self._waiting.keys()))
        await self._confirm(list(self._waiting)[:_ASKED_MAX])
        self._own.tell(
            "other clusters",
            (_reach(it.address, port) for it in self._confirmed for _, port in places_of([it.listed.url])),
        )

    def _read_topology(self) -> None:
        kept = self._topology()
        document = b"" if kept is None else kept.document
        if document == self._document:
            return
        self._document = document
        self._listed = _listed(document, self._cluster) if document else []

    async def _resolve(self, hosts: dict[str, int]) -> None:
        """Names keep the addresses they had while they cannot be resolved."""
        self._addresses = {host: it for host, it in self._addresses.items() if host in hosts}

        async def resolve(host: str, port: int) -> None:
            try:
                self._addresses[host] = await self._resolver.resolve(host, port)
            except ResolveFailed:
                return

        async with asyncio.TaskGroup() as tasks:
            for host, port in hosts.items():
                if is_name(host):
                    tasks.create_task(resolve(host, port))

    def _places(self, place: HostPort) -> list[HostPort]:
        """The place, and those its name leads to."""
        host, port = place
        return [place, *(_reach(address, port) for address in (*self._addresses.get(host, ()), host))]

    def _at(self, place: HostPort) -> list[str]:
        addresses = self._addresses.get(place[0], ()) if is_name(place[0]) else (place[0],)
        return [address for address in addresses if self._is_of_interest(address)]

    async def _confirm(self, asked: list[_Found]) -> None:
        async with asyncio.TaskGroup() as tasks:
            answers = {it: tasks.create_task(self._is_there(it)) for it in asked}
        for it, answer in answers.items():
            del self._waiting[it]
            if answer.result():
                self._confirmed.add(it)
            else:
                self._waiting[it] = None  # at the end

    async def _is_there(self, found: _Found) -> bool:
        parts = urlsplit(found.listed.url)
        ((host, port),) = places_of([found.listed.url])
        endpoint = HttpEndpoint(found.address, port, host, parts.scheme == "https")
        try:
            request = request_parts("GET", "/health", parts.netloc, (), b"")
            answer = await self._client.exchange(endpoint, request, _LIMITS)
            said = msgspec.json.decode(answer.body, type=_Answers)
        except (NoConnection, NoAnswer, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        return (said.cluster, said.shard) == (found.listed.cluster, found.listed.shard)


def _reach(address: str, port: int) -> HostPort:
    """Takes a loopback address for all of this machine's: the process behind it may listen at any of them."""
    ip = connected_to(address)
    return ("0.0.0.0" if ip is not None and ip.is_loopback else address), port  # noqa: S104 - nothing is bound


def _listed(document: bytes, cluster: str) -> list[Listed]:
    try:
        entries = parse_topology(document).all_clusters()
    except InvalidTopology:  # of a later release; it was read when it came
        return []
    return [Listed(url, it.name, it.shard) for it in entries if it.name != cluster for url in it.nodes]
