"""The circuit breaker beside a plainer one that remembers every call, whatever happens in whatever order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hookline.protocol.breaker import CALLS_MIN, WINDOW_MS, CircuitBreaker


class Plain:
    """The same rules, worked out anew from all that happened."""

    def __init__(self, in_a_row_max: int, wait_ms: int, wait_ms_max: int) -> None:
        self.in_a_row_max, self.wait_ms, self.wait_ms_max = in_a_row_max, wait_ms, wait_ms_max
        self.state = "closed"
        self.until = 0
        self.trips = 0  # since it was closed last
        self.closed_at = 0
        self.calls: list[tuple[int, bool]] = []  # that ended while it is closed: when, and whether they failed

    def lets_through(self, now: int) -> bool:
        if self.state == "open":
            return now >= self.until or self.until - now > self.wait_ms_max
        return self.state == "closed"

    def start(self, now: int) -> bool:
        is_probe = self.state == "open" and self.lets_through(now)
        self.state = "half_open" if is_probe else self.state
        return is_probe

    def end(self, now: int, failed: bool) -> None:
        if self.state == "closed":
            self.calls.append((now, failed))
            if failed and (self.has_failed_often() or self.has_failed_in_a_row()):
                self.trip(now)
        elif self.state == "half_open" and failed:
            self.trip(now)
        elif self.state == "half_open":
            self.state, self.trips, self.closed_at, self.calls = "closed", 0, now, []

    def abandon(self, now: int) -> None:
        if self.state == "half_open":
            self.state, self.until = "open", now

    def trip(self, now: int) -> None:
        wait = self.wait_ms
        for _ in range(self.trips):
            wait = min(2 * wait, self.wait_ms_max)
        self.state, self.until, self.calls = "open", now + min(wait, self.wait_ms_max), []
        self.trips += 1

    def has_failed_in_a_row(self) -> bool:
        newest = [failed for _, failed in self.calls[-self.in_a_row_max :]]
        return len(newest) == self.in_a_row_max and all(newest)

    def has_failed_often(self) -> bool:
        _, failures = self.window()
        return len(failures) >= CALLS_MIN and sum(failures) >= len(failures) / 2

    def window(self) -> tuple[int, list[bool]]:
        """Its start and its calls; one begins with the first call that is not in the one before."""
        start = self.closed_at
        failures: list[bool] = []
        for at, failed in self.calls:
            if at < start or at > start + WINDOW_MS:
                start, failures = at, []
            failures.append(failed)
        return start, failures


class Breakers(RuleBasedStateMachine):
    """Both are told the same."""

    @initialize(in_a_row_max=st.sampled_from([1, 5, 1_000]), wait_ms=st.integers(1, 900), factor=st.integers(1, 9))
    def begin(self, in_a_row_max: int, wait_ms: int, factor: int) -> None:
        self.now = 0
        self.breaker = CircuitBreaker(in_a_row_max, wait_ms, wait_ms * factor)
        self.plain = Plain(in_a_row_max, wait_ms, wait_ms * factor)

    @rule(passed=st.integers(0, 1_500))
    def time_passes(self, passed: int) -> None:
        self.now += passed

    @rule(passed=st.sampled_from([3_600_000, -1, -700, -3_600_000]))
    def time_jumps(self, passed: int) -> None:
        self.now += passed

    @precondition(lambda self: self.plain.state == "closed" and len(self.plain.calls) > 9)
    @rule(late=st.integers(0, 1))
    def the_window_ends(self, late: int) -> None:
        self.now = self.plain.window()[0] + WINDOW_MS + late

    @precondition(lambda self: self.plain.state == "open")
    @rule(early=st.integers(0, 1))
    def the_wait_ends(self, early: int) -> None:
        self.now = max(self.now, self.plain.until - early)

    @rule()
    def a_call_wants_to_start(self) -> None:
        if self.breaker.blocked_until(self.now) is None:
            assert self.breaker.started(self.now) == self.plain.start(self.now)

    @rule()
    def a_call_starts_that_was_let_through_before(self) -> None:
        assert self.breaker.started(self.now) == self.plain.start(self.now)

    @rule(failed=st.booleans(), times=st.sampled_from([1, 1, 1, CALLS_MIN // 2 - 1, CALLS_MIN // 2]))
    def calls_end(self, failed: bool, times: int) -> None:
        for _ in range(times):
            (self.breaker.failed if failed else self.breaker.succeeded)(self.now)
            self.plain.end(self.now, failed)

    @rule()
    def a_call_tells_nothing(self) -> None:
        self.breaker.abandoned(self.now)
        self.plain.abandon(self.now)

    @invariant()
    def they_are_alike(self) -> None:
        assert self.breaker.state == self.plain.state
        blocked_until = self.breaker.blocked_until(self.now)
        assert (blocked_until is None) == self.plain.lets_through(self.now)
        if blocked_until is not None:
            assert 0 < blocked_until - self.now <= self.plain.wait_ms_max
            assert self.plain.state == "half_open" or blocked_until == self.plain.until


Breakers.TestCase.settings = settings(max_examples=150, stateful_step_count=60)
TestBreakers = Breakers.TestCase
