"""Proposes weights by which the clusters of a ring would do the same work, from what they did. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from hookline.protocol.http_moves import ClusterLoad, TopologyBalance
from hookline.protocol.routing import Router
from hookline.protocol.topology import WEIGHT_MAX, Topology, encode_topology
from hookline.proxy.move_plan import Shares, shares

_STEP_MAX = 2.0  # no weight changes by more at once: what was measured may have been a moment
_BETTER = 0.10  # a proposal takes at least this part off the busiest cluster, or nothing is proposed
_IDLE_PER_S = 1.0  # all together: by less nothing can be told

_FINE = 5
_PROPOSED = "look at what moves before you apply it: hookline topology plan"
_NO_BETTER = "no weights would take a tenth off the busiest cluster: leave them as they are"
_COARSE = "weights below 5 can only be changed by a lot; larger ones for all give most ids another home once"

_line = re.compile(r"^(hookline_\w+)(?:\{([^}]*)\})? (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LoadReading:
    """The figures of a cluster at one moment: those that only grow, then those of now."""

    attempts: float = 0
    creates: float = 0
    lag_s: float = 0
    lags: float = 0
    slots_used: int = 0
    slots_max: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class WorkRate:
    """The work of a cluster in a second."""

    attempts_per_s: float
    creates_per_s: float
    lag_ms: float
    now: LoadReading

    @property
    def load(self) -> float:
        """More is asked of it than it does, if more comes than is attempted."""
        return max(self.attempts_per_s, self.creates_per_s)


def reading_of(metrics: str) -> LoadReading:
    """The figures in the metrics of a leader; 0 where there are none."""
    found: dict[str, float] = {}
    for name, labels, value in _line.findall(metrics):
        if name != "hookline_jobs" or labels == 'state="pending"':
            found[name] = found.get(name, 0) + float(value)
    return LoadReading(
        found.get("hookline_attempts_total", 0),
        found.get("hookline_create_seconds_count", 0),
        found.get("hookline_due_lag_seconds_sum", 0),
        found.get("hookline_due_lag_seconds_count", 0),
        int(found.get("hookline_slots_used", 0)),
        int(found.get("hookline_slots_max", 0)),
        int(found.get("hookline_jobs", 0)),
    )


def work_between(first: LoadReading, last: LoadReading, seconds: float) -> WorkRate:
    """The work between two readings; a process that began anew meanwhile did nothing."""
    lags = last.lags - first.lags
    return WorkRate(
        max(0.0, last.attempts - first.attempts) / seconds,
        max(0.0, last.creates - first.creates) / seconds,
        max(0.0, last.lag_s - first.lag_s) * 1_000 / lags if lags > 0 else 0,
        last,
    )


def balance_of(topology: Topology, works: Mapping[str, WorkRate], seconds: float) -> TopologyBalance:
    """The proposal; may take a second where weights are large."""
    loads = {name: work.load for name, work in works.items()}
    note = _why_not(topology, loads)
    if note is not None:
        return _answer(topology, works, seconds, None, None, loads, note)
    new = _weighted(topology, loads)
    if sum(entry.weight for entry in new.clusters) <= WEIGHT_MAX and new.clusters != topology.clusters:
        found = shares(Router(topology), Router(new))
        expected = _expected(loads, found)
        if max(expected.values()) <= (1 - _BETTER) * max(loads.values()):
            return _answer(topology, works, seconds, new, found, expected, _PROPOSED)
    is_coarse = any(entry.weight < _FINE for entry in topology.clusters)
    return _answer(topology, works, seconds, None, None, loads, _NO_BETTER, *([_COARSE] if is_coarse else []))


def _why_not(topology: Topology, loads: Mapping[str, float]) -> str | None:
    if topology.strategy != "ring":
        return 'the strategy is modulo, which has no weights; strategy = "ring" has them'
    if topology.previous is not None:
        return "a change is under way: balance when it has ended"
    if missing := [entry.name for entry in topology.clusters if entry.name not in loads]:
        return f"{', '.join(missing)} cannot be asked for its load"
    if len(topology.clusters) == 1:
        return "there is one cluster"
    if sum(loads.values()) < _IDLE_PER_S:
        return "there is too little work to tell"
    return None


def _weighted(topology: Topology, loads: Mapping[str, float]) -> Topology:
    """With weights by which each would have the same load.

    Their scale stays: more points for every cluster would give most ids another home.
    """
    mean = sum(loads.values()) / len(loads)
    entries = []
    for entry in topology.clusters:
        load = loads[entry.name]
        factor = min(_STEP_MAX, max(1 / _STEP_MAX, mean / load)) if load else _STEP_MAX
        entries.append(replace(entry, weight=max(1, round(entry.weight * factor))))
    return replace(topology, epoch=topology.epoch + 1, clusters=tuple(entries))


def _expected(loads: Mapping[str, float], found: Shares) -> dict[str, float]:
    """The loads afterwards, if all ids of a cluster bring the same."""
    expected = dict(loads)
    for (source, target), share in found.moving.items():
        goes = loads[source] * share / found.before[source]
        expected[source] -= goes
        expected[target] += goes
    return expected


def _answer(
    topology: Topology,
    works: Mapping[str, WorkRate],
    seconds: float,
    new: Topology | None,
    found: Shares | None,
    expected: Mapping[str, float],
    *notes: str,
) -> TopologyBalance:
    weights = {entry.name: entry.weight for entry in (new or topology).clusters}
    clusters = [
        ClusterLoad(
            *(entry.name, entry.weight, weights[entry.name], round(work.load, 2), round(expected[entry.name], 2)),
            *(round(work.attempts_per_s, 2), round(work.creates_per_s, 2), round(work.lag_ms, 1)),
            *(work.now.slots_used, work.now.slots_max, work.now.pending),
        )
        for entry in topology.clusters
        if (work := works.get(entry.name)) is not None
    ]
    share = round(sum(found.moving.values()), 4) if found else 0
    document = msgspec.json.decode(encode_topology(new)) if new else None
    return TopologyBalance(topology.epoch, round(seconds, 1), clusters, share, document, list(notes))
