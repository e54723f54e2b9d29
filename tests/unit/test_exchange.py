"""Between a leader and the runner in its own process: nothing that is reported gets lost, whoever leads next."""

import asyncio
import math
from collections.abc import Callable

from hookline.node.dispatch.exchange import Inbox, LocalExchange, NoExchange
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Report
from hookline.protocol.jobs import Outcome
from tests.node_parts import T0, job_spec, settle

GOOD = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)


def report(seq: int) -> ClaimReport:
    return ClaimReport(ClaimRef(seq, 1), 7, GOOD)


def claim(seq: int) -> Claim:
    return Claim(ClaimRef(seq, 1), 7, T0, T0 + 35_000, f"j{seq}", T0, job_spec())


def local(valid_until_ms: Callable[[], float] = lambda: math.inf) -> tuple[LocalExchange, Inbox]:
    exchange, inbox = LocalExchange(7, valid_until_ms), Inbox()
    exchange.open(inbox, ())
    return exchange, inbox


async def test_a_request_leaves_only_in_the_term_that_claimed_it() -> None:
    until_ms = 5.0
    exchange, _ = local(lambda: until_ms)
    assert exchange.valid_until_ms(7) == 5.0
    assert exchange.valid_until_ms(6) == 0.0, "this node led before, and another one in between"
    until_ms = 9.0
    assert exchange.valid_until_ms(7) == 9.0, "it moves on while the leader leads"
    assert NoExchange().valid_until_ms(7) == 0.0


async def test_a_report_is_kept_until_the_leader_says_that_it_is_in_the_log() -> None:
    exchange, _ = local()
    exchange.report(report(1))
    exchange.report(report(2))
    assert exchange.wake.is_set()
    assert exchange.take_reports() == [report(1), report(2)]
    assert exchange.take_reports() == []
    waiting = asyncio.gather(exchange.drained())
    exchange.recorded([ClaimRef(1, 1)])
    await settle()
    assert not waiting.done()
    assert exchange.close() == [report(2)]
    exchange.recorded([ClaimRef(2, 1)])
    await waiting


async def test_cancelled_jobs_are_broken_off_as_long_as_they_are_worked_on() -> None:
    exchange, inbox = local()
    exchange.give([claim(1), claim(2), claim(3)])
    exchange.report(report(2))
    exchange.cancel({1, 2, 4})
    assert inbox.take() == ([claim(1), claim(2), claim(3)], [ClaimRef(1, 1)])


async def test_claims_of_earlier_terms_are_counted_until_they_are_over() -> None:
    exchange = LocalExchange(7, lambda: math.inf)
    exchange.open(Inbox(), [ClaimRef(1, 1), ClaimRef(2, 1)])
    exchange.give([claim(3)])
    assert exchange.earlier == 2
    exchange.report(report(2))
    exchange.report(report(3))
    assert exchange.earlier == 1
