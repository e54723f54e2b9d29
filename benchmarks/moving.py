"""Measures how fast jobs move: ``python benchmarks/moving.py`` (about 15 minutes with 1,000,000 jobs).

Two clusters of one node each and a proxy. One has all jobs, due in a day, and schedules; the other gets 50 jobs a
second, each due two seconds later: their lag is measured while nothing moves. Then the first cluster is taken out, so
that everything moves to the second, and the lag is measured again.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from node_process import ENVIRONMENT, HERE, Process, ready_port, receiver, script

from hookline.client.blocking import Client
from hookline.protocol.topology import Topology

_DAY_S = 86_400
_RATE = 50
_ROOM = ("--pending-jobs-max", "100000000", "--pending-bytes-max", "1000000000000")
_SECRET_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="  # of both clusters


class Move(NamedTuple):
    """How it went: seconds, the longest freeze in ms, CPU seconds of source and destination."""

    seconds: float
    freeze_ms: int
    source_cpu_s: float
    destination_cpu_s: float


@contextmanager
def running(*arguments: str) -> Iterator[Process]:
    """A ``hookline`` process."""
    command = [sys.executable, "-m", "hookline.cli.app", *arguments]
    env = ENVIRONMENT | {"HOOKLINE_SECRET_KEY": _SECRET_KEY}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, text=True)
    try:
        yield Process(process.pid, ready_port(process))
    finally:
        process.terminate()
        process.wait(60)


def node_of(shard: int, directory: Path) -> Any:
    """A cluster of one node."""
    names = ("--cluster", f"c{shard}", "--shard", str(shard), "--node", "n1", "--listen", "127.0.0.1:0")
    alone = ("--attempt-processes", "0", "--api-processes", "0", "--allow-private-destinations", *_ROOM)
    return running("serve", *names, "--data-dir", str(directory / f"c{shard}"), *alone)


def document(*nodes: tuple[int, Process], epoch: int) -> dict[str, Any]:
    """A topology of these."""
    clusters = [
        {"name": f"c{shard}", "shard": shard, "nodes": [f"http://127.0.0.1:{process.port}"]} for shard, process in nodes
    ]
    return {"epoch": epoch, "strategy": "modulo", "cluster": clusters}


def lag(process: Process, target: Process, seconds: int) -> list[float]:
    """The lags of jobs that fall due all the time."""
    target.get("/stats")
    created = script("load.py", process.port, target.port, _RATE * seconds, 1, 4, _RATE, 2)["created"]
    found: list[float] = []
    until = time.time() + 120
    while len(found) < created and time.time() < until:
        time.sleep(0.5)
        found += target.get("/stats")["lags_ms"]
    return found


def move(proxy: Process, old: Process, new: Process, epoch: int) -> Move:
    """Take the old cluster out, and wait until all has moved."""
    with Client(f"http://127.0.0.1:{proxy.port}") as client:
        before, began = (old.cpu_seconds(), new.cpu_seconds()), time.monotonic()
        client.apply_topology(msgspec.convert(document((1, new), epoch=epoch), Topology))
        freeze = 0
        while (status := client.topology_status()).state != "stable":
            freeze = max(freeze, status.longest_freeze_ms)
            time.sleep(0.2)
        took = time.monotonic() - began
    return Move(took, freeze, old.cpu_seconds() - before[0], new.cpu_seconds() - before[1])


def main() -> None:
    """Run it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--lag-seconds", type=int, default=60, help="of the measurement while nothing moves")
    parser.add_argument("--no-lag", action="store_true", help="nothing falls due meanwhile")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        target = stack.enter_context(receiver(0))
        old, new = (stack.enter_context(node_of(shard, directory)) for shard in (0, 1))
        file = directory / "topology.json.toml"
        file.write_text(_toml(document((0, old), (1, new), epoch=1)))
        proxy = stack.enter_context(running("proxy", "--listen", "127.0.0.1:0", "--topology", str(file)))
        created = 0
        while created < arguments.jobs:
            left = arguments.jobs - created
            created += script("load.py", old.port, 9, left, min(1_000, left), 4, 0, _DAY_S)["created"]
        _schedules(proxy, arguments.schedules)
        idle = [] if arguments.no_lag else lag(new, target, arguments.lag_seconds)
        with ThreadPoolExecutor(1) as pool:
            seconds = max(5, arguments.jobs // 6_000)
            meanwhile = None if arguments.no_lag else pool.submit(lag, new, target, seconds)
            moved = move(proxy, old, new, 2)
            lags = [] if meanwhile is None else meanwhile.result()
    rate = (arguments.jobs + arguments.schedules) / moved.seconds
    print("| moved | seconds | a second | CPU µs each: source | destination | longest freeze, ms |")
    print("|---|--:|--:|--:|--:|--:|")
    each = 1e6 / (arguments.jobs + arguments.schedules)
    cpu = f"{moved.source_cpu_s * each:.0f} | {moved.destination_cpu_s * each:.0f}"
    print(
        f"| {arguments.jobs:,} jobs, {arguments.schedules:,} schedules | {moved.seconds:.1f} | {rate:,.0f} | {cpu}",
        end="",
    )
    print(f" | {moved.freeze_ms} |\n")
    print("| due-time lag of others, ms | p50 | p99 | max |\n|---|--:|--:|--:|")
    for label, found in (("nothing moves", idle), ("while all moves", lags)):
        if found:
            found.sort()
            p99 = found[int(len(found) * 0.99)]
            print(f"| {label} ({len(found):,} jobs) | {statistics.median(found):.1f} | {p99:.1f} | {found[-1]:.1f} |")


def _toml(topology: dict[str, Any]) -> str:
    lines = [f"epoch = {topology['epoch']}", f'strategy = "{topology["strategy"]}"']
    for entry in topology["cluster"]:
        lines += ["[[cluster]]", *(f"{name} = {json.dumps(value)}" for name, value in entry.items())]
    return "\n".join(lines)


def _schedules(process: Process, count: int) -> None:
    with Client(f"http://127.0.0.1:{process.port}") as client, ThreadPoolExecutor(4) as pool:
        job: Any = {"url": "http://127.0.0.1:9/"}
        for done in [pool.submit(client.create_schedule, "0 0 1 1 *", job) for _ in range(count)]:
            done.result()


if __name__ == "__main__":
    assert HERE.is_dir()
    main()
