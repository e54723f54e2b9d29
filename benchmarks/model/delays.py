"""Keeps what comes back later, in bins of time, for many clusters at once: attempts under way, clients that wait.

Each cluster has its own clock, so each looks at its own bins. A bin is rounded by chance, so that the mean is exact.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER: Final = 1e18
_LOOK_BINS: Final = 32  # so far ahead is looked for the next one
_ROUNDING: Final = 1e-6  # of a bin: its beginning, as next_s tells it, is in it


class DelayLine:
    """Counts of what comes back when.

    Args:
        clusters: how many there are.
        longest_s: no delay is longer.
        bin_s: of so many seconds are the bins.
        random: rounds.
    """

    def __init__(self, clusters: int, longest_s: float, bin_s: float, random: np.random.Generator) -> None:
        self._bin_s = bin_s
        self._size = int(longest_s / bin_s) + 4 * _LOOK_BINS
        self._counts = np.zeros((clusters, self._size), np.int64)
        self._last = np.full(clusters, -1, np.int64)
        self._random = random
        self.waiting = np.zeros(clusters, np.int64)

    def put(self, of: Ints, at_s: Floats) -> None:
        """One for each: it comes back to this cluster at this time."""
        places = np.floor(at_s / self._bin_s + self._random.random(len(at_s))).astype(np.int64)
        places = np.maximum(places, self._last[of] + 1)
        if len(places) and np.any(places - self._last[of] >= self._size):
            raise ValueError("a delay is longer than the longest")
        np.add.at(self._counts, (of, places % self._size), 1)
        np.add.at(self.waiting, of, 1)

    def take(self, of: Ints, now_s: Floats) -> Ints:
        """For each of these clusters how many came back until now, since this was asked last."""
        reached = np.floor(now_s / self._bin_s + _ROUNDING).astype(np.int64)
        spans = np.minimum(reached - self._last[of], self._size)
        widest = int(spans.max(initial=0))
        if widest <= 0:
            return np.zeros(len(of), np.int64)
        steps = np.arange(1, widest + 1)
        places = (self._last[of, None] + steps) % self._size
        found = np.where(steps <= spans[:, None], self._counts[of[:, None], places], 0)
        self._counts[of[:, None], places] -= found
        self._last[of] = np.maximum(reached, self._last[of])
        came: Ints = found.sum(axis=1)
        self.waiting[of] -= came
        return came

    def next_s(self, of: Ints) -> Floats:
        """When the next one comes back, or until when nothing does."""
        steps = np.arange(1, _LOOK_BINS + 1)
        there = self._counts[of[:, None], (self._last[of, None] + steps) % self._size] > 0
        first = np.where(there.any(axis=1), there.argmax(axis=1) + 1, _LOOK_BINS)
        return np.where(self.waiting[of] > 0, (self._last[of] + first) * self._bin_s, NEVER)

    def clear(self, of: Ints) -> Ints:
        """Forget what these clusters wait for; how many that were."""
        gone: Ints = self._counts[of].sum(axis=1)
        self._counts[of] = 0
        self.waiting[of] = 0
        return gone
