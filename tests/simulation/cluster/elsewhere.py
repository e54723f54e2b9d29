"""Attempts outside the leader's process: the mode, workers and attempt processes, by the seed, and their troubles."""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hookline.client import requests
from hookline.errors import HooklineError
from hookline.peers.sender import NodeCall
from hookline.protocol.modes import Mode
from tests.simulation.cluster.attempt_process import SimulatedChild
from tests.simulation.cluster.loop import OUTSIDE, Process, ProcessLoop, outside
from tests.simulation.cluster.worker import SimulatedWorker

if TYPE_CHECKING:
    from tests.simulation.cluster.cluster import Cluster
    from tests.simulation.cluster.node import SimulatedNode

_SHARE = 0.5  # of all runs
_SLEEP = 0.25  # of these
SLEEPERS = "sleepers"
_MODES: tuple[Mode, ...] = ("leader", "hybrid", "hybrid", "workers", "workers")
_SLOTS = (8, 8, 16)  # so that a claim or two may be ahead
_COMMIT_MS = (25, 1_000, 4_000)  # what the leader takes a commit to last: how eager it is to claim ahead
_WAITS, _WAIT_S = 200, 0.01  # for a claim
_TURNS_MAX = 1_500_000  # of the loop: runners ask the leader every second, also in the hours that a job waits
_APART_S = (1.0, 3.0, 8.0)


