"""Measures how late the event loop is: the sign that a process has more to do than it can."""

import asyncio
from collections.abc import Callable

from hookline.clock import Clock

HIGH_MS = 250
_EVERY_S = 0.1


class LoopLag:
    """Late by more than ``HIGH_MS``: API work is refused for a moment (the renewal of the lead has its own thread).

    Args:
        observe: told of each look, in seconds.
    """

    def __init__(self, clock: Clock, observe: Callable[[float], None] = lambda _late_s: None) -> None:
        self._clock = clock
        self._observe = observe
        self.last_ms = 0.0

    def is_high(self) -> bool:
        """Should new work be refused?"""
        return self.last_ms > HIGH_MS

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            before_ms = self._clock.boot_ms()
            await asyncio.sleep(_EVERY_S)
            self.last_ms = self._clock.boot_ms() - before_ms - _EVERY_S * 1_000
            self._observe(max(0.0, self.last_ms) / 1_000)
