"""Figures of clusters for ``hookline top``: rates and lags of the last seconds, from counts that only grow. Pure."""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from hookline.client.answers import Cluster, ClusterList, Destination, Health
from hookline.dashboard.attention import Concern, concerns_of
from hookline.dashboard.history import CountedSoFar, counted_so_far, grown_since, quantile

WINDOW_S: Final = 10.0
_NOT_FINISHED: Final = ("pending", "running")


class ClusterAtWork(Struct, frozen=True):
    """One cluster, or all of them.

    Attributes:
        state: ``ok``, ``no leader``, ``unreachable``, or as a proxy sees it.
        followers: names of those that are there.
        breaker: of the proxy towards it; None: a node was asked.
        lag_p50_ms, lag_p99_ms: how late requests left, in the last seconds; None: none left.
        attempts_per_s: that ended; None: not known yet.
        success_rate: the share of them that succeeded, 0 to 1; None: there was none.
        backlog: jobs that wait or run.
    """

    name: str
    state: str
    leader: str | None
    followers: list[str]
    breaker: str | None
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    attempts_per_s: float | None
    success_rate: float | None
    backlog: int
    dead: int
    slots_used: int
    slots: int


class CountsAt(NamedTuple):
    """The counts of all clusters at one moment, by name."""

    at_s: float
    clusters: dict[str, CountedSoFar]


class RateWindow:
    """Keeps the counts of the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[CountsAt] = deque()

    def take(self, clusters: ClusterList, now_s: float) -> None:
        """Add what they count now."""
        self._seen.append(
            CountsAt(now_s, {one.name: counted_so_far(one.figures) for one in clusters.data if one.figures is not None})
        )
        while len(self._seen) > 2 and self._seen[1].at_s <= now_s - WINDOW_S:
            self._seen.popleft()

    def rows(self, health: Health, clusters: ClusterList) -> list[ClusterAtWork]:
        """The clusters in their order, also those that cannot be reached."""
        missing = [Cluster(name, -1, 0, None, []) for name in clusters.incomplete]
        return [self._row(one, health) for one in (*clusters.data, *missing)]

    def total(self, rows: Sequence[ClusterAtWork], clusters: ClusterList) -> ClusterAtWork:
        """All of them together."""
        bad = [one for one in rows if one.state != "ok"]
        good, failed, lags, passed_s = self._grown([one.name for one in clusters.data])
        bounds = _bounds(clusters.data)
        return ClusterAtWork(
            "all",
            f"{len(bad)} not ok" if bad else "ok",
            None,
            [],
            None,
            quantile(bounds, lags, 0.5),
            quantile(bounds, lags, 0.99),
            (good + failed) / passed_s if passed_s else None,
            good / (good + failed) if good + failed else None,
            sum(one.backlog for one in rows),
            sum(one.dead for one in rows),
            sum(one.slots_used for one in rows),
            sum(one.slots for one in rows),
        )

    def _row(self, cluster: Cluster, health: Health) -> ClusterAtWork:
        known = next((one for one in health.clusters if one.name == cluster.name), None)
        figures = cluster.figures
        good, failed, lags, passed_s = self._grown([cluster.name])
        bounds = _bounds([cluster])
        jobs = {} if figures is None else figures.jobs
        return ClusterAtWork(
            cluster.name,
            _state(cluster),
            cluster.leader,
            [node.name for node in cluster.nodes if node.role == "follower"],
            None if known is None else known.breaker,
            quantile(bounds, lags, 0.5),
            quantile(bounds, lags, 0.99),
            (good + failed) / passed_s if passed_s else None,
            good / (good + failed) if good + failed else None,
            sum(jobs.get(state, 0) for state in _NOT_FINISHED),
            jobs.get("dead", 0),
            0 if figures is None else figures.slots_used,
            0 if figures is None else figures.slots_max,
        )

    def _grown(self, names: Sequence[str]) -> tuple[int, int, list[int], float]:
        """(good, failed, lags, seconds): of these clusters together, over the window; 0 seconds: not known yet."""
        if len(self._seen) < 2:
            return 0, 0, [], 0.0
        first, last = self._seen[0], self._seen[-1]
        grown = [
            grown_since(first.clusters[name], last.clusters[name])
            for name in names
            if name in first.clusters and name in last.clusters
        ]
        lags = [sum(column) for column in zip(*(one.lags for one in grown), strict=False)]
        return (
            sum(one.good for one in grown),
            sum(one.bad for one in grown),
            lags,
            last.at_s - first.at_s if grown else 0.0,
        )


def _bounds(clusters: Sequence[Cluster]) -> Sequence[float]:
    return next((one.figures.lag_bounds_ms for one in clusters if one.figures is not None), [])


def _state(cluster: Cluster) -> str:
    if cluster.shard < 0:
        return "unreachable"
    if cluster.leader is None:
        return "no leader"
    return "halted" if any(node.halted for node in cluster.nodes) else "ok"


class TopFacts(NamedTuple):
    """All that was found in one look."""

    rows: list[ClusterAtWork]
    total: ClusterAtWork
    clusters: ClusterList
    destinations: list[Destination]
    concerns: list[Concern]


def facts_of(window: RateWindow, health: Health, clusters: ClusterList, destinations: list[Destination]) -> TopFacts:
    """All that is shown, once the window has taken the clusters."""
    rows = window.rows(health, clusters)
    concerns = concerns_of(health, clusters, destinations)
    return TopFacts(rows, window.total(rows, clusters), clusters, destinations, concerns)
