"""Measures what ``docs/explanation/numbers.md`` tells; each part is one JSON file in ``results/``.

A file has ``part``, ``command``, ``machine``, ``date``, ``runs`` and ``rows``. A figure of several runs is
``{"median", "min", "max"}``. What clusters can do by webhook time and slots is not among them: ``capacity.py`` measures
that for ``hookline plan``, which comes with its figures.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import clusters as cluster_counts
import failover as leader_kills
import modes as execution_modes
import pending as pending_jobs
from capacity import deliver, serving
from node_process import ENVIRONMENT, script
from run import due_lag
from run import herd as due_at_once

from hookline.cli.plan.calibration import calibration

RESULTS = Path(__file__).parent / "results"
_NOBODY = 9  # the port of a receiver that is never called
_DAY_S = 86_400
_CREATORS = ((1, 1), (8, 1), (32, 1), (128, 1), (4, 100))  # connections, jobs in a batch
_RUNNERS = (("leader", 1), ("hybrid", 3), ("workers", 1), ("workers", 3), ("workers", 6), ("workers", 9))
_LAG_RATE = 350
_ASKED = {1: 100, 3: 40}  # jobs a second for each cluster, by nodes: ten of them leave the machine some room
_PLANNED = ((1, 100, 200), (3, 200, 150), (3, 500, 300))  # nodes, webhook ms, slots: none is a case of capacity.py

Row = dict[str, Any]


class Effort(NamedTuple):
    """How much is done.

    Attributes:
        runs: of each measurement.
        less: by what the work of one is divided.
        nodes: of a cluster.
        clusters: counted.
        slots: of each runner.
        runners: modes, and how many processes execute.
        creators: connections, and jobs in a batch.
        herds: jobs due at one instant.
    """

    runs: int = 3
    less: int = 1
    nodes: Sequence[int] = (1, 3)
    clusters: Sequence[int] = (1, 2, 3, 5, 10)
    slots: Sequence[int] = (10, 100)
    runners: Sequence[tuple[str, int]] = _RUNNERS
    creators: Sequence[tuple[int, int]] = _CREATORS
    herds: Sequence[int] = (2_000, 10_000, 100_000)


FULL = Effort()
QUICK = Effort(1, 100, (1,), (1,), (10,), (("leader", 1),), ((1, 1),), (2_000,))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and both ends."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def over(runs: Sequence[dict[str, float]]) -> Row:
    """The spread of each figure."""
    return {name: spread([one[name] for one in runs]) for name in runs[0]}


def creating(effort: Effort) -> Iterator[Row]:
    """How long a create takes, and how many a second there are, by connections."""
    for nodes in effort.nodes:
        for connections, batch in effort.creators:
            runs = [_creates(nodes, connections, batch, effort) for _ in range(effort.runs)]
            yield {"nodes": nodes, "connections": connections, "batch": batch} | over(runs)


def _creates(nodes: int, connections: int, batch: int, effort: Effort) -> dict[str, float]:
    count = (20_000 if batch > 1 else 1_500 + 100 * connections) // effort.less // batch * batch + batch
    with serving(nodes, 100) as (process, _):
        script("load.py", process.port, _NOBODY, 20 * batch, batch, 2, 0, _DAY_S)
        made = script("load.py", process.port, _NOBODY, count, batch, connections, 0, _DAY_S)
    took = made["latencies_ms"]
    return {"rate": made["created"] / made["seconds"], "p50_ms": took["p50"], "p99_ms": took["p99"]}


def lag(effort: Effort) -> Iterator[Row]:
    """How late jobs arrive at 350 a second."""
    seconds = max(1, 30 // effort.less)
    for nodes in effort.nodes:
        runs = [_in_ms(due_lag(seconds, nodes)) for _ in range(effort.runs)]
        yield {"nodes": nodes, "per_s": _LAG_RATE} | over(runs)


def herd(effort: Effort) -> Iterator[Row]:
    """How late jobs arrive that are due at one instant."""
    for nodes in effort.nodes:
        for count in effort.herds:
            size = max(100, count // effort.less // 100 * 100)
            runs = [_in_ms(due_at_once(size, nodes)) for _ in range(effort.runs)]
            for one in runs:
                one["drain_per_s"] = size / one["max_ms"] * 1_000
            yield {"nodes": nodes, "count": size} | over(runs)


def _in_ms(lags: dict[str, float]) -> dict[str, float]:
    return {f"{name}_ms": value for name, value in lags.items()}


def clusters(effort: Effort) -> Iterator[Row]:
    """How many jobs a second clusters deliver beside each other on this machine, and what one costs."""
    size = cluster_counts.FULL if effort.less == 1 else cluster_counts.QUICK
    for nodes in effort.nodes:
        for asked in (0, _ASKED[nodes]):
            alone = 0.0
            for count in effort.clusters:
                runs = [cluster_counts.measure(count, nodes, size, asked) for _ in range(effort.runs)]
                found = over(runs)
                rate, busy = (found[name]["median"] for name in ("rate", "busy"))
                alone = alone or rate
                linear = rate / count / alone
                yield {"clusters": count, "nodes": nodes, "asked": asked, "linear": linear} | found | {"busy": busy}


def modes(effort: Effort) -> Iterator[Row]:
    """Tells what it costs that other processes than the leader execute, by how many do."""
    ENVIRONMENT.setdefault("HOOKLINE_SECRET_KEY", execution_modes.KEY)
    nodes = max(effort.nodes)
    for slots in effort.slots:
        for mode, runners in effort.runners:
            runs = [_mode(mode, nodes, runners, slots, effort) for _ in range(effort.runs)]
            yield {"mode": mode, "nodes": nodes, "runners": runners, "slots": slots} | over(runs)


def _mode(mode: str, nodes: int, runners: int, slots: int, effort: Effort) -> dict[str, float]:
    at_best = runners * slots / 0.2
    with execution_modes.running(mode, nodes, runners, slots) as leader:
        rate_200 = execution_modes.rate(leader, 0.2, max(100, int(6 * min(at_best, 1_500)) // effort.less // 100 * 100))
        rate_0 = execution_modes.rate(leader, 0, max(100, 10_000 // effort.less))
        p50, p99 = execution_modes.lags(leader, max(1, 8 // effort.less))
    overhead = 1 - rate_200 / at_best
    return {"rate_200": rate_200, "overhead": overhead, "rate_0": rate_0, "lag_p50": p50, "lag_p99": p99}


def failover(effort: Effort) -> Iterator[Row]:
    """How long nothing is delivered after the leader is killed."""
    if max(effort.nodes) == 1:
        return
    for pending, gaps in leader_kills.measure([0, 1_000_000 // effort.less], kills=5):
        yield {"pending": pending, "kills": len(gaps), "gap_ms": spread(gaps)}


def backlog(effort: Effort) -> Iterator[Row]:
    """How a node with many pending jobs starts and delivers, beside an empty one."""
    count = 10_000_000 // effort.less**2
    made, found = pending_jobs.measure(count, max(500, 30_000 // effort.less), effort.runs)
    for pending, runs in zip((0, count), found.values(), strict=True):
        yield {"pending": pending, "disk_gib": made.disk_gib if pending else 0.0} | over(
            [one._asdict() for one in runs]
        )


def plan(effort: Effort) -> Iterator[Row]:
    """How far ``hookline plan`` misses cases that it does not know."""
    known = calibration()
    for nodes, webhook_ms, slots in _PLANNED:
        if nodes not in effort.nodes:
            continue
        runs = [deliver(nodes, webhook_ms, slots, 6 / effort.less) for _ in range(effort.runs)]
        rate = spread([one["rate"] for one in runs])
        planned = known.capacity(nodes, webhook_ms, slots)
        cpu = known.cpu_us(nodes, rate["median"])
        yield {
            "nodes": nodes,
            "webhook_ms": webhook_ms,
            "slots": slots,
            "planned": planned,
            "rate": rate,
            "error": planned / rate["median"] - 1,
            "planned_leader_us": cpu.leader,
            "leader_us": spread([one["cpu_us"]["leader"] for one in runs]),
        }


PARTS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "creating": creating,
    "lag": lag,
    "herd": herd,
    "clusters": clusters,
    "modes": modes,
    "failover": failover,
    "plan": plan,
    "backlog": backlog,
}


def measure(names: Sequence[str], effort: Effort, directory: Path = RESULTS) -> None:
    """Measure these parts, tell each row as it comes, and keep them."""
    runs = "" if effort.runs == FULL.runs else f" --runs {effort.runs}"
    for name in names:
        rows = []
        for row in PARTS[name](effort):
            print(f"{name}: {_told(row)}", flush=True)
            rows.append(row)
        found = {
            "part": name,
            "command": f"make numbers ARGS='--only {name}{runs}'",
            "machine": f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores",
            "date": time.strftime("%Y-%m-%d"),
            "runs": effort.runs,
            "rows": rows,
        }
        (directory / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def _told(row: Row) -> str:
    medians = ((name, value["median"] if isinstance(value, dict) else value) for name, value in row.items())
    return ", ".join(
        f"{name} {value:,.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in medians
    )
