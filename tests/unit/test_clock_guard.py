"""A wall clock that jumps is not believed until it stays where it is."""

import pytest

from hookline.node.scheduler.clock_guard import JUMP_MS, SETTLE_MS, ClockGuard

WALL = 1_800_000_000_000


def watched(*readings: tuple[float, float]) -> list[bool]:
    """What a guard says to readings of (wall offset, boot)."""
    guard = ClockGuard()
    return [guard.observe(WALL + boot + offset, boot) for offset, boot in readings]


def test_a_steady_clock_is_trusted_from_the_first_reading() -> None:
    assert watched((0, 0), (0, 50), (0, 10**7)) == [True, True, True]


@pytest.mark.parametrize("jump", [JUMP_MS + 1, -JUMP_MS - 1, 3_600_000, -3_600_000])
def test_a_jump_stops_claiming_until_the_clock_has_stayed(jump: int) -> None:
    assert watched((0, 0), (jump, 10), (jump, 10 + SETTLE_MS - 1), (jump, 10 + SETTLE_MS)) == [True, False, False, True]


@pytest.mark.parametrize("step", [JUMP_MS, -JUMP_MS])
def test_a_small_step_is_no_jump(step: int) -> None:
    assert watched((0, 0), (step, 10)) == [True, True]


def test_a_clock_that_jumps_back_starts_the_wait_again() -> None:
    readings = [(0, 0), (9_000, 100), (0, 4_000), (0, 100 + SETTLE_MS), (0, 4_000 + SETTLE_MS)]
    assert watched(*readings) == [True, False, False, False, True]


def test_slow_drift_is_followed() -> None:
    readings = [(minute * 500, minute * 61_000) for minute in range(20)]
    assert watched(*readings) == [True] * 20


def test_small_steps_within_a_minute_add_up_to_a_jump() -> None:
    readings = [(second * 300, second * 1_000) for second in range(5)]
    assert watched(*readings) == [True, True, True, True, False]


def test_it_says_how_long_to_wait() -> None:
    guard = ClockGuard()
    guard.observe(WALL, 0)
    guard.observe(WALL + 10_000, 0)
    assert not guard.is_trusted
    guard.observe(WALL + 10_000 + guard.wait_ms, guard.wait_ms)
    assert guard.is_trusted
