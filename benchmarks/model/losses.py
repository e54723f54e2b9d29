"""Runs fleets through losses: of one cluster, of a third of all leaders. Each returns rows of plain figures."""

from typing import Final

import numpy as np
from model.costs import Costs
from model.delays import Floats, Ints
from model.leaders import Leaders
from model.lost_calls import Fallback, Loss
from model.scenarios import LOADS, Row, Size, fleet

MINTED: Final = 0.7  # of the creates, which have no id: they go to any cluster
_GAP_S: Final = (0.5, 0.776, 1.557)  # docs/reference/chaos.md, leader and etcd's killed: p50, max; the least is assumed


def loss(costs: Costs, size: Size, seed: int) -> list[Row]:
    """A cluster is lost for a while: the load of the others, its backlog, and how long it catches up.

    The others are alike, so not all of them are simulated; they get what all of them would.
    """
    per_s, slots = LOADS[0]
    rows = []
    for clusters in size.clusters:
        lost_s, back_s = size.warm_s, size.warm_s + size.outage_s
        end_s = back_s + 4 * size.outage_s
        simulated = min(clusters, size.alike)
        leaders = Leaders(fleet(costs, simulated, per_s, slots, end_s), seed)
        leaders.run(lost_s)
        leaders.fail(np.array([0]), lost_s, np.array([size.outage_s]))
        more = np.full(simulated, per_s * (1 + MINTED / (clusters - 1)))
        more[0] = 0.0
        leaders.creates.change(more, lost_s)
        leaders.run(back_s)
        busiest = float(leaders.running[1:].mean())
        leaders.creates.change(np.full(simulated, per_s), back_s)
        seconds, backlog, caught_up_s = [0.0], [0], None  # what falls due meanwhile waits, evenly more
        for second in range(1, int(end_s - back_s) + 1):
            leaders.run(back_s + second)
            seconds.append(back_s + second - lost_s)
            backlog.append(int(leaders.queue.waiting[0]))
            if caught_up_s is None and backlog[-1] < slots / 10:
                caught_up_s = float(second)
        rows.append(
            {
                "clusters": clusters,
                "outage_s": size.outage_s,
                "others_more": MINTED / (clusters - 1),
                "others_running": busiest,
                "backlog": max(backlog),
                "caught_up_s": caught_up_s,
                "late_ms": leaders.lags.longest_s * 1_000,
                "again": int(leaders.again.sum()),
                "lag_p99_ms": leaders.lags.percentiles_ms((0.99,), lost_s, back_s)[0],
                "seconds": seconds,
                "waiting": backlog,
            }
        )
    return rows


def storm(size: Size, seed: int) -> list[Row]:
    """Proxies and clients meet a lost cluster, with what protects it and without."""
    per_s, _ = LOADS[0]
    rows = []
    outage_s = size.outage_s / 2
    for is_silent in (False, True):
        for protected in (True, False):
            what = Loss(
                per_s,
                max(size.clusters),
                is_silent=is_silent,
                lost_s=5.0,
                back_s=5.0 + outage_s,
                seconds=20.0 + outage_s,
                protected=protected,
                shares=(MINTED, 0.2, 0.1),
            )
            tally = Fallback(what, seed).run()
            kinds = {
                kind: [float(q) * 1_000 for q in np.quantile(waited or [0.0], (0.5, 0.99))]
                for kind, waited in tally.waited_s.items()
            }
            during = slice(5, 5 + int(outage_s))
            tries = tally.events.get("tries", [0])
            rows.append(
                {
                    "is_silent": is_silent,
                    "protected": protected,
                    "outage_s": outage_s,
                    "per_s": per_s,
                    "tries_per_s": sum(tries[during]) / outage_s,
                    "tries_most": max(tries),
                    "calls_per_s": sum(tally.events["calls"][during]) / outage_s,
                    "elsewhere": tally.total("elsewhere"),
                    "unavailable": tally.total("unavailable"),
                    "unclear": tally.total("unclear"),
                    "there": tally.total("there"),
                    "waited_ms": kinds,
                    "tries": tries,
                    "calls": tally.events["calls"],
                }
            )
    return rows


def zone(costs: Costs, size: Size, seed: int) -> list[Row]:
    """A third of all leaders, and of etcd's, are lost at one instant: each cluster has another one soon."""
    per_s, slots = LOADS[0]
    rows = []
    for clusters in size.clusters:
        lost_s, end_s = size.warm_s, size.warm_s + 3 * size.warm_s
        leaders = Leaders(fleet(costs, clusters, per_s, slots, end_s), seed)
        leaders.run(lost_s)
        third: Ints = np.arange(max(1, clusters // 3))
        gaps: Floats = np.random.default_rng(seed).triangular(*_GAP_S, len(third))
        leaders.fail(third, lost_s, gaps)
        leaders.run(end_s)
        rows.append(
            {
                "clusters": clusters,
                "lost": len(third),
                "again": int(leaders.again.sum()),
                "lag_max_ms": leaders.lags.longest_s * 1_000,
                "p99_by_second": leaders.lags.by_second_ms(0.99),
            }
        )
    return rows
