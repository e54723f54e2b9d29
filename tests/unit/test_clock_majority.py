"""Whom a node believes about the time: the majority of all clocks it knows, its own included."""

import pytest

from hookline.node.clocks.majority import AWAY_MS, BACK_MS, KnownClock, judge

HOUR = 3_600_000


def nodes(*offsets: float, slack: float = 0) -> list[KnownClock]:
    return [KnownClock(f"n{n}", offset, slack) for n, offset in enumerate(offsets, 2)]


def members(*offsets: float) -> list[KnownClock]:
    return [KnownClock(f"e{n}", offset, 500, is_node=False) for n, offset in enumerate(offsets, 1)]


def test_nobody_else_says_nothing() -> None:
    assert judge(0, []) is None


@pytest.mark.parametrize("own", [HOUR, -HOUR, 30_000, -1_001])
def test_two_others_that_agree_outvote_it(own: float) -> None:
    found = judge(own, nodes(0, 20))
    assert found is not None
    assert found.is_off
    assert not found.is_backed
    assert found.away_ms == pytest.approx(own, abs=20)
    assert found.fit_nodes == ("n2", "n3")


@pytest.mark.parametrize("wrong", [HOUR, -HOUR, 30_000])
def test_with_one_other_on_its_side_it_is_right(wrong: float) -> None:
    found = judge(0, nodes(0, wrong))
    assert found is not None
    assert not found.is_off
    assert found.fit_nodes == ("n2",)


def test_of_three_that_all_differ_the_one_in_the_middle_counts() -> None:
    views = [
        judge(own, nodes(*others))
        for own, *others in ((-30_000, 0, 30_000), (0, -30_000, 30_000), (30_000, -30_000, 0))
    ]
    assert [view and view.is_off for view in views] == [True, False, True]
    assert [view and view.offset_ms for view in views] == [0, 0, 0]
    assert [view and view.fit_nodes for view in views] == [("n2",), (), ("n3",)]


def test_of_two_the_one_ahead_is_off_for_both() -> None:
    ahead, behind = judge(HOUR, nodes(0)), judge(0, nodes(HOUR))
    assert ahead is not None
    assert behind is not None
    assert (ahead.is_off, ahead.fit_nodes) == (True, ("n2",))
    assert (behind.is_off, behind.is_backed, behind.fit_nodes) == (False, False, ())


@pytest.mark.parametrize("own", [HOUR, -HOUR])
def test_etcd_decides_for_the_last_node_though_the_member_beside_it_has_the_same_fault(own: float) -> None:
    found = judge(own, members(own, 0, 0))
    assert found is not None
    assert found.is_off
    assert found.fit_nodes == ()


def test_etcd_decides_between_two_nodes() -> None:
    found = judge(-30_000, [*nodes(30_000), *members(100, -100, 0)])
    assert found is not None
    assert found.is_off
    assert abs(found.offset_ms) <= 100
    assert found.fit_nodes == ()


@pytest.mark.parametrize("ahead", [1_060, -1_060, 1_200])
@pytest.mark.parametrize("misread", [-500, 0, 500])
def test_by_whole_seconds_what_may_be_a_second_off_is_off_and_what_is_right_is_not(
    ahead: float, misread: float
) -> None:
    found = judge(ahead, members(misread, misread, misread))
    assert found is not None
    assert found.is_off
    right = judge(0, members(misread, misread, misread))
    assert right is not None
    assert not right.is_off


def test_back_is_nearer_than_away() -> None:
    between = (AWAY_MS + BACK_MS) / 2
    assert not judge(between, nodes(0, 0)).is_off  # type: ignore[union-attr]
    assert judge(between, nodes(0, 0), was_off=True).is_off  # type: ignore[union-attr]
    assert not judge(BACK_MS, nodes(0, 0), was_off=True).is_off  # type: ignore[union-attr]
