"""The dispatcher and a runner against the real replica and state: no slot is lost, nothing leaves before its claim."""

import asyncio
import errno
import math
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hookline.errors import Fenced
from hookline.node.attempts.runner import Runner
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.content_seal import ContentSeal
from hookline.node.dispatch.dispatcher import Dispatcher
from hookline.node.dispatch.exchange import LocalExchange, NoExchange
from hookline.node.dispatch.outcomes import Outcomes
from hookline.node.dispatch.plan import Plan
from hookline.node.dispatch.seats import Seat, Seats, ahead_of
from hookline.node.dispatch.secrets import SealedSecrets
from hookline.node.metrics import NodeMetrics
from hookline.node.replica import Commit, Replica, inline_commit
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.vault import Vault
from hookline.protocol import commands as c
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Report
from hookline.protocol.jobs import JobSpec, Outcome, RetryPolicy, State
from hookline.protocol.limits import RESPONSE_BYTES_KEPT_MAX
from hookline.protocol.settings import DestinationSettings, encode
from hookline.protocol.signatures import generate_secret
from tests.node_parts import OWNER, T0, GatedCommit, ManualClock, create, job_spec, settle

VAULT = Vault([bytes(32)])


@dataclass
class HeldAttempt:
    """An attempt that the test ends."""

    claim: Claim
    done: asyncio.Future[Report | Exception]


class ScriptedDelivery:
    """Attempts wait for the test; ``at_once`` answers them instead."""

    def __init__(self) -> None:
        self.started: list[HeldAttempt] = []
        self.cancelled = 0
        self.at_once: Report | None = None
        self.running = self.most_running = 0

    async def attempt(self, claim: Claim, may_send: Callable[[], bool]) -> Report:
        assert may_send()
        held = HeldAttempt(claim, asyncio.get_running_loop().create_future())
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


class HeldPlan(Plan):
    """Holds back what becomes pending until the test lets it in."""

    def __init__(self, slots: int) -> None:
        super().__init__(slots, ahead_of(slots))
        self.rows: list[tuple[int, int, int]] = []

    def committed(self, due: Iterable[tuple[int, int, int]]) -> None:
        self.rows += due

    def let_in(self) -> None:
        super().committed(self.rows)
        self.rows = []


