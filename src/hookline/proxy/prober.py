"""Asks every node for its health again and again, and levels the topology between the clusters and this proxy."""

import asyncio

import msgspec
import structlog

from hookline.clock import Clock
from hookline.protocol.topology import ClusterEntry
from hookline.proxy.config import ProxyConfig
from hookline.proxy.forwarder import Forwarder
from hookline.proxy.health import Health
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.sender import UNREADABLE, Answer, Call, NotSent, Sender, Unclear

_HEALTH = Call("GET", "/health")
_TOPOLOGY = Call("GET", "/internal/topology")
_JITTER = 0.3  # of the interval

_log = structlog.get_logger()


class _Reported(msgspec.Struct):
    """What is read of a node's health."""

    role: str = ""
    term: int = 0
    epoch: int = 0


_decode = msgspec.json.Decoder(_Reported).decode


class Prober:
    """Feeds ``health`` and ``known``.

    Args:
        sender: makes the probes.
        health: told what came.
        known: learns newer topologies.
        forwarder: gives ours to clusters with an older one.
        clock: for the jitter.
        config: how often, and how long a node has to answer.
    """

    def __init__(
        self,
        sender: Sender,
        health: Health,
        known: KnownTopology,
        forwarder: Forwarder,
        clock: Clock,
        config: ProxyConfig,
    ) -> None:
        self._sender = sender
        self._health = health
        self._known = known
        self._forwarder = forwarder
        self._clock = clock
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

    async def probe_all(self) -> None:
        """One round: all nodes side by side, then the topology of each cluster."""
        clusters = self._known.topology.all_clusters()
        self._health.keep(clusters)
        self._forwarder.keep(clusters)
        async with asyncio.TaskGroup() as tasks:
            for entry in clusters:
                tasks.create_task(self._probe_cluster(entry))

    async def _probe_cluster(self, entry: ClusterEntry) -> None:
        self._health.order(entry)  # from now on its nodes are known to be its own
        async with asyncio.TaskGroup() as tasks:
            for url in entry.nodes:
                tasks.create_task(self._probe(url))
        await self._level_topology(entry)

    async def _probe(self, url: str) -> None:
        before = self._health.node(url).state
        try:
            answer = await self._sender.send(url, _HEALTH, self._timeout_s)
            reported = _decode(answer.body)
        except (NotSent, Unclear, *UNREADABLE) as error:
            self._health.failed(url)
            if before != "down":
                _log.warning("node_down", url=url, detail=str(error))
            return
        self._health.probed(
            url,
            is_ready=answer.status == 200,
            name=_name(answer),
            role=reported.role,
            term=reported.term,
            epoch=reported.epoch,
        )
        if before == "down":
            _log.info("node_up", url=url)

    async def _level_topology(self, entry: ClusterEntry) -> None:
        """Learn what the cluster has newer; give it ours when the node that leads has an older one."""
        nodes = [self._health.node(url) for url in self._health.order(entry)]
        up = [node for node in nodes if node.state == "up"]
        if not up:
            return
        newest = max(up, key=lambda node: node.epoch)
        if newest.epoch > self._known.epoch:
            await self._learn(newest.url)
        elif newest.epoch < self._known.epoch:  # a follower that is behind alone is no reason
            await self._forwarder.giver.give(up[0].url)

    async def _learn(self, url: str) -> None:
        try:
            answer = await self._sender.send(url, _TOPOLOGY, self._timeout_s)
        except (NotSent, Unclear):
            return
        if answer.status == 200:
            self._known.learn_document(answer.body)


def _name(answer: Answer) -> str:
    name = answer.header(b"hookline-node")
    return "" if name is None else name.decode("latin-1")
