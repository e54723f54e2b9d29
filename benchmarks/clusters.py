"""Do clusters add up? Throughput of 1, 2, 3 … clusters behind one proxy, 200 ms receivers, 100 slots each.

``python benchmarks/clusters.py [--clusters 1 2 3] [--nodes 1]``. All jobs are created before the first is due, through
the proxy; then arrivals are counted while every cluster has more than it can do. With ``--asked 50`` clients create so
many a second for each cluster instead, one by one.
"""

import argparse
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from busy import ReadyTooLateError, arrived_within, patiently
from cluster_process import descendants, stack
from node_process import Process, receiver, script

_DELAY_S = 0.2
_BATCH = 100  # a batch of jobs without ids goes to one cluster as a whole, so many small ones spread evenly
_CREATED_PER_S = 1_200  # at least; so long are the jobs put off


class Size(NamedTuple):
    """The size of a measurement.

    Attributes:
        warm_s: after the first arrival.
        window_s: in which arrivals are counted.
        jobs: for each cluster: more than it can do in both times.
    """

    warm_s: float
    window_s: float
    jobs: int


FULL, QUICK = Size(3.0, 15.0, 12_000), Size(0.2, 0.5, 600)


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of some processes so far."""
    return sum((Process(pid, 0).cpu_seconds() for pid in pids), 0.0)


def busy_share(before: list[int], after: list[int]) -> float:
    """Of all cores, by ``/proc/stat``."""
    spent = [b - a for a, b in zip(before, after, strict=True)]
    return 1 - (spent[3] + spent[4]) / sum(spent)


def machine() -> list[int]:
    """The first line of ``/proc/stat``: jiffies by kind."""
    return [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]


@contextmanager
def _more_than_they_can_do(proxy: Process, target: Process, count: int, slowness: int) -> Iterator[None]:
    """Within it the first of so many jobs has arrived."""
    delay_s = slowness * (5 + count // _CREATED_PER_S)
    made = script("load.py", proxy.port, target.port, count, _BATCH, 2, 0, delay_s)
    assert made["created"] > count * 0.9, made  # a busy node refuses some
    if made["seconds"] >= delay_s:
        raise ReadyTooLateError
    arrived_within(target, 0)
    yield


@contextmanager
def _asked(proxy: Process, target: Process, rate: int, seconds: float) -> Iterator[None]:
    """Within it so many are created a second, for so long, each due two seconds later."""
    with ThreadPoolExecutor(1) as aside:
        made = aside.submit(script, "load.py", proxy.port, target.port, int(rate * seconds), 1, 16, rate, 2)
        arrived_within(target, 2)
        yield
        made.result()


def measure(clusters: int, nodes: int, size: Size, asked: int = 0) -> dict[str, float]:
    """Arrivals a second in the window, how late they were (99th percentile, ms), and what they cost."""
    return patiently(lambda slowness: _measure(clusters, nodes, size, asked, slowness))


def _measure(clusters: int, nodes: int, size: Size, asked: int, slowness: int) -> dict[str, float]:
    options = ["--clusters", str(clusters), "--nodes", str(nodes), "--proxies", "1"]
    with receiver(_DELAY_S) as target, stack(*options) as proxy:
        seconds = 4 + size.warm_s + size.window_s
        with (
            _asked(proxy, target, asked * clusters, seconds)
            if asked
            else _more_than_they_can_do(proxy, target, size.jobs * clusters, slowness)
        ):
            time.sleep(size.warm_s)
            pids = descendants(proxy.pid)
            cpu, cores = cpu_seconds(pids), machine()
            stats, took = arrived_within(target, size.window_s)
            used, busy = cpu_seconds(pids) - cpu, busy_share(cores, machine())
        lags = sorted(stats["lags_ms"])
        return {
            "rate": stats["count"] / took,
            "cpu_us": used / stats["count"] * 1e6,
            "busy": busy,
            "lag_p99": lags[int(len(lags) * 0.99)],
        }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="of each cluster")
    parser.add_argument("--asked", type=int, default=0, help="jobs a second for each cluster; 0: all they can do")
    parser.add_argument("--quick", action="store_true", help="for trying the script")
    options = parser.parse_args()
    print(f"nodes of each cluster: {options.nodes}\n")
    print("| clusters | jobs/s | a cluster | of linear | CPU µs a job, all processes | cores busy |")
    print("|---|---|---|---|---|---|")
    single = None
    for clusters in options.clusters:
        found = measure(clusters, options.nodes, QUICK if options.quick else FULL, options.asked)
        rate = found["rate"]
        single = single or rate / clusters
        linear = f"{rate / clusters / single:.1%}"
        row = f"| {clusters} | {rate:,.0f} | {rate / clusters:,.0f} | {linear} | {found['cpu_us']:.0f}"
        print(f"{row} | {found['busy']:.0%} |", flush=True)


if __name__ == "__main__":
    main()
