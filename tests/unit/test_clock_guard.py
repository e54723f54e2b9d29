"""A wall clock that jumps is believed again when it is back or somebody else agrees, never because time has passed."""

import pytest

from hookline.node.clocks.guard import JUMP_MS, KNOWN_FOR_MS, ClockGuard, Reading
from hookline.node.clocks.majority import KnownClock

WALL = 1_800_000_000_000
HOUR = 3_600_000


def at(boot: float, ahead: float = 0) -> Reading:
    """A reading ``boot`` ms after the first, by a wall clock that is so far ahead of the truth."""
    return Reading(WALL + boot + ahead, boot)


def times(guard: ClockGuard, *readings: tuple[float, float]) -> list[float]:
    """How far the trusted time is from the truth at readings of (boot, ahead)."""
    return [guard.read(at(boot, ahead)) - WALL - boot for boot, ahead in readings]


def others(*ahead: float, slack: float = 10, nodes: bool = True) -> list[KnownClock]:
    return [KnownClock(f"other{n}", WALL + it, slack, is_node=nodes) for n, it in enumerate(ahead)]


def test_a_steady_clock_is_the_time() -> None:
    guard = ClockGuard()
    assert times(guard, (0, 0), (50, 0), (10**9, 0)) == [0, 0, 0]
    assert (guard.is_trusted, guard.steps) == (True, 0)


@pytest.mark.parametrize("jump", [JUMP_MS + 1, 2_000, HOUR])
def test_a_jump_ahead_is_not_the_time_however_long_it_stays(jump: int) -> None:
    guard = ClockGuard()
    assert times(guard, (0, 0), (10, jump), (12_000, jump), (100 * HOUR, jump)) == [0, 0, 0, 0]
    assert not guard.is_trusted


@pytest.mark.parametrize("jump", [-JUMP_MS - 1, -HOUR])
def test_a_jump_back_is_followed_but_not_trusted_since_one_of_both_is_right_and_nothing_may_be_early(jump: int) -> None:
    guard = ClockGuard()
    assert times(guard, (0, 0), (10, jump), (12_000, jump)) == [0, jump, jump]
    assert not guard.is_trusted


@pytest.mark.parametrize("jump", [2_000, HOUR, -2_000, -HOUR])
def test_a_clock_that_is_back_is_trusted_at_once(jump: int) -> None:
    guard = ClockGuard()
    times(guard, (0, 0), (10, jump))
    assert times(guard, (2_500, 0)) == [0]
    assert guard.is_trusted
    assert guard.steps == 2  # trust went, trust came


@pytest.mark.parametrize("step", [JUMP_MS, -JUMP_MS])
def test_a_step_of_a_second_is_no_jump(step: int) -> None:
    guard = ClockGuard()
    assert times(guard, (0, 0), (10, step)) == [0, step]
    assert guard.is_trusted


@pytest.mark.parametrize("ahead", [0, 500, 950, -950])
@pytest.mark.parametrize("step", [60, 199, 600, HOUR, -1, -60, -600, -HOUR])
def test_what_is_taken_for_the_time_without_a_second_look_is_no_jump(ahead: int, step: int) -> None:
    guard = ClockGuard()
    times(guard, (0, 0), (10, ahead))
    wall = at(10, ahead + step).wall_ms
    assert not guard.is_plain(wall) or abs(ahead + step) < JUMP_MS
    assert guard.is_plain(at(10, ahead).wall_ms)
    times(guard, (20, 2 * HOUR))
    assert not guard.is_plain(at(20).wall_ms)


def test_small_steps_add_up_to_a_jump() -> None:
    guard = ClockGuard()
    assert times(guard, *((n * 1_000, n * 300) for n in range(5))) == pytest.approx([0, 300, 600, 900, 0], abs=1)


def test_what_stays_below_a_second_is_taken_over_slowly() -> None:
    guard = ClockGuard()
    times(guard, *((n * 1_000, 500) for n in range(10_000)))
    assert times(guard, (10_000_000, 1_300))[0] == 1_300
    assert guard.is_trusted


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 2_000])
def test_an_operator_or_the_kernel_can_say_that_the_new_time_is_right(jump: int) -> None:
    guard = ClockGuard()
    times(guard, (0, 0), (10, jump))
    assert guard.confirm(at(20, jump))
    assert times(guard, (30, jump)) == [jump]
    assert guard.is_trusted


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 2_000])
def test_the_majority_of_the_other_clocks_decides_at_once_who_is_right(jump: int) -> None:
    guard = ClockGuard()
    times(guard, (0, 0))
    guard.hear(at(5), others(0, 3))
    assert times(guard, (10, jump))[0] == pytest.approx(0, abs=4)
    assert (guard.is_trusted, guard.is_sure) == (False, True)
    assert times(guard, (9_000, 0)) == [0]
    assert guard.is_trusted


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 2_000])
def test_a_correction_that_another_has_made_already_is_believed_when_that_is_read_after_it(jump: int) -> None:
    guard = ClockGuard()
    times(guard, (0, 0))
    guard.hear(at(5), others(0, jump))
    assert times(guard, (10, jump)) == [min(0, jump)]
    guard.hear(at(15, jump), ())
    assert not guard.is_trusted, "nobody was read"
    guard.hear(at(20, jump), others(0, jump))
    assert times(guard, (30, jump)) == [jump], "one of two agrees, and so it is the median"
    assert guard.is_trusted


