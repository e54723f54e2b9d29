"""Bugs to switch on: each is a mistake someone could make, and the checker must find each."""

from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec
import pytest

from hookline.node.attempts import delivery
from hookline.node.clocks.guard import ClockGuard, Reading
from hookline.node.dispatch.due import DueQueue
from hookline.node.dispatch.exchange import LocalExchange
from hookline.node.dispatch.fairness import Fairness
from hookline.node.dispatch.plan import Plan
from hookline.node.dispatch.ticks import Ticks
from hookline.node.replica import Replica
from hookline.node.state_machine import apply_jobs, apply_schedules
from hookline.node.state_machine.tables import STATEMENTS, Tables
from hookline.protocol import commands as c
from hookline.protocol.codec import VERSION, Entry
from hookline.protocol.jobs import Outcome

Patch = pytest.MonkeyPatch


def _append_late(patch: Patch, is_late: Callable[[c.AnyCommand], bool]) -> None:
    """Entries with such a command get into the log only before the next one, but are applied and answered at once."""
    append = Replica._append
    late: dict[int, Entry] = {}

    async def answer_first(self: Replica, commands: list[c.AnyCommand]) -> c.Results:
        before = late.pop(id(self), None)
        if before is not None:
            await self._log.append(before)
        if not any(map(is_late, commands)):
            return await append(self, commands)
        clock, machine = self._clock, self._machine
        entry = Entry(
            VERSION, self.term, machine.applied + 1, clock.wall_ms(), clock.token(8), machine.digest, tuple(commands)
        )
        late[id(self)] = entry
        results, effects = machine.apply(entry)
        machine.commit()
        self._announce(effects)
        return c.Results(results, entry.time_ms)

    patch.setattr(Replica, "_append", answer_first)


def requests_leave_before_their_claim_is_in_the_log(patch: Patch) -> None:
    _append_late(patch, lambda command: isinstance(command, c.ClaimJobs))


def calls_are_answered_before_the_log_has_them(patch: Patch) -> None:
    _append_late(patch, lambda command: isinstance(command, c.CreateJob))


def outcomes_are_lost_at_a_restart(patch: Patch) -> None:
    async def catch_up(self: Replica) -> None:
        while entries := await self._log.read_from(self._machine.applied + 1):
            for entry in entries:
                kept = tuple(command for command in entry.commands if not isinstance(command, c.RecordOutcome))
                self._machine.apply(msgspec.structs.replace(entry, commands=kept))
                await self._commit(self._machine.commit)

    patch.setattr(Replica, "_catch_up", catch_up)


def a_new_term_sends_at_most_once_jobs_again(patch: Patch) -> None:
    begin_term = apply_jobs.begin_term

    def forget_the_guarantee(tables: Tables, effects: Any, time_ms: int, command: c.BeginTerm) -> c.Result:
        seqs = tables._writer.execute("SELECT seq FROM jobs WHERE state = 1 AND at_most_once").fetchall()
        tables._writer.execute("UPDATE jobs SET at_most_once = 0 WHERE state = 1")
        result = begin_term(tables, effects, time_ms, command)
        tables._writer.executemany("UPDATE jobs SET at_most_once = 1 WHERE seq = ?", seqs)
        return result

    patch.setattr(apply_jobs, "begin_term", forget_the_guarantee)


def an_at_most_once_job_is_tried_again_after_a_timeout(patch: Patch) -> None:
    patch.setattr(delivery, "_failed", lambda _failure, _once: (Outcome.RETRYABLE_FAILURE, "bad", False))


def applying_looks_at_the_clock(patch: Patch) -> None:
    record_outcome = apply_jobs.record_outcome
    now_ms = count(1_767_225_600_000)

    def with_its_own_time(tables: Tables, effects: Any, _time_ms: int, command: c.RecordOutcome) -> c.Result:
        return record_outcome(tables, effects, next(now_ms), command)

    patch.setattr(apply_jobs, "record_outcome", with_its_own_time)


def a_tick_is_made_twice(patch: Patch) -> None:
    decide = Ticks._decide

    def decide_twice(self: Ticks, schedule: Any, now_ms: int) -> c.RecordTicks:
        once = decide(self, schedule, now_ms)
        again = tuple((instant, run_at, f"{job}-again") for instant, run_at, job in once.ticks)
        return msgspec.structs.replace(once, ticks=once.ticks + again)

    patch.setattr(Ticks, "_decide", decide_twice)


