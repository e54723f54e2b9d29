"""The attempt that may start: shares, limits, rates, and what answers teach. No count ever leaks."""

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hookline.node.dispatch.fairness import FAST_MS, Fairness
from hookline.protocol.claims import DestinationVerdict
from hookline.protocol.settings import DestinationSettings

NOW = 1_800_000_000_000


def start(fairness: Fairness, destination: int, *, retry: bool = False, beyond: bool = False, now: int = NOW) -> bool:
    """Started at once, when it is let in."""
    if fairness.admit(now, now, destination, retry, beyond) is not None:
        return False
    fairness.began(now, destination)
    return True


def start_many(fairness: Fairness, destination: int, *, retry: bool = False, beyond: bool = False) -> int:
    """As many as are let in."""
    count = 0
    while start(fairness, destination, retry=retry, beyond=beyond):
        count += 1
        assert count <= 1_000
    return count


def end(
    fairness: Fairness,
    destination: int,
    verdict: DestinationVerdict = "good",
    *,
    took: float = 10,
    times: int = 1,
    retry: bool = False,
) -> None:
    for _ in range(times):
        fairness.ended(NOW, destination, retry, verdict, took)


def make_fast(fairness: Fairness, destination: int) -> None:
    assert start(fairness, destination)
    end(fairness, destination, took=FAST_MS / 10)


def reason(fairness: Fairness, destination: int, *, retry: bool = False, beyond: bool = False, now: int = NOW) -> str:
    blocked = fairness.admit(now, now, destination, retry, beyond)
    assert blocked is not None
    return blocked.reason


def test_while_others_wait_a_destination_has_a_tenth_of_the_slots() -> None:
    fairness = Fairness(100)
    assert start_many(fairness, 1) == 10
    assert reason(fairness, 1) == "share"
    assert start_many(fairness, 2) == 10


def test_a_fast_destination_may_use_all_that_is_free() -> None:
    fairness = Fairness(100)
    make_fast(fairness, 1)
    for _ in range(100):
        assert start(fairness, 1, beyond=True)
    assert fairness.free() == 0


def test_slow_and_unknown_ones_leave_a_fifth_to_the_fast() -> None:
    fairness = Fairness(100)
    assert start_many(fairness, 1, beyond=True) == 80
    assert reason(fairness, 1, beyond=True) == "slots"
    assert start_many(fairness, 2) == 10, "everyone has a share, known or not"
    make_fast(fairness, 3)
    assert start_many(fairness, 3) == 10
    assert fairness.free() == 0


def test_a_destination_that_becomes_fast_frees_the_slow_part() -> None:
    fairness = Fairness(100)
    start_many(fairness, 1, beyond=True)
    end(fairness, 1, took=FAST_MS / 2)
    assert all(start(fairness, 2, beyond=True) for _ in range(fairness.free()))
    assert fairness.free() == 0


def test_first_tries_go_before_retries() -> None:
    fairness = Fairness(100)
    for destination in range(1, 6):
        assert start_many(fairness, destination, retry=True) == 10
    assert reason(fairness, 9, retry=True) == "slots"
    assert start(fairness, 9)
    assert start(fairness, 9, retry=True, beyond=True), "but no slot stays empty for it"
    end(fairness, 1, times=2, retry=True)
    assert start(fairness, 8, retry=True)


def test_an_own_limit_of_concurrency_holds_in_any_case() -> None:
    fairness = Fairness(100)
    fairness.configure(1, DestinationSettings(concurrency=2))
    assert start_many(fairness, 1, beyond=True) == 2
    assert reason(fairness, 1, beyond=True) == "share"
    end(fairness, 1)
    assert start(fairness, 1)


def test_a_paused_destination_starts_nothing() -> None:
    fairness = Fairness(100)
    fairness.configure(1, DestinationSettings(paused=True))
    assert reason(fairness, 1, beyond=True) == "paused"
    fairness.configure(1, DestinationSettings())
    assert start(fairness, 1)


