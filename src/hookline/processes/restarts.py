"""Decides how long to wait before a process that has ended is started again. Pure."""

from typing import Final

CALM_S: Final = 10.0  # one that ran as long is started again at once
PAUSE_S_MAX: Final = 5.0


class Restarts:
    """Of one process: a longer pause each time, until it has run for a while.

    Args:
        first_s: the first pause.
    """

    def __init__(self, first_s: float = 0.1) -> None:
        self._first_s = self._next_s = first_s

    def pause_s(self, ran_s: float) -> float:
        """How long to wait, now that it has ended after ``ran_s``."""
        pause_s = self._first_s if ran_s > CALM_S else self._next_s
        self._next_s = min(2 * pause_s, PAUSE_S_MAX)
        return pause_s
