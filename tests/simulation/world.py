"""One simulated world: a node that crashes, receivers that fail, clients that want things, all from one seed."""

import asyncio
import random
import shutil
from pathlib import Path
from typing import Any

from hookline.node.assembly import Node
from hookline.node.config import NodeConfig
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.state_machine.machine import open_state
from hookline.testing.assembly import Parts, assemble
from hookline.testing.client import InProcessClient
from hookline.testing.clock import SimulatedClock
from hookline.testing.virtual_time import run
from tests.simulation.clients import Clients
from tests.simulation.faults import Faults, FaultyLog
from tests.simulation.history import NEVER, History, Serving
from tests.simulation.logs import complaints_kept
from tests.simulation.receivers import Receivers
from tests.simulation.wall_clock import WallClock

PATIENCE_S = 3_600  # after everything is healed, by when all work must be done
ENTRIES_MAX = 20_000  # more is a node that runs in circles


class World:
    """Lives inside a ``VirtualTimeLoop``. ``directory`` is for the state file, and empty."""

    def __init__(self, seed: int, directory: Path) -> None:
        loop = asyncio.get_running_loop()
        self.random = random.Random(f"world {seed}")
        self.clock = SimulatedClock(loop.time, seed=seed)
        self.history = History(loop.time)
        self.time = WallClock(self, self.clock, seed)
        self.faults = Faults(self.time, seed)
        self.log = FaultyLog(self.faults, self.history)
        self.leadership = MemoryLeadership()
        self.receivers = Receivers(self.history, self.faults, seed)
        self.slots = self.random.choice((3, 5, 10, 20))
        self.config = NodeConfig(
            data_dir=directory, allow_private_destinations=True, slots=self.slots, shutdown_grace_ms=5_000
        )
        self.node: Node | None = None
        self.client = InProcessClient(self._app, self.clock, retries=0)
        self.violations: list[str] = []
        self._is_over = False
        self._stop = asyncio.Event()

    @property
    def state_file(self) -> Path:
        return self.config.data_dir / "state.db"

    def _app(self) -> Any:
        node = self.node
        return node.app if node is not None and node.member.is_serving.is_set() else None

    async def live(self, seed: int) -> None:
        """The whole run: trouble, then healing, then quiet."""
        clients = Clients(self.client, self.history, self.time, seed)
        async with asyncio.TaskGroup() as tasks:
            node = tasks.create_task(self._run_node())
            trouble = tasks.create_task(self._make_trouble())
            await clients.work()
            trouble.cancel()
            self._heal()
            await clients.tidy()
            self.receivers.is_healed = True
            await self._until_quiet()
            self._is_over = True
            self._stop.set()
            await node

    # --- the node ----------------------------------------------------------------------------------------------

    async def _run_node(self) -> None:
        while not self._is_over:
            await self._run_once()
            if not self._is_over:
                await asyncio.sleep(self.random.choice((0.0, 0.0, 0.5, 3.0, 20.0, 400.0)) * self.random.random())

    async def _run_once(self) -> None:
        self.faults.crashed = asyncio.Event()
        self._stop.clear()
        if self.random.random() < 0.3:
            self._keep_copy()
        database = open_state(self.state_file, durable=False)
        node = assemble(
            Parts(
                config=self.config,
                clock=self.clock,
                database=database,
                log=self.log,
                leadership=self.leadership,
                commit=self.faults.commit,
                transport=self.receivers,
            )
        )
        self.node = node
        self.time.node_started()
        async with asyncio.TaskGroup() as tasks:
            leading = tasks.create_task(self._lead(node))
            watch = [tasks.create_task(self.faults.crashed.wait()), tasks.create_task(self._stop.wait())]
            await asyncio.wait({leading, *watch}, return_when=asyncio.FIRST_COMPLETED)
            self._check_slots(node)
            if self._stop.is_set() and not self.faults.crashed.is_set():
                node.member.stop()
                await asyncio.wait({leading, watch[0]}, return_when=asyncio.FIRST_COMPLETED)
            self._went_down("crash" if self.faults.crashed.is_set() else "stop")
            for task in (leading, *watch):
                task.cancel()
        database.close()
        if self.faults.crashed.is_set() and self.random.random() < 0.3:
            self._lose_power()

    async def _lead(self, node: Node) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                leading = tasks.create_task(node.member.run())
                watching = tasks.create_task(node.clocks.run(node.member))
                await node.member.is_serving.wait()
                self.serving_begins(f"serving in term {self.leadership.term}")
                await leading
                watching.cancel()
        except Exception:
            # A crash cancels the tasks in some order, and what one says then of another is heard by nobody.
            if not self.faults.crashed.is_set():
                raise

    def _went_down(self, how: str) -> None:
        stamp = self.history.note(how)
        self.history.outages.append(stamp)
        self.serving_ends(stamp)
        self.time.node_ends()
        self.node = None

    def serving_begins(self, why: str, sure_after_ms: int = 20_000) -> None:
        """From now on the node surely looks at what is due."""
        self.history.serving.append(Serving(self.history.note(why), self.time.wall_ms(), sure_after_ms))

    def serving_ends(self, stamp: int) -> bool:
        """Returns whether it was serving."""
        if not self.history.serving or self.history.serving[-1].until_at != NEVER:
            return False
        self.history.serving[-1].until_at = stamp
        self.history.serving[-1].until_ms = self.time.wall_ms()
        return True

    def _check_slots(self, node: Node) -> None:
        """Every slot that is taken belongs to a claim or an attempt."""
        leader = node.member.leader
        if leader is None:
            return
        taken, running = leader.plan.running, leader.dispatcher.claims
        if taken != running:
            self.violations.append(f"{taken} slots are taken by {running} attempts, at {self.history.note('check')}")

    def _keep_copy(self) -> None:
        if self.state_file.exists():
            shutil.copy(self.state_file, self.state_file.with_suffix(".copy"))

    def _lose_power(self) -> None:
        """The state file falls back to an older copy, or is gone: the log has what it lacks."""
        self.history.note("the state file is behind")
        for suffix in (".db", ".db-wal", ".db-shm"):
            self.state_file.with_suffix(suffix).unlink(missing_ok=True)
        copy = self.state_file.with_suffix(".copy")
        if copy.exists():
            shutil.copy(copy, self.state_file)

    # --- what befalls it -----------------------------------------------------------------------------------------

    async def _make_trouble(self) -> None:
        troubles, pause_s = self.random.choice((0, 1, 3, 6, 12)), self.random.choice((2, 10, 60))
        jumps = self.random.random() < 0.3
        for _ in range(troubles):
            await asyncio.sleep(self.random.expovariate(1 / pause_s))
            dice = self.random.random()
            if jumps and dice < 0.4:
                self.time.jump()
            elif dice < 0.45:
                self._stop.set()
            elif dice < 0.6:
                self.faults.crashed.set()
            else:
                self.faults.plan_crash()

    def _heal(self) -> None:
        self.history.note("healing")
        self.faults.heal()
        self.time.heal()

    async def _until_quiet(self) -> None:
        counters: dict[str, int] = {}
        patience_s = PATIENCE_S + sum(by_ms for _, by_ms in self.history.steps_back) // 1_000
        for _ in range(patience_s // 10):
            await asyncio.sleep(10)
            if len(self.history.entries) > ENTRIES_MAX:
                break
            if self.node is not None and self.node.member.is_serving.is_set():
                counters = self.node.member.replica.counters
                if counters["pending"] + counters["running"] == 0:
                    return
        self.violations.append(f"not quiet {patience_s} s after everything was healed: {counters}")


def simulate(seed: int, directory: Path) -> World:
    """Run a world to its end."""

    async def main() -> World:
        world = World(seed, directory)
        with complaints_kept(world.history, counts=lambda: not world.faults.crashed.is_set()):
            await world.live(seed)
        return world

    return run(main())
