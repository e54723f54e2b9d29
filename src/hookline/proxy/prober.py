"""Asks every node for its health again and again, and has the topology levelled by what they say."""

import asyncio

import msgspec
import structlog
from msgspec import UNSET

from hookline.clock import Clock
from hookline.http_api.hops import PROXY
from hookline.protocol.topology import ClusterEntry
from hookline.proxy.config import ProxyConfig
from hookline.proxy.forwarder import Forwarder
from hookline.proxy.health import Health
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.leveling import Leveler
from hookline.proxy.sender import UNREADABLE, Answer, Call, NotSent, Sender, Unclear

_JITTER = 0.3  # of the interval

_log = structlog.get_logger()


class _Reported(msgspec.Struct):
    """What is read of a node's health; releases before this one do not say all of it."""

    role: str = ""
    term: int = 0
    epoch: int = 0
    topology: str | None = None
    decided_by: int | None = None
    cluster: str | None = None
    shard: int | None = None
    cluster_id: str | None = None


_decode = msgspec.json.Decoder(_Reported).decode


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
    """

    def __init__(
        self,
        sender: Sender,
        health: Health,
        known: KnownTopology,
        forwarder: Forwarder,
        clock: Clock,
        config: ProxyConfig,
        listens: str = "",
    ) -> None:
        self._probe_call = Call("GET", "/health", ((PROXY, listens.encode()),) if listens else ())
        self._sender = sender
        self._health = health
        self._known = known
        self._forwarder = forwarder
        self._clock = clock
        self._leveler = Leveler(sender, health, known, forwarder, clock, config.probe_timeout_ms / 1_000)
        self._settling = asyncio.Lock()
        self._settled = 0
        forwarder.settle = self.settle
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

    async def probe_all(self) -> None:
        """One round: all nodes side by side, then the topology."""
        clusters = self._known.topology.all_clusters()
        self._health.keep(clusters)
        self._forwarder.keep(clusters)
        async with asyncio.TaskGroup() as tasks:
            for entry in clusters:
                self._health.order(entry)  # from now on its nodes are known to be its own
                for url in entry.nodes:
                    tasks.create_task(self._probe(entry, url))
        await self._leveler.level(clusters)

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
        if why is not None:
            self._health.is_stranger(url, why)
            if why != stranger:
                _log.error("node_of_another_cluster", url=url, detail=why)
            return
        self._health.probed(
            url,
            is_ready=answer.status == 200,
            name=_name(answer),
            role=reported.role,
            term=reported.term,
            epoch=reported.epoch,
            digest=reported.topology or "",
            decided_by=reported.decided_by,
        )
        if before == "down":
            _log.info("node_up", url=url)


def _stranger(entry: ClusterEntry, url: str, said: _Reported) -> str | None:
    """Why whoever answers at this url is no node of the cluster; None: it may be one."""
    if said.cluster not in (None, entry.name):
        return f"{url} belongs to cluster {said.cluster}, the topology lists it under {entry.name}"
    if said.shard not in (None, entry.shard):
        return f"{url} has shard {said.shard}, the topology says that {entry.name} has {entry.shard}"
    if entry.id is not UNSET and said.cluster_id not in (None, entry.id):
        return f"{url} belongs to a cluster {entry.name} with the id {said.cluster_id}, the topology says {entry.id}"
    return None


def _name(answer: Answer) -> str:
    name = answer.header(b"hookline-node")
    return "" if name is None else name.decode("latin-1")
