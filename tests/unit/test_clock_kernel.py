"""The kernel is a second source of the time only while it says that it is synchronised."""

from collections.abc import Callable

import pytest

from hookline.node.clocks.kernel import Timex, kernel_agrees

NOW_MS = 1_800_000_000_123
NANO, UNSYNC, TIME_ERROR = 0x2000, 0x40, 5


def kernel(state: int = 0, **fields: int) -> Callable[[Timex], int]:
    """An ``adjtimex`` that answers so."""

    def fill(found: Timex) -> int:
        values = {"status": NANO, "maxerror": 10_000, "time_s": 1_800_000_000, "time_fraction": 123_000_000} | fields
        for name, value in values.items():
            setattr(found, name, value)
        return state

    return fill


def test_a_synchronised_kernel_that_has_the_same_time_agrees() -> None:
    assert kernel_agrees(NOW_MS, kernel())
    assert kernel_agrees(NOW_MS + 900, kernel())
    assert kernel_agrees(NOW_MS, kernel(status=0, time_fraction=123_000))  # microseconds


@pytest.mark.parametrize(
    "adjtimex",
    [
        kernel(-1),  # it may not be asked
        kernel(TIME_ERROR),
        kernel(status=NANO | UNSYNC),
        kernel(maxerror=16_000_000),
        kernel(time_s=1_800_003_600),  # our reading is from somewhere else
    ],
    ids=["not asked", "error", "unsynchronised", "too far off", "another clock"],
)
def test_else_it_says_nothing(adjtimex: Callable[[Timex], int]) -> None:
    assert not kernel_agrees(NOW_MS, adjtimex)


def test_the_real_kernel_can_be_asked() -> None:
    assert not kernel_agrees(0), "no kernel says that it is 1970"
