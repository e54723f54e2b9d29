"""A circuit breaker: closed, open, half-open. Pure: its callers report what happened and when.

It opens when at least half of at least 20 calls within 10 s failed, or after several failures in a row; it lets one
probe through after a wait that doubles while probes fail. Source: Nygard, Release It!, "Circuit Breaker".
"""

from dataclasses import dataclass
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]

WINDOW_MS = 10_000
CALLS_MIN = 20


@dataclass(slots=True)
class CircuitBreaker:
    """All times are milliseconds of one clock.

    Attributes:
        failures_in_a_row_max: this many failures without a success between them open it.
        wait_ms: how long it stays open at first; ``wait_ms_max``: at most.
    """

    failures_in_a_row_max: int = 10
    wait_ms: int = 1_000
    wait_ms_max: int = 5_000

    state: BreakerState = "closed"
    until_ms: float = 0
    _waits: int = 0
    _in_a_row: int = 0
    _window_start_ms: float = 0
    _calls: int = 0
    _failures: int = 0

    def blocked_until(self, now_ms: float) -> float | None:
        """None when a call may be made now, else when to ask again. Does not change the breaker."""
        if self.state == "closed":
            return None
        if self.state == "open":
            return None if self._has_waited(now_ms) else self.until_ms
        return now_ms + self.wait_ms  # half-open: a probe is under way

    def started(self, now_ms: float) -> bool:
        """A call was let through; in an open breaker it is the probe, and then this is True."""
        is_probe = self.state == "open" and self._has_waited(now_ms)
        if is_probe:
            self.state = "half_open"
        return is_probe

    def succeeded(self, now_ms: float) -> None:
        """A call came back well."""
        self._in_a_row = 0
        if self.state == "half_open":
            self._close(now_ms)
        elif self.state == "closed":
            self._count(now_ms, failed=False)

    def failed(self, now_ms: float) -> None:
        """A call failed in a way that speaks against the other side."""
        if self.state == "half_open":
            self._open(now_ms)
        elif self.state == "closed":
            self._in_a_row += 1
            self._count(now_ms, failed=True)
            often = self._calls >= CALLS_MIN and 2 * self._failures >= self._calls
            if often or self._in_a_row >= self.failures_in_a_row_max:
                self._open(now_ms)

    def abandoned(self, now_ms: float) -> None:
        """A call ended without telling anything (cancelled): a probe must be made again."""
        if self.state == "half_open":
            self.state, self.until_ms = "open", now_ms

    def _has_waited(self, now_ms: float) -> bool:
        """Also when the clock went back: no wait is longer than ``wait_ms_max``."""
        return not 0 < self.until_ms - now_ms <= self.wait_ms_max

    def _count(self, now_ms: float, *, failed: bool) -> None:
        if not 0 <= now_ms - self._window_start_ms <= WINDOW_MS:
            self._window_start_ms, self._calls, self._failures = now_ms, 0, 0
        self._calls += 1
        self._failures += failed

    def _open(self, now_ms: float) -> None:
        self.state = "open"
        self.until_ms = now_ms + min(self.wait_ms << min(self._waits, 20), self.wait_ms_max)
        self._waits += 1

    def _close(self, now_ms: float) -> None:
        self.state = "closed"
        self._waits = self._in_a_row = self._calls = self._failures = 0
        self._window_start_ms = now_ms