def test_each_start_counts_for_one_period_of_the_rate() -> None:
    fairness = Fairness(100)
    fairness.configure(1, DestinationSettings(rate_limit=3, rate_per_ms=3_000))
    assert [start(fairness, 1, now=NOW + at) for at in (0, 500, 900)] == [True, True, True]
    blocked = fairness.admit(NOW + 1_000, NOW + 1_000, 1, False, False)
    assert blocked is not None
    assert blocked.reason == "rate"
    assert blocked.until_ms == NOW + 3_000
    assert not start(fairness, 1, now=NOW + 2_999)
    assert start(fairness, 1, now=blocked.until_ms)
    assert not start(fairness, 1, now=NOW + 3_499)
    assert start(fairness, 1, now=NOW + 3_500)
    end(fairness, 1, times=5)
    assert [start(fairness, 1, now=NOW + 60_000) for _ in range(4)] == [True, True, True, False]


def test_an_attempt_counts_for_the_rate_from_its_start_not_from_its_admission() -> None:
    fairness = Fairness(100)
    fairness.configure(1, DestinationSettings(rate_limit=1, rate_per_ms=1_000))
    assert fairness.admit(NOW, NOW, 1, False, False) is None
    assert reason(fairness, 1, now=NOW + 5_000) == "rate", "it may start any moment"
    fairness.began(NOW + 5_000, 1)
    end(fairness, 1)
    assert reason(fairness, 1, now=NOW + 5_999) == "rate"
    assert start(fairness, 1, now=NOW + 6_000)


def test_an_attempt_that_is_not_made_uses_no_rate() -> None:
    fairness = Fairness(100)
    fairness.configure(1, DestinationSettings(rate_limit=1, rate_per_ms=1_000))
    assert fairness.admit(NOW, NOW, 1, False, False) is None
    fairness.refused(NOW, 1, False)
    assert start(fairness, 1)


def test_a_changed_rate_holds_at_once_and_counts_what_started_before() -> None:
    fairness = Fairness(100)
    fairness.configure(1, DestinationSettings(rate_limit=4, rate_per_ms=1_000))
    assert start_many(fairness, 1) == 4
    fairness.configure(1, DestinationSettings(rate_limit=6, rate_per_ms=1_000))
    assert start_many(fairness, 1) == 2
    fairness.configure(1, DestinationSettings(rate_limit=2, rate_per_ms=1_000))
    assert not start(fairness, 1, now=NOW + 999)
    assert start(fairness, 1, now=NOW + 1_000)
    fairness.configure(1, DestinationSettings(rate_limit=2, rate_per_ms=5_000))
    assert start(fairness, 1, now=NOW + 1_100)
    assert not start(fairness, 1, now=NOW + 5_999)
    fairness.configure(1, DestinationSettings())
    assert start(fairness, 1, now=NOW + 5_999)


def test_what_does_not_start_for_another_reason_uses_no_rate() -> None:
    fairness = Fairness(100)
    fairness.configure(1, DestinationSettings(rate_limit=2, concurrency=1))
    assert start(fairness, 1)
    for _ in range(5):
        assert reason(fairness, 1) == "share"
    end(fairness, 1)
    assert start(fairness, 1)


@pytest.mark.parametrize("jump_ms", [-3_600_000, 3_600_000])
def test_a_wall_clock_that_is_set_changes_nothing_about_a_rate(jump_ms: int) -> None:
    fairness = Fairness(100)
    fairness.configure(1, DestinationSettings(rate_limit=1, rate_per_ms=1_000))
    assert start(fairness, 1)
    blocked = fairness.admit(NOW + 400, NOW + jump_ms, 1, False, False)
    assert blocked is not None
    assert blocked.until_ms == NOW + jump_ms + 600
    assert fairness.admit(NOW + 1_000, NOW + jump_ms, 1, False, False) is None


def test_timeouts_halve_what_a_destination_may_hold_and_fast_answers_win_it_back() -> None:
    fairness = Fairness(100)
    make_fast(fairness, 1)
    for _ in range(64):
        assert start(fairness, 1, beyond=True)
    end(fairness, 1, "timeout", took=100)
    load = fairness.load(1)
    assert load is not None
    assert load.window == 32
    assert reason(fairness, 1, beyond=True) == "share"
    end(fairness, 1, times=10)
    assert load.window == 42
    end(fairness, 1, times=53)
    assert load.window == 95


def test_a_window_never_closes_entirely() -> None:
    fairness = Fairness(100)
    for _ in range(9):  # one less than opens the breaker
        assert start(fairness, 1)
        end(fairness, 1, "timeout", took=30_000)
    assert start(fairness, 1)


