"""Counts the recent attempts of each destination, in memory: how many, how many succeeded, how long they took. Pure.

There are two spans: the one that goes on and the one before it, so what is told covers one to two of them. What a span
has no room for is not counted. An attempt costs under a microsecond.
"""

from hookline.protocol.http import RecentAttempts
from hookline.protocol.latencies import recent_of, step_of

SPAN_MS = 300_000
DESTINATIONS_MAX = 10_000
"""Of one span; about 1 KiB each."""


class _RecentTally:
    __slots__ = ("attempts", "steps", "succeeded")

    def __init__(self) -> None:
        self.attempts = 0
        self.succeeded = 0
        self.steps: dict[int, int] = {}


class RecentTallies:
    """Those of one term."""

    def __init__(self, boot_ms: float) -> None:
        self._began_ms = boot_ms
        self._now: dict[int, _RecentTally] = {}
        self._before: dict[int, _RecentTally] = {}
        self._before_ms = 0.0

    def ended(self, boot_ms: float, destination: int, duration_ms: float, *, is_success: bool) -> None:
        """An attempt is over."""
        if boot_ms >= self._began_ms + SPAN_MS:
            self._turn(boot_ms)
        tally = self._now.get(destination)
        if tally is None:
            if len(self._now) >= DESTINATIONS_MAX:
                return
            tally = self._now[destination] = _RecentTally()
        tally.attempts += 1
        tally.succeeded += is_success
        step = step_of(duration_ms)
        tally.steps[step] = tally.steps.get(step, 0) + 1

    def of(self, boot_ms: float, destination: int) -> RecentAttempts | None:
        """The figures of a destination; None: there was no attempt."""
        if boot_ms >= self._began_ms + SPAN_MS:
            self._turn(boot_ms)
        found = [spans[destination] for spans in (self._before, self._now) if destination in spans]
        if not found:
            return None
        steps: dict[int, int] = {}
        for tally in found:
            for step, count in tally.steps.items():
                steps[step] = steps.get(step, 0) + count
        seconds = round((boot_ms - self._began_ms + self._before_ms) / 1_000)
        return recent_of(seconds, sum(one.attempts for one in found), sum(one.succeeded for one in found), steps)

    def _turn(self, boot_ms: float) -> None:
        passed_ms = boot_ms - self._began_ms
        is_old = passed_ms >= 2 * SPAN_MS
        self._before = {} if is_old else self._now
        self._before_ms = 0 if is_old else SPAN_MS
        self._now = {}
        self._began_ms = boot_ms if is_old else self._began_ms + SPAN_MS
