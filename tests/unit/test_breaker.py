"""The circuit breaker against its rules, one by one."""

from hookline.protocol.breaker import CALLS_MIN, WINDOW_MS, BreakerState, CircuitBreaker


def state(breaker: CircuitBreaker) -> BreakerState:
    """It changes at each call, which a type checker does not see."""
    return breaker.state


def opened(now_ms: float = 0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(breaker.failures_in_a_row_max):
        breaker.failed(now_ms)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = CircuitBreaker(failures_in_a_row_max=3)
    breaker.failed(0)
    breaker.failed(1)
    breaker.succeeded(2)
    breaker.failed(3)
    breaker.failed(4)
    assert breaker.blocked_until(4) is None
    breaker.failed(5)
    assert breaker.blocked_until(5) == 5 + breaker.wait_ms


def test_it_opens_when_half_of_enough_calls_fail() -> None:
    breaker = CircuitBreaker(failures_in_a_row_max=100)
    for number in range(CALLS_MIN - 2):
        (breaker.failed if number % 2 else breaker.succeeded)(number)
    breaker.succeeded(50)
    assert state(breaker) == "closed"
    breaker.failed(51)
    assert state(breaker) == "open"


def test_old_calls_do_not_count() -> None:
    breaker = CircuitBreaker(failures_in_a_row_max=100)
    for _ in range(CALLS_MIN - 1):
        breaker.failed(0)
    breaker.succeeded(WINDOW_MS + 1)
    breaker.failed(WINDOW_MS + 2)
    assert breaker.state == "closed"


def test_one_probe_is_let_through_after_the_wait_and_closes_it() -> None:
    breaker = opened()
    assert breaker.blocked_until(999) == 1_000
    breaker.started(999)  # one that was admitted before it opened
    assert state(breaker) == "open"
    assert breaker.blocked_until(1_000) is None
    breaker.started(1_000)
    assert breaker.blocked_until(1_001) is not None
    breaker.succeeded(1_002)
    assert (breaker.state, breaker.blocked_until(1_003)) == ("closed", None)
    breaker.failed(1_004)
    assert state(breaker) == "closed", "failures from before it closed do not count"


def test_waits_double_while_probes_fail_up_to_a_limit_and_start_again_after_success() -> None:
    breaker, now = opened(), 0.0
    waits = []
    for _ in range(5):
        waits.append(breaker.until_ms - now)
        now = breaker.until_ms
        breaker.started(now)
        breaker.failed(now)
    assert waits == [1_000, 2_000, 4_000, 5_000, 5_000]
    now = breaker.until_ms
    breaker.started(now)
    breaker.succeeded(now)
    for _ in range(breaker.failures_in_a_row_max):
        breaker.failed(now)
    assert breaker.until_ms - now == 1_000


def test_an_abandoned_probe_is_made_again_at_once() -> None:
    breaker = opened()
    breaker.started(1_000)
    breaker.abandoned(1_500)
    assert breaker.blocked_until(1_500) is None
    breaker.started(1_500)
    assert breaker.state == "half_open"
    CircuitBreaker().abandoned(0)  # and means nothing otherwise


def test_answers_to_calls_from_before_it_opened_change_nothing() -> None:
    breaker = opened()
    until = breaker.until_ms
    breaker.failed(10)
    breaker.succeeded(20)
    assert (breaker.state, breaker.until_ms) == ("open", until)


def test_a_wall_clock_that_goes_back_does_not_keep_it_open_for_hours() -> None:
    breaker = opened(10_000_000)
    assert breaker.blocked_until(10_000_000 - 3_600_000) is None
    breaker.started(10_000_000 - 3_600_000)
    assert breaker.state == "half_open"
