"""What goes wrong, by a seed: delays everywhere, crashes at chosen points, a wall clock that jumps."""

import asyncio
import random
from collections.abc import Callable

from hookline.clock import Clock
from hookline.node.replicated_log.memory import MemoryLog
from hookline.protocol import commands as c
from hookline.protocol.codec import Entry
from tests.simulation.history import History

SEND_POINTS = ("before_send", "after_send", "answered")
POINTS = ("before_append", "appended", "before_commit", "committed", *SEND_POINTS)
CALL_POINTS = ("call_before_append", "call_appended", "call_appended")  # of entries that a client waits for
_OWN_COMMANDS = (c.BeginTerm, c.ClaimJobs, c.RecordOutcome, c.RecordTicks, c.PurgeFinished, c.PurgeKeys)


class Faults:
    """One for a run. The code under test passes ``point`` wherever the world outside could strike."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self.clock = clock
        self.random = random.Random(f"faults {seed}")
        self.crashed = asyncio.Event()
        self._crash_at: tuple[str, int] | None = None
        self._slowness = self.random.choice((0.0, 0.002, 0.002, 0.05))

    def plan_crash(self) -> None:
        """Let the node crash when it passes some point for the n-th time from now."""
        points = self.random.choice((POINTS, CALL_POINTS, SEND_POINTS))
        self._crash_at = (self.random.choice(points), self.random.randint(1, 4))

    def heal(self) -> None:
        """Nothing goes wrong from now on."""
        self._crash_at = None
        self._slowness = 0.0

    async def point(self, name: str) -> None:
        """Maybe wait a moment; maybe crash here, and then never return."""
        if self._crash_at is not None and self._crash_at[0] == name:
            left = self._crash_at[1] - 1
            self._crash_at = (name, left) if left else None
            if not left:
                self.crashed.set()
        if not self.crashed.is_set() and self._slowness and self.random.random() < 0.7:
            await asyncio.sleep(self.random.random() * self._slowness)
        if self.crashed.is_set():
            await asyncio.get_running_loop().create_future()  # the process is gone; its task is cancelled soon

    async def commit(self, commit: Callable[[], None]) -> None:
        """How a transaction is made durable."""
        await self.point("before_commit")
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