@dataclass
class Stage:
    machine: StateMachine
    log: MemoryLog
    replica: Replica
    dispatcher: Dispatcher
    runner: Runner
    plan: HeldPlan
    delivery: ScriptedDelivery
    clock: ManualClock

    async def post(self, *commands: c.CreateJob) -> list[tuple[int, int, int]]:
        """Accept jobs; the dispatcher does not see them yet. Their (lane, due_ms, seq)."""
        before = len(self.plan.rows)
        await self.replica.propose(commands)
        return self.plan.rows[before:]

    def wake(self) -> None:
        """The dispatcher sees what is pending."""
        self.plan.let_in()
        self.dispatcher.wake()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Reads from the state."""
        return self.machine.database.writer.execute(query).fetchall()

    def states(self) -> dict[str, str]:
        return {job_id: State(state).label for job_id, state in self.rows("SELECT id, state FROM jobs ORDER BY seq")}

    def attempts(self) -> list[tuple[int, int, int]]:
        """(seq, number, outcome) of all recorded attempts."""
        return self.rows("SELECT seq, number, outcome FROM attempts ORDER BY seq, number")


GOOD = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)
LOST = Report(Outcome.UNKNOWN, "none", T0, 0, sent=True, error="the attempt process was lost", is_lost=True)
REFUSED = Report(Outcome.RETRYABLE_FAILURE, "bad", T0, 5, error="connection refused")


def on_host(number: int) -> JobSpec:
    return job_spec(f"https://h{number}.example/", f"https://h{number}.example:443")


@asynccontextmanager
async def stage(
    path: Path, *, slots: int = 4, commit: Commit = inline_commit, clock: ManualClock | None = None
) -> AsyncIterator[Stage]:
    database = open_state(path / "state.db", durable=False)
    clock = clock or ManualClock()
    machine, log = StateMachine(database), MemoryLog()
    replica = Replica(machine, log, clock, commit=commit)
    guarded, delivery, plan = GuardedClock(clock), ScriptedDelivery(), HeldPlan(slots)
    runner = Runner(delivery, guarded, NoExchange(), slots=slots)  # type: ignore[arg-type]
    exchange = LocalExchange(1, lambda: math.inf)
    dispatcher = Dispatcher(
        replica,
        LeaderReads(database.reader),
        guarded,
        plan=plan,
        secrets=SealedSecrets(VAULT),
        seats=Seats(Seat(OWNER, "n1", "leader", slots, exchange), exchange.wake),
        outcomes=Outcomes(guarded, NodeMetrics(), ContentSeal(VAULT, guarded.token, is_on=False), node="n1"),
    )
    if isinstance(commit, GatedCommit):
        commit.open = True
    await replica.begin_term(1, OWNER)
    dispatcher.start()
    runner.attach(exchange)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(replica.lead())
            attempting = tasks.create_task(runner.run())
            dispatching = tasks.create_task(dispatcher.run())
            yield Stage(machine, log, replica, dispatcher, runner, plan, delivery, clock)
            if isinstance(commit, GatedCommit):
                commit.stay_open()
            dispatcher.stop()
            delivery.at_once = GOOD  # what waits for a slot
            for held in delivery.started:
                if not held.done.done():
                    held.done.set_result(GOOD)
            await dispatching
            attempting.cancel()
            replica.close()
    finally:
        database.close()


async def test_nothing_is_sent_before_its_claim_is_committed(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with stage(tmp_path, commit=gate) as on:
        await on.post(create("a"))
        gate.open = False
        on.wake()
        await gate.reached()
        await settle()
        assert on.delivery.started == []
        assert on.states() == {"a": "running"}  # the writer sees its own open transaction
        gate.let_through()
        await settle()
        assert [held.claim.job_id for held in on.delivery.started] == ["a"]


async def test_an_attempt_is_told_when_its_claim_ends_however_late_it_was_committed(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with stage(tmp_path, commit=gate) as on:
        await on.post(create("a"))
        gate.open = False
        on.wake()
        await gate.reached()
        on.clock.advance(20_000)
        gate.let_through()
        await settle()
        (held,) = on.delivery.started
        ends = on.machine.database.writer.execute("SELECT claim_deadline_ms FROM jobs").fetchall()
        assert [(held.claim.ends_ms,)] == ends
        assert held.claim.ends_ms < T0 + 40_000


async def test_a_claim_says_whose_job_it_is(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a", tenant="acme"), create("a"))
        on.wake()
        await settle()
        assert sorted(held.claim.tenant for held in on.delivery.started) == ["", "acme"]


async def test_an_outcome_is_recorded_with_its_claims_term_and_node(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a"))
        on.wake()
        await settle()
        (held,) = on.delivery.started
        assert (held.claim.ref.attempt, held.claim.term) == (1, 1)
        held.done.set_result(GOOD)
        await settle()
        assert on.states() == {"a": "succeeded"}
        assert on.plan.running == 0
        rows = on.machine.database.writer.execute("SELECT node, term, status FROM attempts").fetchall()
        assert rows == [("n1", 1, 200)]


async def test_attempts_count_among_the_recent_ones_of_their_destination(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a"), create("b"))
        on.wake()
        await settle()
        for held, report in zip(on.delivery.started, (GOOD, REFUSED), strict=True):
            held.done.set_result(report)
        await settle()
        found = on.dispatcher.recent.of(on.clock.boot_ms(), 1)
        assert found is not None
        assert (found.attempts, found.succeeded, found.p50_ms) == (2, 1, 6)


async def test_open_claims_never_exceed_the_slots(tmp_path: Path) -> None:
    most_open = 0

    async with stage(tmp_path, slots=3) as on:

        def count(_: object) -> None:
            nonlocal most_open
            ((number,),) = on.rows("SELECT count(*) FROM jobs WHERE state = 1")
            most_open = max(most_open, number)

        on.replica.listen(count)
        await on.post(*[create(f"j{number}", on_host(number % 5)) for number in range(20)])
        on.wake()
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
        assert on.plan.running == 0


async def test_claims_wait_ahead_of_the_slots_once_attempts_end_fast(tmp_path: Path) -> None:
    """With 16 slots two; the log never has more open claims, and the runner never makes more attempts at once."""
    slots, most_open = 16, 0
    async with stage(tmp_path, slots=slots) as on:

        def count(_: object) -> None:
            nonlocal most_open
            ((number,),) = on.rows("SELECT count(*) FROM jobs WHERE state = 1")
            most_open = max(most_open, number)

        on.replica.listen(count)
        await on.post(*[create(f"j{number}", on_host(number % 5)) for number in range(400)])
        on.wake()
        while len(on.delivery.started) < 300:
            await settle(3)
            for held in on.delivery.started:
                if not held.done.done():
                    held.done.set_result(GOOD)
                    on.clock.advance(1)
                    break
        assert most_open == slots + 2
        assert on.delivery.most_running == slots
        on.delivery.at_once = GOOD
        for held in on.delivery.started:
            if not held.done.done():
                held.done.set_result(GOOD)
        while on.plan.running:
            await settle()
        assert set(on.states().values()) == {"succeeded"}
        assert len(on.delivery.started) == 400


async def test_reports_gather_while_claims_wait_ahead(tmp_path: Path) -> None:
    async with stage(tmp_path, slots=80) as on:
        await on.post(*[create(f"j{number}", on_host(number % 9)) for number in range(700)])
        on.wake()
        await settle()
        for _ in range(6):  # at the same instant: as many as in a second
            _end(on, 80)
            await settle(40)
        assert on.runner.running == 80 + 10, "ten wait ahead"
        entries = on.replica.applied
        _end(on, 3)
        await settle()
        assert on.replica.applied == entries, "they gather: no slot is idle"
        assert on.delivery.running == 80
        _end(on, 3)
        await settle()
        assert on.replica.applied == entries + 1, "half of those ahead are used up"
        assert on.runner.running == 80 + 10


def _end(on: Stage, count: int) -> None:
    """That many attempts end."""
    for held in [it for it in on.delivery.started if not it.done.done()][:count]:
        held.done.set_result(GOOD)


async def test_a_claim_that_was_lost_with_a_part_of_its_runner_is_made_again(tmp_path: Path) -> None:
    async with stage(tmp_path, slots=1) as on:
        await on.post(create("a"), create("b", job_spec(at_most_once=True)))
        on.wake()
        await settle()
        on.delivery.started[0].done.set_result(LOST)
        await settle()
        on.wake()
        assert [held.claim.ref for held in on.delivery.started] == [ClaimRef(1, 1), ClaimRef(2, 1)]
        on.delivery.started[1].done.set_result(LOST)
        await settle()
        assert on.delivery.started[-1].claim.ref == ClaimRef(1, 2)
        assert on.states()["b"] == "unknown"
        assert on.attempts() == [(1, 1, Outcome.UNKNOWN), (2, 1, Outcome.UNKNOWN)]
        on.delivery.started[-1].done.set_result(GOOD)
        await settle()
        assert on.states() == {"a": "succeeded", "b": "unknown"}
        assert on.plan.running == 0


async def test_a_claim_that_the_log_takes_to_be_lost_frees_its_slot(tmp_path: Path) -> None:
    async with stage(tmp_path, slots=1) as on:
        await on.post(create("a", job_spec(at_most_once=True)), create("b"))
        on.wake()
        await settle()
        await on.replica.propose([c.LoseClaims(((1, 1),))])
        await settle()
        assert on.states() == {"a": "unknown", "b": "running"}
        assert on.plan.running == 1


async def test_a_retry_goes_back_into_the_state_with_its_time(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a", job_spec(retry=RetryPolicy(schedule_ms=(7_000,)))))
        on.wake()
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
        await on.replica.propose([c.PutDestination("", own.destination, encode(settings))])
        on.delivery.at_once = not_found
        on.wake()
        await settle()
        assert on.states() == {"own": "pending", "theirs": "dead"}
        query = "SELECT outcome, error FROM attempts ORDER BY seq"
        assert on.machine.database.writer.execute(query).fetchall() == [
            (Outcome.PERMANENT_FAILURE, "HTTP 404 is not tried again under the retry policy"),
            (Outcome.RETRYABLE_FAILURE, None),
        ]


async def test_a_job_whose_key_is_missing_is_held_without_using_up_its_attempts(tmp_path: Path) -> None:
    held = Report(Outcome.RETRYABLE_FAILURE, "none", T0, 0, error="key gone", costs_no_attempt=True, is_held=True)
    async with stage(tmp_path) as on:
        on.delivery.at_once = held
        (due,) = await on.post(create("a", job_spec(retry=RetryPolicy(max_attempts=1))))
        on.wake()
        await settle()
        query = "SELECT state, due_ms, attempts - attempts_before FROM jobs"
        assert on.machine.database.writer.execute(query).fetchall() == [(State.PENDING, T0 + 15 * 60_000, 0)]
        assert len(on.delivery.started) == 1
        assert on.attempts() == [(due[2], 1, Outcome.RETRYABLE_FAILURE)]


async def test_a_cancel_aborts_the_running_attempt_and_frees_its_slot(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        (due,) = await on.post(create("a"))
        on.wake()
        await settle()
        await on.replica.propose([c.CancelJobs((due[2],))])
        await settle()
        assert on.delivery.cancelled == 1
        assert on.states() == {"a": "cancelled"}
        assert on.attempts() == [(due[2], 1, Outcome.UNKNOWN)]
        assert on.plan.running == 0


async def test_a_cancel_between_claim_and_send_prevents_the_send(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with stage(tmp_path, commit=gate) as on:
        (due,) = await on.post(create("a"))
        gate.open = False
        on.wake()
        await gate.reached()  # the claim is being committed
        cancel = on.replica.propose([c.CancelJobs((due[2],))])
        gate.stay_open()
        await cancel
        await settle()
        assert on.states() == {"a": "cancelled"}
        assert on.delivery.started == [] or on.delivery.cancelled == 1
        assert on.plan.running == 0


async def test_a_refused_claim_releases_its_slot_and_lets_the_destination_ask_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        one_at_once = DestinationSettings(concurrency=1)
        await on.replica.propose([c.PutDestination("", job_spec().destination, encode(one_at_once))])
        (first, _) = await on.post(create("a"), create("b"))
        on.plan.let_in()
        await on.replica.propose([c.CancelJobs((first[2],))])
        on.dispatcher.wake()
        await settle()
        # It was parked because the claim that was refused held the destination's only place.
        assert [held.claim.job_id for held in on.delivery.started] == ["b"]
        assert on.plan.running == 1


async def test_a_job_given_out_twice_in_one_batch_is_attempted_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        (due,) = await on.post(create("a"))
        on.plan.rows.append(due)
        on.wake()
        await settle()
        assert len(on.delivery.started) == 1
        assert on.plan.running == 1
        on.delivery.started[0].done.set_result(GOOD)
        await settle()
        assert on.plan.running == 0
        assert on.attempts() == [(due[2], 1, Outcome.SUCCESS)]


async def test_a_job_given_out_again_while_it_runs_disturbs_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        (due,) = await on.post(create("a"))
        on.wake()
        await settle()
        on.plan.rows.append(due)
        on.wake()
        await settle()
        assert len(on.delivery.started) == 1
        on.delivery.started[0].done.set_result(GOOD)
        await settle()
        assert on.plan.running == 0
        assert on.states() == {"a": "succeeded"}


async def test_a_job_cancelled_and_redriven_while_it_runs_is_attempted_again(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        (due,) = await on.post(create("a"))
        on.wake()
        await settle()
        results = on.replica.propose([c.CancelJobs((due[2],)), c.RedriveJobs((due[2],), T0)])
        on.plan.rows.append(due)
        on.wake()
        await results
        await settle()
        assert [held.claim.ref.attempt for held in on.delivery.started] == [1, 2]
        on.delivery.started[1].done.set_result(GOOD)
        await settle()
        assert on.states() == {"a": "succeeded"}
        assert on.plan.running == 0


async def test_an_exception_inside_an_attempt_costs_one_attempt_and_no_more(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a"), create("b"))
        on.wake()
        await settle()
        first, second = on.delivery.started
        first.done.set_result(RuntimeError("a fault of ours"))
        second.done.set_result(GOOD)
        await settle()
        assert on.states() == {"a": "pending", "b": "succeeded"}
        rows = on.rows("SELECT error FROM attempts WHERE seq = 1")
        assert "a fault of ours" in rows[0][0]
        assert on.plan.running == 0


async def test_what_this_node_lacks_costs_the_job_no_attempt(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a", job_spec(retry=RetryPolicy(max_attempts=1))))
        for failure in (OSError(errno.EMFILE, "Too many open files"), MemoryError(), REFUSED):
            on.wake()
            await settle()
            on.delivery.started[-1].done.set_result(failure)
            await settle()
            assert on.states() == {"a": "dead" if failure is REFUSED else "pending"}
            on.clock.advance(500)
        assert [held.claim.ref.attempt for held in on.delivery.started] == [1, 2, 3]


@pytest.mark.parametrize("number", [30, 100])
async def test_many_big_answers_at_once_do_not_overfill_an_entry(tmp_path: Path, number: int) -> None:
    headers = tuple((f"x-header-{position}", "v" * 50) for position in range(60))
    big = Report(
        *(Outcome.SUCCESS, "good", T0, 5), sent=True, status=200, headers=headers, body=bytes(RESPONSE_BYTES_KEPT_MAX)
    )
    async with stage(tmp_path, slots=100) as on:
        await on.post(*[create(f"j{position}", on_host(position)) for position in range(number)])
        on.wake()
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
        on.wake()
        await settle()
        on.dispatcher.stop()
        await settle()
        assert on.delivery.running == 1
        on.delivery.started[0].done.set_result(GOOD)
        await settle()
        assert on.states() == {"a": "succeeded", "b": "pending"}
    # Leaving the stage asserts that ``run`` has returned, without another wake-up.


async def test_what_is_broken_off_at_the_end_is_made_again_at_once_and_costs_no_attempt(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a"), create("once", job_spec(at_most_once=True)))
        on.wake()
        await settle()
        on.clock.advance(12_000)
        on.dispatcher.stop()
        on.dispatcher.forget_proposed()
        on.runner.break_off()
        await settle()
        assert on.delivery.cancelled == 2
        assert on.states() == {"a": "pending", "once": "unknown"}
        free = on.machine.database.writer.execute("SELECT attempts, attempts_before, due_ms FROM jobs WHERE id = 'a'")
        assert free.fetchall() == [(1, 1, T0 + 12_500)]
        errors = on.rows("SELECT error FROM attempts")
        assert all("broken off after 12s: the node was stopped" in error for (error,) in errors)


async def test_a_claim_that_is_not_committed_when_attempts_are_broken_off_is_left_to_the_next_term(
    tmp_path: Path,
) -> None:
    gate = GatedCommit()
    async with stage(tmp_path, commit=gate) as on:
        await on.post(create("a"))
        gate.open = False
        on.wake()
        await gate.reached()
        on.dispatcher.stop()
        on.dispatcher.forget_proposed()
        on.runner.break_off()
        gate.let_through()
        await settle()
        assert on.delivery.started == []
        assert on.states() == {"a": "running"}


async def test_a_claim_ends_as_much_later_as_its_jobs_attempts_may_take(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("short", job_spec(timeout_ms=1_000)), create("long", job_spec(timeout_ms=3_600_000)))
        on.wake()
        await settle()
        ends = dict(on.rows("SELECT id, claim_deadline_ms FROM jobs"))
        assert ends == {held.claim.job_id: held.claim.ends_ms for held in on.delivery.started}
        assert ends["long"] - ends["short"] == 3_599_000


async def test_a_fault_of_the_log_stops_the_dispatcher(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - what fails is the end of the stage
        async with stage(tmp_path) as on:
            await on.post(create("a"))
            await on.log.take_over(2)
            on.wake()
            await settle()
    assert caught.group_contains(Fenced, match="does not own the log")
    assert on.delivery.started == []


class RunningClock(ManualClock):
    """Time passes with every look at the clock, as it does on a real machine."""

    def wall_ms(self) -> int:
        self.advance(1)
        return super().wall_ms()


async def test_a_job_that_comes_due_between_two_looks_at_the_clock_is_claimed(tmp_path: Path) -> None:
    """The dispatcher never sleeps past a job that came due while it looked at the clock."""
    for after_ms in range(1, 6):  # one of them falls between the look that decides and the look that sleeps
        place = tmp_path / str(after_ms)
        place.mkdir()
        clock = RunningClock()
        async with stage(place, clock=clock) as on:
            await on.post(create("a", due_ms=clock.wall_ms() + after_ms))
            on.wake()
            async with asyncio.timeout(30):  # it would sleep for a minute
                while not on.delivery.started:  # noqa: ASYNC110 - the attempt begins in a task of its own
                    await asyncio.sleep(0.001)


async def test_the_secrets_of_a_destination_go_with_its_claims_as_they_are_now(tmp_path: Path) -> None:
    old, new = (VAULT.seal(generate_secret(bytes([number]) * 32), nonce=bytes(12)) for number in (1, 2))
    async with stage(tmp_path) as on:
        for sealed in (old, new):
            settings = DestinationSettings(sealed_secrets=(sealed,))
            await on.replica.propose([c.PutDestination("", job_spec().destination, encode(settings))])
            await on.post(create(f"by {len(on.delivery.started)}"))
            on.wake()
            await settle()
        assert [held.claim.sealed for held in on.delivery.started] == [(old,), (new,)]


async def test_after_its_close_reports_are_kept_for_whoever_leads_next(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        await on.post(create("a"))
        on.wake()
        await settle()
        on.dispatcher.close()
        on.delivery.started[0].done.set_result(GOOD)
        await settle()
        assert on.states() == {"a": "running"}
        following = LocalExchange(2, lambda: math.inf)
        on.runner.attach(following)
        assert following.take_reports() == [ClaimReport(ClaimRef(1, 1), 1, GOOD)]
