"""Measures a node with many pending jobs beside an empty one: ``python benchmarks/pending.py [--count 10000000]``.

Jobs that are due in 30 days are created over HTTP, in batches. Then nodes with them and without are started in turn,
and each delivers the same load at once, to a receiver that answers at once: memory, time of the start, rate.
Ten million jobs take 6 GB of disk and about ten minutes.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from node_process import Process, node, receiver, script
from run import wait_delivered

_NOBODY = 9  # the port of a receiver that is never called
_MONTH_S = 30 * 86_400
_ROOM = ("--pending-jobs-max", "1000000000", "--pending-bytes-max", "10000000000000")


class Figures(NamedTuple):
    """One start: to ready, jobs/s, and resident memory of the node's own process when ready and after the load."""

    start_s: float
    rate: float
    ready_mib: float
    after_mib: float


def _started(data_dir: Path, count: int) -> Figures:
    """Start a node on that directory and let it deliver ``count`` jobs."""
    started = time.monotonic()
    with receiver(0) as target, node(data_dir, *_ROOM) as process:
        start_s, ready_mib = time.monotonic() - started, process.rss_mib()
        rate = _rate(process, target, count)
        return Figures(start_s, rate, ready_mib, process.rss_mib())


def _rate(process: Process, target: Process, count: int) -> float:
    before, started = process.succeeded(), time.time()
    figures = script("load.py", process.port, target.port, count, 100, 8)
    wait_delivered(process, before + figures["created"])
    stats = target.get("/stats")
    assert stats["count"] == figures["created"], (stats["count"], figures)
    return float(stats["count"] / (stats["last"] - started))


class Made(NamedTuple):
    """Tells what making the pending jobs took."""

    seconds: float
    loaded_mib: float
    disk_gib: float


def measure(count: int, load: int, runs: int) -> tuple[Made, dict[str, list[Figures]]]:
    """So many runs without pending jobs and with them, in turn: ``none`` and ``many``."""
    with tempfile.TemporaryDirectory() as full, tempfile.TemporaryDirectory() as empty:
        with node(Path(full), *_ROOM) as process:
            began = time.monotonic()
            created = 0
            while created < count:  # a busy node refuses some
                left = count - created
                created += script("load.py", process.port, _NOBODY, left, 1_000, 4, 0, _MONTH_S)["created"]
            took_s, loaded_mib = time.monotonic() - began, process.rss_mib()
        size = sum(file.stat().st_size for file in Path(full).iterdir()) / 2**30
        found: dict[str, list[Figures]] = {"none": [], "many": []}
        for _ in range(runs):
            for name, directory in zip(found, (empty, full), strict=True):
                found[name].append(_started(Path(directory), load))
        return Made(took_s, loaded_mib, size), found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--load", type=int, default=30_000, help="jobs of each measured load")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    made, found = measure(given.count, given.load, given.runs)
    print(f"{given.count:,} jobs: made in {made.seconds:.0f} s, {made.loaded_mib:.0f} MiB then", end="")
    print(f", {made.disk_gib:.2f} GiB on disk\n")
    print("| pending | start, s | MiB when ready | MiB after the load | jobs/s (min–max) |\n|---|--:|--:|--:|--:|")
    for name, taken in zip(("none", f"{given.count:,}"), found.values(), strict=True):
        start_s, rate, ready, after = (statistics.median(each) for each in zip(*taken, strict=True))
        rates = [figures.rate for figures in taken]
        spread = f"{rate:,.0f} ({min(rates):,.0f}–{max(rates):,.0f})"
        print(f"| {name} | {start_s:.2f} | {ready:.0f} | {after:.0f} | {spread} |")


if __name__ == "__main__":
    main()
