"""Numbers of jobs, by which lists go. Pure.

A cluster that is alone counts. In a topology jobs come from other clusters, and have to be listed among those that were
created when they were: there a number is the millisecond since 2026 of the creation, times 2 to the 20th, and a count.
In the lower half of the numbers of a millisecond it is of a job that was created here, in the upper half of an arrival.
"""

from typing import Final

_ZERO_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_BITS: Final = 20
_HALF: Final = 1 << (_BITS - 1)
_MS_MAX: Final = (1 << (62 - _BITS)) - 1


def of_new(time_ms: int, least: int) -> int:
    """The number of a job that is created at that time: at least ``least``."""
    number = max(least, _first_of(time_ms))
    return ((number >> _BITS) + 1) << _BITS if number & _HALF else number


def of_arrival(created_ms: int, count: int) -> int:
    """The number of a job of another cluster, the ``count``-th that ever came."""
    return _first_of(created_ms) + _HALF + count % _HALF


def _first_of(time_ms: int) -> int:
    return min(max(time_ms - _ZERO_MS, 0), _MS_MAX) << _BITS
