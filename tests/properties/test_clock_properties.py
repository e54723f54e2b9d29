"""Nothing is early by more than a second while most wall clocks are right, whatever the others do."""

from hypothesis import given
from hypothesis import strategies as st

from hookline.node.clocks.guard import ClockGuard, Reading
from hookline.node.clocks.majority import KnownClock, judge

WALL = 1_800_000_000_000
FOLLOWED = 0.0001  # of the time that passes: see the guard
wrong = st.one_of(st.integers(-4_000_000, 4_000_000), st.integers(-3_000, 3_000))
jitter = st.integers(-100, 100)


@given(st.lists(st.tuples(st.integers(1, 600_000), wrong), max_size=40))
def test_jumps_that_come_back_make_nothing_early(story: list[tuple[int, int]]) -> None:
    """Alone: readings of (ms since the last, how far ahead the wall clock is)."""
    guard, boot = ClockGuard(), 0
    guard.read(Reading(WALL, 0))
    for passed, ahead in story:
        boot += passed
        time = guard.read(Reading(WALL + boot + ahead, boot))
        assert time - WALL - boot <= 1_000 + FOLLOWED * boot
        assert time >= WALL + boot + min(ahead, 0) - FOLLOWED * boot - 1, "nor later than the later of both clocks"
    boot += 1
    time = guard.read(Reading(WALL + boot, boot))
    assert abs(time - WALL - boot) <= 1_000
    assert guard.is_trusted or FOLLOWED * boot > 1


@given(st.integers(1, 3), wrong, jitter, jitter, st.lists(st.tuples(st.integers(1, 5_000), wrong), max_size=20))
def test_two_right_clocks_of_three_always_win(
    place: int, start: int, one: int, other: int, story: list[tuple[int, int]]
) -> None:
    """The third may start wrong and do what it likes; the others are asked every few seconds."""
    guard, boot = ClockGuard(), 0
    ahead = start
    guard.read(Reading(WALL + ahead, 0))
    for passed, ahead in story:
        known = [KnownClock("n2", WALL + one, 20), KnownClock("n3", WALL + other, 20)]
        guard.hear(Reading(WALL + boot + ahead, boot), known)
        boot += passed
        time = guard.read(Reading(WALL + boot + ahead, boot))
        assert time - WALL - boot <= 1_000 + 220, "early"
        guard.hear(Reading(WALL + boot + ahead, boot), known)  # a jump is judged by what is read after it
        time = guard.read(Reading(WALL + boot + ahead, boot))
        assert abs(time - WALL - boot) <= 1_000 + 220, (place, ahead)


@given(wrong, jitter, jitter)
def test_all_nodes_agree_on_who_is_off(third: int, one: int, other: int) -> None:
    clocks = {"n1": one, "n2": other, "n3": third}
    off = {}
    for own, at_ms in clocks.items():
        found = judge(at_ms, [KnownClock(name, at, 0) for name, at in clocks.items() if name != own])
        assert found is not None
        off[own] = found.is_off
        assert not off[own] or found.fit_nodes, "who does not stand knows somebody who does"
    assert not off["n1"]
    assert not off["n2"]
    assert off["n3"] == (abs(third - sorted(clocks.values())[1]) > 1_000)


@given(st.lists(wrong, min_size=1, max_size=4))
def test_there_is_always_one_who_stands(ahead: list[int]) -> None:
    """However many nodes live, and however wrong they are: among those that see each other one is not off."""
    names = [f"n{n}" for n in range(len(ahead))]
    off = []
    for name, own in zip(names, ahead, strict=True):
        others = [KnownClock(it, at, 0) for it, at in zip(names, ahead, strict=True) if it != name]
        found = judge(own, others)
        off.append(found is not None and found.is_off and bool(found.fit_nodes))
    assert not all(off)
