"""Counts lags in a histogram of narrow bins, by the second in which the job was sent."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from model.delays import Floats, Ints

_LEAST_S: Final = 1e-5
_PER_DECADE: Final = 230  # so a bin is 1 % wide
_BINS: Final = 9 * _PER_DECADE  # up to 10,000 s
_POINTS: Final = (np.arange(4) + 0.5) / 4  # of a cohort, whose lags lie between two ends


class Lags:
    """How late jobs were sent.

    Args:
        seconds: of the run; what is later counts for the last one.
    """

    def __init__(self, seconds: float) -> None:
        self._rows = max(1, int(np.ceil(seconds)))
        self._counts = np.zeros(self._rows * _BINS)
        self._sum_s = 0.0
        self.longest_s = 0.0
        self.earliest_s = np.inf  # below zero: a job was sent before it was due

    def add(self, sent_s: Floats, first_s: Floats, last_s: Floats, counts: Ints) -> None:
        """So many jobs of each cohort, whose lags lie evenly between these two."""
        if not len(counts):
            return
        self.longest_s = max(self.longest_s, float(first_s.max()), float(last_s.max()))
        self.earliest_s = min(self.earliest_s, float(first_s.min()), float(last_s.min()))
        lags = first_s[:, None] + (last_s - first_s)[:, None] * _POINTS
        self._sum_s += float(((first_s + last_s) / 2 * counts).sum())
        bins = np.log10(np.maximum(lags, _LEAST_S) / _LEAST_S) * _PER_DECADE
        rows = np.clip(sent_s.astype(np.int64), 0, self._rows - 1)
        places = rows[:, None] * _BINS + np.clip(bins.astype(np.int64), 0, _BINS - 1)
        weights = np.repeat(counts / len(_POINTS), len(_POINTS))
        np.add.at(self._counts, places.ravel(), weights)

    @property
    def count(self) -> float:
        """How many jobs were sent."""
        return float(self._counts.sum())

    @property
    def mean_s(self) -> float:
        """Of all lags."""
        return self._sum_s / self.count

    def percentiles_ms(self, shares: Sequence[float], from_s: float = 0.0, until_s: float = np.inf) -> list[float]:
        """Lags, in ms, of jobs that were sent in these seconds; NaN when there were none."""
        rows = self._counts.reshape(self._rows, _BINS)[int(from_s) : int(min(until_s, self._rows))]
        return _percentiles(rows.sum(axis=0), shares)

    def by_second_ms(self, share: float) -> list[float]:
        """A percentile of each second."""
        return [_percentiles(row, [share])[0] for row in self._counts.reshape(self._rows, _BINS)]


def _percentiles(counts: Floats, shares: Sequence[float]) -> list[float]:
    total = counts.sum()
    if total <= 0:
        return [float("nan")] * len(shares)
    places = np.searchsorted(counts.cumsum(), np.asarray(shares) * total)
    return [float(_LEAST_S * 10 ** ((place + 0.5) / _PER_DECADE) * 1_000) for place in places]
