"""Brings ticks back that were computed by a clock ahead of the truth, when the time is right again.

The evidence is an entry stamped later than now. Then each schedule's next tick is worked out once more from the right
time. Instants that have their job already make none again: a tick's job id follows from its instant.
"""

import asyncio

from hookline.errors import HooklineError
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.replica import Replica
from hookline.node.state_machine.leader_reads import ActiveSchedule, LeaderReads
from hookline.protocol.commands import NO_TICK, RecordTicks
from hookline.protocol.cron import parse_cron
from hookline.protocol.ticks import first_tick
from hookline.telemetry.area_log import log_of

AHEAD_MS = 1_000
_AT_ONCE = 100

_log = log_of("dispatch")


class TickRecovery:
    """Runs at a leader's start and after each step of the clock, if there is evidence."""

    def __init__(self, replica: Replica, reads: LeaderReads, clock: GuardedClock) -> None:
        self._replica = replica
        self._reads = reads
        self._clock = clock
        self._looked: tuple[int, int] | None = None  # (steps of the clock, newest entry's time) at the last walk

    def is_needed(self, now_ms: int) -> bool:
        """Was anything stamped in the future, as the time is now, and has not been looked at?

        A stopgap for the time proves nothing: then it waits.
        """
        newest_ms = self._replica.newest_ms
        if newest_ms <= now_ms + AHEAD_MS or not self._clock.is_settled:
            return False
        return self._looked != (self._clock.steps, newest_ms)

    async def run(self, now_ms: int) -> None:
        """Walk all schedules that are not paused, in slices."""
        self._looked = (self._clock.steps, self._replica.newest_ms)
        moved, after = 0, 0
        while rows := self._reads.active_schedules(after, _AT_ONCE):
            after = rows[-1].seq
            moves = []
            for row in rows:
                if (move := _brought_back(row, now_ms)) is not None:
                    moves.append(move)
                await asyncio.sleep(0)
            if moves:
                await self._replica.propose(moves, no_timeout=True)
                moved += len(moves)
        _log.warning("ticks_brought_back", schedules=moved, entries_ahead_ms=self._replica.newest_ms - now_ms)


def _brought_back(row: ActiveSchedule, now_ms: int) -> RecordTicks | None:
    """The command that moves a schedule to its first tick from now, None if it waits for no later one."""
    spec = row.spec
    try:
        next_ms = first_tick(parse_cron(spec.cron, spec.timezone), now_ms, spec.start_ms, spec.end_ms)
    except HooklineError:  # told when it is due
        return None
    if next_ms is None or (row.next_tick_ms is not None and row.next_tick_ms <= next_ms):
        return None
    expected_ms = NO_TICK if row.next_tick_ms is None else row.next_tick_ms
    return RecordTicks(row.seq, row.revision, expected_ms, (), 0, next_ms)
