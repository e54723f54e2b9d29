"""What befalls one node: delays everywhere, and a crash or a pause at a chosen point."""

import asyncio
import random
from collections.abc import Callable

from hookline.testing.clock import SimulatedClock
from tests.simulation.cluster.loop import PROCESS, Process, outside
from tests.simulation.faults import POINTS, SEND_POINTS, Faults

ELECTION_POINTS = ("before_campaign", "campaigned", "campaigned")


class NodeFaults(Faults):
    """As a single node's; the plan may also be to be paused, and the process that passes a point is told apart.

    Args:
        crash: how the node's present process dies.
    """

    def __init__(self, clock: SimulatedClock, seed: str, crash: Callable[[Process], None]) -> None:
        super().__init__(clock, 0)
        self.random = random.Random(f"faults {seed}")
        self._slowness = self.random.choice((0.0, 0.002, 0.05))
        self._crash = crash
        self._plan: tuple[str, int, float | None] | None = None
        self.paused: Callable[[Process, float], None] = pause_for

    def plan(self, pause_s: float | None) -> None:
        """Crash when the node passes some point for the n-th time from now, or pause there."""
        points = self.random.choice((POINTS, POINTS, SEND_POINTS))
        self._plan = (self.random.choice(points), self.random.randint(1, 4), pause_s)

    def plan_late_requests(self, pause_s: float) -> None:
        """A pause after an entry got into the log, which may hold claims, and before their requests leave."""
        self._plan = (self.random.choice(("appended", "committed")), self.random.randint(1, 4), pause_s)

    def plan_at_election(self, pause_s: float | None) -> None:
        """The same, when it next stands for election: between winning it and the first entry, for one."""
        self._plan = (self.random.choice(ELECTION_POINTS), 1, pause_s)

    def heal(self) -> None:
        super().heal()
        self._plan = None

    async def point(self, name: str) -> None:
        process = PROCESS.get()
        assert process is not None, "points are passed by nodes"
        await process.alive()
        if self._plan is not None and self._plan[0] == name:
            _, left, pause_s = self._plan
            self._plan = (name, left - 1, pause_s) if left > 1 else None
            if left <= 1 and pause_s is None:
                self._crash(process)
                await process.alive()
            elif left <= 1 and pause_s is not None:
                self.paused(process, pause_s)
                await asyncio.sleep(0)
        if self._slowness and self.random.random() < 0.7:
            await asyncio.sleep(self.random.random() * self._slowness)
        await process.alive()

    async def commit(self, commit: Callable[[], None]) -> None:
        """As ``ThreadCommit``: what was begun is ended although its waiter is cancelled, unless the process dies."""
        process = PROCESS.get()
        assert process is not None
        try:
            await self.point("before_commit")
        finally:
            if not process.is_dead:
                commit()
        await self.point("committed")


def pause_for(process: Process, seconds: float) -> None:
    """Stop a process, and let it go on after a while."""
    process.pause()
    outside(seconds, process.resume)
