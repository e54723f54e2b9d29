"""Do clusters add up? Throughput of 1, 2, 3 … clusters behind one proxy, 200 ms receivers, 100 slots each.

``python benchmarks/clusters.py [--clusters 1 2 3] [--nodes 1]``. All jobs are created before the first is due, through
the proxy; then arrivals are counted while every cluster has more than it can do.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

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


def measure(clusters: int, nodes: int, size: Size) -> dict[str, float]:
    """Arrivals a second in the window, and what they cost."""
    options = ["--clusters", str(clusters), "--nodes", str(nodes), "--proxies", "1"]
    with receiver(_DELAY_S) as target, stack(*options) as proxy:
        count = size.jobs * clusters
        delay_s = 5 + count // _CREATED_PER_S
        made = script("load.py", proxy.port, target.port, count, _BATCH, 2, 0, delay_s)
        assert made["created"] == count, made
        assert made["seconds"] < delay_s, f"creating took {made['seconds']:.0f} s, longer than the jobs were put off"
        target.get("/stats")
        arrived = 0
        while not arrived:
            time.sleep(0.01)
            arrived = target.get("/stats")["count"]
        time.sleep(size.warm_s)
        pids = descendants(proxy.pid)
        target.get("/stats")
        cpu, cores, started = cpu_seconds(pids), machine(), time.time()
        time.sleep(size.window_s)
        arrived, seconds = target.get("/stats")["count"], time.time() - started
        used = (cpu_seconds(pids) - cpu) / arrived * 1e6
        return {"rate": arrived / seconds, "cpu_us": used, "busy": busy_share(cores, machine())}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1, help="of each cluster")
    parser.add_argument("--quick", action="store_true", help="for trying the script")
    options = parser.parse_args()
    print(f"nodes of each cluster: {options.nodes}\n")
    print("| clusters | jobs/s | a cluster | of linear | CPU µs a job, all processes | cores busy |")
    print("|---|---|---|---|---|---|")
    single = None
    for clusters in options.clusters:
        found = measure(clusters, options.nodes, QUICK if options.quick else FULL)
        rate = found["rate"]
        single = single or rate / clusters
        linear = f"{rate / clusters / single:.1%}"
        row = f"| {clusters} | {rate:,.0f} | {rate / clusters:,.0f} | {linear} | {found['cpu_us']:.0f}"
        print(f"{row} | {found['busy']:.0%} |", flush=True)


if __name__ == "__main__":
    main()