def missed_ticks_are_forgotten(patch: Patch) -> None:
    decide = Ticks._decide

    def decide_without(self: Ticks, schedule: Any, now_ms: int) -> c.RecordTicks:
        spec = msgspec.structs.replace(schedule.spec, catch_up="skip")
        return decide(self, schedule._replace(spec=spec), now_ms)

    patch.setattr(Ticks, "_decide", decide_without)


def overlapping_jobs_are_made_although_they_are_not_wanted(patch: Patch) -> None:
    patch.setattr(apply_schedules, "is_open", lambda _tables, _job: False)


def cancelled_jobs_are_claimed(patch: Patch) -> None:
    patch.setitem(STATEMENTS, "claim_job", STATEMENTS["claim_job"].replace("state = 0", "state IN (0, 4)"))


def running_attempts_survive_a_cancel(patch: Patch) -> None:
    patch.setattr(LocalExchange, "cancel", lambda _self, _seqs: None)
    patch.setitem(STATEMENTS, "retry_job", STATEMENTS["retry_job"].replace("state = 1", "state IN (1, 4)"))


def keys_are_ignored(patch: Patch) -> None:
    propose = Replica.propose

    def without(self: Replica, commands: Any, **options: Any) -> Any:
        return propose(
            self,
            [msgspec.structs.replace(it, key=None) if isinstance(it, c.CreateJob) else it for it in commands],
            **options,
        )

    patch.setattr(Replica, "propose", without)


def chosen_ids_take_any_body(patch: Patch) -> None:
    patch.setattr(apply_jobs, "_MISMATCH", c.Created(1, "job-1", deduplicated=True))


def jobs_are_sent_early(patch: Patch) -> None:
    take = Plan.take
    patch.setattr(Plan, "take", lambda self, now, limit: take(self, now._replace(wall_ms=now.wall_ms + 1_500), limit))


def updates_are_ignored(patch: Patch) -> None:
    update_job = apply_jobs.update_job

    def keep_the_old(tables: Tables, effects: Any, command: c.UpdateJob) -> c.Result:
        query = "SELECT spec, size FROM specs JOIN jobs USING (seq) WHERE seq = ?"
        for spec, size in tables._writer.execute(query, (command.seq,)).fetchall():
            return update_job(tables, effects, msgspec.structs.replace(command, spec=spec, size=size))
        return update_job(tables, effects, command)

    patch.setattr(apply_jobs, "update_job", keep_the_old)


def a_wall_clock_is_the_time_whatever_it_says(patch: Patch) -> None:
    patch.setattr(ClockGuard, "read", lambda _self, now: now.wall_ms)


def a_jump_is_believed_when_it_stays(patch: Patch) -> None:
    believe_after(patch, 5_000)


def believe_after(patch: Patch, stays_ms: float) -> None:
    """A clock that has stayed wrong for so long is taken to be right."""
    read = ClockGuard.read
    since: dict[int, float] = {}

    def settle(self: ClockGuard, now: Reading) -> float:
        time_ms = read(self, now)
        if self.is_trusted:
            since.pop(id(self), None)
        elif now.boot_ms - since.setdefault(id(self), now.boot_ms) > stays_ms:
            self._trust(now, now.offset_ms)
        return time_ms

    patch.setattr(ClockGuard, "read", settle)


def paused_destinations_are_called(patch: Patch) -> None:
    configure = Fairness.configure
    patch.setattr(apply_jobs, "destination_of", lambda _lane: -1)
    patch.setattr(
        Fairness,
        "configure",
        lambda self, number, settings: configure(self, number, msgspec.structs.replace(settings, paused=False)),
    )


def refused_claims_keep_their_slot(patch: Patch) -> None:
    patch.setattr(Plan, "refused", lambda _self, _now, _lane: None)


def a_parked_destination_is_forgotten(patch: Patch) -> None:
    patch.setattr(DueQueue, "unpark", lambda _self, _destination, _now_ms: None)


def pending_jobs_are_forgotten_at_a_restart(patch: Patch) -> None:
    patch.setattr(DueQueue, "open_lane", lambda _self, _lane: None)


def a_window_that_was_filled_counts_as_the_whole_lane(patch: Patch) -> None:
    refill = DueQueue.refill
    patch.setattr(DueQueue, "refill", lambda self, short, rows: refill(self, short._replace(limit=len(rows) + 1), rows))


def retry_after_is_ignored(patch: Patch) -> None:
    patch.setattr(delivery, "parse_retry_after", lambda _value, _now_ms: None)


def failures_count_as_success(patch: Patch) -> None:
    patch.setattr(delivery, "is_success", lambda _status: True)
