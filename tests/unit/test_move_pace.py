"""How fast jobs move."""

import pytest

from hookline.node.moving.pace import Pace
from hookline.protocol.moves import BATCH_ITEMS_BESIDE, BATCH_ITEMS_MAX
from tests.node_parts import ManualClock


@pytest.mark.parametrize(
    ("here", "there", "rate", "items"),
    [
        (False, False, None, BATCH_ITEMS_MAX),
        (True, False, None, BATCH_ITEMS_BESIDE),
        (False, True, None, BATCH_ITEMS_BESIDE),
        (False, False, 7, 7),
        (True, False, 7, 7),
        (True, False, 1_000, BATCH_ITEMS_BESIDE),
    ],
)
def test_a_batch_leaves_room_for_deliveries(here: bool, there: bool, rate: int | None, items: int) -> None:
    assert Pace(ManualClock(), lambda: here).items_max(rate, delivers_there=there) == items


@pytest.mark.parametrize(
    ("here", "there", "rate", "rest_s"),
    [
        (False, False, None, 0),
        (True, False, None, 0.05),
        (False, True, None, 0.05),
        (False, False, 100, 0.15),
        (True, True, 100, 0.15),
        (True, False, 1_000, 0.05),
        (False, False, 1_000, 0),
    ],
)
def test_the_machine_is_left_to_deliveries_as_long_as_a_batch_took(
    here: bool, there: bool, rate: int | None, rest_s: float
) -> None:
    clock = ManualClock()
    pace = Pace(clock, lambda: here)
    began_ms = clock.boot_ms()
    clock.advance(50)
    assert pace.rest_s(20, began_ms, rate, delivers_there=there) == pytest.approx(rest_s)


def test_the_speed_is_that_of_the_last_ten_seconds() -> None:
    clock = ManualClock()
    pace = Pace(clock, lambda: False)
    assert pace.speed() == 0
    for _ in range(20):
        pace.note(50)
        clock.advance(1_000)
    assert pace.speed() == pytest.approx(50)
    clock.advance(10_001)
    assert pace.speed() == 0
