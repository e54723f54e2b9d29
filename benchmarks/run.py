"""Measures one node end to end and prints a Markdown table: ``make bench`` (about 5 minutes), ``ARGS=--quick``.

End to end means: created over HTTP, committed with fsync, claimed, signed, POSTed to a receiver in another process,
outcome committed. Beside it, in the same run, a bare loop that only POSTs with the same HTTP client.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from node_process import Process, node, receiver, script

PORT = 19_100


def wait_delivered(process: Process, count: int, *, deadline_s: float = 600) -> float:
    """Wait until the node has delivered ``count`` jobs; returns when it was seen."""
    until = time.time() + deadline_s
    while process.succeeded() < count:
        if time.time() > until:
            raise TimeoutError(f"{process.succeeded()} of {count} jobs were delivered")
        time.sleep(0.02)
    return time.time()


def bare(delay_s: float, count: int, concurrency: int) -> float:
    """Requests per second of the bare loop."""
    with receiver(delay_s, PORT) as target:
        figures = script("bare_loop.py", target.port, count, concurrency)
    return float(figures["count"] / figures["seconds"])


def end_to_end(delay_s: float, count: int, batch: int, connections: int) -> dict[str, float]:
    """Jobs per second from the first create to the last arrival, and the latency of creates."""
    with receiver(delay_s, PORT) as target, node() as process:
        script("load.py", process.port, target.port, 2 * batch if batch > 1 else 200, batch, 2)  # warm up
        warm = 2 * batch if batch > 1 else 200
        wait_delivered(process, warm)
        target.get("/stats")
        cpu = process.cpu_seconds()
        started = time.time()
        figures = script("load.py", process.port, target.port, count, batch, connections)
        wait_delivered(process, warm + count)
        stats = target.get("/stats")
        assert stats["count"] == count == figures["created"], (stats["count"], figures)
        return {
            "rate": count / (stats["last"] - started),
            "p50": figures["latencies_ms"]["p50"],
            "p99": figures["latencies_ms"]["p99"],
            "cpu_us": (process.cpu_seconds() - cpu) / count * 1e6,
        }


def due_lag(seconds: int) -> dict[str, float]:
    """Lateness of arrivals at 350 jobs/s, each due 2 s after its creation."""
    with receiver(0.05, PORT) as target, node() as process:
        figures = script("load.py", process.port, target.port, 350 * seconds, 1, 16, 350)
        wait_delivered(process, 350 * seconds)
        lags = sorted(target.get("/stats")["lags_ms"])
        assert len(lags) == figures["created"], (len(lags), figures)
        return {"p50": statistics.median(lags), "p99": lags[int(len(lags) * 0.99)], "max": lags[-1]}


def many_pending(count: int) -> dict[str, float]:
    """Memory with ``count`` jobs pending, and the time a start with them takes."""
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory)
        with node(data_dir) as process:
            figures = script("load.py", process.port, PORT, count, 1_000, 4, 0, 86_400)
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
    return f"| {name} | {rates} | {middle['rate'] / bare_rate:.2f} | {latency} | {middle['cpu_us']:.0f} | {target} |"


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, for trying the script")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    print(f"Python {platform.python_version()}, {platform.platform()}, {time.strftime('%Y-%m-%d')}\n")
    bare_0 = bare(0, 60_000 // scale, 100)
    bare_200 = bare(0.2, 5_000 // scale, 100)
    print(
        "| one node, fsync on every commit | jobs/s median (min–max) | of bare loop | create p50 / p99 ms "
        "| node CPU µs a job | target |"
    )
    print("|---|---|---|---|---|---|")
    print(f"| bare loop that only POSTs, 0 ms receiver | {bare_0:,.0f} | 1 | | | |")
    cases = [
        ("0 ms receiver, created in batches of 1,000", 0, 60_000 // scale, 1_000, 2, bare_0, "≥ 7,000"),
        ("0 ms receiver, created one by one", 0, 30_000 // scale, 1, 32, bare_0, "≥ 4,000"),
        ("200 ms receiver, 100 slots", 0.2, 10_000 // scale, 1_000, 1, bare_200, "≥ 485"),
    ]
    for name, delay_s, count, batch, connections, yardstick, target in cases:
        if delay_s:
            print(f"| bare loop that only POSTs, 100 at once, 200 ms receiver | {bare_200:,.0f} | 1 | | | |")
        runs = spread(lambda: end_to_end(delay_s, count, batch, connections), options.runs)  # noqa: B023
        print(row(name, runs, yardstick, target), flush=True)
    lag = due_lag(60 // scale)
    print("\n| due-time lag at 350 jobs/s, 50 ms receiver | p50 ms | p99 ms | max ms | target |\n|---|---|---|---|---|")
    print(
        f"| arrival after `hookline-scheduled-at` | {lag['p50']:.1f} | {lag['p99']:.1f} | {lag['max']:.1f} | p99 < 20 |"
    )
    many = many_pending(1_000_000 // scale)
    print(f"\n| {1_000_000 // scale:,} pending jobs | measured | target |\n|---|---|---|")
    print(f"| process start to ready, s | {many['start_s']:.2f} | < 3 |")
    print(f"| resident memory, MiB | {many['rss_mib']:.0f} | < 300 |")
    print(f"| on disk, MiB | {many['disk_mib']:.0f} | |")


if __name__ == "__main__":
    main()
