"""The retry policy as users write it: what is understood, what is refused, what wins."""

import pytest
from msgspec import UNSET, convert, to_builtins
from msgspec.structs import replace

from hookline.errors import InvalidRequest
from hookline.protocol.http import RetryRequest, RetryWord
from hookline.protocol.jobs import RetryPolicy, in_force
from hookline.protocol.retries import given_retry, retry_of, retry_view

POLICIES = [
    RetryRequest(on=[404, "5xx", "timeout"], not_on=["503"]),
    RetryRequest(not_on=[404]),
    RetryRequest(on=[]),
    RetryRequest(max_attempts=3),
    RetryRequest(schedule=["1s", "1m"], budget="1h", on=["connection"]),
]


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        (RetryRequest(max_attempts=1), RetryPolicy(max_attempts=1)),
        (RetryRequest(schedule=["1s", 60]), RetryPolicy(max_attempts=3, schedule_ms=(1_000, 60_000))),
        (RetryRequest(schedule=["1s"], max_attempts=9), RetryPolicy(max_attempts=9, schedule_ms=(1_000,))),
        (RetryRequest(initial="5h"), RetryPolicy(initial_ms=18_000_000, max_ms=18_000_000)),
        (RetryRequest(max="1s"), RetryPolicy(initial_ms=1_000, max_ms=1_000)),
        (RetryRequest(factor=1.5, budget="1d"), RetryPolicy(factor_milli=1_500, budget_ms=86_400_000)),
    ],
    ids=str,
)
def test_the_waits_are_completed(given: RetryRequest, policy: RetryPolicy) -> None:
    assert retry_of(given) == replace(policy, has_waits=True)
    assert retry_of(RetryRequest()) == retry_of(UNSET) == RetryPolicy()


def test_words_are_kept_once_and_in_one_form() -> None:
    policy = retry_of(RetryRequest(on=[404, "404", " 5XX ", "Connection"], not_on=["503"]))
    assert (policy.on, policy.not_on) == (("404", "5xx", "connection"), ("503",))


@pytest.mark.parametrize("name", ["on", "not_on"])
@pytest.mark.parametrize(
    "word",
    ["", "4", "4x", "40x", "9xx", "1xx", 99, 199, 299, 1000, -404, "٤٠٤", "200", "2xx", "dns", "error", "x" * 90],
)
def test_an_unknown_word_is_refused_with_the_list_of_what_is_allowed(name: str, word: RetryWord) -> None:
    with pytest.raises(InvalidRequest, match="allowed are a status from 300 to 999 such as 429, 3xx, 4xx") as error:
        retry_of(RetryRequest(**{name: [500, word]}))  # type: ignore[arg-type]
    assert error.value.field == f"retry.{name}"


@pytest.mark.parametrize("word", [200, "204", "2xx"])
def test_a_success_cannot_be_tried_again(word: RetryWord) -> None:
    with pytest.raises(InvalidRequest, match="is a success, which is never tried again"):
        retry_of(RetryRequest(on=[word]))


def test_what_is_in_both_lists_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"404, timeout is in retry\.on and in retry\.not_on") as error:
        retry_of(RetryRequest(on=["404", "timeout", "5xx"], not_on=[404, "timeout", 500]))
    assert error.value.field == "retry.not_on"


@pytest.mark.parametrize("name", ["on", "not_on"])
def test_endless_lists_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="at most 100"):
        retry_of(RetryRequest(**{name: [500] * 101}))  # type: ignore[arg-type]


def test_the_view_says_what_is_in_force_in_words() -> None:
    view = retry_view(RetryPolicy())
    assert (view.on, view.not_on) == (["connection", "timeout", "4xx", "5xx"], [410])
    view = retry_view(retry_of(RetryRequest(not_on=[404])))
    assert (view.on, view.not_on) == (["connection", "timeout", "4xx", "5xx"], [410, 404])
    view = retry_view(retry_of(RetryRequest(on=["4xx"])))
    assert (view.on, view.not_on) == (["4xx"], [])


@pytest.mark.parametrize("request_", POLICIES)
def test_a_view_that_is_sent_back_means_the_same(request_: RetryRequest) -> None:
    view = retry_view(retry_of(request_))
    sent_back = convert(to_builtins(view), RetryRequest)
    assert retry_view(retry_of(sent_back)) == view


@pytest.mark.parametrize("request_", POLICIES)
def test_only_what_was_chosen_is_given_on(request_: RetryRequest) -> None:
    policy = retry_of(request_)
    given = given_retry(policy)
    assert given is not None
    assert retry_of(given) == policy
    assert given_retry(RetryPolicy()) is None


def test_waits_and_conditions_are_each_the_jobs_own_else_the_destinations() -> None:
    waits, conditions = RetryRequest(max_attempts=3), RetryRequest(on=[404])
    theirs = retry_of(RetryRequest(max_attempts=9, not_on=["timeout"]))
    own = retry_of(RetryRequest(max_attempts=3, on=[404]))
    assert in_force(own, theirs) == own
    assert in_force(own, None) == own
    assert _said(in_force(RetryPolicy(), theirs)) == (9, None, ("timeout",))
    assert _said(in_force(retry_of(waits), theirs)) == (3, None, ("timeout",))
    assert _said(in_force(retry_of(conditions), theirs)) == (9, ("404",), ())
    only = retry_of(RetryRequest(on=["5xx"]))
    assert _said(in_force(RetryPolicy(), only)) == (RetryPolicy().max_attempts, ("5xx",), ())


def _said(policy: RetryPolicy) -> tuple[int, tuple[str, ...] | None, tuple[str, ...]]:
    return policy.max_attempts, policy.on, policy.not_on
