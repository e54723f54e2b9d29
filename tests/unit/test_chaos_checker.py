"""The checker of chaos runs finds each broken promise, and lets an honest run pass."""

import pytest

from tests.chaos.checker import IN_FLIGHT_MS, Arrival, Findings, HeldJob, check
from tests.chaos.clients import Call, History

DONE = HeldJob("succeeded", 1, 1_000)
REQUEST = Arrival("a", 1_010, 1, 1)


def account(
    *arrivals: Arrival,
    jobs: dict[str, HeldJob] | None = None,
    other: dict[str, HeldJob] | None = None,
    calls: tuple[Call, ...] = (),
) -> Findings:
    history = History([Call("create", ("a",), 990, 1_000, "ok"), *calls])
    held = {"n1": {"a": DONE} if jobs is None else jobs}
    held["n2"] = held["n1"] if other is None else other
    return check(history, arrivals, held, slots=1, quiet_ms=[(1_000, 2_000)])


def test_an_honest_run_has_no_findings() -> None:
    findings = account(REQUEST)
    assert findings.broken() == []
    assert findings.jobs == 1
    assert findings.longest_gap_ms == 990


def test_a_claim_that_was_open_when_its_leader_was_lost_explains_one_duplicate() -> None:
    findings = account(REQUEST, Arrival("a", 1_500, 2, 2), jobs={"a": DONE._replace(attempts=2)})
    assert findings.broken() == []
    assert findings.explained == 1


@pytest.mark.parametrize("state", ["pending", "running", "dead", "unknown", "cancelled"])
def test_an_acknowledged_job_ends_well(state: str) -> None:
    assert account(REQUEST, jobs={"a": DONE._replace(state=state)}).lost


def test_an_acknowledged_job_is_held_and_has_arrived() -> None:
    assert account(REQUEST, jobs={}).lost
    assert account().lost


def test_nothing_is_held_or_sent_that_nobody_created() -> None:
    assert account(REQUEST, jobs={"a": DONE, "b": DONE}).lost
    assert account(REQUEST, Arrival("b", 1_010, 1, 1)).lost


def test_an_unclear_call_may_have_made_its_job() -> None:
    unclear = Call("create", ("b",), 990, 1_000, "unknown")
    held = {"a": DONE, "b": DONE}
    findings = account(REQUEST, Arrival("b", 1_010, 1, 1), jobs=held, calls=(unclear,))
    assert findings.broken() == []
    assert len(findings.failed_calls) == 1


def test_the_same_attempt_or_the_same_term_twice_is_not_explained() -> None:
    assert account(REQUEST, REQUEST._replace(at_ms=1_020)).unexplained
    assert account(REQUEST, Arrival("a", 1_020, 2, 1)).unexplained
    assert account(REQUEST, Arrival("a", 1_020, 1, 2)).unexplained


def test_more_repeats_than_slots_are_not_explained() -> None:
    calls = (Call("create", ("b",), 990, 1_000, "ok"),)
    again = [Arrival(job, 1_500, 2, 2) for job in "ab"]
    findings = account(REQUEST, REQUEST._replace(job="b"), *again, jobs={"a": DONE, "b": DONE}, calls=calls)
    assert findings.explained == 2
    assert findings.unexplained


def test_a_key_makes_one_job() -> None:
    jobs = {"a": DONE._replace(key="k"), "b": DONE._replace(key="k")}
    calls = (Call("create", ("b",), 990, 1_000, "ok", key="k"),)
    assert account(REQUEST, REQUEST._replace(job="b"), jobs=jobs, calls=calls).unexplained


def test_at_most_once_is_sent_once_whatever_happened() -> None:
    once = {"a": DONE._replace(at_most_once=True)}
    assert not account(REQUEST, jobs=once).once_twice
    assert account(REQUEST, Arrival("a", 1_500, 2, 2), jobs=once).once_twice


def test_nothing_is_sent_before_it_is_due() -> None:
    assert account(REQUEST._replace(at_ms=999)).early
    assert not account(REQUEST._replace(at_ms=1_000)).early


@pytest.mark.parametrize(("late_ms", "is_found"), [(IN_FLIGHT_MS, False), (IN_FLIGHT_MS + 1, True)])
def test_an_older_term_sends_nothing_after_a_newer_one_began(late_ms: int, is_found: bool) -> None:
    calls = (Call("create", ("b",), 990, 1_000, "ok"),)
    late = Arrival("b", 1_010 + late_ms, 1, 1)
    found = account(REQUEST._replace(term=2), late, jobs={"a": DONE, "b": DONE}, calls=calls)
    assert bool(found.term_overlaps) is is_found


def test_an_acknowledged_cancellation_binds() -> None:
    cancel = Call("cancel", ("a",), 1_000, 1_000, "ok")
    cancelled = {"a": DONE._replace(state="cancelled")}
    assert account(jobs=cancelled, calls=(cancel,)).broken() == []
    assert account(REQUEST, calls=(cancel,)).cancels_ignored
    assert account(Arrival("a", 1_001 + IN_FLIGHT_MS, 1, 1), jobs=cancelled, calls=(cancel,)).cancels_ignored


def test_all_nodes_hold_the_same() -> None:
    assert account(REQUEST, other={}).nodes_differ
    assert account(REQUEST, other={"a": DONE._replace(attempts=2)}).nodes_differ


def test_to_be_told_that_a_job_is_over_is_no_failed_call() -> None:
    refused = Call("cancel", ("a",), 1_000, 1_020, "refused", why="409 job_finished")
    assert account(REQUEST, calls=(refused,)).failed_calls == []
    assert account(REQUEST, jobs={"a": DONE._replace(state="cancelled")}, calls=(refused,)).lost, "nothing cancelled it"
