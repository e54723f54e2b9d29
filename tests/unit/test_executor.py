"""The executor against the real replica and state: nothing is sent before its claim is durable, no slot is lost."""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hookline.errors import Fenced
from hookline.node.executor.delivery import Report
from hookline.node.executor.executor import DueJob, Executor, Running
from hookline.node.executor.fairness import Fairness
from hookline.node.replica import Commit, Replica, inline_commit
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.scheduler.due import Due
from hookline.node.state_machine.leader_reads import ClaimedJob, LeaderReads
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.waiting import Blocked
from hookline.protocol import commands as c
from hookline.protocol.jobs import JobSpec, Outcome, RetryPolicy, State, destination_of
from hookline.protocol.limits import RESPONSE_BYTES_KEPT_MAX
from hookline.protocol.settings import DestinationSettings, encode
from hookline.telemetry import Metrics
from tests.node_parts import T0, GatedCommit, ManualClock, create, job_spec, settle


@dataclass
class HeldAttempt:
    """An attempt that the test ends."""

    job: ClaimedJob
    number: int
    term: int
    claim_ends_ms: int
    done: asyncio.Future[Report | Exception]


class ScriptedDelivery:
    """Attempts wait for the test; ``at_once`` answers them instead."""

    def __init__(self) -> None:
        self.started: list[HeldAttempt] = []
        self.cancelled = 0
        self.at_once: Report | None = None
        self.running = self.most_running = 0

    async def attempt(self, job: ClaimedJob, number: int, term: int, claim_ends_ms: int) -> Report:
        held = HeldAttempt(job, number, term, claim_ends_ms, asyncio.get_running_loop().create_future())
        self.started.append(held)
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            answer = self.at_once or await held.done
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class ScriptedSource:
    """Gives out what the test puts in, in order; asks ``admit`` like the scheduler does."""

    clock: ManualClock
    rows: list[Due] = field(default_factory=list)
    unparked: list[int] = field(default_factory=list)

    def take(self, limit: int, admit: Callable[[int, int, bool, bool], Blocked | None]) -> Sequence[DueJob]:
        taken: list[Due] = []
        while self.rows and len(taken) < limit:
            lane = self.rows[0].lane
            if admit(self.clock.wall_ms(), destination_of(lane), bool(lane & 1), True) is not None:
                break
            taken.append(self.rows.pop(0))
        return taken

    def unpark(self, destination: int) -> None:
        self.unparked.append(destination)


@dataclass
class Stage:
    machine: StateMachine
    log: MemoryLog
    replica: Replica
    executor: Executor
    fairness: Fairness
    delivery: ScriptedDelivery
    source: ScriptedSource
    clock: ManualClock

    async def post(self, *commands: c.CreateJob) -> list[Due]:
        """Accept jobs and make them due for the executor; it is not woken."""
        due: list[Due] = []

        def collect(effects: object) -> None:
            due.extend(Due(*row) for row in effects.due)  # type: ignore[attr-defined]

        self.replica.listen(collect)
        await self.replica.propose(commands)
        self.replica._term_listeners.remove(collect)  # type: ignore[arg-type]
        self.source.rows += due
        return due

    def states(self) -> dict[str, str]:
        rows = self.machine.database.writer.execute("SELECT id, state FROM jobs ORDER BY seq").fetchall()
        return {job_id: State(state).label for job_id, state in rows}

    def attempts(self) -> list[tuple[int, int, int]]:
        """(seq, number, outcome) of all recorded attempts."""
        query = "SELECT seq, number, outcome FROM attempts ORDER BY seq, number"
        return self.machine.database.writer.execute(query).fetchall()


GOOD = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)
REFUSED = Report(Outcome.RETRYABLE_FAILURE, "bad", T0, 5, error="connection refused")


def on_host(number: int) -> JobSpec:
    return job_spec(f"https://h{number}.example/", f"https://h{number}.example:443")


@asynccontextmanager
async def stage(path: Path, *, slots: int = 4, commit: Commit = inline_commit) -> AsyncIterator[Stage]:
    database = open_state(path / "state.db", durable=False)
    clock = ManualClock()
    machine, log = StateMachine(database), MemoryLog()
    replica = Replica(machine, log, clock, commit=commit)
    delivery, source, fairness = ScriptedDelivery(), ScriptedSource(clock), Fairness(slots)
    executor = Executor(
        replica,
        LeaderReads(database.reader),
        delivery,  # type: ignore[arg-type]
        fairness,
        clock,
        Metrics(),
        node="n1",
    )
    if isinstance(commit, GatedCommit):
        commit.open = True
    await replica.begin_term(1, "n1", old_leader_is_dead=True)
    executor.start(source)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(replica.lead())
            running = tasks.create_task(executor.run())
            yield Stage(machine, log, replica, executor, fairness, delivery, source, clock)
            if isinstance(commit, GatedCommit):
                commit.stay_open()
            executor.stop()
            for held in delivery.started:
                if not held.done.done():
                    held.done.set_result(GOOD)
            async with asyncio.timeout(2):
                await running
            replica.close()
    finally:
        database.close()


