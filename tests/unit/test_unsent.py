"""Answers that wait for their clients: bounded in all, and those who wait longest are cut."""

from hookline.http_api.unsent import Unsent


class Waiting:
    def __init__(self) -> None:
        self.is_cut = False

    def cut(self) -> None:
        self.is_cut = True


def test_who_waits_longest_is_cut_first() -> None:
    unsent = Unsent(10)
    first, second, third = Waiting(), Waiting(), Waiting()
    unsent.add(first, 4)
    unsent.add(second, 4)
    unsent.add(third, 4)
    assert [first.is_cut, second.is_cut, third.is_cut] == [True, False, False]
    assert unsent.total_bytes == 8


def test_who_has_taken_it_waits_no_longer() -> None:
    unsent = Unsent(10)
    first, second = Waiting(), Waiting()
    unsent.add(first, 8)
    unsent.remove(first)
    unsent.remove(first)
    unsent.add(second, 8)
    assert (first.is_cut, second.is_cut, unsent.total_bytes) == (False, False, 8)


def test_once_more_counts_what_it_is_more() -> None:
    unsent = Unsent(10)
    one = Waiting()
    unsent.add(one, 4)
    unsent.add(one, 3)
    unsent.add(one, 9)
    assert (one.is_cut, unsent.total_bytes) == (False, 9)


def test_one_that_is_too_large_alone_is_cut() -> None:
    unsent = Unsent(10)
    one = Waiting()
    unsent.add(one, 11)
    assert (one.is_cut, unsent.total_bytes) == (True, 0)
