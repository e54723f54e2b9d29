"""The last minutes as charts show them: samples of what clusters count, taken while somebody looks. Pure."""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from hookline.client.answers import ClusterFigures, ClusterList

_SAMPLES_MAX: Final = 600
_GOOD: Final = "success"


class Sample(NamedTuple):
    """One moment.

    Attributes:
        at_s: seconds since 1970.
        good, bad: attempts a second that ended so, since the sample before; None: nobody knows.
        running: slots in use.
        slots: those there are.
        backlog: jobs that wait or run.
        p50, p99: milliseconds that requests left late, half and 99 % of them; None: none left.
    """

    at_s: float
    good: float | None
    bad: float | None
    running: int
    slots: int
    backlog: int
    p50: float | None
    p99: float | None


class CountedSoFar(NamedTuple):
    """Sums over clusters: attempts that ended well and badly, and lags by their bounds."""

    good: int
    bad: int
    lags: tuple[int, ...]


class ChartHistory:
    """Keeps the newest samples.

    Attributes:
        samples: oldest first.
        clusters: as they were last seen.
    """

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=_SAMPLES_MAX)
        self.clusters = ClusterList([])
        self._counted: dict[str, CountedSoFar] = {}

    def is_older_than(self, at_s: float) -> bool:
        """Is the newest sample from before then?"""
        return not self.samples or self.samples[-1].at_s < at_s

    def take(self, clusters: ClusterList, now_s: float) -> Sample:
        """Add what they count now."""
        figures = {one.name: one.figures for one in clusters.data if one.figures is not None}
        counted = {name: counted_so_far(one) for name, one in figures.items()}
        grown = [grown_since(self._counted[name], one) for name, one in counted.items() if name in self._counted]
        passed_s = now_s - self.samples[-1].at_s if self.samples else 0
        lags = [sum(column) for column in zip(*(one.lags for one in grown), strict=False)]
        bounds = next((one.lag_bounds_ms for one in figures.values()), [])
        is_known = bool(grown) and passed_s > 0
        sample = Sample(
            round(now_s, 3),
            sum(one.good for one in grown) / passed_s if is_known else None,
            sum(one.bad for one in grown) / passed_s if is_known else None,
            sum(one.slots_used for one in figures.values()),
            sum(one.slots_max for one in figures.values()),
            sum(one.jobs.get("pending", 0) + one.jobs.get("running", 0) for one in figures.values()),
            quantile(bounds, lags, 0.5),
            quantile(bounds, lags, 0.99),
        )
        self.clusters, self._counted = clusters, counted
        self.samples.append(sample)
        return sample

    def success_rate(self, since_s: float) -> float | None:
        """The share of attempts since then that succeeded; None: there was none."""
        recent = [one for one in self.samples if one.at_s >= since_s and one.good is not None and one.bad is not None]
        good, bad = sum(one.good or 0 for one in recent), sum(one.bad or 0 for one in recent)
        return good / (good + bad) if good + bad else None


def counted_so_far(figures: ClusterFigures) -> CountedSoFar:
    """The counts that only grow."""
    good = figures.attempts.get(_GOOD, 0)
    return CountedSoFar(good, sum(figures.attempts.values()) - good, tuple(figures.lag_counts))


def grown_since(before: CountedSoFar, now: CountedSoFar) -> CountedSoFar:
    """The growth; a new leader counts from the beginning."""
    if now.good < before.good or now.bad < before.bad or len(now.lags) != len(before.lags):
        return now
    return CountedSoFar(
        now.good - before.good,
        now.bad - before.bad,
        tuple(max(0, one - was) for one, was in zip(now.lags, before.lags, strict=True)),
    )


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """The value that this share of all is not above: inside its bucket taken for evenly spread; None: there is none."""
    total, passed, low = sum(counts), 0, 0.0
    for high, count in zip((*bounds, bounds[-1] if bounds else 0), counts, strict=False):
        if count and passed + count >= share * total:
            return round(low + (high - low) * (share * total - passed) / count, 2)
        passed, low = passed + count, high
    return None
