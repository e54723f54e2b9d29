"""Brings trouble to one node: delays everywhere, and a crash or a pause at a chosen point."""

import asyncio
import random
from collections.abc import Callable

from hookline.clock import Clock
from hookline.node.replicated_log.memory import MemoryLog
from hookline.protocol import commands as c
from hookline.protocol.codec import Entry
from tests.simulation.cluster.loop import PROCESS, Process
from tests.simulation.history import History

SEND_POINTS = ("before_send", "after_send", "answered")
POINTS = ("before_append", "appended", "before_commit", "committed", *SEND_POINTS)
CALL_POINTS = ("call_before_append", "call_appended", "call_appended")  # of entries that a client waits for
ELECTION_POINTS = ("before_campaign", "campaigned", "campaigned")


_OWN_COMMANDS = (c.BeginTerm, c.ClaimJobs, c.RecordOutcome, c.RecordTicks, c.PurgeFinished, c.PurgeKeys)


class Faults:
    """One for a node. The code under test passes ``point`` wherever the world outside could strike.

    Args:
        clock: by which receivers go.
        crash: how the node's present process dies; ``pause``: how it is paused, for so many seconds.
    """

    def __init__(
        self, clock: Clock, seed: str, crash: Callable[[Process], None], pause: Callable[[Process, float], None]
    ) -> None:
        self.clock = clock
        self.random = random.Random(f"faults {seed}")
        self._slowness = self.random.choice((0.0, 0.002, 0.05))
        self._crash, self._pause = crash, pause
        self._plan: tuple[str, int, float | None] | None = None

    def plan(
        self, pause_s: float | None, *, kinds: tuple[tuple[str, ...], ...] = (POINTS, POINTS, SEND_POINTS)
    ) -> None:
        """Crash when the node passes some point for the n-th time from now, or pause there."""
        points = self.random.choice(kinds)
        self._plan = (self.random.choice(points), self.random.randint(1, 4), pause_s)

    def plan_late_requests(self, pause_s: float) -> None:
        """A pause after an entry got into the log, which may hold claims, and before their requests leave."""
        self._plan = (self.random.choice(("appended", "committed")), self.random.randint(1, 4), pause_s)

    def plan_at_election(self, pause_s: float | None) -> None:
        """The same, when it next stands for election: between winning it and the first entry, for one."""
        self._plan = (self.random.choice(ELECTION_POINTS), 1, pause_s)

    def heal(self) -> None:
        """Nothing goes wrong from now on."""
        self._plan = None
        self._slowness = 0.0

    async def point(self, name: str) -> None:
        """Maybe wait a moment; maybe crash here, and then never return."""
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
                self._pause(process, pause_s)
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


class FaultyLog(MemoryLog):
    """The memory log, with points around the append; says when an entry came to be in it."""

    def __init__(self, faults: Faults, history: History) -> None:
        super().__init__()
        self._faults = faults
        self._history = history

    async def append(self, entry: Entry) -> int:
        is_call = not all(isinstance(command, _OWN_COMMANDS) for command in entry.commands)
        await self._faults.point("call_before_append" if is_call else "before_append")
        index = await super().append(entry)
        names = " ".join(type(command).__name__ for command in entry.commands[:6])
        stamp = self._history.note(f"log {index} term {entry.term}: {len(entry.commands)} {names}")
        self._history.entries.append((stamp, entry))
        await self._faults.point("call_appended" if is_call else "appended")
        return index
