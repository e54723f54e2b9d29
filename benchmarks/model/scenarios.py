"""Runs fleets of 10 to 1,000 clusters through a day's events. Each scenario returns rows of plain figures.

The machines are a cluster's own: its leader shares one with a follower's place and an etcd member, and receivers are
elsewhere. Webhooks take 200 ms on average, half as long to one and a half times.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from model.costs import OWN_MACHINES, Costs
from model.homes import moving_share, operations, spread
from model.leaders import Leaders, Setup
from model.moves import move

Row = dict[str, Any]

WEBHOOK_S: Final = 0.2
SPREAD: Final = 0.5
DUE_AT_ONCE: Final = 0.5  # of the created jobs; the others wait for a later time
LOADS: Final = ((350.0, 100), (1_000.0, 500))  # jobs a second of a cluster, and its slots


class Size(NamedTuple):
    """How large the runs are.

    Attributes:
        clusters: the sizes of fleets.
        seconds: of a steady load.
        outage_s: for which a cluster is lost.
        alike: clusters that are simulated where each is like the next.
        ids: that are asked for their homes.
        pending: jobs of each cluster that wait when one is added.
        herd_s: the minute of a herd.
        shares: of its jobs, due at its first second.
        warm_s: before anything is counted, or lost.
    """

    clusters: tuple[int, ...] = (10, 100, 1_000)
    seconds: float = 12.0
    outage_s: float = 60.0
    alike: int = 8
    ids: int = 200_000
    pending: int = 100_000
    herd_s: float = 60.0
    warm_s: float = 5.0
    shares: tuple[float, ...] = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)


FULL: Final = Size()
QUICK: Final = Size((2, 3), 0.5, 1.0, 2, 500, 400, 2.0, 0.5, (0.0, 0.5))


def fleet(costs: Costs, clusters: int, per_s: float, slots: int, seconds: float) -> Setup:
    """Clusters that get so many jobs a second each."""
    return Setup(
        costs,
        clusters,
        slots,
        WEBHOOK_S,
        SPREAD,
        where=OWN_MACHINES,
        creates_per_s=per_s,
        due_per_s=per_s * (1 - DUE_AT_ONCE),
        due_at_once=DUE_AT_ONCE,
        seconds=seconds,
        bin_s=0.002,
    )


def steady(costs: Costs, size: Size, seed: int) -> list[Row]:
    """Throughput, lag, the latency of creates, and how busy leaders are."""
    rows = []
    for per_s, slots in LOADS:
        for clusters in size.clusters:
            end_s = size.warm_s + size.seconds
            leaders = Leaders(fleet(costs, clusters, per_s, slots, end_s), seed)
            leaders.run(size.warm_s)
            sent, busy_s = leaders.sent.sum(), leaders.busy_s.copy()
            leaders.run(end_s)
            done, busy = leaders.sent.sum() - sent, (leaders.busy_s - busy_s) / size.seconds
            lag = leaders.lags.percentiles_ms((0.5, 0.99, 0.999), size.warm_s)
            create = leaders.latencies.percentiles_ms((0.5, 0.99), size.warm_s)
            rows.append(
                {
                    "clusters": clusters,
                    "per_cluster": per_s,
                    "slots": slots,
                    "asked": per_s * clusters,
                    "rate": float(done / size.seconds),
                    "jobs": int(leaders.sent.sum()),
                    "lag_p50_ms": lag[0],
                    "lag_p99_ms": lag[1],
                    "lag_p999_ms": lag[2],
                    "create_p50_ms": create[0],
                    "create_p99_ms": create[1],
                    "leader_busy": float(busy.mean()),
                    "leader_busiest": float(busy.max()),
                    "waiting": int(leaders.queue.waiting.sum()),
                }
            )
    return rows


def balance(costs: Costs, size: Size, seed: int) -> list[Row]:
    """How even the shares of ids are, and what the fullest cluster makes of it when clusters are 85 % full."""
    _, slots = LOADS[0]
    at_best = slots / (WEBHOOK_S + costs.between_s)
    rows: list[Row] = []
    for clusters in size.clusters:
        for strategy in ("modulo", "ring"):
            found = spread(clusters, strategy, size.ids)
            shares = np.array(found.shares)
            leaders = Leaders(fleet(costs, clusters, 0.0, slots, size.warm_s + size.seconds), seed)
            rates = 0.85 * at_best * shares
            leaders.creates.change(rates, 0.0)
            leaders.due.change(rates * (1 - DUE_AT_ONCE), 0.0)
            leaders.run(size.warm_s + size.seconds)
            rows.append(
                {
                    "clusters": clusters,
                    "strategy": strategy,
                    "least": float(shares.min()),
                    "most": float(shares.max()),
                    "deviation": found.deviation,
                    "chance": found.chance,
                    "full_at": float(1 / shares.max()),
                    "lag_p99_ms": leaders.lags.percentiles_ms((0.99,), size.warm_s)[0],
                    "overfull": int((shares > 1 / 0.85).sum()),
                    "shares": [float(one) for one in np.sort(shares)],
                }
            )
    return rows


def herds(costs: Costs, size: Size, seed: int) -> list[Row]:
    """A share of a minute's jobs is due at its first second, with jitter and without."""
    per_s, slots = LOADS[0]
    minute_s, at_s = size.herd_s, 2.0
    rows = []
    for share in size.shares:
        for jitter_s in (0.0, minute_s / 6, minute_s / 2):
            if not share and jitter_s:
                continue
            rows.append(_herd(costs, size, seed, share, jitter_s) | {"per_s": per_s, "slots": slots, "at_s": at_s})
    return rows


