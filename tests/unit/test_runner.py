"""The runner: a report for each claim, whatever becomes of its attempt and of its leader."""

import asyncio
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hookline.node.attempts.runner import Runner
from hookline.node.dispatch.exchange import LocalExchange, NoExchange
from hookline.protocol.claims import Claim, ClaimRef, Report
from hookline.protocol.jobs import Outcome
from tests.node_parts import T0, ManualClock, job_spec, settle

SLOTS = 3
GOOD = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)


def claim(seq: int, *, term: int = 1, at_most_once: bool = False) -> Claim:
    return Claim(ClaimRef(seq, 1), term, T0, T0 + 35_000, f"j{seq}", T0, job_spec(at_most_once=at_most_once))


@dataclass
class Stage:
    """Attempts wait until the test lets them end."""

    runner: Runner = field(init=False)
    exchange: LocalExchange = field(default_factory=lambda: LocalExchange(1, lambda: math.inf))
    clock: ManualClock = field(default_factory=ManualClock)
    may_send: dict[int, Callable[[], bool]] = field(default_factory=dict)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    ends: defaultdict[int, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    async def attempt(self, it: Claim, may_send: Callable[[], bool]) -> Report:
        self.may_send[it.ref.seq] = may_send
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(event.wait()) for event in (self.go_on, self.ends[it.ref.seq])]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        return GOOD

    def reports(self, exchange: LocalExchange | None = None) -> dict[int, Report]:
        return {it.ref.seq: it.report for it in (exchange or self.exchange).take_reports()}


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    on = Stage()
    on.runner = Runner(on, on.clock, on.exchange, slots=SLOTS)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(on.runner.run())
        yield on
        running.cancel()


async def test_a_claim_becomes_a_report() -> None:
    async with stage() as on:
        on.exchange.give([claim(1), claim(2)])
        await settle()
        assert on.runner.running == 2
        on.go_on.set()
        await settle()
        assert on.reports() == {1: GOOD, 2: GOOD}
        assert on.runner.running == 0


async def test_a_claim_that_is_cancelled_before_its_attempt_begins_sends_nothing_and_is_reported() -> None:
    async with stage() as on:
        on.exchange.give([claim(1)])
        on.exchange.cancel({1})
        await settle()
        assert on.may_send == {}
        assert not on.reports()[1].sent
        assert on.runner.running == 0


async def test_attempts_outlive_their_leader_and_are_reported_to_the_next() -> None:
    async with stage() as on:
        on.exchange.give([claim(1), claim(2)])
        await settle()
        on.runner.attach(NoExchange())
        assert not on.may_send[1](), "what has not left by now stays"
        on.go_on.set()
        await settle()
        following = LocalExchange(2, lambda: math.inf)
        on.runner.attach(following)
        assert on.reports(following) == {1: GOOD, 2: GOOD}


async def test_what_a_leader_did_not_get_into_the_log_is_reported_to_the_next_one() -> None:
    async with stage() as on:
        on.go_on.set()
        on.exchange.give([claim(1), claim(2)])
        await settle()
        assert len(on.reports()) == 2
        on.exchange.recorded([ClaimRef(1, 1)])
        following = LocalExchange(2, lambda: math.inf)
        on.runner.attach(following)
        assert on.reports(following) == {2: GOOD}


async def test_a_claim_that_is_given_at_the_very_end_of_a_term_is_not_lost() -> None:
    async with stage() as on:
        on.exchange.give([claim(1)])
        following = LocalExchange(2, lambda: math.inf)
        on.runner.attach(following)
        await settle()
        found = on.reports(following)[1]
        assert on.may_send == {}, "it belongs to the term before"
        assert (found.costs_no_attempt, found.sent) == (True, False)


async def test_claims_beyond_the_slots_wait_for_the_next_free_one_in_their_order() -> None:
    async with stage() as on:
        on.exchange.give([claim(seq) for seq in range(1, SLOTS + 3)])
        await settle()
        assert sorted(on.may_send) == [1, 2, 3]
        assert on.runner.running == SLOTS + 2
        on.ends[2].set()
        await settle()
        assert sorted(on.may_send) == [1, 2, 3, 4]
        assert on.reports() == {2: GOOD}
        on.go_on.set()
        await settle()
        assert sorted(on.reports()) == [1, 3, 4, 5]


async def test_what_waits_for_a_slot_is_given_back_at_once_when_another_leads() -> None:
    async with stage() as on:
        on.exchange.give([claim(seq, at_most_once=True) for seq in range(1, SLOTS + 3)])
        await settle()
        following = LocalExchange(2, lambda: math.inf)
        on.runner.attach(following)
        found = on.reports(following)
        assert sorted(found) == [4, 5]
        assert all(report.costs_no_attempt and not report.sent for report in found.values())


async def test_what_waits_for_a_slot_is_cancelled_and_stopped_without_one() -> None:
    async with stage() as on:
        on.exchange.give([claim(seq, at_most_once=True) for seq in range(1, SLOTS + 3)])
        await settle()
        on.exchange.cancel({4})
        await settle()
        assert [(seq, it.error) for seq, it in on.reports().items()] == [(4, "cancelled before the request left")]
        await on.runner.end(grace_s=0)
        found = on.reports()
        assert not found[5].sent
        assert found[5].costs_no_attempt
        assert sorted(found) == [1, 2, 3, 5]


async def test_what_a_runner_breaks_off_at_its_end_costs_no_attempt_unless_it_must_not_be_sent_twice() -> None:
    async with stage() as on:
        on.exchange.give([claim(1), claim(2, at_most_once=True)])
        await settle()
        on.clock.advance(3_000)
        on.exchange.give([claim(3)])
        await on.runner.end(grace_s=0)
        found = on.reports()
        assert [(found[seq].outcome, found[seq].costs_no_attempt) for seq in (1, 2, 3)] == [
            (Outcome.RETRYABLE_FAILURE, True),
            (Outcome.UNKNOWN, False),
            (Outcome.RETRYABLE_FAILURE, True),
        ]
        assert "broken off after 3s" in (found[1].error or "")


async def test_the_end_waits_for_what_runs() -> None:
    async with stage() as on:
        on.exchange.give([claim(1)])
        ending = asyncio.gather(on.runner.end(grace_s=60))
        await settle()
        assert not ending.done()
        on.go_on.set()
        await ending
        assert on.reports() == {1: GOOD}
