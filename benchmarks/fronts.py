"""Measures a node with and without API processes: ``python benchmarks/fronts.py [--quick] [--runs N]``.

Single creates over 32 connections to one node, without API processes, with one, and with two, in turn.
*accepted*: jobs that are due in an hour, up to the last answer. *delivered*: jobs that are due at once, up to the last
arrival at a receiver in another process; attempts are made in the node's process. *attempts elsewhere*: the same with
one attempt process.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

from node_process import Process, cpu_seconds, node, receiver, script
from run import wait_delivered

CONNECTIONS = 32
KINDS = ("accepted", "delivered", "attempts elsewhere")
MODULE = b"hookline.node.front.process"


def fronts_of(process: Process) -> list[int]:
    """The pids of its API processes."""
    return [pid for pid in process.children() if MODULE in Path(f"/proc/{pid}/cmdline").read_bytes()]


def measure(kind: str, fronts: int, count: int) -> dict[str, float]:
    """One run: jobs a second, and microseconds of CPU a job by process."""
    attempts = "1" if kind == "attempts elsewhere" else "0"
    options = ("--api-processes", str(fronts), "--attempt-processes", attempts)
    with receiver(0) as target, node(None, *options) as process:
        delay = 3_600 if kind == "accepted" else 0
        warm = script("load.py", process.port, target.port, 400, 1, 8, 0, delay)["created"]
        if not delay:
            wait_delivered(process, warm)
        pids = fronts_of(process)
        before = process.cpu_seconds(), [cpu_seconds(pid) for pid in pids]
        started = time.time()
        figures = script("load.py", process.port, target.port, count, 1, CONNECTIONS, 0, delay)
        if figures["created"] != count:  # the machine was busy with something else for so long that the node refused
            print(f"once more, since creates were refused: {figures}", file=sys.stderr)
            return measure(kind, fronts, count)
        ended = wait_delivered(process, warm + count) if not delay else started + figures["seconds"]
        each = [cpu_seconds(pid) - used for pid, used in zip(pids, before[1], strict=True)]
        return {
            "rate": count / (ended - started),
            "leader": (process.cpu_seconds() - before[0]) / count * 1e6,
            "fronts": sum(each) / count * 1e6,
            "share": max(each) / sum(each) if each else 0.0,
            "p50": figures["latencies_ms"]["p50"],
            "p99": figures["latencies_ms"]["p99"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the work, for trying the script")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kind", choices=KINDS, action="append", help="only this one; again for more")
    options = parser.parse_args()
    count = 10_000 // (20 if options.quick else 1)
    print(
        "| single creates | API processes | jobs/s | leader, CPU µs a job | its API processes | create p50 / p99 ms |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for kind in options.kind or KINDS:
        runs: dict[int, list[dict[str, float]]] = {0: [], 1: [], 2: []}
        for _ in range(options.runs):
            for fronts, found in runs.items():
                found.append(measure(kind, fronts, count))
        for fronts, found in runs.items():
            middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
            low, high = min(one["rate"] for one in found), max(one["rate"] for one in found)
            ratio = statistics.median(
                one["leader"] / first["leader"] for one, first in zip(found, runs[0], strict=True)
            )
            print(
                f"| {kind} | {fronts} | {middle['rate']:,.0f} ({low:,.0f}–{high:,.0f}) | {middle['leader']:.0f}, "
                f"{ratio:.2f} of none | {middle['fronts']:.0f}, the busiest {middle['share']:.0%} | "
                f"{middle['p50']:.1f} / {middle['p99']:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
