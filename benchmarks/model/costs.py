"""Reads what operations cost, as it was measured, and fits what the model needs. It says which figures it fitted.

Everything else that was measured is left for the validation.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from model.delays import Floats, Ints
from report.figures import Row, median, read_results

from hookline.cli.plan.calibration import Calibration, MeasuredCapacity, RoleCpu, calibration
from hookline.protocol.limits import CLAIMS_AHEAD_SHARE

RESULTS: Final = Path(__file__).parents[1] / "report" / "results"
ROLES: Final = RoleCpu.__struct_fields__
FITTED: Final = ((1_000, 100), (200, 100), (0, 100), (0, 2_000), (10_000, 100))  # webhook ms, slots
SHARED: Final = (128, 1)  # connections and batch of the case that says how creates share a round
FEW, MANY = FITTED[2][1], FITTED[3][1]  # slots
REQUESTS: Final = 16  # creates in a round of 32 connections, by which the CPU of a create was measured: half of them
CORES: Final = 2  # of the machine that was measured
GATHER_S: Final = 0.005  # node/dispatch/dispatcher.py: reports gather while all slots are busy
COMMIT_S: Final = 0.025  # node/dispatch/seats.py: for so long are claims ahead
_KIB_A_JOB: Final = 0.9  # of the log
_APPEND_MS_A_KIB: Final = 1.4 / 60  # architecture.md: 1.9 ms for 4 KiB, 3.3 ms for 64 KiB
_P99: Final = 2.326  # standard deviations
_ASSUMED_APPEND_MS: Final = {1: (0.8, 3.0), 3: (2.5, 10.0)}  # p50, p99, while creates are not measured


class Where(NamedTuple):
    """Shares of the other roles' work that fall on the leader's machine."""

    followers: float = 1.0
    etcd: float = 1.0
    receiver: float = 1.0

    def sum_s(self, by_role: Sequence[Any]) -> Any:
        """Of the leader's work and these shares."""
        leader, followers, etcd = by_role
        return leader + followers * self.followers + etcd * self.etcd


OWN_MACHINES: Final = Where(followers=0.0, etcd=1 / 3, receiver=0.0)  # three machines, a node and a member on each


class Law(NamedTuple):
    """CPU µs a job, by role, for so many jobs in a round: straight lines between logarithms.

    Attributes:
        jobs: of the rounds that are known, ascending.
        by_role: what a job costs then.
        dearer: by this share more with ``MANY`` attempts under way than with ``FEW``, and evenly in between.
    """

    jobs: tuple[float, ...]
    by_role: tuple[tuple[float, ...], ...]
    dearer: tuple[float, ...] = (0.0,) * len(ROLES)

    def us(self, jobs: Floats, role: int, running: Ints | int = 0) -> Floats:
        """For one role, with so many attempts under way."""
        known = np.log(np.maximum(self.by_role[role], 1e-9))
        found = np.exp(np.interp(np.log(np.maximum(jobs, 1e-9)), np.log(self.jobs), known))
        many: Floats = found * (1 + self.dearer[role] * np.clip((running - FEW) / (MANY - FEW), 0, 1))
        return many


class Costs(NamedTuple):
    """Of a cluster's operations.

    Attributes:
        nodes: of the cluster.
        deliver: a job: claim, attempt, outcome.
        request_us: of a create, by role, whatever is in it, when ``REQUESTS`` share a round.
        create_us: of each job in it.
        sharing: a request in a round of few costs more, by this power of their number.
        append_ms: the median of the time that an entry of one job takes.
        append_sigma: of its logarithm.
        idle: CPU seconds by role of a second in which nothing happens.
        between_s: for which a slot is taken between two attempts.
        receiver_us: of the receiver, a job.
        serial: the share of the leader's CPU that is its loop's, not that of its commits.
        client_s: from an answer to the next create.
    """

    nodes: int
    deliver: Law
    request_us: tuple[float, ...]
    create_us: tuple[float, ...]
    sharing: float
    append_ms: float
    append_sigma: float
    idle: tuple[float, ...]
    between_s: float
    receiver_us: float
    serial: float
    client_s: float = 0.0001

    def append_s(self, random: np.random.Generator, count: int, jobs: Ints) -> Floats:
        """Times that entries of so many jobs take."""
        more = _APPEND_MS_A_KIB * _KIB_A_JOB * jobs if self.nodes > 1 else 0.0
        found: Floats = (self.append_ms * random.lognormal(0.0, self.append_sigma, count) + more) / 1_000
        return found

    def round_s(self, jobs: Floats, created: Ints, batch: int, running: Ints) -> tuple[list[Floats], list[Floats]]:
        """CPU seconds by role for a round that delivers and creates so many: of deliveries, of creates."""
        requests = created / batch
        dearer = (np.maximum(requests, 1.0) / REQUESTS) ** -self.sharing
        delivering = [jobs * self.deliver.us(jobs, role, running) / 1e6 for role in range(len(ROLES))]
        both = zip(self.request_us, self.create_us, strict=True)
        return delivering, [(requests * dearer * request + created * each) / 1e6 for request, each in both]


class Measured(NamedTuple):
    """All that was measured.

    Attributes:
        known: of one cluster, by webhook time and slots.
        parts: the rows of the others, by the name of the part.
    """

    known: Calibration
    parts: Mapping[str, Sequence[Row]]


