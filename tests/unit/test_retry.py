"""The meaning of an answer, when to try again, and when no more."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.node.attempts.answers import is_success, parse_retry_after
from hookline.node.dispatch.retry import (
    Next,
    decide,
    is_retried,
    judge,
    wait_ms,
)
from hookline.protocol.claims import Trouble
from hookline.protocol.jobs import Outcome, RetryPolicy, State
from hookline.protocol.limits import RETRY_AFTER_MS_MAX
from tests.node_parts import T0, job_spec

SUCCESS, RETRY, PERMANENT, UNKNOWN = Outcome


@pytest.mark.parametrize("status", range(100, 1_000))
def test_by_default_every_4xx_but_410_and_every_5xx_is_tried_again(status: int) -> None:
    assert is_success(status) == (200 <= status <= 299)
    assert is_retried(RetryPolicy(), status) == (400 <= status <= 599 and status != 410)


def test_by_default_a_failed_connection_and_a_timeout_are_tried_again() -> None:
    assert is_retried(RetryPolicy(), "connection")
    assert is_retried(RetryPolicy(), "timeout")


@pytest.mark.parametrize(
    ("on", "not_on", "retried", "not_retried"),
    [
        (("429", "5xx"), (), (429, 500, 599), (404, 410, 301, "connection", "timeout")),
        (("connection",), (), ("connection",), ("timeout", 500, 404)),
        (("3xx",), (), (300, 302), (404, 500, "timeout")),
        (("4xx",), (), (404, 410), (500, 301)),
        (("4xx", "5xx"), ("404", "503"), (400, 410, 500), (404, 503)),
        (("404",), ("4xx",), (404,), (400, 410, 500)),
        ((), (), (), (404, 500, "connection", "timeout")),
        (None, ("404",), (400, 500, "timeout"), (404, 410, 301)),
        (None, ("4xx", "timeout"), (500, "connection"), (404, 410, 429, "timeout")),
        (("999",), (), (999,), (998,)),
    ],
)
def test_what_on_and_not_on_say_a_status_before_its_class(
    on: tuple[str, ...] | None,
    not_on: tuple[str, ...],
    retried: tuple[int | Trouble, ...],
    not_retried: tuple[int | Trouble, ...],
) -> None:
    policy = RetryPolicy(on=on, not_on=not_on)
    assert [what for what in (*retried, *not_retried) if is_retried(policy, what)] == list(retried)


@pytest.mark.parametrize(
    ("outcome", "status", "trouble", "judged", "word"),
    [
        (SUCCESS, 200, None, SUCCESS, None),
        (RETRY, 500, None, RETRY, None),
        (RETRY, 404, None, PERMANENT, "HTTP 404 is not tried again"),
        (RETRY, None, "connection", PERMANENT, "a failed connection is not tried again"),
        (RETRY, None, "timeout", PERMANENT, "a time-out is not tried again"),
        (UNKNOWN, None, "timeout", UNKNOWN, None),  # an at-most-once job: it may have arrived
        (PERMANENT, None, None, PERMANENT, None),
        (RETRY, None, None, RETRY, None),  # a fault of our own
    ],
)
def test_the_policy_makes_a_failure_permanent_and_says_so(
    outcome: Outcome, status: int | None, trouble: Trouble | None, judged: Outcome, word: str | None
) -> None:
    found, why = judge(RetryPolicy(on=("5xx",)), outcome, status, trouble)
    assert found is judged
    assert why is None if word is None else why is not None and why.startswith(word)


def test_the_default_reaches_over_a_day_as_the_page_on_retries_says() -> None:
    policy = RetryPolicy()
    hour_ms = 3_600_000
    most_ms = sum(wait_ms(policy, tries, 1.0) for tries in range(1, policy.max_attempts))
    assert (round(most_ms / hour_ms, 1), round(most_ms / 2 / hour_ms, 1)) == (68.6, 34.3)
    page = Path("docs/how-to/retries.md").read_text()
    assert "34 hours on average, 69 at most" in page
    pick = Random(1)
    reached = [
        sum(wait_ms(policy, tries, pick.random()) for tries in range(1, policy.max_attempts)) > 24 * hour_ms
        for _ in range(2_000)
    ]
    assert sum(reached) / len(reached) > 0.97


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0),
        ("7", 7_000),
        (" 120 ", 120_000),
        ("007", 7_000),
        ("86400", RETRY_AFTER_MS_MAX),
        ("86401", RETRY_AFTER_MS_MAX),
        ("9" * 400, RETRY_AFTER_MS_MAX),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30_000),
        ("Friday, 15-Jan-27 08:00:30 GMT", 30_000),
        ("Fri Jan 15 08:00:30 2027", 30_000),
        ("Fri, 15 Jan 2027 09:00:30 +0100", 30_000),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0),
        ("Fri, 15 Jan 2100 07:00:00 GMT", RETRY_AFTER_MS_MAX),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_retry_after_as_seconds_and_as_dates(value: str, expected: int) -> None:
    assert T0 == 1_800_000_000_000  # 2027-01-15T08:00:00Z
    assert parse_retry_after(value, T0) == expected


@pytest.mark.parametrize(
    "value",
    [None, "", " ", "soon", "-5", "+5", "1.5", "1e3", "0x10", "٣", "²", "5 s", "Fri, 31 Feb 2027 08:00:00 GMT", "5,6"],
)
def test_an_unreadable_retry_after_is_ignored(value: str | None) -> None:
    assert parse_retry_after(value, T0) is None


@given(st.text() | st.text("0123456789 :,+-GMTJanFri", max_size=40))
def test_no_retry_after_breaks_us(value: str) -> None:
    found = parse_retry_after(value, T0)
    assert found is None or 0 <= found <= RETRY_AFTER_MS_MAX


@given(
    st.integers(0, 10**7),
    st.integers(1_000, 100_000),
    st.integers(1, 10**9),
    st.integers(1, 1_000),
    st.floats(0, 1, exclude_max=True),
)
def test_full_jitter_is_between_nothing_and_the_bound(
    initial: int, factor: int, most: int, tries: int, chance: float
) -> None:
    policy = RetryPolicy(1_000, initial, factor, most)
    assert 0 <= wait_ms(policy, tries, chance) <= most
    if tries < 5:
        assert wait_ms(policy, tries, chance) <= initial * (factor / 1_000) ** (tries - 1) + 1


def test_the_bound_grows_by_the_factor_up_to_the_maximum() -> None:
    policy = RetryPolicy(10, 1_000, 2_000, 5_000)
    assert [wait_ms(policy, tries, 0.999999) for tries in (1, 2, 3, 4, 5)] == [999, 1_999, 3_999, 4_999, 4_999]
    assert wait_ms(policy, 3, 0.25) == 1_000


def test_listed_waits_are_taken_as_they_are_the_last_one_again_and_again() -> None:
    policy = RetryPolicy(schedule_ms=(5, 50, 500))
    assert [wait_ms(policy, tries, 0.1) for tries in (1, 2, 3, 4, 99)] == [5, 50, 500, 500, 500]


def decided(
    outcome: Outcome,
    *,
    tries: int = 1,
    sent: bool = True,
    once: bool = False,
    policy: RetryPolicy | None = None,
    retry_after_ms: int | None = None,
    now_ms: int = T0,
) -> Next:
    policy = policy or RetryPolicy(max_attempts=3, schedule_ms=(1_000,))
    return decide(
        job_spec(at_most_once=once, retry=policy),
        outcome,
        policy=policy,
        sent=sent,
        tries=tries,
        budget_from_ms=T0,
        now_ms=now_ms,
        retry_after_ms=retry_after_ms,
        chance=0.5,
    )


def test_success_and_permanent_failure_end_the_job() -> None:
    assert decided(SUCCESS) == Next(State.SUCCEEDED, None)
    assert decided(PERMANENT) == Next(State.DEAD, None)


def test_a_retryable_failure_is_tried_again_until_the_attempts_are_used_up() -> None:
    assert decided(RETRY, tries=2) == Next(State.PENDING, T0 + 1_000)
    last = decided(RETRY, tries=3)
    assert (last.state, last.retry_at_ms) == (State.DEAD, None)
    assert "3 attempts" in str(last.note)


@pytest.mark.parametrize(("asked", "expected"), [(None, 1_000), (0, 1_000), (999, 1_000), (60_000, 60_000)])
def test_the_receiver_may_ask_for_more_time_not_for_less(asked: int | None, expected: int) -> None:
    assert decided(RETRY, retry_after_ms=asked).retry_at_ms == T0 + expected


def test_a_retry_that_would_be_beyond_the_budget_is_not_made() -> None:
    policy = RetryPolicy(9, schedule_ms=(1_000,), budget_ms=5_000)
    assert decided(RETRY, policy=policy, now_ms=T0 + 4_000).state is State.PENDING
    late = decided(RETRY, policy=policy, now_ms=T0 + 4_001)
    assert (late.state, late.retry_at_ms) == (State.DEAD, None)
    assert "budget" in str(late.note)


@pytest.mark.parametrize(
    ("outcome", "sent", "state"),
    [
        (SUCCESS, True, State.SUCCEEDED),
        (PERMANENT, True, State.DEAD),
        (RETRY, True, State.DEAD),  # a 503: it was received
        (UNKNOWN, True, State.UNKNOWN),
        (RETRY, False, State.PENDING),  # it never left
    ],
)
def test_an_at_most_once_job_is_tried_again_only_if_nothing_left(outcome: Outcome, sent: bool, state: State) -> None:
    following = decided(outcome, sent=sent, once=True)
    assert following.state is state
    assert (following.retry_at_ms is not None) == (state is State.PENDING)


@given(
    st.sampled_from(list(Outcome)), st.booleans(), st.booleans(), st.integers(1, 20), st.none() | st.integers(0, 10**8)
)
def test_a_job_is_pending_with_a_time_or_finished_without(
    outcome: Outcome, sent: bool, once: bool, tries: int, retry_after_ms: int | None
) -> None:
    following = decided(outcome, sent=sent, once=once, tries=tries, retry_after_ms=retry_after_ms)
    if following.state is State.PENDING:
        assert following.retry_at_ms is not None
        assert following.retry_at_ms >= T0
        assert tries < 3
        assert not (once and sent)
    else:
        assert following.retry_at_ms is None
