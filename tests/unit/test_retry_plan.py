"""The tries of one call, step by step; what always holds is in the properties."""

from collections.abc import Sequence

import pytest

from hookline.proxy.retry_plan import PAUSE_MAX_MS, PAUSE_MS, ROUNDS_MAX, Budget, GiveUp, Pause, RetryPlan, Send, Step

URLS = ("http://a:1", "http://a:2")


def plan(
    urls: Sequence[str] = URLS,
    *,
    is_repeatable: bool = True,
    deadline_ms: float = 100_000,
    left: int = 100,
    rounds_max: int = ROUNDS_MAX,
) -> RetryPlan:
    return RetryPlan(urls, is_repeatable, deadline_ms, 4_000, Budget(left), rounds_max)


def walk(calls: RetryPlan, outcome: str, now_ms: float = 0) -> list[Step]:
    """All steps when every try ends like this at once."""
    steps: list[Step] = []
    while not steps or not isinstance(steps[-1], GiveUp):
        steps.append(step := calls.next(now_ms))
        if isinstance(step, Pause):
            now_ms += step.ms
        elif isinstance(step, Send):
            getattr(calls, outcome)()
    return steps


def test_all_nodes_are_asked_in_order_and_then_again_after_a_pause() -> None:
    round_ = [Send(url, 4_000) for url in URLS]
    pauses = [Pause(PAUSE_MS), Pause(2 * PAUSE_MS), Pause(4 * PAUSE_MS)]
    expected: list[Step] = []
    for pause in pauses:
        expected += [*round_, pause]
    assert walk(plan(), "not_accepted") == [*expected, *round_, GiveUp(may_be_accepted=False)]


def test_with_other_clusters_to_ask_one_round_is_enough() -> None:
    assert len(walk(plan(rounds_max=1), "not_accepted")) == 3


def test_an_unclear_call_is_repeated_on_the_same_cluster_until_the_deadline() -> None:
    steps = walk(plan(deadline_ms=20_000), "ambiguous")
    pauses = [step.ms for step in steps if isinstance(step, Pause)]
    assert pauses[:7] == [50, 100, 200, 400, 800, 1_600, PAUSE_MAX_MS]
    assert sum(pauses) == 20_000
    assert steps[-1] == GiveUp(may_be_accepted=True)


def test_one_unclear_try_lifts_the_bound_of_rounds_and_is_never_forgotten() -> None:
    calls = plan(left=40)
    assert isinstance(calls.next(0), Send)
    calls.ambiguous()
    steps = walk(calls, "not_accepted")
    assert sum(isinstance(step, Send) for step in steps) == 39, "the budget is what ends it"
    assert steps[-1] == GiveUp(may_be_accepted=True)


def test_what_is_not_repeatable_goes_on_after_a_refusal_but_not_after_silence() -> None:
    calls = plan(is_repeatable=False)
    assert calls.next(0) == Send(URLS[0], 100_000), "and may take all the time that is left"
    calls.not_accepted()
    assert calls.next(10) == Send(URLS[1], 99_990)
    calls.ambiguous()
    assert calls.next(20) == GiveUp(may_be_accepted=True)


def test_a_try_ends_by_the_deadline() -> None:
    calls = plan(deadline_ms=5_000)
    assert calls.next(0) == Send(URLS[0], 4_000)
    calls.ambiguous()
    assert calls.next(4_000) == Send(URLS[1], 1_000)
    calls.ambiguous()
    assert calls.next(4_990) == Pause(10)
    assert calls.next(4_996) == GiveUp(may_be_accepted=True), "4 ms are not worth a try"


@pytest.mark.parametrize("now_ms", [996, 1_000, 5_000])
def test_without_time_nothing_is_sent(now_ms: float) -> None:
    assert plan(deadline_ms=1_000).next(now_ms) == GiveUp(may_be_accepted=False)


def test_the_budget_is_shared_by_the_clusters_of_a_request() -> None:
    budget = Budget(3)
    first = RetryPlan(URLS, True, 100_000, 4_000, budget, rounds_max=1)
    assert len(walk(first, "not_accepted")) == 3
    assert budget.left == 1
    second = RetryPlan(URLS, True, 100_000, 4_000, budget)
    assert [type(step) for step in walk(second, "not_accepted")] == [Send, GiveUp]
    assert budget.left == 0


def test_many_rounds_do_not_make_numbers_grow() -> None:
    calls = plan(("http://a:1",), deadline_ms=1e9, left=10_000)
    steps = walk(calls, "ambiguous")
    assert max(step.ms for step in steps if isinstance(step, Pause)) == PAUSE_MAX_MS
