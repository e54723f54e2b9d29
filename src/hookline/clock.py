"""The one place where time, randomness and fresh ids come from; everything else is handed a ``Clock``."""

import os
import random
import time
from typing import Protocol


class Clock(Protocol):
    """What a node asks of its machine; tests and the simulation hand in their own."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC. May jump; only used to say "due" and to label."""

    def boot_ms(self) -> float:
        """Milliseconds since boot, never jumping, counting suspended time. For durations and validity."""

    def random(self) -> float:
        """A number in [0, 1), for jitter."""

    def token(self, size: int) -> bytes:
        """Fresh unpredictable bytes, for ids and nonces."""


_POOL_BYTES = 4_096  # one system call for some hundred ids


class SystemClock:
    """The real machine."""

    def __init__(self) -> None:
        self._pool = b""
        self._used = 0

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def boot_ms(self) -> float:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) / 1e6

    def random(self) -> float:
        return random.random()

    def token(self, size: int) -> bytes:
        end = self._used + size
        if end > len(self._pool):
            if size > _POOL_BYTES:
                return os.urandom(size)
            self._pool, end = os.urandom(_POOL_BYTES), size
        token = self._pool[end - size : end]
        self._used = end
        return token
