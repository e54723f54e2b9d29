"""Who applies which topology in a simulated world: one change, maybe with a rival, maybe taken back."""

import asyncio
import random
from typing import TYPE_CHECKING

from hookline.client.requests import Request
from hookline.errors import HooklineError
from hookline.protocol.topology import ClusterEntry, Placement, Strategy, Topology, encode_topology
from tests.simulation.proxies.clients import ProxyClients
from tests.simulation.proxies.door import Door

if TYPE_CHECKING:
    from tests.simulation.proxies.world import ProxyWorld

_TRIES = 40
_LOST = frozenset({"epoch_taken", "misdirected", "invalid_topology"})


class Admins:
    """Draws the topologies of a world, and applies them through proxies.

    Attributes:
        first: what all proxies start with.
        applied: those that were taken, oldest first.
    """

    def __init__(self, world: "ProxyWorld", entries: list[ClusterEntry], seed: int) -> None:
        self.world = world
        self.random = random.Random(f"admins {seed}")
        self._entries = entries
        used = self.random.choice((len(entries) - 1, len(entries) - 1, len(entries)))
        self.first = Topology(epoch=1, strategy=self._strategy(), clusters=tuple(entries[: max(1, used)]))
        self.applied = [self.first]

    def _strategy(self) -> Strategy:
        strategies: tuple[Strategy, ...] = ("modulo", "modulo", "ring")
        return self.random.choice(strategies)

    async def work(self, clients: ProxyClients) -> None:
        """Change the topology, or let it be; clients do not wait for that."""
        kind = self.random.choice(("none", "once", "once", "rivals", "there and back", "there and back"))
        if kind == "none":
            return
        await asyncio.sleep(self.random.random() * self.random.choice((1, 3)))
        changes = [self.apply(self._changed(), clients), clients.rush()]
        if kind == "rivals":
            changes.append(self.apply(self._changed(), clients))
        async with asyncio.TaskGroup() as tasks:
            for change in changes:
                tasks.create_task(change)
        if kind == "there and back":
            await asyncio.sleep(self.random.random() * self.random.choice((0.1, 1, 3)))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.apply(self._back(), clients))
                tasks.create_task(clients.rush())

    def _changed(self) -> Topology:
        """Another list of clusters or another strategy, with what was before."""
        now = self.applied[-1]
        before = Placement(strategy=now.strategy, clusters=now.clusters)
        clusters = list(now.clusters)
        free = [entry for entry in self._entries if entry not in clusters]
        dice = self.random.random()
        if free and dice < 0.7:
            clusters.insert(self.random.randint(0, len(clusters)), free[0])
        elif len(clusters) > 1 and dice < 0.85:
            clusters.remove(self.random.choice(clusters))
        strategy = self._strategy()
        return Topology(epoch=now.epoch + 1, strategy=strategy, clusters=tuple(clusters), previous=before)

    def _back(self) -> Topology:
        """The change is taken back: every id is either where it was first or where the change put it."""
        now = self.applied[-1]
        if now.previous is None:
            return now
        before = Placement(strategy=now.strategy, clusters=now.clusters)
        return Topology(
            epoch=now.epoch + 1, strategy=now.previous.strategy, clusters=now.previous.clusters, previous=before
        )

    async def apply(self, topology: Topology, clients: ProxyClients) -> None:
        """Until it is taken, or another one was."""
        body = encode_topology(topology)
        request = Request("PUT", "/topology", dict, body, {"Content-Type": "application/json"})
        self.world.history.note(f"to be applied: {body.decode()}")
        for _ in range(_TRIES):
            proxy = self.world.any_proxy()
            try:
                await Door(self.world, 0, proxy).send(request)
            except HooklineError as error:
                if error.code in _LOST:
                    return
                await asyncio.sleep(0.5)
                continue
            self._took(topology)
            await clients.look_around(proxy)
            return

    def _took(self, topology: Topology) -> None:
        self.world.history.note(f"epoch {topology.epoch} is applied")
        if topology.epoch > self.applied[-1].epoch:
            self.applied.append(topology)
        elif topology not in self.applied:
            self.world.violations.append(f"two topologies of epoch {topology.epoch} were taken")
        for proxy in self.world.proxies:
            if self.random.random() < 0.5:  # the others start again with an old file
                proxy.file = self.applied[-1]