class Elsewhere:
    """Of one cluster.

    Attributes:
        slots: of each runner.
        processes: attempt processes of each node; 0: attempts are made in its own.
        commit_ms: the longer, the more claims are ahead of free slots.
        sleeps: of several nodes the only trouble is that runners sleep until another node leads.
    """

    def __init__(self, cluster: "Cluster", pick: random.Random) -> None:
        self._cluster, self._random = cluster, pick
        self._mode = pick.choice(_MODES)
        self.slots = pick.choice(_SLOTS)
        self.processes = pick.choice((1, 2)) if self._mode == "leader" else pick.choice((0, 0, 1, 2))
        self._changes = pick.random() < 0.5
        self.commit_ms = pick.choice(_COMMIT_MS)
        self._count = pick.choice((1, 2, 3)) if self._mode == "workers" or self._changes else 0
        self._apart_s = pick.choice(_APART_S)
        self.sleeps = pick.random() < _SLEEP
        self.workers: list[SimulatedWorker] = []
        self._is_over = False

    @classmethod
    def chosen(cls, cluster: "Cluster", seed: int) -> "Elsewhere | None":
        """By the seed; None: the leader's process makes all attempts."""
        pick = random.Random(f"elsewhere {seed}")
        return cls(cluster, pick) if pick.random() < _SHARE else None

    async def run(self, seed: int) -> None:
        """Until the world is over."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        loop.turns_max = _TURNS_MAX
        self.workers = [SimulatedWorker(self._cluster, number, seed) for number in range(self._count)]
        async with asyncio.TaskGroup() as tasks:
            for worker in self.workers:
                tasks.create_task(worker.run())
            tasks.create_task(self._set_mode(self._mode))
            trouble = tasks.create_task(self._make_trouble())
            await self._cluster.healed.wait()
            trouble.cancel()

    def processes_now(self) -> list[Process]:
        """All that live."""
        workers = [worker.now for worker in self.workers if worker.now is not None]
        return [*workers, *(child.process for child in self._children())]

    def stop(self) -> None:
        """All workers, for good."""
        self._is_over = True
        for worker in self.workers:
            worker.is_over = True
            worker.stop()

    async def _set_mode(self, mode: Mode) -> None:
        """As an operator, who repeats it until it is answered."""
        request = requests.cluster_mode(mode, None)
        headers = tuple((name.lower().encode(), value.encode()) for name, value in request.headers.items())
        call = NodeCall(request.method, request.path, headers, request.body or b"")
        status = 0
        while status != 200 and not self._is_over:
            try:
                async with asyncio.timeout(15):
                    status = (await self._cluster.ask_any(call)).status
            except (HooklineError, TimeoutError):
                status = 0
            await asyncio.sleep(0.2)
        self._cluster.history.note(f"the mode is {mode}")

    # --- trouble -------------------------------------------------------------------------------------------------

    async def _make_trouble(self) -> None:
        troubles: list[Callable[[], None]] = []
        if self._changes:
            troubles.append(self._change_mode)
        while self._cluster.kind == SLEEPERS:
            await asyncio.sleep(2 * self._random.random())
            await self._sleep_over_a_term()
        if self._cluster.kind not in ("calm", "hand-over"):
            if self.workers:
                troubles += [self._worker_crashes, self._worker_crashes, self._worker_pauses, self._worker_pauses]
                troubles += [self._worker_stops, self._worker_is_cut_off, self._cut_way, self._plan]
            if self.processes:
                troubles += [self._child_dies, self._child_pauses, self._child_pauses, self._link_breaks]
        while troubles:
            await asyncio.sleep(self._random.expovariate(1 / self._apart_s))
            self._random.choice(troubles)()

    def _some_s(self) -> float:
        return self._random.choice((0.4, 1.0, 3.0, 20.0)) * self._random.random()

    def _change_mode(self) -> None:
        mode = self._random.choice(_MODES)
        self._cluster.network.tasks.create_task(self._set_mode(mode), context=OUTSIDE.copy())

    def _worker(self) -> SimulatedWorker:
        return self._random.choice(self.workers)

    async def _sleep_over_a_term(self) -> None:
        """Runners sleep, get claims, and wake when another node leads than the one that gave them."""
        leader = self._cluster.leader()
        if leader is None or leader.now is None:
            return
        follower = self._random.choice([node.now for node in self._cluster.nodes if node is not leader])
        asleep = [worker.now for worker in self.workers if worker.now is not None]
        asleep += [child.process for child in leader.now.children]
        asleep += [] if follower is None else [follower.process]
        self._cluster.trouble(f"{[process.name for process in asleep]} sleep over a term")
        for process in asleep:
            process.pause()
        before = self._claims(leader)
        for _ in range(_WAITS):
            await asyncio.sleep(_WAIT_S)
            if self._claims(leader) > before:
                break
        await asyncio.sleep(0.1 * self._random.random())
        if not self._cluster.healed.is_set():
            leader.pause(4)
            await asyncio.sleep(2.2 + 1.2 * self._random.random())
        for process in asleep:
            process.resume()

    @staticmethod
    def _claims(node: "SimulatedNode") -> int:
        leader = None if node.now is None else node.now.assembly.member.leader
        return 0 if leader is None else leader.dispatcher.claims

    def _worker_crashes(self) -> None:
        worker = self._worker()
        if worker.now is not None:
            worker.kill(worker.now)

    def _worker_pauses(self) -> None:
        worker = self._worker()
        if worker.now is not None:
            worker.hold_up(worker.now, self._some_s())

    def _worker_stops(self) -> None:
        worker = self._worker()
        self._cluster.trouble(f"{worker.name} is stopped")
        worker.stop()

    def _worker_is_cut_off(self) -> None:
        worker = self._worker()
        worker.is_cut_off = True
        self._for_a_while(f"{worker.name} is cut off from the receivers", lambda: setattr(worker, "is_cut_off", False))

    def _cut_way(self) -> None:
        """From a worker to a node, or to all."""
        worker, network = self._worker(), self._cluster.network
        nodes = self._random.choice((self._cluster.nodes, [self._random.choice(self._cluster.nodes)]))
        ways = [(worker.name, node.config.advertised_url) for node in nodes]
        self._for_a_while(f"{network.cut(ways)}: {ways}", lambda: network.mend(ways))

    def _plan(self) -> None:
        """It crashes or pauses at some point of an attempt."""
        self._worker().faults.plan(self._random.choice((None, self._some_s())))

    def _children(self) -> list[SimulatedChild]:
        running = [node.now for node in self._cluster.nodes if node.now is not None]
        return [child for now in running for child in now.children if not child.process.is_dead]

    def _with_child(self, befall: Callable[[SimulatedChild], Any]) -> None:
        if children := self._children():
            befall(self._random.choice(children))

    def _child_dies(self) -> None:
        self._with_child(SimulatedChild.kill)

    def _child_pauses(self) -> None:
        seconds = self._some_s()
        self._with_child(lambda child: child.pause(seconds))

    def _link_breaks(self) -> None:
        def befall(child: SimulatedChild) -> None:
            if self._random.random() < 0.5:
                child.pause(self._some_s())  # it does not find out for a while
            self._cluster.trouble(f"the link of {child.process.name} breaks")
            child.break_link()

        self._with_child(befall)

    def _for_a_while(self, what: str, undo: Callable[[], object]) -> None:
        self._cluster.trouble(what)
        outside(self._some_s(), undo)
