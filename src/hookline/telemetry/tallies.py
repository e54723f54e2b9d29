"""Counters and histograms that are plain numbers, and become metrics of Prometheus when somebody looks.

Those of prometheus_client take a lock and several calls each time, which a job does five times. They are kept for what
they show: names, labels, when they began.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar


class Count:
    """A counter with its labels, if it has any. For one thread."""

    __slots__ = ("_shown", "_told", "count")

    def __init__(self, shown: Counter) -> None:
        self._shown = shown
        self._told = 0
        self.count = 0

    def inc(self, amount: int = 1) -> None:
        """So many more."""
        self.count += amount

    def tell(self) -> None:
        """Bring what is shown up to date."""
        self._shown.inc(self.count - self._told)
        self._told = self.count


class Tallies(Collector):
    """A counter that has a value for each set of labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self._shown = Counter(name, documentation, labels, registry=None)
        self._tallies: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def labels(self, *values: str) -> Count:
        """The one with these."""
        tally = self._tallies.get(values)
        if tally is None:
            tally = self._tallies[values] = Count(self._shown.labels(*values) if values else self._shown)
        return tally

    def collect(self) -> Iterator[Metric]:
        """Of prometheus_client."""
        for tally in self._tallies.values():
            tally.tell()
        yield from self._shown.collect()


class Spread(Collector):
    """A histogram. For one thread."""

    def __init__(self, name: str, documentation: str, *, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self._shown = Histogram(name, documentation, buckets=buckets, registry=None)
        self._bounds = tuple(map(float, buckets))
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0
        self._exemplars: dict[int, Exemplar] = {}  # of each bucket the newest
        registry.register(self)

    def observe(self, value: float, trace_id: str | None = None) -> None:
        """One more; ``trace_id``: of a recorded trace that shows how it came about."""
        bucket = bisect_left(self._bounds, value)
        self._counts[bucket] += 1
        self._sum += value
        if trace_id is not None:
            self._exemplars[bucket] = Exemplar({"trace_id": trace_id}, value)

    @property
    def counts(self) -> dict[float, int]:
        """How many there were up to each bound, and above the bound before; those above all are at infinity."""
        return dict(zip((*self._bounds, float("inf")), self._counts, strict=True))

    def collect(self) -> Iterator[Metric]:
        """Of prometheus_client."""
        for metric in self._shown.collect():
            up_to = enumerate(accumulate(self._counts))
            values = {"_count": sum(self._counts), "_sum": self._sum}
            for at, sample in enumerate(metric.samples):
                kind = sample.name.removeprefix(metric.name)
                if kind == "_bucket":
                    bucket, value = next(up_to)
                    metric.samples[at] = sample._replace(value=value, exemplar=self._exemplars.get(bucket))
                else:
                    metric.samples[at] = sample._replace(value=values.get(kind, sample.value))
            yield metric


class MetricRow(NamedTuple):
    """A metric as the reference names it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str


class Registry(CollectorRegistry):
    """The metrics of a process, each made here and nowhere else, so that the reference has them all.

    Attributes:
        rows: one for each metric, in the order in which they were made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[MetricRow] = []

    def tallies(self, name: str, meaning: str, *labels: str) -> Tallies:
        """A counter, named without ``_total``."""
        self.describe(MetricRow(f"{name}_total", "counter", labels, meaning))
        return Tallies(name, meaning, labels, self)

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        """A value that goes up and down; set when somebody looks."""
        self.describe(MetricRow(name, "gauge", labels, meaning))
        return Gauge(name, meaning, labels, registry=self)

    def spread(self, name: str, meaning: str, buckets: Sequence[float]) -> Spread:
        """A histogram."""
        self.describe(MetricRow(name, "histogram", (), meaning))
        return Spread(name, meaning, buckets=buckets, registry=self)

    def describe(self, *rows: MetricRow) -> None:
        """For metrics that others collect."""
        self.rows += rows


def show_only(gauge: Gauge, values: Mapping[tuple[str, ...], float]) -> None:
    """Set the gauge for these labels, and forget it for all others: they are gone."""
    gauge.clear()
    for labels, value in values.items():
        gauge.labels(*labels).set(value)
