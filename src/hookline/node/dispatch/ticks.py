"""Makes the jobs of schedules when they tick."""

import asyncio

from hookline.errors import HooklineError
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.dispatch.duty import Duty
from hookline.node.dispatch.tick_recovery import TickRecovery
from hookline.node.replica import Replica
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.protocol.commands import RecordTicks
from hookline.protocol.due_ticks import DueSchedule, record_due
from hookline.telemetry.area_log import log_of

_SCHEDULES_AT_ONCE = 100
_UNREADABLE_RETRY_MS = 3_600_000
_REST_MAX_S = 60.0  # wake now and then, so that a step of the wall clock cannot leave us asleep

_log = log_of("dispatch")


class Ticks(Duty):
    """Rests until the earliest tick of all schedules.

    Args:
        shard: for the ids of the jobs.
    """

    def __init__(self, replica: Replica, reads: LeaderReads, clock: GuardedClock, *, shard: int) -> None:
        super().__init__()
        self._replica = replica
        self._reads = reads
        self._clock = clock
        self._shard = shard
        self._recovery = TickRecovery(replica, reads, clock)
        self._next_ms: int | None = None

    def _on_commit(self, effects: Effects) -> None:
        if effects.schedules_changed:
            self._next_ms = self._reads.next_tick_ms()
            self.wake()

    async def run(self) -> None:
        self._replica.listen(self._on_commit)
        self._next_ms = self._reads.next_tick_ms()
        while not self._is_over:
            now_ms = self._clock.wall_ms()
            if self._recovery.is_needed(now_ms):
                await self._recovery.run(now_ms)
                self._next_ms = self._reads.next_tick_ms()
            elif self._next_ms is not None and self._next_ms <= now_ms:
                await self._make(now_ms)
            else:
                left_ms = _REST_MAX_S * 1_000 if self._next_ms is None else self._next_ms - now_ms
                await self.rest(min(_REST_MAX_S, left_ms / 1_000))

    async def _make(self, now_ms: int) -> None:
        due = self._reads.due_schedules(now_ms, _SCHEDULES_AT_ONCE)
        if due:
            # Each by itself: after an outage one schedule alone may make a thousand jobs. The replica gathers them.
            proposals = []
            for it in due:
                proposals.append(self._replica.propose([self._ticks_of(it, now_ms)], no_timeout=True))
                await asyncio.sleep(0)  # a decision takes milliseconds after a long outage: others get in between
            await asyncio.gather(*proposals)
        self._next_ms = self._reads.next_tick_ms()

    def _ticks_of(self, schedule: DueSchedule, now_ms: int) -> RecordTicks:
        try:
            return self._decide(schedule, now_ms)
        except HooklineError as error:  # a zone that a later tzdata dropped; one schedule must not stop the others
            _log.error("schedule_unreadable", schedule=schedule.id, error=error.detail)
            later_ms = now_ms + _UNREADABLE_RETRY_MS
            return RecordTicks(schedule.seq, schedule.revision, schedule.next_tick_ms, (), 0, later_ms)

    def _decide(self, schedule: DueSchedule, now_ms: int) -> RecordTicks:
        return record_due(schedule, now_ms, self._shard)