def _herd(costs: Costs, size: Size, seed: int, share: float, jitter_s: float) -> Row:
    per_s, slots = LOADS[0]
    minute_s, at_s = size.herd_s, 2.0
    leaders = Leaders(fleet(costs, size.alike, 0.0, slots, at_s + minute_s), seed)
    every = np.ones(size.alike)
    even = every * per_s * (1 - share)
    leaders.due.change(even, 0.0)
    together = int(share * per_s * minute_s)
    if not jitter_s:
        leaders.herd(at_s, np.full(size.alike, together))
    leaders.run(at_s)
    if jitter_s:
        leaders.due.change(even + together / jitter_s, at_s)
        leaders.run(at_s + jitter_s)
        leaders.due.change(even, at_s + jitter_s)
    drained_s, waiting = 0.0, []
    for second in range(1, int(minute_s) + 1):
        leaders.run(at_s + second)
        waiting.append(float(leaders.queue.waiting.mean()))
        if not drained_s and second >= jitter_s and waiting[-1] < slots / 10:
            drained_s = float(second)
    p50, p99 = leaders.lags.percentiles_ms((0.5, 0.99), at_s)
    return {
        "share": share,
        "jitter_s": jitter_s,
        "together": together,
        "p50_ms": p50,
        "p99_ms": p99,
        "max_ms": leaders.lags.longest_s * 1_000,
        "drained_s": drained_s or None,
        "waiting": waiting,
    }


def moving(costs: Costs, own_s: float, size: Size, seed: int) -> list[Row]:
    """A cluster is added to a ring: what moves, how long that takes, and what the new home feels of it."""
    per_s, _ = LOADS[0]
    rows = []
    for clusters in size.clusters:
        share = moving_share(clusters, "ring", min(size.ids, 200_000))
        each = max(1, round(size.pending * share))
        found = move(costs, own_s, clusters, each, per_s * clusters / (clusters + 1), seed)
        rows.append(
            {"clusters": clusters, "share": share, "pending": size.pending, "jobs": each * clusters} | found._asdict()
        )
    return rows


def decisions(size: Size) -> list[Row]:
    """Time the proxies' own decisions with so many clusters: measured, not simulated."""
    return [{"clusters": clusters} | operations(clusters)._asdict() for clusters in size.clusters]