def test_failures_open_the_breaker_and_one_probe_closes_it() -> None:
    fairness = Fairness(100)
    for _ in range(10):
        assert start(fairness, 1)
        end(fairness, 1, "bad")
    blocked = fairness.admit(NOW, NOW, 1, False, True)
    assert blocked is not None
    assert blocked.reason == "breaker"
    assert blocked.until_ms is not None
    assert start(fairness, 1, now=blocked.until_ms)
    assert reason(fairness, 1, now=blocked.until_ms) == "breaker", "one probe at a time"
    fairness.ended(blocked.until_ms, 1, False, "good", 10)
    assert start_many(fairness, 1) == 10


def test_a_probe_that_tells_nothing_is_followed_by_another() -> None:
    fairness = Fairness(100)
    for _ in range(10):
        assert start(fairness, 1)
        end(fairness, 1, "bad")
    later = NOW + 10_000
    assert start(fairness, 1, now=later)
    fairness.ended(later, 1, False, "none", 0)
    assert start(fairness, 1, now=later)


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_few_slots_still_let_someone_in(slots: int) -> None:
    fairness = Fairness(slots)
    assert start(fairness, 1)
    end(fairness, 1)
    assert start(fairness, 1, retry=True)


class NoCountLeaks(RuleBasedStateMachine):
    """Attempts start and end in any order; every counter equals a count of what runs."""

    def __init__(self) -> None:
        super().__init__()
        self.fairness = Fairness(20)
        self.admitted: list[tuple[int, bool]] = []
        self.running: list[tuple[int, bool]] = []
        self.now = NOW
        self.boot = 0.0

    @rule(destination=st.integers(1, 4), retry=st.booleans(), beyond=st.booleans())
    def admit(self, destination: int, retry: bool, beyond: bool) -> None:
        if self.fairness.free() == 0:
            return  # the dispatcher never asks for more than that
        before = Counter(name for name, _ in self.admitted + self.running)[destination]
        if self.fairness.admit(self.boot, self.now, destination, retry, beyond) is None:
            assert beyond or before < self.fairness.share
            self.admitted.append((destination, retry))

    @precondition(lambda self: self.admitted)
    @rule(position=st.integers(0, 30), is_granted=st.booleans())
    def answer_claim(self, position: int, is_granted: bool) -> None:
        destination, retry = self.admitted.pop(position % len(self.admitted))
        if is_granted:
            self.fairness.began(self.boot, destination)
            self.running.append((destination, retry))
        else:
            self.fairness.refused(self.now, destination, retry)

    @precondition(lambda self: self.running)
    @rule(
        position=st.integers(0, 30),
        verdict=st.sampled_from(["good", "good", "bad", "timeout", "none"]),
        took=st.sampled_from([5.0, 400.0, 3_000.0, 30_000.0]),
    )
    def end(self, position: int, verdict: DestinationVerdict, took: float) -> None:
        destination, retry = self.running.pop(position % len(self.running))
        self.fairness.ended(self.now, destination, retry, verdict, took)

    @rule(passed=st.integers(-5_000, 9_000))
    def time_passes(self, passed: int) -> None:
        self.now += passed
        self.boot += max(0, passed)

    @rule(
        destination=st.integers(1, 4),
        limits=st.sampled_from([DestinationSettings(), DestinationSettings(2), DestinationSettings(None, 3)]),
    )
    def configure(self, destination: int, limits: DestinationSettings) -> None:
        self.fairness.configure(destination, limits)

    @invariant()
    def counters_equal_what_runs(self) -> None:
        fairness = self.fairness
        held = self.admitted + self.running
        by_destination = Counter(destination for destination, _ in held)
        loads = {destination: fairness.load(destination) for destination in range(1, 5)}
        assert fairness.running == len(held)
        assert {number: load.running for number, load in loads.items() if load and load.running} == by_destination
        assert fairness.retries == sum(retry for _, retry in held)
        slow = [number for number, load in loads.items() if load is not None and not load.is_fast]
        assert fairness.slow_running == sum(by_destination[number] for number in slow)
        assert all(1 <= load.window <= fairness.slots for load in loads.values() if load is not None)

    def teardown(self) -> None:
        while self.admitted:
            self.answer_claim(0, is_granted=False)
        while self.running:
            destination, retry = self.running.pop()
            self.fairness.ended(self.now, destination, retry, "good", 5)
        assert (self.fairness.free(), self.fairness.retries, self.fairness.slow_running) == (20, 0, 0)


def test_no_count_leaks() -> None:
    run_state_machine_as_test(NoCountLeaks, settings=settings(max_examples=80, stateful_step_count=50))