@pytest.mark.parametrize("jump", [HOUR, 2_000])
def test_a_clock_that_jumps_where_another_was_before_is_not_believed(jump: int) -> None:
    """That one was wrong, and has been set right since it was read."""
    guard = ClockGuard()
    times(guard, (0, 0))
    guard.hear(at(5), others(0, jump))
    assert times(guard, (10, jump)) == [0]
    guard.hear(at(20, jump), others(0, 0))
    assert times(guard, (30, jump)) == [0]
    assert not guard.is_trusted


def test_a_jump_between_the_readings_of_the_others_and_their_judgement_is_not_believed() -> None:
    guard = ClockGuard()
    times(guard, (0, 0))
    guard.hear(at(5), others(0, 0))
    guard.hear(at(10, HOUR), others(0, HOUR))  # read before the jump, or after it: nobody knows
    assert times(guard, (15, HOUR)) == [0]
    guard.hear(at(20, HOUR), others(0, HOUR))
    assert times(guard, (25, HOUR)) == [HOUR]


@pytest.mark.parametrize("ahead", [30_000, -30_000, HOUR, -HOUR])
def test_a_clock_that_was_wrong_from_the_start_goes_by_the_majority(ahead: int) -> None:
    guard = ClockGuard()
    assert times(guard, (0, ahead)) == [ahead]
    guard.hear(at(5, ahead), others(0, 0))
    assert times(guard, (10, ahead)) == [0]
    assert (guard.is_trusted, guard.is_sure) == (False, True)


@pytest.mark.parametrize("ahead", [30_000, -30_000, HOUR, -HOUR])
def test_a_clock_that_is_in_the_middle_now_is_the_time_though_no_other_agrees_with_it(ahead: int) -> None:
    guard = ClockGuard()
    times(guard, (0, 0))
    guard.hear(at(5), others(ahead, ahead))
    assert times(guard, (10, 0)) == [ahead]
    guard.hear(at(20), others(ahead, -ahead))
    assert times(guard, (30, 0)) == [0]
    assert guard.is_trusted


def test_the_majoritys_time_goes_on_when_nobody_answers_any_more() -> None:
    guard = ClockGuard()
    times(guard, (0, HOUR))
    guard.hear(at(5, HOUR), others(0, 0))
    assert times(guard, (10 * HOUR, HOUR)) == [0]


def test_a_confirmation_does_not_count_against_the_majority() -> None:
    guard = ClockGuard()
    times(guard, (0, HOUR))
    guard.hear(at(5, HOUR), others(0, 0))
    assert not guard.confirm(at(10, HOUR))
    assert times(guard, (15, HOUR)) == [0]
    assert guard.confirm(at(10 + KNOWN_FOR_MS, HOUR)), "nobody has been heard lately"


def test_the_one_other_clock_does_not_confirm_what_it_contradicts() -> None:
    guard = ClockGuard()
    times(guard, (0, 0))
    guard.hear(at(5), others(0))
    assert times(guard, (10, -HOUR)) == [-HOUR]
    assert not guard.is_trusted


def test_readings_that_differ_a_little_do_not_move_the_time_to_and_fro() -> None:
    guard = ClockGuard()
    times(guard, (0, HOUR))
    guard.hear(at(5, HOUR), others(-400, -400, -400, slack=500, nodes=False))
    steps = guard.steps
    guard.hear(at(10, HOUR), others(400, 300, 350, slack=500, nodes=False))
    assert times(guard, (20, HOUR)) == [-400]
    assert guard.steps == steps


def test_a_first_reading_that_looks_like_a_jump_is_worth_a_second_look() -> None:
    guard = ClockGuard()
    assert not guard.suspects(at(0, HOUR))
    guard.read(at(0))
    assert guard.suspects(at(5, 2_000))
    assert not guard.suspects(at(5, 200))
