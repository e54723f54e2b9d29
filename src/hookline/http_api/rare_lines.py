"""Lines of the log that strangers bring about: a few are written, the others are counted."""

from collections.abc import Callable
from typing import Any, Final

from hookline.telemetry.area_log import log_of

EVERY_S: Final = 10.0

_log = log_of("api")


class RareLines:
    """One line of each event in ten seconds; the next one says how many were left out.

    Args:
        now_s: seconds that never jump.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._last_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def say(self, event: str, **values: Any) -> None:
        """Write the line, or count it."""
        now_s = self._now_s()
        if event in self._last_s and now_s - self._last_s[event] < EVERY_S:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        self._last_s[event] = now_s
        _log.warning(event, **values, left_out=self._left_out.pop(event, 0))
