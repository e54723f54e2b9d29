"""Each step of a move x whoever crashes there: the table of docs/explanation/moving.md, cell by cell."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from hookline.client import requests
from hookline.client.fields import ScheduledJob
from hookline.client.requests import Request
from hookline.node.moving.handover import Handover
from hookline.node.moving.new_home import NewHomes
from hookline.protocol.commands import EndDeparture, GiveAway
from hookline.protocol.topology import Move, Topology, encode_topology
from tests.simulation.cluster.cluster import Cluster
from tests.simulation.cluster.loop import OUTSIDE
from tests.simulation.fleet.clients import ProxyClients
from tests.simulation.fleet.world import FleetWorld, entry_of
from tests.simulation.history import History
from tests.simulation.presets import lived

STEPS = ("read", "kept", "given up", "counting there", "ended")
VICTIMS = {
    "source": ("source",),
    "destination": ("destination",),
    "both": ("source", "destination"),
    "proxy": ("proxy",),
    "all": ("source", "destination", "proxy"),
}
_SEED = 6  # with three clusters
_JOBS = 30
_LEVEL_S = 30


class Stage(FleetWorld):
    """One cluster has everything, and two more are added; in the midst of a batch somebody crashes."""

    def __init__(self, victims: Sequence[str], history: History, seed: int, directory: Path) -> None:
        super().__init__(history, seed, directory)
        self._victims = victims
        self.has_crashed = False
        self.network.roughness = 0.0
        for cluster in self.clusters:
            cluster.heal()
            cluster.make_room(10_000)
        entries = [entry_of(cluster) for cluster in self.clusters]
        self._after = Topology(epoch=2, strategy="ring", clusters=tuple(entries))
        self.admins.begin_with(Topology(epoch=1, strategy="ring", clusters=(entries[0],)))
        for proxy in self.proxies:
            proxy.file = self.admins.first

    def crash(self) -> None:
        """The first time that it comes to this."""
        if self.has_crashed:
            return
        self.has_crashed = True
        for victim in self._victims:
            if victim == "proxy":
                for proxy in self.proxies:
                    proxy.kill()
            for cluster in {"source": self.clusters[:1], "destination": self.clusters[1:]}.get(victim, ()):
                _kill_leader(cluster)

    async def _live(self, tasks: asyncio.TaskGroup) -> None:
        clients = ProxyClients(self, self.admins.seed)
        self.network.tasks = tasks
        for cluster in self.clusters:
            for node in cluster.nodes:
                tasks.create_task(node.run())
        for proxy in self.proxies:
            tasks.create_task(proxy.run())
        await self._until(lambda: all(it.leader() for it in self.clusters), "not every cluster has a leader")
        await self._until(lambda: self._common() is not None, "the fleet did not begin")
        for number in range(_JOBS):
            job = {"url": f"http://10.0.0.1:8080/id-{number}-0", "delay": "2h", "labels": {"colour": "red"}}
            name = {"id": f"id-{number}"} if number % 3 else {"idempotency_key": f"k-{number}"}
            await clients.create(job | name, retries=3)
        to_s: ScheduledJob = {"url": "http://10.0.0.1:8080/s"}
        schedule = requests.create_schedule("0 0 1 6 *", to_s, {"id": "s"}, self.clock)
        await clients.call("schedule", "s", {}, schedule, retries=3)
        await self._prepare(clients)
        body = encode_topology(self._after)
        request = Request("PUT", "/topology", dict, body, {"Content-Type": "application/json"})
        await clients.call("topology", None, {}, request, retries=5)
        changing = tasks.create_task(self._change(clients))
        await self._until(self._has_moved, "not all has moved that had to")
        await changing
        self.admins.applied.append(self._after)
        await asyncio.sleep(_LEVEL_S)
        await self._read_again(clients)
        await self._ask_for_all(clients)
        for cluster in self.clusters:
            await cluster.until(cluster.all_know_all, 60, "not all nodes have all entries")
            cluster.stop()
        self.is_over = True
        for proxy in self.proxies:
            proxy.kill()

    async def _prepare(self, clients: ProxyClients) -> None:
        """Before the topology changes."""

    async def _read_again(self, clients: ProxyClients) -> None:
        """When all has moved."""

    async def _change(self, clients: ProxyClients) -> None:
        """Somebody reads, cancels and creates again while it moves."""
        for number in range(0, _JOBS, 2):
            if number % 3:
                await clients.look("read", f"id-{number}", retries=5)
                await clients.create(
                    {
                        "url": f"http://10.0.0.1:8080/id-{number}-0",
                        "delay": "2h",
                        "labels": {"colour": "red"},
                        "id": f"id-{number}",
                    },
                    retries=5,
                )
            if number % 5 == 1 and number % 3:
                await clients.look("cancel", f"id-{number}", retries=5)


class Late(Stage):
    """A cluster is taken out, and back in while a batch of it does not count yet: it counts by the newer topology."""

    def __init__(self, history: History, seed: int, directory: Path) -> None:
        super().__init__((), history, seed, directory)
        self.holds, self.is_held = True, asyncio.Event()
        self.minted: list[str] = []
        entries = tuple(entry_of(cluster) for cluster in self.clusters)
        self._after = Topology(epoch=2, strategy="ring", clusters=entries[1:], move=Move(with_finished=True))
        self.admins.begin_with(Topology(epoch=1, strategy="ring", clusters=entries))
        for proxy in self.proxies:
            proxy.file = self.admins.first

    async def _prepare(self, clients: ProxyClients) -> None:
        for number in range(_JOBS):
            job = {"url": f"http://10.0.0.1:8080/plain-{number}", "delay": "2h"}
            (wanted,) = (await clients.create(job, retries=3)).acknowledged
            self.minted.append(wanted)
            if number % 2:
                await clients.look("cancel", wanted, retries=5)

    async def _read_again(self, clients: ProxyClients) -> None:
        for wanted in self.minted:
            await clients.look("read", wanted, retries=2)

    async def _change(self, clients: ProxyClients) -> None:
        await self.is_held.wait()
        await clients.call("topology", None, {}, Request("POST", "/topology/abort", dict), retries=5)
        await asyncio.sleep(_LEVEL_S)  # whoever does not wait for it says long before that all has moved
        assert not self._has_moved()
        self.holds = False


def _kill_leader(cluster: Cluster) -> None:
    leader = cluster.leader()
    if leader is not None and leader.now is not None:
        leader.kill(leader.now.process)


async def _crash(stage: Callable[[], Stage]) -> None:
    """Outside of the process that comes to it: its own death is nothing that it does."""
    asyncio.get_running_loop().call_soon(stage().crash, context=OUTSIDE.copy())
    await asyncio.sleep(0.0001)


def _crashing(patch: pytest.MonkeyPatch, step: str, stage: Callable[[], Stage]) -> None:
    """Have the stage crash when a batch has come to that step."""
    arrive, propose, activate = Handover.arrive, Handover.propose, NewHomes.activate

    async def arriving(self: Handover, *arguments: Any) -> Any:
        if step == "read":
            await _crash(stage)
        number = await arrive(self, *arguments)
        if step == "kept":
            await _crash(stage)
        return number

    async def proposing(self: Handover, *commands: Any) -> Any:
        results = await propose(self, *commands)
        kinds = {"given up": GiveAway, "ended": EndDeparture}
        if step in kinds and any(isinstance(command, kinds[step]) for command in commands):
            await _crash(stage)
        return results

    async def activating(self: NewHomes, *arguments: Any) -> Any:
        result = await activate(self, *arguments)
        if step == "counting there":
            await _crash(stage)
        return result

    patch.setattr(Handover, "arrive", arriving)
    patch.setattr(Handover, "propose", proposing)
    patch.setattr(NewHomes, "activate", activating)


@pytest.mark.uncovered
@pytest.mark.parametrize("victims", VICTIMS.values(), ids=list(VICTIMS))
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(
    step: str, victims: Sequence[str], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[Stage] = []

    def build(history: History, seed: int, place: Path) -> Stage:
        stages.append(Stage(victims, history, seed, place))
        return stages[-1]

    _crashing(monkeypatch, step, lambda: stages[0])
    world = lived(build, _SEED, directory)
    assert world.has_crashed
    wrong = world.violated()
    assert not wrong, "\n".join([*wrong, *world.history.journal.lines[-200:]])


@pytest.mark.uncovered
def test_what_comes_late_to_its_former_home_is_found(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[Late] = []
    activate = NewHomes.activate

    async def activating(self: NewHomes, *arguments: Any) -> Any:
        while stages[0].holds:
            stages[0].is_held.set()
            await asyncio.sleep(0.1)
        return await activate(self, *arguments)

    def build(history: History, seed: int, place: Path) -> Late:
        stages.append(Late(history, seed, place))
        return stages[-1]

    monkeypatch.setattr(NewHomes, "activate", activating)
    world = lived(build, _SEED, directory)
    assert stages[0].is_held.is_set()
    wrong = world.violated()
    assert not wrong, "\n".join([*wrong, *world.history.journal.lines[-200:]])
    lost = [call.target for call in world.history.calls if call.kind == "read" and not call.is_ok]
    assert lost == []
