"""A simulated world of proxies before clusters: what befalls them, from one seed."""

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.topology import ClusterEntry, Topology, encode_topology
from hookline.protocol.topology_change import decider_of
from hookline.testing.clock import START_MS, SimulatedClock
from tests.simulation.cluster.etcd_cluster import EtcdCluster
from tests.simulation.fleet.clients import ProxyClients
from tests.simulation.fleet.proxy import SimulatedProxy
from tests.simulation.fleet.topologies import Admins
from tests.simulation.history import History
from tests.simulation.network import Cut, Network
from tests.simulation.promises import broken
from tests.simulation.promises.fleets import OF_FLEETS, SEEN_AT_ONCE, Fleet
from tests.simulation.world import World

_WORK_S = 900  # by when the clients have long made all their calls
_LEVEL_S = 60  # by when everybody has the newest topology
_REST_S = 8  # breakers let calls through again, and probes have seen it
_READS = 8  # of all that was acknowledged, through each proxy
_REPEATS = 5
_CHANGES = ("cancel", "bulk_cancel", "update", "run", "retry", "bulk_retry")
ROOM = 10_000  # jobs


class FleetWorld(World):
    """Proxies before clusters: trouble, then healing; then all that was promised is asked for through every proxy.

    Each proxy goes by a file, which a seed may change; each cluster tells its own history, and one journal has all.
    """

    clusters: Sequence[EtcdCluster]

    def __init__(self, history: History, seed: int, directory: Path) -> None:
        pick = random.Random(f"proxy world {seed}")
        self._seen_documents: dict[int, bytes] = {}  # by epoch
        self.is_over = False
        self.clock = SimulatedClock(asyncio.get_running_loop().time, seed=seed)
        self.network = Network(f"of proxies {seed}", (0.0, 0.05, 0.15, 0.3))
        self.network.heard = self._heard
        self.favour = pick.choice((0.0, 0.0, 0.8))
        shards = pick.sample(range(5), pick.choice((2, 3, 3)))
        clusters = [self._cluster(history, shard, seed, directory, pick) for shard in shards]
        super().__init__(history, clusters, pick, "fleet")
        self._nodes = {node.config.advertised_url: node for cluster in clusters for node in cluster.nodes}
        self.network.places = {url: node.ask for url, node in self._nodes.items()}
        for cluster in clusters:
            cluster.outer = self.network
        self.admins = Admins(self, [entry_of(cluster) for cluster in clusters], seed)
        names = [f"p{number}" for number in range(pick.choice((2, 2, 3)))]
        self.proxies = [SimulatedProxy(self, name, self.admins.first, seed) for name in names]

    def _cluster(self, history: History, shard: int, seed: int, directory: Path, pick: random.Random) -> EtcdCluster:
        place = directory / f"c{shard}"
        place.mkdir()
        return EtcdCluster(
            History(history.journal, f"c{shard} "),
            seed * 10 + shard,
            place,
            shard=shard,
            kind="fleet",
            start_ms=START_MS + pick.choice((0, 0, -40, 700)),
            settings={"pending_jobs_max": pick.choice((ROOM, ROOM, 6, 15)), "shutdown_grace_ms": 1_000},
        )

    def any_proxy(self) -> SimulatedProxy:
        """The load balancer's choice: rather one that listens, and maybe rather the first."""
        up = [proxy for proxy in self.proxies if proxy.is_up]
        if up and self.random.random() < self.favour:
            return up[0]
        return self.random.choice(up if up and self.random.random() < 0.9 else self.proxies)

    async def ask_any(self, call: NodeCall) -> NodeAnswer:
        """Hand a client's request to one of the proxies. Raises as ``SimulatedProxy.ask``."""
        proxy = self.any_proxy()
        self.history.note(f"{proxy.name} gets {call.method} {call.target} {call.body!r:.200}")
        return await proxy.ask(call)

    async def _live(self, tasks: asyncio.TaskGroup) -> None:
        clients = ProxyClients(self, self.admins.seed)
        self.network.tasks = tasks
        for cluster in self.clusters:
            for node in cluster.nodes:
                tasks.create_task(node.run())
        for proxy in self.proxies:
            tasks.create_task(proxy.run())
        await self._until(lambda: all(it.leader() for it in self.clusters), "not every cluster has a leader")
        if self.random.random() < 0.25:
            await self._begin_twice()
        await asyncio.sleep(self.random.random())
        trouble = tasks.create_task(self._make_trouble())
        changing = tasks.create_task(self.admins.work(clients))
        async with asyncio.timeout(_WORK_S):
            await clients.work()
        trouble.cancel()
        self._heal()
        await changing
        await self._until(self._is_level, "not everybody has the newest topology")
        await self.admins.resume(clients)
        await self._until(self._is_level, "not everybody has the newest topology")
        await self._until(self._has_moved, "not all has moved that had to")
        await asyncio.sleep(_REST_S)
        await self._ask_for_all(clients)
        for cluster in self.clusters:
            await cluster.until(cluster.all_know_all, _LEVEL_S, "not all nodes have all entries")
            cluster.stop()
        self.is_over = True
        for proxy in self.proxies:
            proxy.kill()

    def _seen(self) -> list[str]:
        return [*super()._seen(), *broken(Fleet(self.history.calls), SEEN_AT_ONCE)]

    def violated(self) -> list[str]:
        changes = [call for call in self.history.calls if call.kind in _CHANGES]
        for cluster in self.clusters:  # whichever has the job
            cluster.history.calls = changes
        return super().violated() or [*broken(Fleet(self.history.calls, self.clusters), OF_FLEETS)]

    async def _begin_twice(self) -> None:
        """A proxy starts with another first file, and the cluster that decides refuses its connections for a while.

        So there are two documents of epoch 1. Before clients come, all have the one of the smaller shard.
        """
        proxy, other = self.proxies[0], self.admins.another_first()
        roughness, self.network.roughness = self.network.roughness, 0.0
        ways = [(proxy.name, url) for url in decider_of(other.clusters).nodes]
        self._cut_ways(ways, 3 * self.random.random(), "refuses")
        proxy.file = other
        proxy.kill()
        self.history.note(f"{proxy.name} begins with another file: {encode_topology(other).decode()}")
        await asyncio.sleep(6)
        await self._until(self._is_level_at_first, "the fleet did not begin with one topology")
        known = next(proxy.known for proxy in self.proxies if proxy.known is not None)
        self.admins.begin_with(known.topology)
        for each in self.proxies:
            each.file = known.topology
        self.network.roughness = roughness

    def _heard(self, url: str) -> None:
        """A node has answered, with this topology. After the first epoch there is never another one with the same."""
        kept = self._nodes[url].topology
        if kept is None or kept.epoch == 1:
            return
        if self._seen_documents.setdefault(kept.epoch, kept.document) != kept.document:
            self.violations.append(f"two topologies of epoch {kept.epoch} were decided")

    async def _until(self, holds: Callable[[], bool], complaint: str) -> None:
        for _ in range(_LEVEL_S):
            if holds():
                return
            await asyncio.sleep(1)
        states: list[tuple[str, object]] = [
            (proxy.name, proxy.known and proxy.known.document) for proxy in self.proxies
        ]
        states += [(it.name, [one.topology and one.topology.document for one in it.nodes]) for it in self.clusters]
        self.violations.append(f"{complaint} {_LEVEL_S} s after everything was healed: {states}")

    def _is_level(self) -> bool:
        """All have the same topology, which is the newest that an admin was told of, or a newer one of a file."""
        newest = self._common()
        networks = (self.network, *(cluster.network for cluster in self.clusters))
        is_calm = not any(network.under_way for network in networks)
        return newest is not None and is_calm and self.admins.is_after_all(newest)

    def _has_moved(self) -> bool:
        """Each cluster of the topology has said that nothing is left."""
        newest = self._common()
        if newest is None:
            return False
        names = {entry.name for entry in newest.all_clusters()}
        leaders = [cluster.leader() for cluster in self.clusters if cluster.name in names]
        told = [None if leader is None else leader.moves() for leader in leaders]
        return all(one is not None and one.is_done for one in told)

    def _is_level_at_first(self) -> bool:
        return self._common() is not None

    def _common(self) -> Topology | None:
        """The topology that all proxies and nodes have; None: they differ, or one of the proxies has none."""
        known = [proxy.known for proxy in self.proxies if proxy.known is not None and proxy.known.is_in_force]
        if len(known) < len(self.proxies):
            return None
        newest = known[0].topology
        documents = {one.document for one in known}
        wanted = {entry.name for entry in newest.all_clusters()}
        kept = [node.topology for cluster in self.clusters if cluster.name in wanted for node in cluster.nodes]
        documents |= {b"" if one is None else one.document for one in kept}
        return newest if len(documents) == 1 else None

    async def _ask_for_all(self, clients: ProxyClients) -> None:
        """Nothing is wrong any more, so every answer has to come, and be complete."""
        told = Fleet(self.history.calls)
        known = [("read", wanted) for wanted in told.known["job"]]
        known += [("read_schedule", wanted) for wanted in told.known["schedule"]]
        for proxy in self.proxies:
            for kind, wanted in self.random.sample(known, min(_READS, len(known))):
                reading = await clients.look(kind, wanted, ask=proxy.ask, retries=2)
                if not reading.is_ok:
                    self.violations.append(f"{proxy.name} says {reading.code} of {wanted} when nothing is wrong")
            listing = await clients.list_all(40, ask=proxy.ask, retries=2)
            if not listing.is_ok or listing.answer[-1].next_cursor or any(page.incomplete for page in listing.answer):
                self.violations.append(f"{proxy.name} cannot list all when nothing is wrong")
        named = [one for one in told.wanted if one.answer is not None and one.is_named and not one.may_double]
        for one in self.random.sample(named, min(_REPEATS, len(named))):
            again = await clients.create(one.fields, retries=2)
            if not again.is_ok:
                self.violations.append(f"{one.marker} was made, and now it is {again.code}")

    # --- trouble -------------------------------------------------------------------------------------------------

    async def _make_trouble(self) -> None:
        """For as long as the clients work."""
        pause_s = self.random.choice((0.15, 0.3, 0.6, 3.0))
        kinds = 5 * (self._befall,)
        network = (self._cut, self._cut, self._cut_off, self._storm)
        troubles = (*kinds, *network, self._kill, self._kill)
        often = self.random.choices(troubles, k=4)
        while True:
            await asyncio.sleep(self.random.expovariate(1 / pause_s))
            self.random.choice((*troubles, *often, *often))()

    def _some_s(self) -> float:
        return self.random.choice((0.3, 2.0, 8.0)) * self.random.random()

    def _for_a_while(self, what: str, undo: Callable[[], object], seconds: float | None = None) -> None:
        seconds = self._some_s() if seconds is None else seconds
        self.history.note(f"{what} for {seconds:.1f} s")

        def end() -> None:
            self.history.note(f"over: {what}")
            undo()

        asyncio.get_running_loop().call_later(seconds, end)

    def _some_cluster(self) -> EtcdCluster:
        return self.random.choice(self.clusters)

    def _befall(self) -> None:
        """Something befalls a cluster."""
        self._some_cluster().befall()

    def _cut(self) -> None:
        """One way between a proxy and a node."""
        self._cut_ways([(self.random.choice(self.proxies).name, self.random.choice(list(self._nodes)))])

    def _cut_off(self) -> None:
        """A cluster from one proxy, or from all."""
        proxies = self.random.choice((self.proxies, [self.random.choice(self.proxies)]))
        urls = entry_of(self._some_cluster()).nodes
        self._cut_ways([(proxy.name, url) for proxy in proxies for url in urls])

    def _cut_ways(self, ways: list[tuple[str, str]], seconds: float | None = None, kind: Cut | None = None) -> None:
        cut = self.network.cut(ways, kind)
        self._for_a_while(f"{cut}: {ways}", lambda: self.network.mend(ways), seconds)

    def part(self, seconds: float) -> tuple[SimulatedProxy, SimulatedProxy]:
        """Two sides, each with a proxy and a cluster or more; how long that lasts does not depend on healing."""
        one, *others = self.random.sample(self.proxies, len(self.proxies))
        clusters = self.random.sample(self.clusters, len(self.clusters))
        cut = self.random.randrange(1, len(clusters))
        near = [url for cluster in clusters[:cut] for url in entry_of(cluster).nodes]
        far = [url for cluster in clusters[cut:] for url in entry_of(cluster).nodes]
        ways = [(one.name, url) for url in far] + [(other.name, url) for other in others for url in near]
        self._cut_ways(ways, seconds)
        return one, others[0]

    def _storm(self) -> None:
        before = self.network.roughness
        self.network.roughness = 0.5
        self._for_a_while("a storm", lambda: setattr(self.network, "roughness", min(before, self.network.roughness)))

    def _kill(self) -> None:
        self.random.choice(self.proxies).kill()

    def _heal(self) -> None:
        self.history.note("healing")
        self.network.heal()
        for cluster in self.clusters:
            cluster.heal()
            cluster.make_room(ROOM)


def entry_of(cluster: EtcdCluster) -> ClusterEntry:
    """As a topology names it."""
    urls = tuple(node.config.advertised_url for node in cluster.nodes)
    return ClusterEntry(name=cluster.name, shard=cluster.shard, nodes=urls)
