"""No window of a rate's length holds more starts than its limit, and the rate is reached when there is work."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookline.node.dispatch.rate import GROUPS_MAX, RecentStarts


def fullest(starts: list[float], per_ms: int) -> int:
    """The most starts in any window of that length; the second of two starts exactly that far apart is not in it."""
    most, first = 0, 0
    for last, at in enumerate(starts):
        while at - starts[first] >= per_ms:
            first += 1
        most = max(most, last - first + 1)
    return most


def run_busy(recent: RecentStarts, limit: int, per_ms: int, *, until_ms: float) -> list[float]:
    """The starts when there is always work and each one starts as soon as it may."""
    now, starts = 0.0, []
    while now < until_ms:
        wait_ms = recent.wait_ms(now, limit, per_ms)
        if wait_ms is not None:
            assert wait_ms > 0
            now += wait_ms
            continue
        recent.admit()
        recent.start(now, limit, per_ms)
        starts.append(now)
    return starts


@pytest.mark.parametrize(("limit", "per_ms"), [(1, 1), (5, 5_000), (20, 1_000), (10, 2_000), (3, 86_400_000)])
def test_a_busy_destination_gets_its_rate_in_each_period(limit: int, per_ms: int) -> None:
    starts = run_busy(RecentStarts(), limit, per_ms, until_ms=4 * per_ms)
    assert len(starts) == 4 * limit
    assert fullest(starts, per_ms) == limit


def test_a_big_limit_is_counted_in_few_groups_and_still_holds() -> None:
    recent, limit, per_ms = RecentStarts(), 4 * GROUPS_MAX, 1_000
    now, starts = 0.0, []
    while now < 5_000:
        if recent.wait_ms(now, limit, per_ms) is None:
            recent.admit()
            recent.start(now, limit, per_ms)
            starts.append(now)
        now += 0.1
        assert recent.groups <= GROUPS_MAX + 1
    assert fullest(starts, per_ms) <= limit
    assert len(starts) >= 0.99 * 5 * limit


class Attempts:
    """A destination's attempts: any number admitted, started later or withdrawn, in any order."""

    def __init__(self, limit: int, per_ms: int) -> None:
        self.recent = RecentStarts()
        self.limit, self.per_ms = limit, per_ms
        self.now = 1_000.0
        self.admitted = 0
        self.starts: list[float] = []

    def admit(self) -> None:
        wait_ms = self.recent.wait_ms(self.now, self.limit, self.per_ms)
        if wait_ms is not None:
            assert 0 < wait_ms <= self.per_ms
            return
        self.recent.admit()
        self.admitted += 1

    def start(self) -> None:
        if self.admitted:
            self.admitted -= 1
            self.recent.start(self.now, self.limit, self.per_ms)
            self.starts.append(self.now)

    def withdraw(self) -> None:
        if self.admitted:
            self.admitted -= 1
            self.recent.withdraw()


@given(start_ms=st.floats(0, 1e12), per_ms=st.integers(1, 5_000))
@example(start_ms=3203.6009999999997, per_ms=5_000)
def test_no_rounding_makes_one_wait_for_no_time(start_ms: float, per_ms: int) -> None:
    """A job that waits for no time asks again at once, and so for ever where time is simulated."""
    recent = RecentStarts()
    recent.admit()
    recent.start(start_ms, 1, per_ms)
    wait_ms = recent.wait_ms(start_ms + per_ms, 1, per_ms)
    assert wait_ms is None or 0 < wait_ms <= per_ms


actions: list[Callable[[Attempts], None]] = [Attempts.admit, Attempts.admit, Attempts.start, Attempts.withdraw]
steps = st.lists(st.tuples(st.sampled_from(actions), st.integers(1, 6), st.integers(0, 250)), max_size=120)


@given(limit=st.integers(1, 6) | st.just(2_000), per_ms=st.integers(1, 300), script=steps)
def test_no_window_ever_holds_more_than_the_limit(
    limit: int, per_ms: int, script: list[tuple[Callable[[Attempts], None], int, int]]
) -> None:
    attempts = Attempts(limit, per_ms)
    for action, times, then_ms in script:
        for _ in range(times):
            action(attempts)
        attempts.now += then_ms / 3
    assert fullest(attempts.starts, per_ms) <= limit
    assert all(one <= other for one, other in pairwise(attempts.starts))


@given(limit=st.integers(1, 5), per_ms=st.integers(1, 200), script=steps)
def test_the_wait_ends_exactly_when_one_more_may_start(
    limit: int, per_ms: int, script: list[tuple[Callable[[Attempts], None], int, int]]
) -> None:
    attempts = Attempts(limit, per_ms)
    for action, times, then_ms in script:
        for _ in range(times):
            action(attempts)
        attempts.now += then_ms
    while attempts.admitted:
        attempts.start()
    wait_ms = attempts.recent.wait_ms(attempts.now, limit, per_ms)
    recent = [at for at in attempts.starts if attempts.now - at < per_ms]
    assert (wait_ms is None) == (len(recent) < limit)
    if wait_ms is not None:
        assert attempts.now + wait_ms == recent[-limit] + per_ms
        assert attempts.recent.wait_ms(attempts.now + wait_ms, limit, per_ms) is None
