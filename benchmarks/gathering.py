"""Measures what a job costs that is created alone through a proxy: ``python benchmarks/gathering.py`` (2 minutes).

One node and one proxy on this machine, creates one by one over some connections, for jobs that are due later; the CPU
is that of the two processes. ``--against PYTHON`` names the interpreter of another release, or of another checkout:
both run in turn, with fresh data each time.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from node_process import ENVIRONMENT, Process, ready_port, script

TOPOLOGY = """
epoch = 1
[[cluster]]
name = "c0"
shard = 0
nodes = ["http://127.0.0.1:{port}"]
"""
DELAY_S = 3_600


class Cost(NamedTuple):
    jobs_s: float
    proxy_us: float
    node_us: float
    p50_ms: float  # at RATE a second
    p99_ms: float

    @property
    def both_us(self) -> float:
        return self.proxy_us + self.node_us


@contextmanager
def running(python: str, *arguments: str) -> Iterator[Process]:
    """A process of Hookline, once it is ready."""
    process = subprocess.Popen(
        [python, "-m", "hookline.cli.app", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        text=True,
    )
    try:
        yield Process(process.pid, ready_port(process))
    finally:
        process.terminate()
        process.wait(60)


def measure(python: str, count: int, connections: int, rate: int) -> Cost:
    """One run on fresh data."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = ("--data-dir", str(place / "data"), "--port", "0", "--allow-private-destinations")
        node = stack.enter_context(running(python, "up", *data))
        topology = place / "topology.toml"
        topology.write_text(TOPOLOGY.format(port=node.port))
        proxy = stack.enter_context(running(python, "proxy", "--listen", "127.0.0.1:0", "--topology", str(topology)))
        script("load.py", proxy.port, 9, 1_000, 1, connections, 0, DELAY_S)
        before = [it.cpu_seconds() for it in (proxy, node)]
        full = script("load.py", proxy.port, 9, count, 1, connections, 0, DELAY_S)
        proxy_us, node_us = (
            (it.cpu_seconds() - was) / count * 1e6 for it, was in zip((proxy, node), before, strict=True)
        )
        paced = script("load.py", proxy.port, 9, 5 * rate, 1, connections, rate, DELAY_S)["latencies_ms"]
        return Cost(full["created"] / full["seconds"], proxy_us, node_us, paced["p50"], paced["p99"])


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--connections", type=int, nargs="+", default=[8, 32, 128])
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--against", metavar="PYTHON")
    options = parser.parse_args()
    pythons = {"now": sys.executable} | ({"before": options.against} if options.against else {})
    print("| connections | | jobs/s | CPU µs a job: proxy | node | both | p50 / p99 ms at a steady rate |")
    print("|--:|---|--:|--:|--:|--:|--:|")
    for connections in options.connections:
        found: dict[str, list[Cost]] = {name: [] for name in pythons}
        for _ in range(options.runs):
            for name, python in pythons.items():
                found[name].append(measure(python, options.count, connections, options.rate))
        for name, costs in found.items():
            jobs, proxy, node, p50, p99 = (statistics.median(column) for column in zip(*costs, strict=True))
            both = [cost.both_us for cost in costs]
            print(
                f"| {connections} | {name} | {jobs:,.0f} | {proxy:.0f} | {node:.0f} |"
                f" {statistics.median(both):.0f} ({min(both):.0f}–{max(both):.0f}) | {p50:.1f} / {p99:.1f} |",
                flush=True,
            )
        if options.against:
            ratios = [one.both_us / other.both_us for one, other in zip(found["now"], found["before"], strict=True)]
            spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
            print(f"| {connections} | now / before, pairs | | | | {statistics.median(ratios):.2f} ({spread}) | |")


if __name__ == "__main__":
    main()
