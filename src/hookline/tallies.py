"""Counters and histograms that are plain numbers, and become metrics of Prometheus when somebody looks.

Those of prometheus_client take a lock and several calls each time, which a job does five times. They are kept for what
they show: names, labels, when they began.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.registry import Collector


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
        registry.register(self)

    def observe(self, value: float) -> None:
        """One more."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def counts(self) -> dict[float, int]:
        """How many there were up to each bound, and above the bound before; those above all are at infinity."""
        return dict(zip((*self._bounds, float("inf")), self._counts, strict=True))

    def collect(self) -> Iterator[Metric]:
        """Of prometheus_client."""
        for metric in self._shown.collect():
            up_to = accumulate(self._counts)
            values = {"_count": sum(self._counts), "_sum": self._sum}
            for at, sample in enumerate(metric.samples):
                kind = sample.name.removeprefix(metric.name)
                value = next(up_to) if kind == "_bucket" else values.get(kind, sample.value)
                metric.samples[at] = sample._replace(value=value)
            yield metric
