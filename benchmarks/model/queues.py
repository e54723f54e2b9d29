"""Keeps the jobs that are due and not sent yet, oldest first, as cohorts, for many clusters at once."""

from typing import Final

import numpy as np
from model.delays import Floats, Ints
from model.lags import Lags

_PLACES: Final = 4_096  # cohorts of a cluster
_JOINED_S: Final = 0.05  # while jobs wait, so long is a cohort


class DueJobs:
    """A cohort is a count of jobs that fell due evenly between two moments.

    Args:
        clusters: how many there are.
        lags: told how late each job was sent.
    """

    def __init__(self, clusters: int, lags: Lags) -> None:
        self._from = np.zeros((clusters, _PLACES))
        self._to = np.zeros((clusters, _PLACES))
        self._count = np.zeros((clusters, _PLACES), np.int64)
        self._head = np.zeros(clusters, np.int64)
        self._tail = np.zeros(clusters, np.int64)
        self._lags = lags
        self.waiting = np.zeros(clusters, np.int64)

    def put(self, of: Ints, from_s: Floats, to_s: Floats, counts: Ints) -> None:
        """So many jobs of each cluster fell due between these moments."""
        some = counts > 0
        if not some.any():
            return
        of, from_s, to_s, counts = of[some], from_s[some], to_s[some], counts[some]
        newest = (self._tail[of] - 1) % _PLACES
        joins = (self.waiting[of] > 0) & (to_s - self._from[of, newest] < _JOINED_S) & (self._to[of, newest] <= from_s)
        joins &= self._tail[of] > self._head[of] + 1  # not to the one that is being sent
        old, place = of[joins], newest[joins]
        self._to[old, place] = to_s[joins]
        self._count[old, place] += counts[joins]
        new = of[~joins]
        if np.any(self._tail[new] - self._head[new] >= _PLACES):
            raise ValueError("more jobs wait than there is room for")
        place = self._tail[new] % _PLACES
        self._from[new, place], self._to[new, place] = from_s[~joins], to_s[~joins]
        self._count[new, place] = counts[~joins]
        self._tail[new] += 1
        self.waiting[of] += counts

    def send(self, of: Ints, counts: Ints, first_s: Floats, last_s: Floats) -> None:
        """So many of each cluster are sent, evenly between these moments; they are there."""
        some = counts > 0
        of, left, first_s, last_s = of[some], counts[some], first_s[some], last_s[some]
        self.waiting[of] -= left
        each_s = (last_s - first_s) / np.maximum(left, 1)
        while len(of):
            place = self._head[of] % _PLACES
            there = self._count[of, place]
            taken = np.minimum(left, there)
            begin, end = self._from[of, place], self._to[of, place]
            middle = begin + (end - begin) * taken / np.maximum(there, 1)
            until_s = first_s + each_s * taken
            self._lags.add(first_s, first_s - begin, until_s - middle, taken)
            self._from[of, place] = middle
            self._count[of, place] -= taken
            self._head[of] += taken == there
            left, first_s = left - taken, until_s
            more = left > 0
            of, left, first_s, each_s = of[more], left[more], first_s[more], each_s[more]
