"""The tries of one call: whatever comes back, nothing is promised or repeated that must not be."""

from hypothesis import given
from hypothesis import strategies as st

from hookline.proxy.retry_plan import Budget, GiveUp, Pause, RetryPlan, Send

OUTCOMES = ("not_accepted", "ambiguous")


@given(
    nodes=st.integers(1, 4),
    is_repeatable=st.booleans(),
    deadline_ms=st.integers(0, 20_000),
    left=st.integers(0, 12),
    rounds_max=st.integers(1, 5),
    script=st.lists(st.tuples(st.sampled_from(OUTCOMES), st.floats(0, 1)), max_size=40),
)
def test_tries_keep_their_promises(
    nodes: int, is_repeatable: bool, deadline_ms: int, left: int, rounds_max: int, script: list[tuple[str, float]]
) -> None:
    urls = [f"http://n{number}" for number in range(nodes)]
    plan = RetryPlan(urls, is_repeatable, deadline_ms, 4_000, Budget(left), rounds_max)
    now_ms = 0.0
    made: list[str] = []
    answers = iter(script)
    for _ in range(200):
        step = plan.next(now_ms)
        if isinstance(step, GiveUp):
            break
        if isinstance(step, Pause):
            assert step.ms > 0
            now_ms += step.ms
            continue
        assert isinstance(step, Send)
        assert step.url in urls
        assert 0 < step.timeout_ms <= deadline_ms - now_ms
        assert is_repeatable or "ambiguous" not in made, "sent again, though it may have been accepted"
        outcome, part = next(answers, ("not_accepted", 0.0))
        now_ms += part * step.timeout_ms
        (plan.ambiguous if outcome == "ambiguous" else plan.not_accepted)()
        made.append(outcome)
    else:
        raise AssertionError("it never ends")
    assert now_ms <= deadline_ms
    assert len(made) <= left
    assert step.may_be_accepted == ("ambiguous" in made)
