"""Foresees what a topology would move: shares of a sample of ids, and what the clusters say of their jobs. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hookline.protocol.http_moves import ClusterShare, PairPlan, PlanProblem, TopologyPlan
from hookline.protocol.internal_http import ClusterMoves, ClusterPlan, PlannedPair
from hookline.protocol.routing import Router
from hookline.protocol.topology import Move, Topology

SAMPLES = 10_000
ASSUMED_JOBS_PER_S = 2_000  # out of each cluster, until one has moved many
_MANY_JOBS = 1_000  # fewer say nothing of how fast it is

Planned = Mapping[str, ClusterPlan | str]  # by the name of the cluster: what it says, or why it does not


@dataclass(frozen=True, slots=True)
class Shares:
    """The parts of all ids and keys.

    Attributes:
        before: by the name of the cluster.
        after: likewise.
        moving: by (old home, new home), of those that move.
    """

    before: dict[str, float]
    after: dict[str, float]
    moving: dict[tuple[str, str], float]


def shares(old: Router, new: Router) -> Shares:
    """Those of ids and keys that clients choose, of a fixed sample; takes some ten milliseconds."""
    samples = (f"sample-{number}" for number in range(SAMPLES))
    homes = Counter((old.key_home(it).cluster.name, new.key_home(it).cluster.name) for it in samples)
    before: dict[str, float] = {entry.name: 0.0 for entry in old.topology.clusters}
    after: dict[str, float] = {entry.name: 0.0 for entry in new.topology.clusters}
    for (source, target), count in homes.items():
        before[source] += count / SAMPLES
        after[target] += count / SAMPLES
    moving = {pair: count / SAMPLES for pair, count in sorted(homes.items()) if pair[0] != pair[1]}
    return Shares(before, after, moving)


@dataclass(frozen=True, slots=True)
class Speed:
    """How many jobs move out of a cluster in a second; ``is_measured``: some did."""

    jobs_per_s: float = ASSUMED_JOBS_PER_S
    is_measured: bool = False

    def at_most(self, rate: int | None) -> "Speed":
        """No faster than that."""
        return self if rate is None or rate >= self.jobs_per_s else Speed(rate, self.is_measured)


def fastest_of(move: Move, told: Iterable[ClusterMoves]) -> float:
    """Jobs a second out of the cluster that was fastest; 0 where that says nothing: few moved, or a rate held them."""
    if move.rate is not None:
        return 0
    return max((one.jobs_per_s for one in told if sum(it.jobs_moved for it in one.pairs) >= _MANY_JOBS), default=0)


def plan_of(
    new: Topology,
    found: Shares,
    planned: Planned,
    speed: Speed,
    problems: Sequence[PlanProblem],
    notes: Sequence[str],
) -> TopologyPlan:
    """All that is known of the change to ``new`` beforehand."""
    known = {name: plan for name, plan in planned.items() if isinstance(plan, ClusterPlan)}
    counted = {(name, pair.to): pair for name, plan in known.items() for pair in plan.pairs}
    pairs = []
    for source, target in sorted({*found.moving, *counted}):
        share = found.moving.get((source, target), 0.0)
        it = counted.get((source, target), PlannedPair(target, 0, 0, 0))
        is_known = source in known
        pairs.append(
            PairPlan(source, target, share, *((it.jobs, it.schedules, it.bytes) if is_known else (None, None, None)))
        )
    names = dict.fromkeys((*found.before, *found.after))
    clusters = [
        ClusterShare(
            *(name, found.before.get(name, 0.0), found.after.get(name, 0.0)),
            *((known[name].pending, known[name].schedules) if name in known else (None, None)),
        )
        for name in names
    ]
    of_source = Counter[str]()
    for (source, _), pair in counted.items():
        of_source[source] += pair.jobs
    speed = speed.at_most(new.move.rate)
    return TopologyPlan(
        epoch=new.epoch,
        share=round(sum(found.moving.values()), 4),
        pairs=pairs,
        clusters=clusters,
        jobs=sum(pair.jobs for pair in counted.values()),
        schedules=sum(pair.schedules for pair in counted.values()),
        bytes=sum(pair.bytes for pair in counted.values()),
        seconds=math.ceil(max(of_source.values(), default=0) / speed.jobs_per_s),
        jobs_per_s=round(speed.jobs_per_s, 1),
        is_measured=speed.is_measured,
        problems=list(problems),
        notes=[*notes, *_forgotten(known)],
        unreachable=[name for name in planned if name not in known],
    )


def _forgotten(known: Mapping[str, ClusterPlan]) -> list[str]:
    return [
        f"{plan.forgotten:,} finished jobs of {name} have ids that clients chose, and go with it: an id that is sent"
        " again makes a new job, and is delivered again. With `with_finished` they move as well"
        for name, plan in known.items()
        if plan.forgotten
    ]
