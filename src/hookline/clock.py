"""The one place where time, randomness and fresh ids come from; everything else is handed a ``Clock``."""

import os
import random
import time
from typing import Protocol


class Clock(Protocol):
    """The machine as a node sees it; tests and the simulation hand in their own."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC. May jump; only used to say "due" and to label."""

    def boot_ms(self) -> float:
        """Milliseconds since boot, never jumping, counting suspended time. For durations and validity."""

    def random(self) -> float:
        """A number in [0, 1), for jitter."""

    def token(self, size: int) -> bytes:
        """Fresh unpredictable bytes, for ids and nonces."""


# Not everywhere, and only nodes, which run where it is, care about suspended time.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


class SystemClock:
    """The real machine."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def boot_ms(self) -> float:
        return (time.monotonic_ns() if _BOOT_CLOCK is None else time.clock_gettime_ns(_BOOT_CLOCK)) / 1e6

    def random(self) -> float:
        return random.random()

    def token(self, size: int) -> bytes:
        # Nothing is kept for the next call: threads, and the two sides of a fork, would be given the same bytes.
        return os.urandom(size)


class ToldClock:
    """The time as another process trusts it, which says how far it is ahead of the boot clock of ``machine``.

    Attributes:
        offset_ms: as it was told last.
    """

    def __init__(self, machine: Clock) -> None:
        self.offset_ms = 0.0
        self.boot_ms, self.random, self.token = machine.boot_ms, machine.random, machine.token

    def wall_ms(self) -> int:
        return int(self.boot_ms() + self.offset_ms)
