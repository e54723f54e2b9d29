"""Runs the model on what was measured, and says how far it is off. What was fitted is not among it.

Each case is run as often as there are replicas, side by side, each on a machine of its own.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
from model.costs import CORES, FITTED, SHARED, Costs, Measured, Where
from model.leaders import Leaders, Setup
from report.figures import Row, least, median, most, named

from hookline.cli.plan.calibration import MeasuredCapacity

LIMIT: Final = 0.10  # of the error
_SPREAD: Final = 0.5  # capacity.py: webhooks take half as long to one and a half times
_IDLE_MAX: Final = 0.9
_AT_S: Final = 0.5  # when what is due at one instant is due


class Check(NamedTuple):
    """One figure.

    Attributes:
        part: of what was measured.
        case: as people read it.
        figure: with its unit.
        measured: the median; low, high: the ends of its runs.
        model: the model's.
    """

    part: str
    case: str
    figure: str
    measured: float
    low: float
    high: float
    model: float

    @property
    def error(self) -> float:
        """Of the model, as a share of what was measured."""
        return self.model / self.measured - 1


class Effort(NamedTuple):
    """How much is simulated: runs of each case, the seconds that are counted, the largest herd, the longest webhook."""

    replicas: int = 8
    seconds: float = 6.0
    jobs_max: int = 1_000_000
    webhook_ms_max: int = 10_000


def checks(measured: Measured, costs: dict[int, Costs], effort: Effort, seed: int) -> Iterator[Check]:
    """All figures that were measured and not fitted."""
    yield from _capacity(measured, costs, effort, seed)
    parts: dict[str, Callable[[Row, Costs, Effort, int], Iterator[Check]]] = {
        "creating": _creating,
        "herd": _herd,
        "lag": _lag,
        "clusters": _clusters,
    }
    for part, check in parts.items():
        for row in measured.parts.get(part, ()):
            yield from check(row, costs[row["nodes"]], effort, seed)


def _capacity(measured: Measured, costs: dict[int, Costs], effort: Effort, seed: int) -> Iterator[Check]:
    for one in measured.known.deliver:
        if (one.webhook_ms, one.slots) not in FITTED and one.webhook_ms <= effort.webhook_ms_max:
            rate, cpu_us = _deliver(one, costs[one.nodes], effort, seed)
            case = f"{named(one.nodes)}, {one.webhook_ms:,} ms, {one.slots:,} slots"
            yield Check("capacity", case, "jobs/s", one.rate, one.slowest, one.fastest, rate)
            us = one.cpu_us.leader
            yield Check("capacity", case, "leader’s CPU µs a job", us, us, us, cpu_us)
    for one in measured.known.create:
        clients = 32 if one.batch == 1 else 4
        rate, _, _ = _create(costs[one.nodes], clients, one.batch, effort, seed)
        case = f"{named(one.nodes)}, {_batches(one.batch)}, {clients} connections"
        yield Check("capacity", case, "creates/s", one.rate, one.slowest, one.fastest, rate)


def _deliver(one: MeasuredCapacity, costs: Costs, effort: Effort, seed: int) -> tuple[float, float]:
    """More is due than can be done; it is counted when the first webhooks have ended, as capacity.py does."""
    webhook_s = one.webhook_ms / 1_000
    warm_s, counted_s = _AT_S + 1 + 1.5 * webhook_s, max(effort.seconds, 2 * webhook_s)
    replicas = max(1, min(effort.replicas, int(4_000 / one.rate)))
    setup = Setup(costs, replicas, one.slots, webhook_s, _SPREAD, cores=CORES, seconds=warm_s + counted_s)
    leaders = Leaders(setup, seed)
    leaders.herd(_AT_S, np.full(replicas, 1_000_000))
    leaders.run(warm_s)
    sent, busy_s = leaders.sent.sum(), leaders.busy_s.sum()
    leaders.run(warm_s + counted_s)
    done = leaders.sent.sum() - sent
    return done / replicas / counted_s, (leaders.busy_s.sum() - busy_s) / done * 1e6


def _create(costs: Costs, clients: int, batch: int, effort: Effort, seed: int) -> tuple[float, float, float]:
    """Creates a second, and their latency in ms at p50 and p99."""
    seconds, replicas = effort.seconds / 2, max(1, effort.replicas // 2)
    setup = Setup(costs, replicas, clients=clients, batch=batch, seconds=seconds, bin_s=0.0005)
    leaders = Leaders(setup, seed)
    leaders.run(seconds)
    p50, p99 = leaders.latencies.percentiles_ms((0.5, 0.99))
    return leaders.created.sum() / replicas / seconds, p50, p99


def _creating(row: Row, costs: Costs, effort: Effort, seed: int) -> Iterator[Check]:
    if (row["connections"], row["batch"]) == (1, 1):
        return  # the append was fitted with it
    is_fitted = (row["nodes"], row["connections"], row["batch"]) == (1, *SHARED)  # its rate
    found = _create(costs, row["connections"], row["batch"], effort, seed)
    case = f"{named(row['nodes'])}, {_batches(row['batch'])}, {row['connections']} connections"
    for name, figure, model in zip(
        ("rate", "p50_ms", "p99_ms"), ("creates/s", "create p50 ms", "create p99 ms"), found, strict=True
    ):
        if not (is_fitted and name == "rate"):
            yield _check("creating", case, figure, row, name, model)


def _herd(row: Row, costs: Costs, effort: Effort, seed: int) -> Iterator[Check]:
    count = min(row["count"], effort.jobs_max)
    replicas = max(1, min(effort.replicas, 40_000 // count))
    setup = Setup(costs, replicas, webhook_s=0.0, seconds=600.0, bin_s=0.0005)
    leaders = Leaders(setup, seed)
    leaders.herd(_AT_S, np.full(replicas, count))
    run_until_all_are_sent(leaders)
    p50, p99 = leaders.lags.percentiles_ms((0.5, 0.99))
    longest_ms = leaders.lags.longest_s * 1_000
    case = f"{named(row['nodes'])}, {row['count']:,} at one instant"
    for name, model in (("p50_ms", p50), ("p99_ms", p99), ("max_ms", longest_ms)):
        yield _check("herd", case, f"lag {name[:-3]} ms", row, name, model)
    yield _check("herd", case, "jobs/s", row, "drain_per_s", count / longest_ms * 1_000)


def run_until_all_are_sent(leaders: Leaders, *, from_s: float = 1.0, most_s: float = 600.0) -> float:
    """Go on until nothing waits or is under way; when that was."""
    until_s = from_s
    while until_s < most_s:
        leaders.run(until_s)
        if not (leaders.queue.waiting.sum() or leaders.attempts.waiting.sum()):
            return until_s
        until_s += 0.5
    raise RuntimeError(f"{leaders.queue.waiting.sum()} jobs wait after {most_s} s")


def _lag(row: Row, costs: Costs, effort: Effort, seed: int) -> Iterator[Check]:
    rate = float(row["per_s"])
    setup = Setup(
        costs,
        effort.replicas,
        webhook_s=0.05,
        creates_per_s=rate,
        due_per_s=rate,
        is_even=True,
        seconds=2 * effort.seconds,
        bin_s=0.0005,
    )
    leaders = Leaders(setup, seed)
    leaders.run(2 * effort.seconds)
    p50, p99 = leaders.lags.percentiles_ms((0.5, 0.99))
    case = f"{named(row['nodes'])}, {rate:,.0f} jobs/s"
    for name, model in (("p50_ms", p50), ("p99_ms", p99)):
        yield _check("lag", case, f"lag {name[:-3]} ms", row, name, model)


def _clusters(row: Row, costs: Costs, effort: Effort, seed: int) -> Iterator[Check]:
    count, asked = row["clusters"], float(row["asked"])
    if count * sum(costs.idle) > _IDLE_MAX * CORES:
        return  # the machine is full before anything is done: of that the model knows nothing
    setup = Setup(
        costs,
        count,
        creates_per_s=asked,
        due_per_s=asked,
        is_even=True,
        where=Where(),
        on_one_machine=True,
        cores=CORES,
        seconds=30.0,
    )
    leaders = Leaders(setup, seed)
    if not asked:
        leaders.herd(_AT_S, np.full(count, 1_000_000))
    warm_s = 3.0 + _AT_S
    leaders.run(warm_s)
    sent = leaders.sent.sum()
    leaders.run(warm_s + effort.seconds)
    rate = (leaders.sent.sum() - sent) / effort.seconds
    load = f"{asked:,.0f} jobs/s asked of each" if asked else "more than they can do"
    case = f"{count} × {named(row['nodes'])} on one machine, {load}"
    yield _check("clusters", case, "jobs/s", row, "rate", rate)
    if asked:
        (p99,) = leaders.lags.percentiles_ms((0.99,), warm_s)
        yield _check("clusters", case, "lag p99 ms", row, "lag_p99", p99)


def _check(part: str, case: str, figure: str, row: Row, name: str, model: float) -> Check:
    value = row[name]
    return Check(part, case, figure, median(value), least(value), most(value), model)


def _batches(size: int) -> str:
    return "one by one" if size == 1 else f"batches of {size}"
