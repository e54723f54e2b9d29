"""Shares the cores of machines among the processes on them."""

from typing import Final

import numpy as np
from model.delays import Floats, Ints

_MEMORY_S: Final = 0.1  # over which it is looked at what was asked: longer than a round


class Machines:
    """While more is asked of a machine than it has cores, all work there takes longer, by its stretch.

    Args:
        of: the machine of each cluster.
        cores: of each machine.

    Attributes:
        stretch: of each machine, at least 1.
        busy_s: core seconds that were used, of each machine.
    """

    def __init__(self, of: Ints, cores: float) -> None:
        count = int(of.max(initial=-1)) + 1
        self._of = of
        self._cores = cores
        self._used_s = np.zeros(count)
        self._asked = np.zeros(count)
        self.stretch = np.ones(count)
        self.busy_s = np.zeros(count)

    def use(self, of: Ints, seconds: Floats) -> None:
        """These clusters' work took so many seconds of CPU."""
        np.add.at(self._used_s, self._of[of], seconds)

    def stretch_of(self, of: Ints) -> Floats:
        """For each of these clusters."""
        return self.stretch[self._of[of]]

    def settle(self, seconds: float) -> None:
        """So long was the moment that ended: by what was used of it, the next one's stretch."""
        kept = np.exp(-seconds / _MEMORY_S)
        self._asked = self._asked * kept + self._used_s / (self._cores * seconds) * (1 - kept)
        self.busy_s += self._used_s
        self._used_s[:] = 0
        # Damped, since what is asked falls as the stretch grows, but not at once.
        self.stretch = np.maximum(1.0, self.stretch * self._asked.clip(0.25, 4.0) ** (seconds / _MEMORY_S / 2))