async def test_nothing_is_sent_before_its_claim_is_committed(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with stage(tmp_path, commit=gate) as on:
        await on.post(create("a"))
        gate.open = False
        on.executor.wake()
        await gate.reached()
        await settle()
        assert on.delivery.started == []
        assert on.states() == {"a": "running"}  # the writer sees its own open transaction
        gate.let_through()
        await settle()
        assert [held.job.id for held in on.delivery.started] == ["a"]


async def test_an_attempt_is_told_when_its_claim_ends_however_late_it_was_committed(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with stage(tmp_path, commit=gate) as on:
        await on.post(create("a"))
        gate.open = False
        on.executor.wake()
        await gate.reached()
        on.clock.advance(20_000)
        gate.let_through()
        await settle()
        (held,) = on.delivery.started
        ends = on.machine.database.writer.execute("SELECT claim_deadline_ms FROM jobs").fetchall()
        assert [(held.claim_ends_ms,)] == ends
        assert held.claim_ends_ms < T0 + 40_000


async def test_an_outcome_is_recorded_with_its_claims_term_and_node(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a"))
        on.executor.wake()
        await settle()
        (held,) = on.delivery.started
        assert (held.number, held.term) == (1, 1)
        held.done.set_result(GOOD)
        await settle()
        assert on.states() == {"a": "succeeded"}
        assert on.fairness.running == 0
        rows = on.machine.database.writer.execute("SELECT node, term, status FROM attempts").fetchall()
        assert rows == [("n1", 1, 200)]


async def test_open_claims_never_exceed_the_slots(tmp_path: Path) -> None:
    most_open = 0

    async with stage(tmp_path, slots=3) as on:
        writer = on.machine.database.writer

        def count(_: object) -> None:
            nonlocal most_open
            ((number,),) = writer.execute("SELECT count(*) FROM jobs WHERE state = 1").fetchall()
            most_open = max(most_open, number)

        on.replica.listen(count)
        await on.post(*[create(f"j{number}", on_host(number % 5)) for number in range(20)])
        on.executor.wake()
        for _ in range(40):
            await settle(3)
            for held in on.delivery.started:
                if not held.done.done():
                    held.done.set_result(GOOD)
                    break
        await settle()
        assert set(on.states().values()) == {"succeeded"}
        assert most_open == 3
        assert on.delivery.most_running == 3
        assert len(on.delivery.started) == 20
        assert on.fairness.running == 0


async def test_a_retry_goes_back_into_the_state_with_its_time(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a", job_spec(retry=RetryPolicy(schedule_ms=(7_000,)))))
        on.executor.wake()
        await settle()
        on.delivery.started[0].done.set_result(REFUSED)
        await settle()
        rows = on.machine.database.writer.execute("SELECT state, due_ms, attempts, lane & 1 FROM jobs").fetchall()
        assert rows == [(State.PENDING, T0 + 7_000, 1, 1)]


async def test_the_retry_policy_of_the_destination_holds_from_the_next_attempt_on_the_jobs_own_wins(
    tmp_path: Path,
) -> None:
    not_found = Report(Outcome.RETRYABLE_FAILURE, "good", T0, 5, sent=True, status=404)
    async with stage(tmp_path) as on:
        own = job_spec(retry=RetryPolicy(on=("4xx",)))
        await on.post(create("theirs", job_spec()), create("own", own))
        settings = DestinationSettings(retry=RetryPolicy(not_on=("404",)))
        await on.replica.propose([c.PutDestination(own.destination, encode(settings))])
        on.delivery.at_once = not_found
        on.executor.wake()
        await settle()
        assert on.states() == {"own": "pending", "theirs": "dead"}
        query = "SELECT outcome, error FROM attempts ORDER BY seq"
        assert on.machine.database.writer.execute(query).fetchall() == [
            (Outcome.PERMANENT_FAILURE, "HTTP 404 is not tried again under the retry policy"),
            (Outcome.RETRYABLE_FAILURE, None),
        ]


async def test_a_job_whose_key_is_missing_is_held_without_using_up_its_attempts(tmp_path: Path) -> None:
    held = Report(Outcome.RETRYABLE_FAILURE, "none", T0, 0, error="key gone", is_ours=True, is_held=True)
    async with stage(tmp_path) as on:
        on.delivery.at_once = held
        (due,) = await on.post(create("a", job_spec(retry=RetryPolicy(max_attempts=1))))
        on.executor.wake()
        await settle()
        query = "SELECT state, due_ms, attempts - attempts_before FROM jobs"
        assert on.machine.database.writer.execute(query).fetchall() == [(State.PENDING, T0 + 15 * 60_000, 0)]
        assert len(on.delivery.started) == 1
        assert on.attempts() == [(due.seq, 1, Outcome.RETRYABLE_FAILURE)]


async def test_a_cancel_aborts_the_running_attempt_and_frees_its_slot(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        (due,) = await on.post(create("a"))
        on.executor.wake()
        await settle()
        await on.replica.propose([c.CancelJobs((due.seq,))])
        await settle()
        assert on.delivery.cancelled == 1
        assert on.states() == {"a": "cancelled"}
        assert on.attempts() == [(due.seq, 1, Outcome.UNKNOWN)]
        assert on.fairness.running == 0


async def test_a_cancel_between_claim_and_send_prevents_the_send(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with stage(tmp_path, commit=gate) as on:
        (due,) = await on.post(create("a"))
        gate.open = False
        on.executor.wake()
        await gate.reached()  # the claim is being committed
        cancel = on.replica.propose([c.CancelJobs((due.seq,))])
        gate.stay_open()
        await cancel
        await settle()
        assert on.states() == {"a": "cancelled"}
        assert on.delivery.started == [] or on.delivery.cancelled == 1
        assert on.fairness.running == 0


async def test_a_cancel_right_before_the_attempt_begins_keeps_no_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is cancelled before its first step never runs."""
    async with stage(tmp_path, slots=1) as on:
        start = on.executor._start_attempts

        def start_and_abort(attempts: asyncio.TaskGroup, claims: Sequence[Running], claimed: c.Result) -> None:
            start(attempts, claims, claimed)
            on.executor._abort({claim.due.seq for claim in claims})

        monkeypatch.setattr(on.executor, "_start_attempts", start_and_abort)
        await on.post(create("a"))
        on.executor.wake()
        await settle()
        assert on.delivery.started == []
        assert on.fairness.running == 0
        monkeypatch.undo()
        await on.post(create("b"))
        on.executor.wake()
        await settle()
        assert [held.job.id for held in on.delivery.started] == ["b"]


async def test_a_refused_claim_releases_its_slot_and_lets_the_destination_ask_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        (due,) = await on.post(create("a"))
        await on.replica.propose([c.CancelJobs((due.seq,))])
        on.executor.wake()
        await settle()
        assert on.delivery.started == []
        assert on.fairness.running == 0
        # Its next job may have been parked because this claim held the destination's only place.
        assert destination_of(due.lane) in on.source.unparked


async def test_a_job_given_out_twice_in_one_batch_is_attempted_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        (due,) = await on.post(create("a"))
        on.source.rows.append(Due(*due))
        on.executor.wake()
        await settle()
        assert len(on.delivery.started) == 1
        assert on.fairness.running == 1
        on.delivery.started[0].done.set_result(GOOD)
        await settle()
        assert on.fairness.running == 0
        assert on.attempts() == [(due.seq, 1, Outcome.SUCCESS)]


async def test_a_job_given_out_again_while_it_runs_disturbs_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        (due,) = await on.post(create("a"))
        on.executor.wake()
        await settle()
        on.source.rows.append(Due(*due))
        on.executor.wake()
        await settle()
        assert len(on.delivery.started) == 1
        on.delivery.started[0].done.set_result(GOOD)
        await settle()
        assert on.fairness.running == 0
        assert on.states() == {"a": "succeeded"}


async def test_a_job_cancelled_and_redriven_while_it_runs_is_attempted_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        (due,) = await on.post(create("a"))
        on.executor.wake()
        await settle()
        results = on.replica.propose([c.CancelJobs((due.seq,)), c.RetryJobs((due.seq,), T0)])
        on.source.rows.append(Due(*due))
        on.executor.wake()
        await results
        await settle()
        assert [held.number for held in on.delivery.started] == [1, 2]
        on.delivery.started[1].done.set_result(GOOD)
        await settle()
        assert on.states() == {"a": "succeeded"}
        assert on.fairness.running == 0


async def test_an_exception_inside_an_attempt_costs_one_attempt_and_no_more(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a"), create("b"))
        on.executor.wake()
        await settle()
        first, second = on.delivery.started
        first.done.set_result(RuntimeError("a fault of ours"))
        second.done.set_result(GOOD)
        await settle()
        assert on.states() == {"a": "pending", "b": "succeeded"}
        rows = on.machine.database.writer.execute("SELECT error FROM attempts WHERE seq = 1").fetchall()
        assert "a fault of ours" in rows[0][0]
        assert on.fairness.running == 0


async def test_what_this_node_lacks_costs_the_job_no_attempt(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        (due,) = await on.post(create("a", job_spec(retry=RetryPolicy(max_attempts=1))))
        for failure in (OSError(errno.EMFILE, "Too many open files"), MemoryError(), REFUSED):
            on.executor.wake()
            await settle()
            on.delivery.started[-1].done.set_result(failure)
            await settle()
            assert on.states() == {"a": "dead" if failure is REFUSED else "pending"}
            on.clock.advance(500)
            on.source.rows.append(Due(due.lane | 1, on.clock.wall_ms(), due.seq))
        assert [held.number for held in on.delivery.started] == [1, 2, 3]


@pytest.mark.parametrize("number", [30, 100])
async def test_many_big_answers_at_once_do_not_overfill_an_entry(tmp_path: Path, number: int) -> None:
    headers = tuple((f"x-header-{position}", "v" * 50) for position in range(60))
    big = Report(
        *(Outcome.SUCCESS, "good", T0, 5), sent=True, status=200, headers=headers, body=bytes(RESPONSE_BYTES_KEPT_MAX)
    )
    async with stage(tmp_path, slots=100) as on:
        await on.post(*[create(f"j{position}", on_host(position)) for position in range(number)])
        on.executor.wake()
        await settle()
        assert len(on.delivery.started) == number
        for held in on.delivery.started:
            held.done.set_result(big)
        await settle(100)
        assert set(on.states().values()) == {"succeeded"}
        assert len(on.attempts()) == number


async def test_stop_waits_for_running_attempts_and_claims_nothing_more(tmp_path: Path) -> None:
    async with stage(tmp_path, slots=1) as on:
        await on.post(create("a"), create("b"))
        on.executor.wake()
        await settle()
        on.executor.stop()
        await settle()
        assert on.delivery.running == 1
        on.delivery.started[0].done.set_result(GOOD)
        await settle()
        assert on.states() == {"a": "succeeded", "b": "pending"}
    # Leaving the stage asserts that ``run`` has returned, without another wake-up.


async def test_what_is_broken_off_at_the_end_is_made_again_at_once_and_costs_no_attempt(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a"), create("once", job_spec(at_most_once=True)))
        on.executor.wake()
        await settle()
        on.clock.advance(12_000)
        on.executor.stop()
        on.executor.abandon()
        await settle()
        assert on.delivery.cancelled == 2
        assert on.states() == {"a": "pending", "once": "unknown"}
        free = on.machine.database.writer.execute("SELECT attempts, attempts_before, due_ms FROM jobs WHERE id = 'a'")
        assert free.fetchall() == [(1, 1, T0 + 12_500)]
        errors = on.machine.database.writer.execute("SELECT error FROM attempts").fetchall()
        assert all("broken off after 12s: the node was stopped" in error for (error,) in errors)


async def test_a_claim_that_is_not_committed_when_attempts_are_broken_off_is_left_to_the_next_term(
    tmp_path: Path,
) -> None:
    gate = GatedCommit()
    async with stage(tmp_path, commit=gate) as on:
        await on.post(create("a"))
        gate.open = False
        on.executor.wake()
        await gate.reached()
        on.executor.stop()
        on.executor.abandon()
        gate.let_through()
        await settle()
        assert on.delivery.started == []
        assert on.states() == {"a": "running"}


async def test_a_claim_ends_as_much_later_as_its_jobs_attempts_may_take(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("short", job_spec(timeout_ms=1_000)), create("long", job_spec(timeout_ms=3_600_000)))
        on.executor.wake()
        await settle()
        ends = dict(on.machine.database.writer.execute("SELECT id, claim_deadline_ms FROM jobs").fetchall())
        assert ends == {held.job.id: held.claim_ends_ms for held in on.delivery.started}
        assert ends["long"] - ends["short"] == 3_599_000


async def test_a_fault_of_the_log_stops_the_executor(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - what fails is the end of the stage
        async with stage(tmp_path) as on:
            await on.post(create("a"))
            await on.log.take_over(2)
            on.executor.wake()
            await settle()
    assert caught.group_contains(Fenced, match="does not own the log")
    assert on.delivery.started == []
