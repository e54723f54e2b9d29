"""Holds what a benchmark has seen, and makes figures of it. Pure."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import NamedTuple

from msgspec import Struct

_EARLY_S = 0.001  # times travel in milliseconds
_EMPTY = 0.0


class Percentiles(Struct, frozen=True):
    """Percentiles of durations, milliseconds: the smallest that at least so many per cent are not above."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class Figures(Struct, frozen=True):
    """The result.

    Attributes:
        jobs: that were acknowledged.
        seconds: from when the first job was to be created until the last arrived, without the delay asked for.
        jobs_per_s: arrived, by those seconds, or by those in which so many were to be created if that is longer.
        rate: jobs a second that were to be created.
        create_ms: from when a job was to be created until it was acknowledged.
        lag_ms: from when a job was due, by Hookline, until it arrived.
        delivery_ms: from when a job was to be created, and the delay asked for had passed, until it arrived.
        lost: acknowledged, not pending any more, and never arrived.
        duplicates: requests beyond the first of a job.
        early: arrived before they were due.
        unfinished: acknowledged, and still pending or running at the end.
        unknown: acknowledged, not arrived, and Hookline did not answer what became of them.
        refused: creates that Hookline refused, by code.
        unclear: creates after which nobody knows whether there is a job.
        sent_late_ms: how much later than intended a create left, since this program did not keep up, 99th percentile.
    """

    jobs: int
    seconds: float
    jobs_per_s: float
    rate: float
    create_ms: Percentiles
    lag_ms: Percentiles
    delivery_ms: Percentiles
    lost: int
    duplicates: int
    early: int
    unfinished: int
    unknown: int
    refused: dict[str, int]
    unclear: int
    sent_late_ms: float

    def spreads(self) -> dict[str, Percentiles]:
        """Each, by what it says."""
        return {
            "to acknowledge a create": self.create_ms,
            "from due to arrival (lag)": self.lag_ms,
            "from create to arrival": self.delivery_ms,
        }

    @property
    def is_as_promised(self) -> bool:
        """There are jobs, and nothing is lost, doubled, early, or such that nobody knows it."""
        return bool(self.jobs) and not (self.lost or self.duplicates or self.early or self.unknown)


def spread(values: Iterable[float]) -> Percentiles:
    """Percentiles of seconds, as milliseconds."""
    found = sorted(values)
    return Percentiles(*(round(percentile(found, share) * 1_000, 3) for share in (0.5, 0.9, 0.99, 0.999, 1)))


def percentile(found: Sequence[float], share: float) -> float:
    """Of sorted values; 0 if there are none."""
    if not found:
        return _EMPTY
    rank = -int(-share * len(found) // 1)  # rounded up
    return found[min(max(rank, 1), len(found)) - 1]


class Missing(NamedTuple):
    """Counts jobs that have not arrived by their fate, as Hookline tells it: still to come, over, or not told."""

    unfinished: int = 0
    lost: int = 0
    unknown: int = 0


@dataclass
class BenchLog:
    """Everything that was created and that arrived; times in seconds since 1970, durations in seconds."""

    delay_s: float = 0.0
    wanted: dict[str, float] = field(default_factory=dict)  # acknowledged: when it was to be created
    create_s: "array[float]" = field(default_factory=lambda: array("d"))
    late_s: "array[float]" = field(default_factory=lambda: array("d"))
    refused: Counter[str] = field(default_factory=Counter)
    unclear: int = 0
    lag_at: "array[float]" = field(default_factory=lambda: array("d"))  # when those arrived whose lags are known
    lag_s: "array[float]" = field(default_factory=lambda: array("d"))
    lag_of: list[str] = field(default_factory=list)  # whose they are
    early: set[str] = field(default_factory=set)
    times: Counter[str] = field(default_factory=Counter)
    first: dict[str, float] = field(default_factory=dict)  # when it arrived first

    def created(self, ids: Iterable[str], wanted_at: float, took_s: float) -> None:
        """Hookline acknowledged these, so long after they were to be created."""
        for job_id in ids:
            self.wanted[job_id] = wanted_at
            self.create_s.append(took_s)

    def arrived(self, job_id: str, at: float, due: float | None) -> None:
        """The receiver got a request."""
        self.times[job_id] += 1
        if job_id in self.first:
            return
        self.first[job_id] = at
        if due is not None:
            self.lag_at.append(at)
            self.lag_s.append(max(0.0, at - due))
            self.lag_of.append(job_id)
            if at < due - _EARLY_S:
                self.early.add(job_id)

    def forget(self) -> None:
        """Nothing of what has arrived so far counts."""
        self.times.clear()
        self.first.clear()
        self.early.clear()
        del self.lag_at[:], self.lag_s[:], self.lag_of[:]

    def forget_strangers(self) -> None:
        """Nothing counts that came for jobs of somebody else: an earlier benchmark's, at the same address."""
        wanted = self.wanted
        own = [job_id in wanted for job_id in self.lag_of]
        self.lag_at = array("d", compress(self.lag_at, own))
        self.lag_s = array("d", compress(self.lag_s, own))
        self.lag_of = list(compress(self.lag_of, own))
        self.early &= wanted.keys()
        self.times = Counter({job_id: times for job_id, times in self.times.items() if job_id in wanted})
        self.first = {job_id: at for job_id, at in self.first.items() if job_id in wanted}

    def missing(self) -> list[str]:
        """Acknowledged and not arrived."""
        return [job_id for job_id in self.wanted if job_id not in self.first]

    def figures(self, began_at: float, rate: float, missing: Missing) -> Figures:
        """Sum it all up.

        Args:
            began_at: when the first was to be created.
            rate: jobs a second that were to be created.
            missing: what became of those that have not arrived.
        """
        self.forget_strangers()
        seconds = max(self.first.values(), default=began_at) - began_at - self.delay_s
        counted_s = max(seconds, len(self.wanted) / rate)
        return Figures(
            jobs=len(self.wanted),
            seconds=round(max(0.0, seconds), 3),
            jobs_per_s=round(len(self.first) / counted_s, 1) if counted_s else 0.0,
            rate=rate,
            create_ms=spread(self.create_s),
            lag_ms=spread(self.lag_s),
            delivery_ms=spread(
                max(0.0, self.first[job_id] - at - self.delay_s)
                for job_id, at in self.wanted.items()
                if job_id in self.first
            ),
            lost=missing.lost,
            duplicates=sum(times - 1 for times in self.times.values()),
            early=len(self.early),
            unfinished=missing.unfinished,
            unknown=missing.unknown,
            refused=dict(sorted(self.refused.items())),
            unclear=self.unclear,
            sent_late_ms=round(percentile(sorted(self.late_s), 0.99) * 1_000, 3),
        )
