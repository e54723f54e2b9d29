"""Tells how many jobs arrive at each cluster, by its own clock: at random (Poisson) or evenly spaced."""

from typing import Final

import numpy as np
from model.delays import NEVER, Floats, Ints

_ROUNDING: Final = 1e-6  # of an arrival: one that is due now has come


class Arrivals:
    """Streams, one for each cluster. Rates may change at any moment that no cluster's clock has passed.

    Args:
        rates: a second.
        random: when.
        is_even: they are evenly spaced.
    """

    def __init__(self, rates: Floats, random: np.random.Generator, *, is_even: bool = False) -> None:
        self.rates = rates.astype(float)
        self._random = random
        self._is_even = is_even
        self._next_s = self._gaps(np.arange(len(rates))) * (random.random(len(rates)) if is_even else 1.0)
        self.total = 0

    def _gaps(self, of: Ints) -> Floats:
        each_s: Floats = np.divide(1.0, self.rates[of], out=np.full(len(of), NEVER), where=self.rates[of] > 0)
        random_s: Floats = np.minimum(each_s * self._random.exponential(size=len(of)), NEVER)
        return each_s if self._is_even else random_s

    def count(self, of: Ints, now_s: Floats) -> Ints:
        """For each of these clusters how many came until now, since this was asked last."""
        came = np.zeros(len(of), np.int64)
        some = self._next_s[of] <= now_s
        if not some.any():
            return came
        own, since_s = of[some], now_s[some] - self._next_s[of[some]]
        if self._is_even:
            more = np.floor(since_s * self.rates[own] + _ROUNDING).astype(np.int64)
            self._next_s[own] += (more + 1) / self.rates[own]
        else:
            more = self._random.poisson(since_s * self.rates[own])
            self._next_s[own] = now_s[some] + self._gaps(own)
        came[some] = more + 1
        self.total += int(came.sum())
        return came

    def next_s(self, of: Ints) -> Floats:
        """When the next one comes."""
        return self._next_s[of]

    def change(self, rates: Floats, now_s: float) -> None:
        """The rates are these from now on."""
        changed = np.flatnonzero(rates != self.rates)
        self.rates = rates.astype(float)
        self._next_s[changed] = now_s + self._gaps(changed)
