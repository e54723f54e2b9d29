"""The scheduler's sleep: it never sleeps past a job that came due while it looked at the clock."""

import asyncio
from typing import Any, cast

from hookline.node.clocks.guarded import GuardedClock
from hookline.node.replica import Replica
from hookline.node.scheduler.scheduler import Scheduler
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.waiting import Blocked
from hookline.protocol.due_ticks import DueSchedule
from hookline.protocol.jobs import lane_of
from hookline.protocol.settings import ScheduleSpec
from tests.node_parts import T0, ManualClock


class RunningClock(ManualClock):
    """Time passes with every look at the clock, as it does on a real machine."""

    def wall_ms(self) -> int:
        self.advance(1)
        return super().wall_ms()


class NoReplica:
    """Takes listeners, commits nothing by itself."""

    newest_ms = 0

    def listen(self, listener: Any) -> None:
        self.commit = listener


class NoReads:
    """An empty state."""

    def lanes(self) -> list[int]:
        return []

    def next_tick_ms(self) -> None:
        return None


async def test_a_job_that_comes_due_between_two_looks_at_the_clock_wakes_the_executor() -> None:
    for after_ms in range(1, 6):  # one of them falls between the look that decides and the look that sleeps
        woken = asyncio.Event()
        replica = NoReplica()
        scheduler = Scheduler(
            cast("Replica", replica),
            cast("LeaderReads", NoReads()),
            GuardedClock(RunningClock()),
            shard=0,
            wake_executor=woken.set,
        )
        scheduler.start()
        replica.commit(Effects(due=[(lane_of(1, 0, retry=False), T0 + after_ms, 1)]))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scheduler.run())
            async with asyncio.timeout(2):
                await woken.wait()
            scheduler.stop()


async def test_what_waits_for_a_time_asks_again_after_the_wall_clock_went_back() -> None:
    """Else a destination that was to wait a second would wait for as long as the clock went back."""
    clock, replica = ManualClock(), NoReplica()
    scheduler = Scheduler(
        cast("Replica", replica),
        cast("LeaderReads", NoReads()),
        GuardedClock(clock),
        shard=0,
        wake_executor=lambda: None,
    )
    scheduler.start()
    replica.commit(Effects(due=[(lane_of(1, 0, retry=False), T0 - 7_200_000, 1)]))
    breaker = Blocked("breaker", "the destination fails", T0 + 1_000)
    assert scheduler.take(9, lambda *_: breaker) == []
    clock.step_ms(-3_600_000)
    assert [due.seq for due in scheduler.take(9, lambda *_: None)] == [1]


async def test_others_get_in_between_the_decisions_about_many_due_schedules() -> None:
    """Each is a bounded step; a hundred in one would hold up every delivery."""
    count = 50
    spec = ScheduleSpec("* * * * *", "UTC", "all", 10**9, False, 0, None, None)
    turns_at: list[int] = []
    turns = 0

    class Reads(NoReads):
        def due_schedules(self, now_ms: int, limit: int) -> list[DueSchedule]:
            return [DueSchedule(seq, f"s{seq}", 1, spec, now_ms - 10**9) for seq in range(count)]

    class Taking(NoReplica):
        def propose(self, commands: Any, *, is_patient: bool) -> "asyncio.Future[list[Any]]":
            assert len(commands) == 1
            turns_at.append(turns)
            taken = asyncio.get_running_loop().create_future()
            taken.set_result([])
            return taken

    scheduler = Scheduler(
        cast("Replica", Taking()),
        cast("LeaderReads", Reads()),
        GuardedClock(ManualClock()),
        shard=0,
        wake_executor=lambda: None,
    )

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        others = tasks.create_task(other())
        await scheduler._make_ticks(T0)
        others.cancel()
    assert len(turns_at) == len(set(turns_at)) == count
