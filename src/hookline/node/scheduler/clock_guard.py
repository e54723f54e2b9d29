"""Notices when the wall clock jumps against the boot clock. Pure.

Deciding "it is due" by a clock that just jumped an hour ahead would send everything of that hour at once. After a
jump of more than a second nothing is claimed until the clock has kept its new offset for a while: a correction
that stays is believed, one that goes back (a bad time source) has done no harm.
"""

JUMP_MS = 1_000
SETTLE_MS = 5_000
_DRIFT_WINDOW_MS = 60_000


class ClockGuard:
    """Fed with both clocks; says whether the wall clock can be trusted."""

    def __init__(self) -> None:
        self._offset_ms: float | None = None
        self._offset_at_ms = 0.0
        self._jumped_at_ms: float | None = None

    @property
    def is_trusted(self) -> bool:
        """No jump is waiting to be explained."""
        return self._jumped_at_ms is None

    @property
    def wait_ms(self) -> int:
        """How long to wait before asking again while the clock is not trusted."""
        return SETTLE_MS

    def observe(self, wall_ms: float, boot_ms: float) -> bool:
        """Take a reading of both clocks; returns ``is_trusted``. Slow drift (NTP slewing) is followed."""
        offset_ms = wall_ms - boot_ms
        if self._offset_ms is None:
            self._offset_ms, self._offset_at_ms = offset_ms, boot_ms
        elif abs(offset_ms - self._offset_ms) > JUMP_MS:
            self._offset_ms, self._offset_at_ms = offset_ms, boot_ms
            self._jumped_at_ms = boot_ms
        elif boot_ms - self._offset_at_ms > _DRIFT_WINDOW_MS:
            self._offset_ms, self._offset_at_ms = offset_ms, boot_ms
        if self._jumped_at_ms is not None and boot_ms - self._jumped_at_ms >= SETTLE_MS:
            self._jumped_at_ms = None
        return self._jumped_at_ms is None
