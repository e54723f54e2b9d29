"""The runners of a leader: who gets a claim, and how many wait ahead of free slots."""

import asyncio
import math

import pytest

from hookline.node.dispatch.exchange import LocalExchange
from hookline.node.dispatch.seats import Seat, Seats, Turnover, ahead_of


def seat(slots: int, *, taken: int = 0) -> Seat:
    return Seat(f"n1/a/{slots}", "n1", "leader", slots, LocalExchange(1, lambda: math.inf), taken=taken)


def seats_of(own: Seat) -> Seats:
    return Seats(own, asyncio.Event())


@pytest.mark.parametrize(("ended", "ahead"), [(0, 0), (3, 0), (40, 1), (200, 5), (500, 12), (5_000, 12)])
def test_as_many_wait_ahead_as_slots_become_free_in_a_moment(ended: int, ahead: int) -> None:
    """``ended``: attempts that ended within the last instant, as many as in a second at that rate."""
    one = seat(100)
    one.turnover.freed(ended, 0.0)
    assert one.ahead(0.0) == ahead
    assert one.room(0.0) == 100 + ahead
    assert one.ahead(60_000.0) == 0, "nothing has ended for a minute"


def test_few_slots_have_nobody_ahead() -> None:
    assert [ahead_of(slots) for slots in (1, 7, 8, 100)] == [0, 0, 1, 12]


def test_the_turnover_is_that_of_the_last_second() -> None:
    turnover = Turnover()
    for ms in range(5_000):
        turnover.freed(1, float(ms))
    assert turnover.per_ms(5_000.0) == pytest.approx(1.0, rel=0.02)
    assert turnover.per_ms(6_000.0) == pytest.approx(1 / math.e, rel=0.02)


def test_claims_go_to_whoever_has_most_room() -> None:
    small, large = seat(2), seat(5)
    seats = seats_of(small)
    seats.join(large)
    assert seats.room(0.0) == 7
    assert seats.share(5, 0.0).count(large) == 4
    assert (small.taken, large.taken) == (1, 4)
    seats.leave(large)
    assert seats.share(1, 0.0) == [small]


def test_slots_are_busy_while_more_than_half_of_what_is_ahead_waits() -> None:
    one = seat(16, taken=18)
    one.turnover.freed(1_000, 0.0)
    seats = seats_of(one)
    assert seats.is_busy(0.0)
    one.taken = 17
    assert not seats.is_busy(0.0)
    assert not seats_of(seat(4, taken=4)).is_busy(0.0), "nothing is ahead: its slot is idle until the commit"
