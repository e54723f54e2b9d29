"""The scheduler: knows when the next thing is due, makes the jobs of schedules, hands due jobs to the executor.

Nothing ticks: it sleeps until the earliest due time and is woken by what happens. Runs on the leader only.
"""

import asyncio
from collections.abc import Callable

import structlog

from hookline.errors import HooklineError
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.replica import Replica
from hookline.node.scheduler.due import Admit, Due, DueQueue
from hookline.node.scheduler.recovery import TickRecovery
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.waiting import Blocked
from hookline.protocol.commands import RecordTicks
from hookline.protocol.due_ticks import DueSchedule, record_due

_SCHEDULES_AT_ONCE = 100
_UNREADABLE_RETRY_MS = 3_600_000
_SLEEP_MAX_S = 60.0  # wake now and then, so that a step of the wall clock cannot leave us asleep

_log = structlog.get_logger()


class Scheduler:
    """Due jobs in memory, the rest in the database's due index.

    Args:
        wake_executor: called when ``take`` may have something to give.
        shard: for the ids of jobs that schedules make.
    """

    def __init__(
        self,
        replica: Replica,
        reads: LeaderReads,
        clock: GuardedClock,
        *,
        shard: int,
        wake_executor: Callable[[], None],
    ) -> None:
        self._replica = replica
        self._reads = reads
        self._clock = clock
        self._shard = shard
        self._wake_executor = wake_executor
        self._queue = DueQueue()
        self._steps = clock.steps
        self._recovery = TickRecovery(replica, reads, clock)
        self._wake = asyncio.Event()
        self._next_tick_ms: int | None = None
        self._stopping = False

    def start(self) -> None:
        """Read what is pending from the state; then follow what is committed."""
        for lane in self._reads.lanes():
            self._queue.open_lane(lane)
        self._refill()
        self._next_tick_ms = self._reads.next_tick_ms()
        self._replica.listen(self._on_commit)

    def _on_commit(self, effects: Effects) -> None:
        for lane, due_ms, seq in effects.due:
            self._queue.add(lane, due_ms, seq)
        if effects.schedules_changed:
            self._next_tick_ms = self._reads.next_tick_ms()
        if effects.due or effects.schedules_changed:
            self._wake.set()

    async def run(self) -> None:
        """Until ``stop``: wake the executor when jobs come due, make the jobs of schedules when they tick."""
        while not self._stopping:
            now_ms = self._clock.wall_ms()
            self._notice_step(now_ms)
            if self._recovery.is_needed(now_ms):
                await self._recovery.run(now_ms)
                self._next_tick_ms = self._reads.next_tick_ms()
                continue
            if self._next_tick_ms is not None and self._next_tick_ms <= now_ms:
                await self._make_ticks(now_ms)
                continue
            next_due_ms = self._queue.next_due_ms()
            if next_due_ms is not None and next_due_ms <= now_ms:
                self._wake_executor()
            self._wake.clear()
            await self._sleep(now_ms)  # not a later time: what came due since would be slept past

    def stop(self) -> None:
        """Make ``run`` return; nothing is given out any more."""
        self._stopping = True
        self._wake.set()

    async def _sleep(self, now_ms: int) -> None:
        """Until something happens, or is due after ``now_ms``; what is due already is in the executor's hands."""
        wait_s = _SLEEP_MAX_S
        for at_ms in (self._queue.next_due_ms(), self._next_tick_ms):
            if at_ms is not None and at_ms > now_ms:
                wait_s = min(wait_s, (at_ms - now_ms) / 1_000)
        timer = asyncio.get_running_loop().call_later(wait_s, self._wake.set)
        await self._wake.wait()
        timer.cancel()

    def clock_changed(self) -> None:
        """The time was set: what sleeps until a time has to look again."""
        self._wake.set()

    def _notice_step(self, now_ms: int) -> None:
        """Whoever looks at the clock next notices that the time was set."""
        if self._clock.steps != self._steps:
            self._steps = self._clock.steps
            self._queue.unpark_all(now_ms)  # the times they wait for are those of another clock
            self._wake_executor()
            self._wake.set()

    # --- jobs ------------------------------------------------------------------------------------------------

    def take(self, limit: int, admit: Callable[[int, int, bool, bool], Blocked | None]) -> list[Due]:
        """Up to ``limit`` jobs that are due and may start; they are the executor's from then on."""
        now_ms = self._clock.wall_ms()
        self._notice_step(now_ms)
        if self._stopping:
            return []

        def admit_now(destination: int, retry: bool, beyond: bool) -> Blocked | None:
            return admit(now_ms, destination, retry, beyond)

        gate: Admit = admit_now
        taken = self._queue.take(limit, now_ms, gate)
        while self._refill() and len(taken) < limit:
            more = self._queue.take(limit - len(taken), now_ms, gate)
            if not more:
                break
            taken += more
        self._wake.set()  # the next due time may have changed
        return taken

    def _refill(self) -> bool:
        lanes = self._queue.short_lanes()
        limit = self._queue.window()
        for lane, after in lanes:
            rows = self._reads.lane_rows(lane, after, limit)
            self._queue.refill(lane, rows, complete=len(rows) < limit)
        return bool(lanes)

    def unpark(self, destination: int) -> None:
        """What blocked a destination may be over."""
        self._queue.unpark(destination, self._clock.wall_ms())
        self._wake.set()

    def parked(self, destination: int) -> Blocked | None:
        """Why a destination's due jobs do not start, if that is known."""
        return self._queue.parked(destination)

    def waiting(self, destination: int) -> int:
        """How many due jobs of a destination wait, as far as they are in memory."""
        return self._queue.waiting(destination, self._clock.wall_ms())

    # --- schedules -------------------------------------------------------------------------------------------

    async def _make_ticks(self, now_ms: int) -> None:
        due = self._reads.due_schedules(now_ms, _SCHEDULES_AT_ONCE)
        if due:
            # Each by itself: after an outage one schedule alone may make a thousand jobs. The replica gathers them.
            proposals = []
            for it in due:
                proposals.append(self._replica.propose([self._ticks_of(it, now_ms)], is_patient=True))
                await asyncio.sleep(0)  # a decision takes milliseconds after a long outage: others get in between
            await asyncio.gather(*proposals)
        self._next_tick_ms = self._reads.next_tick_ms()

    def _ticks_of(self, schedule: DueSchedule, now_ms: int) -> RecordTicks:
        try:
            return self._decide(schedule, now_ms)
        except HooklineError as error:  # a zone that a later tzdata dropped; one schedule must not stop the others
            _log.error("schedule_unreadable", schedule=schedule.id, error=error.detail)
            later_ms = now_ms + _UNREADABLE_RETRY_MS
            return RecordTicks(schedule.seq, schedule.revision, schedule.next_tick_ms, (), 0, later_ms)

    def _decide(self, schedule: DueSchedule, now_ms: int) -> RecordTicks:
        return record_due(schedule, now_ms, self._shard)
