"""Measures what the execution modes cost against ``leader``, at equal slots, in turn: ``python benchmarks/modes.py``.

Attempts are made in the processes of nodes and workers themselves. The lag is that of jobs created two seconds before
they are due, at a rate far below what the machine can do.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from cluster_process import leader_of, stack
from node_process import ENVIRONMENT, Process, ready_port, receiver, script
from run import wait_delivered

SLOTS = 102  # by 2 and by 3
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
_LAG_RATE = 100
_WARM = 200


@contextmanager
def _worker(url: str, slots: int) -> Iterator[None]:
    command = [sys.executable, "-m", "hookline.cli.app", "worker", "--cluster", url, "--slots", str(slots)]
    process = subprocess.Popen(
        [*command, "--allow-private-destinations"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        text=True,
    )
    try:
        ready_port(process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def running(mode: str, nodes: int, runners: int, slots: int) -> Iterator[Process]:
    """The leader of a cluster in this mode, all of whose runners are there; they have so many slots each."""
    options = ["--nodes", str(nodes), "--mode", mode, "--attempt-processes", "0", "--slots", str(slots)]
    with ExitStack() as processes:
        front = processes.enter_context(stack(*options))
        leader = leader_of(front) if nodes > 1 else front
        for _ in range(runners if mode == "workers" else 0):
            processes.enter_context(_worker(f"http://127.0.0.1:{leader.port}", slots))
        while sum(runner["slots"] for runner in leader.get("/cluster")["runners"]) < slots * runners:
            time.sleep(0.05)
        yield leader


def rate(leader: Process, delay_s: float, count: int) -> float:
    with receiver(delay_s) as target:
        wait_delivered(
            leader, leader.succeeded() + script("load.py", leader.port, target.port, _WARM, 100, 1)["created"]
        )
        before = leader.succeeded()
        target.get("/stats")
        started = time.time()
        created = script("load.py", leader.port, target.port, count, 100, 2)["created"]  # a busy node refuses some
        wait_delivered(leader, before + created)
        return float(created / (target.get("/stats")["last"] - started))


def lags(leader: Process, seconds: int) -> tuple[float, float]:
    """Median and 99th percentile."""
    with receiver(0.05) as target:
        before = leader.succeeded()
        created = script("load.py", leader.port, target.port, _LAG_RATE * seconds, 1, 8, _LAG_RATE, 2)["created"]
        wait_delivered(leader, before + created)
        late_ms = sorted(target.get("/stats")["lags_ms"])
    return statistics.median(late_ms), late_ms[int(len(late_ms) * 0.99)]


def main() -> None:
    """Run all modes in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=3)
    parser.add_argument("--quick", action="store_true", help="little work, for trying the script")
    options = parser.parse_args()
    scale = 20 if options.quick else 1
    ENVIRONMENT["HOOKLINE_SECRET_KEY"] = KEY
    modes = ["leader", "hybrid", "workers"] if options.nodes > 1 else ["leader", "workers"]
    found: dict[str, list[tuple[float, float, float, float]]] = {mode: [] for mode in modes}
    for _ in range(options.runs):
        for mode in modes:
            runners = {"leader": 1, "hybrid": options.nodes, "workers": 2}[mode]
            with running(mode, options.nodes, runners, SLOTS // runners) as leader:
                slow, fast = rate(leader, 0.2, 2_000 // scale), rate(leader, 0, 5_000 // scale)
                found[mode].append((slow, fast, *lags(leader, max(2, 8 // scale))))
    print(f"{options.nodes} node(s), {SLOTS} slots in all, median of {options.runs}, {time.strftime('%Y-%m-%d')}\n")
    print("| mode | 200 ms: jobs/s | of leader | 0 ms: jobs/s | of leader | lag p50 / p99 ms, 100 jobs/s |")
    print("|---|---|---|---|---|---|")
    middle = {mode: [statistics.median(column) for column in zip(*runs, strict=True)] for mode, runs in found.items()}
    for mode, (slow, fast, p50, p99) in middle.items():
        of_slow, of_fast = slow / middle["leader"][0], fast / middle["leader"][1]
        print(f"| {mode} | {slow:,.0f} | {of_slow:.3f} | {fast:,.0f} | {of_fast:.2f} | {p50:.1f} / {p99:.1f} |")


if __name__ == "__main__":
    main()
