"""A simulated world of proxies before clusters: what befalls them, from one seed."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

from hookline.errors import HooklineError
from hookline.protocol.commands import SetTopology
from hookline.protocol.topology import Topology, encode_topology
from hookline.protocol.topology_change import decider_of
from hookline.testing.clock import SimulatedClock
from hookline.testing.virtual_time import run
from tests.simulation.history import History
from tests.simulation.logs import COMPLAINTS, complaints_kept
from tests.simulation.proxies.clients import ProxyClients
from tests.simulation.proxies.cluster import SimulatedCluster
from tests.simulation.proxies.door import Door
from tests.simulation.proxies.network import Cut, Network
from tests.simulation.proxies.proxy import SimulatedProxy
from tests.simulation.proxies.story import Story
from tests.simulation.proxies.topologies import Admins

_WORK_S = 900  # by when the clients have long made all their calls
_LEVEL_S = 60  # by when everybody has the newest topology
_REST_S = 8  # breakers let calls through again, and probes have seen it
_READS = 8  # of all that was acknowledged, through each proxy
_REPEATS = 5
_COMPLAINTS = COMPLAINTS | {"topology_unreadable"}


class ProxyWorld:
    """Lives inside a ``VirtualTimeLoop``. ``directory`` is for the state files, and empty."""

    def __init__(self, seed: int, directory: Path) -> None:
        loop = asyncio.get_running_loop()
        self.random = random.Random(f"proxy world {seed}")
        self.directory = directory
        self.history = History(loop.time)
        self.story = Story()
        self.violations: list[str] = []
        self._seen: dict[int, bytes] = {}  # documents by epoch
        self.is_over = False
        self.clock = SimulatedClock(loop.time, seed=seed)
        self.network = Network(seed)
        self.favour = self.random.choice((0.0, 0.0, 0.8))
        count = self.random.choice((2, 3, 3))
        shards = self.random.sample(range(5), count)
        nodes = self.random.choice((1, 2, 2))
        self.clusters = [SimulatedCluster(self, f"c{shard}", shard, nodes, seed) for shard in shards]
        self.network.nodes = {url: cluster for cluster in self.clusters for url in cluster.entry.nodes}
        self.admins = Admins(self, [cluster.entry for cluster in self.clusters], seed)
        names = [f"p{number}" for number in range(self.random.choice((2, 2, 3)))]
        self.proxies = [SimulatedProxy(self, name, self.admins.first, seed) for name in names]

    def any_proxy(self) -> SimulatedProxy:
        """The load balancer's choice: rather one that listens, and maybe rather the first."""
        up = [proxy for proxy in self.proxies if proxy.is_up]
        if up and self.random.random() < self.favour:
            return up[0]
        return self.random.choice(up if up and self.random.random() < 0.9 else self.proxies)

    async def live(self, seed: int) -> None:
        """Trouble, then healing; then everything that was promised is asked for through every proxy."""
        clients = ProxyClients(self, seed)
        async with asyncio.TaskGroup() as tasks, self.network:
            for cluster in self.clusters:
                tasks.create_task(cluster.run())
            for proxy in self.proxies:
                tasks.create_task(proxy.run())
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
            await asyncio.sleep(_REST_S)
            await self._ask_for_all(clients)
            self.is_over = True
            for cluster in self.clusters:
                cluster.stop()
            for proxy in self.proxies:
                proxy.kill()

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

    def saw(self, kept: SetTopology | None) -> None:
        """A cluster has this. After the first epoch there is never another one with the same."""
        if kept is not None and kept.epoch > 1 and self._seen.setdefault(kept.epoch, kept.document) != kept.document:
            self.violations.append(f"two topologies of epoch {kept.epoch} were decided")

    async def _until(self, holds: Callable[[], bool], complaint: str) -> None:
        for _ in range(_LEVEL_S):
            if holds():
                return
            await asyncio.sleep(1)
        states: list[tuple[str, object]] = [
            (proxy.name, proxy.known and proxy.known.document) for proxy in self.proxies
        ]
        states += [(cluster.name, cluster.topology and cluster.topology.document) for cluster in self.clusters]
        self.violations.append(f"{complaint} {_LEVEL_S} s after everything was healed: {states}")

    def _is_level(self) -> bool:
        """All have the same topology, which is the newest that an admin was told of, or a newer one of a file."""
        newest = self._common()
        return newest is not None and not self.network.under_way and self.admins.is_after_all(newest)

    def _is_level_at_first(self) -> bool:
        return self._common() is not None

    def _common(self) -> Topology | None:
        """What all have, if it is the same."""
        known = [proxy.known for proxy in self.proxies if proxy.known is not None and proxy.known.is_in_force]
        if len(known) < len(self.proxies):
            return None
        newest = known[0].topology
        documents = {one.document for one in known}
        wanted = {entry.name for entry in newest.all_clusters()}
        kept = [cluster.topology for cluster in self.clusters if cluster.name in wanted]
        documents |= {b"" if one is None else one.document for one in kept}
        return newest if len(documents) == 1 else None

    async def _ask_for_all(self, clients: ProxyClients) -> None:
        """Nothing is wrong any more, so every answer has to come, and be complete."""
        known = [("read", wanted) for wanted in self.story.acknowledged()]
        known += [("schedule", wanted) for wanted in self.story.acknowledged("schedule")]
        for proxy in self.proxies:
            for what, wanted in self.random.sample(known, min(_READS, len(known))):
                reading = await clients.read(what, wanted, Door(self, 2, proxy))
                if reading.code:
                    self.violations.append(f"{proxy.name} says {reading.code} of {wanted} when nothing is wrong")
            listing = await clients.list_all(Door(self, 2, proxy), 40)
            if not listing.pages or listing.pages[-1].has_more or any(page.incomplete for page in listing.pages):
                self.violations.append(f"{proxy.name} cannot list all when nothing is wrong")
        named = [one for one in self.story.creations if one.acknowledged and (one.id or one.key) and not one.may_double]
        jobs = [one for one in named if one.kind == "job"]
        for creation in self.random.sample(jobs, min(_REPEATS, len(jobs))):
            found = await clients.create(creation, clients.request(creation), Door(self, 2))
            if isinstance(found, HooklineError):
                self.violations.append(f"{creation.marker} was made, and now it is {found.code}")

    # --- trouble -------------------------------------------------------------------------------------------------

    async def _make_trouble(self) -> None:
        """For as long as the clients work."""
        pause_s = self.random.choice((0.15, 0.3, 0.6, 3.0))
        kinds = (self._crash, self._plan_crash, self._hand_over, self._hold_down, self._follower_down)
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

    def _some_cluster(self) -> SimulatedCluster:
        return self.random.choice(self.clusters)

    def _crash(self) -> None:
        self._some_cluster().crash()

    def _plan_crash(self) -> None:
        self._some_cluster().faults.plan_crash()

    def _hand_over(self) -> None:
        self._some_cluster().stop()

    def _hold_down(self) -> None:
        cluster = self._some_cluster()
        cluster.is_held_down = True
        cluster.crash()
        self._for_a_while(f"{cluster.name} is held down", lambda: setattr(cluster, "is_held_down", False))

    def _follower_down(self) -> None:
        cluster = self._some_cluster()
        url = self.random.choice(cluster.entry.nodes)
        cluster.followers_down.add(url)
        self._for_a_while(f"{url} is down unless it leads", lambda: cluster.followers_down.discard(url))

    def _cut(self) -> None:
        """One way between a proxy and a node."""
        self._cut_ways([(self.random.choice(self.proxies).name, self.random.choice(list(self.network.nodes)))])

    def _cut_off(self) -> None:
        """A cluster from one proxy, or from all."""
        proxies = self.random.choice((self.proxies, [self.random.choice(self.proxies)]))
        urls = self._some_cluster().entry.nodes
        self._cut_ways([(proxy.name, url) for proxy in proxies for url in urls])

    def _cut_ways(self, ways: list[tuple[str, str]], seconds: float | None = None, kind: Cut | None = None) -> None:
        cuts: tuple[Cut, ...] = ("refuses", "swallows", "deaf")
        cut = kind or self.random.choice(cuts)
        self.network.cuts.update(dict.fromkeys(ways, cut))

        def mend() -> None:
            for way in ways:
                self.network.cuts.pop(way, None)

        self._for_a_while(f"{cut}: {ways}", mend, seconds)

    def part(self, seconds: float) -> tuple[SimulatedProxy, SimulatedProxy]:
        """Two sides, each with a proxy and a cluster or more; how long that lasts does not depend on healing."""
        one, *others = self.random.sample(self.proxies, len(self.proxies))
        clusters = self.random.sample(self.clusters, len(self.clusters))
        cut = self.random.randrange(1, len(clusters))
        near = [url for cluster in clusters[:cut] for url in cluster.entry.nodes]
        far = [url for cluster in clusters[cut:] for url in cluster.entry.nodes]
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


def simulate(seed: int, directory: Path) -> ProxyWorld:
    """Run a world to its end."""

    async def main() -> ProxyWorld:
        world = ProxyWorld(seed, directory)
        with complaints_kept(world.history, events=_COMPLAINTS):
            await world.live(seed)
        return world

    return run(main())
