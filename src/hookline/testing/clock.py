"""A clock whose time is its event loop's and whose randomness comes from one seed."""

import random
from collections.abc import Callable

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z, where virtual time begins unless told otherwise."""

_HALF_MICROSECOND_MS = 0.0005  # a timer may fire a rounding error before its time


class SimulatedClock:
    """The ``Clock`` of tests: same seed, same numbers.

    Args:
        now_s: seconds that only grow, usually the running loop's ``time``.
        seed: of all random numbers and ids.
        start_ms: the wall clock when ``now_s`` is 0.
    """

    def __init__(self, now_s: Callable[[], float], *, seed: int = 0, start_ms: int = START_MS) -> None:
        self._now_s = now_s
        self._random = random.Random(seed)  # noqa: S311 - the point is that it can be repeated
        self._offset_ms = start_ms

    def wall_ms(self) -> int:
        return self._offset_ms + int(self.boot_ms())

    def boot_ms(self) -> float:
        return self._now_s() * 1_000 + _HALF_MICROSECOND_MS

    def random(self) -> float:
        return self._random.random()

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def step_ms(self, milliseconds: int) -> None:
        """Let the wall clock jump, as when someone sets it; the boot clock goes on."""
        self._offset_ms += milliseconds
