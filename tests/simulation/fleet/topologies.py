"""Applies topologies in a simulated world, as admins do: one change, maybe with a rival, maybe taken back.

Admins also do what they should not: give a proxy another file, apply two documents while the fleet is parted, or
a second change over an open one. No id may be made twice by that.
"""

import asyncio
import random
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from hookline.client.requests import Request
from hookline.protocol.topology import ClusterEntry, Move, Placement, Strategy, Topology, encode_topology
from hookline.protocol.topology_change import completed, is_completed, placement_of, same_homes
from tests.simulation.fleet.clients import ProxyClients

if TYPE_CHECKING:
    from tests.simulation.fleet.proxy import SimulatedProxy
    from tests.simulation.fleet.world import FleetWorld

_TRIES = 40
_LOST = frozenset({"epoch_taken", "misdirected", "invalid_topology", "change_open", "not_decider"})
_KINDS = (
    *("none", "once", "once", "rivals", "there and back", "there and back"),
    *("another file", "another file", "parted", "parted", "on top", "on top"),
)


class Admins:
    """Draws the topologies of a world, and applies them through proxies.

    Attributes:
        first: what all proxies start with.
        applied: those that were taken, oldest first, as they were completed.
    """

    def __init__(self, world: "FleetWorld", entries: list[ClusterEntry], seed: int) -> None:
        self.world, self.seed = world, seed
        self.random = random.Random(f"admins {seed}")
        self._entries = entries
        self._pauses = random.Random(f"pauses {seed}").random() < 0.4  # changes wait until somebody has them go on
        used = self.random.choice((len(entries) - 1, len(entries) - 1, len(entries)))
        self.first = Topology(epoch=1, strategy=self._strategy(), clusters=tuple(entries[: max(1, used)]))
        self.applied = [self.first]

    def _strategy(self) -> Strategy:
        strategies: tuple[Strategy, ...] = ("modulo", "modulo", "ring")
        return self.random.choice(strategies)

    async def work(self, clients: ProxyClients) -> None:
        """Change the topology, or let it be; clients do not wait for that."""
        kind = self.random.choice(_KINDS)
        if kind == "none":
            return
        await asyncio.sleep(self.random.random() * self.random.choice((1, 3)))
        changes = [clients.rush()]
        if kind == "another file":
            self._give_file(self.random.choice(self.world.proxies), self._changed())
            if self.random.random() < 0.7:
                changes.append(self.apply(self._changed(), clients))
        elif kind == "parted":
            one, other = self.world.part(self.random.choice((2.0, 6.0)))
            self._give_file(other, self._changed())
            changes += [self.apply(self._changed(), clients, one), clients.rush()]
        else:
            changes.append(self.apply(self._changed(), clients))
        if kind == "rivals":
            changes.append(self.apply(self._changed(), clients))
        await self._all(changes)
        if kind in ("there and back", "on top"):
            await asyncio.sleep(self.random.random() * self.random.choice((0.1, 1, 3)))
            following = self._back() if kind == "there and back" else self._on_top()
            await self._all([self.apply(following, clients), clients.rush()])

    async def _all(self, changes: list[Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for change in changes:
                tasks.create_task(change)

    def _give_file(self, proxy: "SimulatedProxy", topology: Topology) -> None:
        """The proxy starts again with it, whatever the others have."""
        self.world.history.note(f"{proxy.name} gets another file: {encode_topology(topology).decode()}")
        proxy.file = topology
        proxy.kill()

    def _changed(self) -> Topology:
        """Another list of clusters or another strategy, with what was before, or without: then a proxy adds that."""
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
        previous = before if self.random.random() < 0.5 else None
        # What has finished has to be there in the end, too.
        move = Move(with_finished=True, paused=self._pauses and now.previous is None)
        return Topology(epoch=now.epoch + 1, strategy=strategy, clusters=tuple(clusters), previous=previous, move=move)

    def _on_top(self) -> Topology:
        """A second change while the first one is open; not one that only ends it."""
        while same_homes(placement_of(changed := self._changed()), placement_of(self.applied[-1])):
            pass
        return changed

    def _back(self) -> Topology:
        """The change is taken back: every id is either where it was first or where the change put it."""
        now = self.applied[-1]
        if now.previous is None:
            return now
        before = Placement(strategy=now.strategy, clusters=now.clusters)
        return replace(
            now, epoch=now.epoch + 1, strategy=now.previous.strategy, clusters=now.previous.clusters, previous=before
        )

    async def apply(self, topology: Topology, clients: ProxyClients, by: "SimulatedProxy | None" = None) -> None:
        """Until it is taken, or another one was."""
        body = encode_topology(topology)
        request = Request("PUT", "/topology", dict, body, {"Content-Type": "application/json"})
        for _ in range(_TRIES):
            proxy = by or self.world.any_proxy()
            document = {"by": proxy.name, "document": body.decode()}
            call = await clients.call("topology", None, document, request, ask=proxy.ask, retries=0)
            if call.is_ok:
                self._took(topology)
                await clients.look_around(proxy.ask, [other.ask for other in self.world.proxies])
                return
            if call.code in _LOST:
                return
            await asyncio.sleep(0.5)

    async def resume(self, clients: ProxyClients) -> None:
        """Have a change go on that waits for it. Nothing is wrong any more."""
        for _ in range(_TRIES):
            known = [proxy.known.topology for proxy in self.world.proxies if proxy.known is not None]
            if known and not max(known, key=lambda topology: topology.epoch).move.paused:
                return
            proxy = self.world.any_proxy()
            request = Request("POST", "/topology/resume", dict, b"{}", {"Content-Type": "application/json"})
            await clients.call("topology", None, {"by": proxy.name}, request, ask=proxy.ask, retries=0)
            await asyncio.sleep(1)

    def another_first(self) -> Topology:
        """A file with which a proxy starts by mistake."""
        others = [entry for entry in self._entries if entry not in self.first.clusters]
        clusters = [*self.first.clusters, *others[: self.random.randint(0, len(others))]]
        self.random.shuffle(clusters)
        return Topology(epoch=1, strategy=self._strategy(), clusters=tuple(clusters))

    def begin_with(self, first: Topology) -> None:
        """Of two files it was this one."""
        self.first, self.applied = first, [first]

    def is_after_all(self, newest: Topology) -> bool:
        """It is the newest that was taken, or a newer one that came with a file."""
        last = self.applied[-1]
        return newest.epoch > last.epoch or is_completed(last, newest)

    def _took(self, topology: Topology) -> None:
        self.world.history.note(f"epoch {topology.epoch} is applied")
        old = self.applied[-1]
        if topology.epoch > old.epoch:
            self.applied.append(completed(old, topology))
        elif not any(is_completed(topology, one) for one in self.applied):
            self.world.violations.append(f"two topologies of epoch {topology.epoch} were taken")
        for proxy in self.world.proxies:
            if self.random.random() < 0.5:  # the others start again with an old file
                proxy.file = self.applied[-1]