def read(directory: Path = RESULTS) -> Measured:
    """Read all there is; parts that were not measured are missing."""
    return Measured(calibration(), {name: part.rows for name, part in read_results(directory).items()})


def fit(measured: Measured, nodes: int) -> Costs:
    """Find the costs of a cluster of so many nodes."""
    known = measured.known
    cells = {(one.webhook_ms, one.slots): one for one in known.deliver if one.nodes == nodes}
    used = [cells[key] for key in FITTED[:3]]
    idle = _idle(cells.get(FITTED[4]), used[0])
    crowded = cells.get(FITTED[3])
    deliver = _law(used, crowded, idle)
    single, batch = (_create(known, nodes, size) for size in (1, 100))
    request = {role: max(0.0, (getattr(single, role) - getattr(batch, role)) / 0.99) for role in ROLES}
    reference, fastest = cells[200, 100], cells[0, 100]
    sharing = _sharing(measured)
    alone_us = request["leader"] * REQUESTS**sharing + single.leader - request["leader"]
    append_ms, sigma = _append(measured, nodes, alone_us / 1_000)
    return Costs(
        nodes,
        deliver,
        tuple(request[role] for role in ROLES),
        tuple(getattr(single, role) - request[role] for role in ROLES),
        sharing,
        append_ms,
        sigma,
        idle,
        reference.slots / reference.rate - reference.webhook_ms / 1_000,
        _receiver_us(known),
        min(1.0, 1e6 / (fastest.rate * fastest.cpu_us.leader)),
    )


def _law(used: Sequence[MeasuredCapacity], crowded: MeasuredCapacity | None, idle: tuple[float, ...]) -> Law:
    """Of rounds of some and of many jobs. What is dearer with many slots is so by the attempts that are under way."""
    by_role = [[_busy_us(one, role, idle) for one in used] for role in range(len(ROLES))]
    jobs = [_together(one) for one in used]
    if crowded is None:
        return Law(tuple(jobs), tuple(map(tuple, by_role)))
    dearer = []
    for role, known in enumerate(by_role):
        change = _busy_us(crowded, role, idle) / max(known[-1], 1e-9)
        known.append(known[-1] * min(1.0, change))
        dearer.append(max(1.0, change) - 1)
    return Law((*jobs, MANY), tuple(map(tuple, by_role)), tuple(dearer))


def _idle(slow: MeasuredCapacity | None, faster: MeasuredCapacity) -> tuple[float, ...]:
    """CPU seconds of an idle second: of two slow rates, what does not grow with the jobs."""
    if slow is None:
        return (0.0,) * len(ROLES)
    us = (getattr(slow.cpu_us, role) - getattr(faster.cpu_us, role) for role in ROLES)
    return tuple(max(0.0, more) / 1e6 / (1 / slow.rate - 1 / faster.rate) for more in us)


def _busy_us(one: MeasuredCapacity, role: int, idle: tuple[float, ...]) -> float:
    """Without the share of what is there when nothing happens; who is always busy has little of that."""
    us = float(getattr(one.cpu_us, ROLES[role]))
    return max(us / 2, us - idle[role] / one.rate * 1e6)


def _together(one: MeasuredCapacity) -> float:
    """How many jobs share a round: those of the time for which reports gather, at most half of the claims ahead."""
    gathered = 1 + one.rate * GATHER_S
    ahead = min(one.slots // CLAIMS_AHEAD_SHARE, one.rate * COMMIT_S)
    return min(gathered, max(1.0, ahead / 2)) if one.webhook_ms else gathered


def _create(known: Calibration, nodes: int, batch: int) -> RoleCpu:
    (found,) = (one for one in known.create if (one.nodes, one.batch) == (nodes, batch))
    return found.cpu_us


def _sharing(measured: Measured) -> float:
    """By how much a request becomes cheaper: one node's CPU with 32 connections, its rate with 128, a full core."""
    single, batch = (_create(measured.known, 1, size).leader for size in (1, 100))
    for row in measured.parts.get("creating", ()):
        if (row["nodes"], row["connections"], row["batch"]) == (1, *SHARED):
            many_us = 1e6 / median(row["rate"])
            return max(0.0, math.log((single - batch) / (many_us - batch)) / math.log(SHARED[0] / 2 / REQUESTS))
    return 0.0


def _receiver_us(known: Calibration) -> float:
    """CPU of a job at the receiver: what three nodes and etcd leave of a machine that they fill with it."""
    (full,) = (one for one in known.deliver if (one.nodes, one.webhook_ms, one.slots) == (3, 0, 100))
    return max(0.0, CORES * 1e6 / full.rate - _sum(full))


def _sum(one: MeasuredCapacity) -> float:
    return one.cpu_us.leader + one.cpu_us.followers + one.cpu_us.etcd


def _append(measured: Measured, nodes: int, cpu_ms: float) -> tuple[float, float]:
    """Median and sigma of an append: what a create over one connection takes beside the CPU."""
    p50, p99 = _ASSUMED_APPEND_MS[nodes]
    for row in measured.parts.get("creating", ()):
        if (row["nodes"], row["connections"], row["batch"]) == (nodes, 1, 1):
            p50, p99 = (max(0.1, median(row[name]) - cpu_ms) for name in ("p50_ms", "p99_ms"))
    return p50, math.log(p99 / p50) / _P99
