"""Figures of recent attempts: counted by the leader, added up by a proxy."""

import random
from statistics import quantiles

import pytest

from hookline.node.dispatch.recent import DESTINATIONS_MAX, SPAN_MS, RecentTallies
from hookline.protocol.latencies import joined, most_of, recent_of, step_of

CHANCE = random.Random(3)


@pytest.mark.parametrize("duration_ms", [0, 0.3, 1, 1.01, 7, 100, 1_234.5, 600_000])
def test_a_step_holds_its_durations_and_is_a_fifth_longer_than_the_one_before(duration_ms: float) -> None:
    most = most_of(step_of(duration_ms))
    assert duration_ms <= most <= max(1, duration_ms * 1.2 + 1)


def test_percentiles_are_those_of_the_durations() -> None:
    tallies = RecentTallies(0)
    took = [CHANCE.lognormvariate(4, 1) for _ in range(5_000)]
    for duration_ms in took:
        tallies.ended(1, 1, duration_ms, is_success=True)
    found = tallies.of(2, 1)
    assert found is not None
    cuts = quantiles(took, n=100)
    assert cuts[49] <= found.p50_ms <= cuts[49] * 1.25 + 1
    assert cuts[98] <= found.p99_ms <= cuts[98] * 1.25 + 1
    assert sum(found.durations.values()) == found.attempts == found.succeeded == 5_000


def test_what_is_older_than_two_spans_is_forgotten() -> None:
    tallies = RecentTallies(0)
    tallies.ended(10, 1, 5, is_success=True)
    tallies.ended(SPAN_MS + 10, 1, 5, is_success=False)
    found = tallies.of(SPAN_MS + 60_000, 1)
    assert found is not None
    assert (found.attempts, found.succeeded, found.seconds) == (2, 1, 360)
    found = tallies.of(2 * SPAN_MS + 1_000, 1)
    assert found is not None
    assert (found.attempts, found.succeeded, found.seconds) == (1, 0, 301)
    assert tallies.of(4 * SPAN_MS, 1) is None
    assert tallies.of(5 * SPAN_MS, 2) is None


def test_a_span_holds_so_many_destinations_and_no_more() -> None:
    tallies = RecentTallies(0)
    for destination in range(DESTINATIONS_MAX + 5):
        tallies.ended(1, destination, 5, is_success=True)
    assert tallies.of(1, DESTINATIONS_MAX - 1) is not None
    assert tallies.of(1, DESTINATIONS_MAX) is None
    tallies.ended(SPAN_MS + 1, DESTINATIONS_MAX, 5, is_success=True)
    assert tallies.of(SPAN_MS + 1, DESTINATIONS_MAX) is not None, "there is room again"


def test_what_clusters_tell_is_added_up_not_averaged() -> None:
    fast = recent_of(300, 98, 98, {step_of(10): 98})
    slow = recent_of(600, 2, 0, {step_of(5_000): 2})
    both = joined([fast, slow])
    assert both is not None
    assert (both.seconds, both.attempts, both.succeeded) == (600, 100, 98)
    assert (both.p50_ms, both.p99_ms) == (fast.p50_ms, slow.p99_ms)
    assert joined([slow, fast]) == both
    assert joined([]) is None
