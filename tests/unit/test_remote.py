"""The leader's side of a runner in another process: no claim is handed out twice, and none is forgotten."""

import asyncio

import msgspec
import pytest

from hookline.node.dispatch.remote import RemoteExchange
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Frame, Report
from hookline.protocol.jobs import Outcome
from tests.node_parts import T0, ManualClock, job_spec

OWNER = "w1/a/a"
GOOD = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)
ONE, TWO, THREE = (ClaimRef(seq, 1) for seq in (1, 2, 3))


def claim(seq: int, ends_ms: int = T0 + 35_000) -> Claim:
    return Claim(ClaimRef(seq, 1), 7, T0, ends_ms, f"j{seq}", T0, job_spec())


def report(seq: int) -> ClaimReport:
    return ClaimReport(ClaimRef(seq, 1), 7, GOOD)


def frame(
    number: int, *held: ClaimRef, reports: tuple[ClaimReport, ...] = (), unanswered: tuple[int, ...] = ()
) -> Frame:
    return Frame("w1", reports, held, OWNER, "worker", 5, number, unanswered)


class Desk(RemoteExchange):
    """As the dispatcher sees it."""

    def __init__(self) -> None:
        self.time = ManualClock()
        super().__init__(asyncio.Event(), self.time)

    def answer(self) -> tuple[list[int], list[int]]:
        """Numbers of the jobs to break off, and of those to attempt."""
        cancelled, claims = self.orders(self.time.wall_ms())
        return [ref.seq for ref in cancelled], [it.ref.seq for it in claims]

    def given_back(self) -> list[int]:
        """Numbers of the jobs that were not sent."""
        reports = self.take_reports()
        assert all(it.report.costs_no_attempt and not it.report.sent for it in reports)
        return [it.ref.seq for it in reports]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_an_answer_says_how_much_is_left_of_each_claim(desk: Desk) -> None:
    desk.take(frame(1))
    desk.give([claim(1)])
    arrived_ms = desk.time.wall_ms()
    desk.time.advance(900)
    ((), (given,)) = desk.orders(arrived_ms)
    assert given == msgspec.structs.replace(claim(1), ends_ms=35_000)
    assert desk.answer() == ([], [])


def test_a_claim_whose_answer_was_surely_lost_is_handed_out_again(desk: Desk) -> None:
    desk.take(frame(1))
    desk.give([claim(1), claim(2)])
    assert desk.answer() == ([], [1, 2])
    desk.take(frame(2, ONE, unanswered=(1,)))
    assert desk.answer() == ([], []), "it may still take the answer to the first"
    desk.take(frame(3, ONE))
    assert desk.answer() == ([], [2])
    desk.take(frame(4, ONE, TWO))
    assert desk.answer() == ([], [])


def test_a_frame_that_is_repeated_or_overtaken_changes_nothing(desk: Desk) -> None:
    desk.take(frame(1))
    desk.give([claim(1)])
    assert desk.answer() == ([], [1])
    assert not desk.take(frame(1)), "who repeats it is not given the claims of the next answer"
    assert desk.take(frame(3, ONE))
    assert not desk.take(frame(2))
    assert desk.answer() == ([], [])


def test_a_report_counts_once_and_is_acknowledged_when_it_is_recorded(desk: Desk) -> None:
    desk.take(frame(1))
    desk.give([claim(1)])
    desk.answer()
    desk.take(frame(2, reports=(report(1),)))
    assert desk.wake.is_set()
    desk.take(frame(3, reports=(report(1),)))
    assert desk.take_reports() == [report(1)]
    desk.take(frame(4, reports=(report(1),)))
    assert desk.take_reports() == []
    assert not desk.is_recorded((report(1),))
    desk.recorded([ONE])
    assert desk.is_recorded((report(1),))


def test_what_is_asked_for_too_late_is_not_sent(desk: Desk) -> None:
    desk.take(frame(1))
    desk.give([claim(1, T0 + 31_000), claim(2)])
    desk.time.advance(1)
    assert desk.answer() == ([], [2])
    assert desk.given_back() == [1]


def test_who_is_gone_gets_nothing_and_only_what_it_cannot_have_is_given_back(desk: Desk) -> None:
    desk.take(frame(1))
    desk.give([claim(1)])
    desk.answer()
    desk.give([claim(2)])
    desk.gone(True)
    assert desk.given_back() == [2]
    desk.give([claim(3)])
    assert desk.given_back() == [3]
    assert desk.is_used
    desk.forget(ONE)
    desk.gone(False)
    desk.recorded([TWO, THREE])
    desk.take(frame(2, ONE))
    assert (desk.earlier, desk.held_of_earlier_terms()) == (1, [ONE]), "it was lost at its deadline, but is attempted"


def test_an_attempt_is_broken_off_wherever_its_claim_is(desk: Desk) -> None:
    desk.take(frame(1))
    desk.give([claim(1), claim(2)])
    desk.answer()
    desk.take(frame(2, ONE, unanswered=(1,)))
    desk.give([claim(3)])
    desk.cancel({1, 2, 3, 4})
    assert desk.given_back() == [3], "it never left"
    assert (desk.has_orders, sorted(desk.answer()[0]), desk.has_orders) == (True, [1, 2], False)
    desk.take(frame(3, ONE))
    assert desk.given_back() == [2], "its answer got lost"
    assert desk.answer()[0] == [1], "it is said again until the attempt is over"
    desk.take(frame(4, reports=(report(1),)))
    assert desk.answer()[0] == []


def test_claims_of_earlier_terms_take_slots_until_they_are_over(desk: Desk) -> None:
    desk.take(frame(1, ONE, TWO))
    assert desk.earlier == 2
    desk.take(frame(2, TWO, reports=(report(1),)))
    assert desk.earlier == 1
    desk.take(frame(3, reports=(report(2),)))
    assert desk.earlier == 0
