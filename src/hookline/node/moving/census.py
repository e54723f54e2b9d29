"""Counts what has to move out of a cluster, letting others run in between."""

import asyncio
from dataclasses import dataclass, field

from hookline.node.moving.targets import Targets
from hookline.node.state_machine.move_reads import MoveReads
from hookline.protocol.ids import shard_hint
from hookline.protocol.internal_http import ClusterPlan, PlannedPair
from hookline.protocol.jobs import State

PAGE_ROWS = 500  # a few milliseconds


@dataclass(slots=True)
class Outflow:
    """Sums up the way to one cluster."""

    jobs: int = 0
    schedules: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Census:
    """Sums up a cluster: all there is, and the part that moves, by the name of the cluster it moves to."""

    pending: int = 0
    schedules: int = 0
    forgotten: int = 0  # finished jobs with ids of clients that stay behind in a cluster that leaves
    moving: dict[str, Outflow] = field(default_factory=dict)

    def of(self, home: str) -> Outflow:
        """The way there."""
        return self.moving.setdefault(home, Outflow())

    def plan(self, cluster: str) -> ClusterPlan:
        """As it is told."""
        pairs = [PlannedPair(home, it.jobs, it.schedules, it.bytes) for home, it in sorted(self.moving.items())]
        return ClusterPlan(cluster, self.pending, self.schedules, pairs, self.forgotten)


async def taken(reads: MoveReads, targets: Targets, now_ms: int) -> Census:
    """Look at all jobs and schedules. Some two microseconds a job."""
    census = Census()
    after = 0
    while jobs := reads.jobs(after, PAGE_ROWS):
        after = jobs[-1].seq
        for job in jobs:
            census.pending += job.state in (State.PENDING, State.RUNNING)
            if not targets.moves(job, now_ms):
                census.forgotten += targets.is_leaving and shard_hint(job.id) is None
            elif (home := targets.of_id(job.id)) is not None:
                its = census.of(home.name)
                its.jobs += 1
                its.bytes += max(0, job.size)
        await asyncio.sleep(0)
    after = 0
    while schedules := reads.schedules(after, PAGE_ROWS):
        after = schedules[-1].seq
        census.schedules += len(schedules)
        for schedule in schedules:
            if (home := targets.of_id(schedule.id)) is not None:
                census.of(home.name).schedules += 1
        await asyncio.sleep(0)
    return census
