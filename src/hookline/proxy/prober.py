"""Asks every node for its health again and again, and has the topology levelled by what they say."""

import asyncio
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from hookline.clock import Clock
from hookline.errors import InvalidTopology, Unauthorized
from hookline.http_api.forwarded_headers import PROXY
from hookline.peers.sender import UNREADABLE, NodeAnswer, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.protocol.topology import ClusterEntry, Topology
from hookline.proxy.config import ProxyConfig
from hookline.proxy.farewell import Farewell
from hookline.proxy.forwarder import Forwarder
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.leveling import Leveler
from hookline.telemetry.area_log import log_of

_JITTER = 0.3  # of the interval

_log = log_of("proxy")


class _Reported(msgspec.Struct):
    """The part of a node's health that a proxy reads; earlier releases do not say all of it."""

    role: str = ""
    term: int = 0
    epoch: int = 0
    topology: str | None = None
    decided_by: int | None = None
    cluster: str | None = None
    shard: int | None = None
    cluster_id: str | None = None
    moved: int = 0
    asks_for_keys: bool = False


_decode = msgspec.json.Decoder(_Reported).decode


class _WhyNot(NamedTuple):
    text: str
    is_stranger: bool  # somebody else answers


class Prober:
    """Feeds ``health`` and ``known``.

    Args:
        sender: makes the probes.
        health: told what came.
        known: learns newer topologies.
        forwarder: carries and gives topologies.
        clock: for the jitter.
        config: how often, and how long a node has to answer.
        listens: HOST:PORT of this proxy, told to the nodes with each probe; empty: it is not told.

    Attributes:
        farewell: tells clusters that were taken out.
    """

    def __init__(
        self,
        sender: Sender,
        health: KnownHealth,
        known: KnownTopology,
        forwarder: Forwarder,
        clock: Clock,
        config: ProxyConfig,
        listens: str = "",
    ) -> None:
        self._probe_call = NodeCall.to(CALLS["getHealth"], b"", *([(PROXY, listens.encode())] if listens else ()))
        self._sender = sender
        self._health = health
        self._known = known
        self._forwarder = forwarder
        self._clock = clock
        self._leveler = Leveler(sender, health, known, forwarder, clock, config.probe_timeout_ms / 1_000)
        self.farewell = Farewell(sender, known, config.probe_timeout_ms / 1_000)
        self._settling = asyncio.Lock()
        self._settled = 0
        self._meeting: dict[str, asyncio.Lock] = {}
        self._has_root_key = config.root_key is not None
        self._locked: dict[str, str] = {}  # urls of nodes that take no calls of this proxy's root key, and why
        forwarder.settle = self.settle
        forwarder.meet = self.meet
        forwarder.check_newcomers = self.check_newcomers
        self._interval_s = config.probe_interval_ms / 1_000
        self._timeout_s = config.probe_timeout_ms / 1_000

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            loop = asyncio.get_running_loop()
            started_s = loop.time()
            await self.probe_all()
            jittered_s = self._interval_s * (1 + _JITTER * (self._clock.random() - 0.5))
            await asyncio.sleep(max(0.0, started_s + jittered_s - loop.time()))

    async def settle(self) -> None:
        """A round now, on behalf of a call that came before any topology is in force; all who wait share it."""
        asked = self._settled
        async with self._settling:
            if self._settled == asked and not self._known.is_in_force:
                await self.probe_all()
                self._settled += 1

    async def meet(self, entry: ClusterEntry) -> None:
        """Probe the newcomers of a cluster now, on behalf of a call; all who wait share it."""
        async with self._meeting.setdefault(entry.name, asyncio.Lock()):
            self._health.order(entry)
            async with asyncio.TaskGroup() as tasks:
                for url in self._health.unmet(entry):
                    tasks.create_task(self._probe(entry, url))

    async def check_newcomers(self, old: Topology, new: Topology) -> None:
        """Raise InvalidTopology unless nodes of the clusters answer where ``new`` has them and ``old`` has not.

        Of a cluster that is new one node will do, if no node is another cluster's; else each new url has to answer.
        """
        before = {(url, entry.name) for entry in old.all_clusters() for url in entry.nodes}
        for entry in new.all_clusters():
            urls = [url for url in entry.nodes if (url, entry.name) not in before]
            # One cluster after the other: a bad document is refused after a few calls.
            async with asyncio.TaskGroup() as tasks:
                asked = [tasks.create_task(self._why_not(entry, url)) for url in urls]
            whys = [task.result() for task in asked]
            is_new = old.cluster(entry.name) is None
            wrong = [why for why in whys if why is not None and (why.is_stranger or not is_new or None not in whys)]
            if wrong:
                raise InvalidTopology(wrong[0].text, field="nodes")

    async def _why_not(self, entry: ClusterEntry, url: str) -> _WhyNot | None:
        try:
            answer = await self._sender.send(url, self._probe_call, self._timeout_s)
            reported = _decode(answer.body)
        except (NotSent, Unclear, *UNREADABLE) as error:
            text = f"no node of {entry.name} answers at {url}: {error}; start its nodes first, or force it"
            return _WhyNot(text, is_stranger=False)
        lock = self._lock(url, answer, reported) or self._is_open(url, reported)
        if lock is not None:
            return _WhyNot(lock, is_stranger=True)
        why = _stranger(entry, url, reported)
        if why is None and not _is_member(entry, answer, reported):
            why = _unknown(entry, url)
        return None if why is None else _WhyNot(f"{why}; correct the url", is_stranger=True)

    def _is_open(self, url: str, said: _Reported) -> str | None:
        """The reason why jobs of a fleet with keys must not get there: anybody could read them. None: they may."""
        if self._has_root_key and not said.asks_for_keys:
            return f"{url} asks for no API keys, and this proxy has a root key; give it to the nodes by --root-key-file"
        return None

    def _lock(self, url: str, answer: NodeAnswer, said: _Reported) -> str | None:
        """The reason why the node takes no call of a proxy with this root key; None: there is none.

        A node that asks for keys believes a proxy nothing without a proof. So nothing is sent to it: it would take
        clients' calls for such that nobody routed, and refuse those of the proxy itself.
        """
        if answer.status == Unauthorized.http_status and answer.code == Unauthorized.code:
            return f"{url} has another root key than this proxy; give both the same by --root-key-file"
        if said.asks_for_keys and not self._has_root_key:
            return (
                f"{url} asks for API keys, and this proxy has no root key; give it that of the nodes by --root-key-file"
            )
        return None

    async def probe_all(self) -> None:
        """One round: all nodes side by side, then the topology."""
        clusters = self._known.topology.all_clusters()
        self._meeting = {entry.name: lock for entry in clusters if (lock := self._meeting.get(entry.name))}
        self._health.keep(clusters)
        self._locked.clear()
        self._forwarder.keep(clusters)
        async with asyncio.TaskGroup() as tasks:
            for entry in clusters:
                self._health.order(entry)  # from now on its nodes are known to be its own
                for url in entry.nodes:
                    tasks.create_task(self._probe(entry, url))
        is_any_up = any(self._health.node(url).state == "up" for entry in clusters for url in entry.nodes)
        self._health.why_locked_out = None if is_any_up else next(iter(self._locked.values()), None)
        await self._leveler.level(clusters)
        await self.farewell.bid()

    async def _probe(self, entry: ClusterEntry, url: str) -> None:
        node = self._health.node(url)
        before, stranger = node.state, node.stranger
        try:
            answer = await self._sender.send(url, self._probe_call, self._timeout_s)
            reported = _decode(answer.body)
        except (NotSent, Unclear, *UNREADABLE) as error:
            self._health.missed(url, is_refusing=isinstance(error, NotSent))
            if before != "down":
                _log.warning("node_down", url=url, detail=str(error))
            return
        why = _stranger(entry, url, reported)
        is_member = _is_member(entry, answer, reported)
        if why is None and not is_member and not self._health.has_met(entry, url):
            why = _unknown(entry, url)
        if (lock := self._lock(url, answer, reported)) is not None:
            self._locked[url] = why = lock
        if why is not None:
            self._health.is_stranger(url, why)
            if why != stranger:
                _log.error("node_of_another_cluster" if lock is None else "root_key_differs", url=url, detail=why)
            return
        if is_member:
            self._health.meet(entry, url)
        self._health.probed(
            url,
            is_ready=answer.status == 200,
            name=_name(answer),
            role=reported.role,
            term=reported.term,
            epoch=reported.epoch,
            digest=reported.topology or "",
            decided_by=reported.decided_by,
            moved=reported.moved,
        )
        if before == "down":
            _log.info("node_up", url=url)


def _stranger(entry: ClusterEntry, url: str, said: _Reported) -> str | None:
    """The reason why the process at this url is not a node of the cluster; None: it may be one."""
    if said.cluster not in (None, entry.name):
        return f"{url} belongs to cluster {said.cluster}, the topology lists it under {entry.name}"
    if said.shard not in (None, entry.shard):
        return f"{url} has shard {said.shard}, the topology says that {entry.name} has {entry.shard}"
    if entry.id is not UNSET and said.cluster_id not in (None, entry.id):
        return f"{url} belongs to a cluster {entry.name} with the id {said.cluster_id}, the topology says {entry.id}"
    return None


def _unknown(entry: ClusterEntry, url: str) -> str:
    return f"who answers at {url} does not say that it is a node of {entry.name}"


def _is_member(entry: ClusterEntry, answer: NodeAnswer, said: _Reported) -> bool:
    """It says itself that it is a node of the cluster. Releases that did not say it in the body have the header."""
    header = answer.header(b"hookline-cluster")
    name = said.cluster if said.cluster is not None else None if header is None else header.decode("latin-1")
    return name == entry.name


def _name(answer: NodeAnswer) -> str:
    name = answer.header(b"hookline-node")
    return "" if name is None else name.decode("latin-1")
