"""Joins how far each cluster is into how far the change of the topology is. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence

from hookline.protocol.http_moves import MoveState, PairStatus, TopologyStatus
from hookline.protocol.internal_http import ClusterMoves
from hookline.protocol.topology import Topology, Version

MovesTold = Mapping[str, ClusterMoves | str]  # by the name of the cluster: what it says, or why it does not


def state_of(topology: Topology) -> MoveState:
    """Says in a word how the change goes on."""
    if topology.previous is None:
        return "stable"
    if topology.move.paused:
        return "paused"
    return "aborting" if topology.move.aborting else "moving"


def status_of(topology: Topology, version: Version, told: MovesTold, free: Sequence[str]) -> TopologyStatus:
    """How far it is.

    Args:
        topology: the one in force.
        version: of that.
        told: what all its clusters said.
        free: clusters that were taken out by the change before and can be switched off.
    """
    state = state_of(topology)
    known = {name: moves for name, moves in told.items() if isinstance(moves, ClusterMoves)}
    is_level = {name: (moves.epoch, moves.digest) == version for name, moves in known.items()}
    pairs = [pair for name, moves in known.items() for pair in _pairs(moves, is_level=is_level[name])]
    waits = [f"{name}: {moves.waits_for}" for name, moves in known.items() if moves.waits_for and is_level[name]]
    if state != "stable":
        waits += [f"{name}: it has not got epoch {version.epoch} yet" for name in known if not is_level[name]]
    return TopologyStatus(
        epoch=version.epoch,
        state=state,
        pairs=sorted(pairs, key=lambda pair: (pair.source, pair.target)),
        longest_freeze_ms=max((moves.longest_freeze_ms for moves in known.values()), default=0),
        jobs_per_s=round(sum(moves.jobs_per_s for moves in known.values()), 1),
        seconds_left=_seconds_left(known, pairs) if state in ("moving", "aborting") else None,
        waits_for=waits,
        unreachable=[name for name in told if name not in known],
        can_be_switched_off=list(free),
    )


def unfinished(version: Version, told: MovesTold) -> list[str]:
    """Reasons why the change cannot end yet, in words; empty: it can."""
    reasons = []
    for name, moves in told.items():
        if isinstance(moves, str):
            reasons.append(f"{name} does not say how far it is ({moves})")
        elif (moves.epoch, moves.digest) != version:
            reasons.append(f"{name} has not got epoch {version.epoch} yet")
        elif not moves.is_done:
            reasons.append(f"{name} has {_left(moves)} left{f' ({moves.waits_for})' if moves.waits_for else ''}")
    return reasons


def _left(moves: ClusterMoves) -> str:
    if any(pair.jobs_left is None or pair.schedules_left is None for pair in moves.pairs):
        return "jobs it still counts"
    jobs = sum(pair.jobs_left or 0 for pair in moves.pairs)
    schedules = sum(pair.schedules_left or 0 for pair in moves.pairs)
    return f"{jobs} jobs and {schedules} schedules"


def _pairs(moves: ClusterMoves, *, is_level: bool) -> Iterator[PairStatus]:
    for pair in moves.pairs:
        is_counting = not is_level or pair.jobs_left is None or pair.schedules_left is None
        yield PairStatus(
            *(moves.cluster, pair.to, pair.jobs_moved, 0 if is_counting else pair.jobs_left or 0),
            *(pair.schedules_moved, 0 if is_counting else pair.schedules_left or 0, is_counting),
        )


def _seconds_left(known: Mapping[str, ClusterMoves], pairs: Sequence[PairStatus]) -> int | None:
    """The clusters work side by side, so the slowest counts."""
    if not pairs or any(pair.counting for pair in pairs):
        return None
    seconds = 0.0
    for name, moves in known.items():
        left = sum(pair.jobs_left for pair in pairs if pair.source == name)
        if left and not moves.jobs_per_s:
            return None
        seconds = max(seconds, left / moves.jobs_per_s if left else 0)
    return math.ceil(seconds)
