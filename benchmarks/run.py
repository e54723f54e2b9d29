"""Measures a node and a cluster end to end and prints Markdown tables: ``make bench`` (about 15 minutes).

End to end means: created over HTTP, committed with fsync, claimed, signed, POSTed to a receiver in another process,
outcome committed. Beside it, in the same run, a bare loop that only POSTs with the same HTTP client.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from busy import ReadyTooLateError, patiently
from cluster_process import cluster
from node_process import Process, node, receiver, script

_NOBODY = 9  # a port where nobody listens
_CREATED_PER_S = 1_500  # in batches, at least


def wait_delivered(process: Process, count: int, *, deadline_s: float = 600) -> float:
    """Wait until the node has delivered ``count`` jobs; returns when it was seen."""
    until = time.time() + deadline_s
    while process.succeeded() < count:
        if time.time() > until:
            raise TimeoutError(f"{process.succeeded()} of {count} jobs were delivered")
        time.sleep(0.25)  # a scrape costs milliseconds of what is measured
    return time.time()


def warm_up(
    process: Process, target: Process, jobs: int, batch: int = 1, connections: int = 2, **environment: str
) -> int:
    """Have some jobs delivered before anything is measured; how many, for a busy node refuses some."""
    taken: int = script("load.py", process.port, target.port, jobs, batch, connections, **environment)["created"]
    wait_delivered(process, taken)
    target.get("/stats")
    return taken


def bare(delay_s: float, count: int, concurrency: int) -> float:
    """Requests per second of the bare loop."""
    with receiver(delay_s) as target:
        figures = script("bare_loop.py", target.port, count, concurrency)
    return float(figures["count"] / figures["seconds"])


@contextmanager
def serving(nodes: int) -> Iterator[tuple[Process, Callable[[], dict[str, float]]]]:
    """One node or three; the node that leads, and the CPU seconds of all by role."""
    if nodes == 1:
        with node() as process:
            yield process, lambda: _cpu_of(process)
    else:
        with cluster() as three:
            yield three.leader, three.cpu_seconds


def end_to_end(delay_s: float, count: int, batch: int, connections: int, nodes: int) -> dict[str, float]:
    """Jobs per second from the first create to the last arrival, and the latency of creates."""
    with receiver(delay_s) as target, serving(nodes) as (process, cpu):
        return _load(process, target, count, batch, connections, cpu)


def _cpu_of(process: Process) -> dict[str, float]:
    return {"leader": process.cpu_seconds(), "its processes": process.children_cpu_seconds()}


def _load(
    process: Process, target: Process, count: int, batch: int, connections: int, cpu: Callable[[], dict[str, float]]
) -> dict[str, float]:
    warm = warm_up(process, target, 2 * batch if batch > 1 else 200, batch)
    before, started = cpu(), time.time()
    figures = script("load.py", process.port, target.port, count, batch, connections)
    created = figures["created"]
    wait_delivered(process, warm + created)
    stats = target.get("/stats")
    assert stats["count"] == created, (stats["count"], figures)
    used = {f"cpu_{role}": (seconds - before[role]) / created * 1e6 for role, seconds in cpu().items()}
    rate = created / (stats["last"] - started)
    latencies = {"p50": figures["latencies_ms"]["p50"], "p99": figures["latencies_ms"]["p99"]}
    return {"rate": rate, "refused": figures["refused"]} | latencies | used


def due_lag(seconds: int, nodes: int) -> dict[str, float]:
    """Lateness of arrivals at 350 jobs/s, each due 2 s after its creation; 50 ms receiver."""
    with receiver(0.05) as target, serving(nodes) as (process, _):
        figures = script("load.py", process.port, target.port, 350 * seconds, 1, 16, 350, 2)
        return _lags(process, target, figures["created"])


def herd(count: int, nodes: int) -> dict[str, float]:
    """Lateness of arrivals when ``count`` jobs are due at one instant; 0 ms receiver."""
    return patiently(lambda slowness: _herd(count, nodes, slowness))


def _herd(count: int, nodes: int, slowness: int) -> dict[str, float]:
    with receiver(0) as target, serving(nodes) as (process, _):
        at = int(time.time()) + slowness * (4 + count // _CREATED_PER_S)
        figures = script("load.py", process.port, target.port, count, 100, 2, 0, 0, at)
        if time.time() > at:
            raise ReadyTooLateError
        return _lags(process, target, figures["created"])


def _lags(process: Process, target: Process, created: int) -> dict[str, float]:
    wait_delivered(process, created)
    lags = sorted(target.get("/stats")["lags_ms"])
    assert len(lags) == created, (len(lags), created)
    return {"p50": statistics.median(lags), "p99": lags[int(len(lags) * 0.99)], "max": lags[-1]}


def many_pending(count: int) -> dict[str, float]:
    """Memory with ``count`` jobs pending, and the time a start with them takes."""
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory)
        with node(data_dir) as process:
            figures = script("load.py", process.port, _NOBODY, count, 1_000, 4, 0, 86_400)
            assert figures["created"] == count, figures
        started = time.time()
        with node(data_dir) as process:
            start_s = time.time() - started
            pending = process.get("/health")["usage"]["pending_jobs"]["used"]
            assert pending == count, pending
            rss = process.rss_mib()
        size = sum(file.stat().st_size for file in data_dir.iterdir()) / 2**20
    return {"start_s": start_s, "rss_mib": rss, "disk_mib": size}


def spread(measure: Callable[[], dict[str, float]], runs: int) -> list[dict[str, float]]:
    """The runs, slowest first."""
    return sorted((measure() for _ in range(runs)), key=lambda figures: figures["rate"])


def row(name: str, runs: list[dict[str, float]], bare_rate: float, target: str) -> str:
    """One line of the table: median and spread of the rate, ratio to the bare loop."""
    middle = runs[len(runs) // 2]
    rates = f"{middle['rate']:,.0f} ({runs[0]['rate']:,.0f}–{runs[-1]['rate']:,.0f})"
    latency = f"{middle['p50']:.1f} / {middle['p99']:.1f}"
    cpu = " + ".join(f"{value:.0f} {name[4:]}" for name, value in middle.items() if name.startswith("cpu_"))
    if any(figures["refused"] for figures in runs):
        rates += f", {sum(figures['refused'] for figures in runs):.0f} requests refused as overloaded"
    return f"| {name} | {rates} | {middle['rate'] / bare_rate:.2f} | {latency} | {cpu} | {target} |"


Case = tuple[str, float, int, int, int, int, str]
CASES: list[Case] = [  # name, receiver's delay in s, jobs, batch, connections, nodes, target
    ("one node, 0 ms receiver, batches of 1,000", 0, 60_000, 1_000, 2, 1, "≥ 7,000"),
    ("one node, 0 ms receiver, one by one", 0, 30_000, 1, 32, 1, "≥ 4,000"),
    ("one node, 200 ms receiver, 100 slots", 0.2, 10_000, 1_000, 1, 1, "≥ 485"),
    ("three nodes, 0 ms receiver, batches of 1,000", 0, 40_000, 1_000, 2, 3, "≥ 4,000"),
    ("three nodes, 0 ms receiver, one by one", 0, 20_000, 1, 64, 3, "≥ 2,500"),
    ("three nodes, 200 ms receiver, 100 slots", 0.2, 10_000, 1_000, 1, 3, "≥ 480"),
]


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a thousandth of the work, for trying the script")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--nodes", type=int, choices=(1, 3), help="only one node, or only three")
    options = parser.parse_args()
    scale = 1_000 if options.quick else 1
    print(f"Python {platform.python_version()}, {platform.platform()}, {time.strftime('%Y-%m-%d')}\n")
    yardsticks = {0: bare(0, max(100, 60_000 // scale), 100), 0.2: bare(0.2, max(100, 5_000 // scale), 100)}
    print("| what | jobs/s median (min–max) | of bare loop | create p50 / p99 ms | CPU µs a job | target |")
    print("|---|---|---|---|---|---|")
    print(f"| bare loop that only POSTs, 0 ms receiver | {yardsticks[0]:,.0f} | 1 | | | |")
    print(f"| bare loop that only POSTs, 100 at once, 200 ms receiver | {yardsticks[0.2]:,.0f} | 1 | | | |")
    for name, delay_s, count, batch, connections, nodes, target in CASES:
        if options.nodes in (None, nodes):
            size = min(batch, 10) if options.quick else batch
            measure = partial(end_to_end, delay_s, count // scale // size * size, size, connections, nodes)
            print(row(name, spread(measure, options.runs), yardsticks[delay_s], target), flush=True)
    print("\n| due-time lag at 350 jobs/s, 50 ms receiver | p50 ms | p99 ms | max ms | target |\n|---|---|---|---|---|")
    for nodes in (1, 3):
        if options.nodes in (None, nodes):
            lag = due_lag(max(1, 60 // scale), nodes)
            figures = f"{lag['p50']:.1f} | {lag['p99']:.1f} | {lag['max']:.1f}"
            print(f"| arrival after `hookline-scheduled-at`, nodes: {nodes} | {figures} | p99 < 20 |", flush=True)
    size = max(100, 2_000 // scale)
    print(f"\n| {size:,} jobs due at one instant, 0 ms receiver | p50 ms | p99 ms | max ms |\n|---|---|---|---|")
    for nodes in (1, 3):
        if options.nodes in (None, nodes):
            lag = herd(size, nodes)
            print(f"| lag, nodes: {nodes} | {lag['p50']:.0f} | {lag['p99']:.0f} | {lag['max']:.0f} |", flush=True)
    if options.nodes != 3:
        many = many_pending(1_000_000 // scale)
        print(f"\n| one node, {1_000_000 // scale:,} pending jobs | measured | target |\n|---|---|---|")
        print(f"| process start to ready, s | {many['start_s']:.2f} | < 3 |")
        print(f"| resident memory, MiB | {many['rss_mib']:.0f} | < 300 |")
        print(f"| on disk, MiB | {many['disk_mib']:.0f} | |")


if __name__ == "__main__":
    main()
