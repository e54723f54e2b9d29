"""Measures what one cluster can do: ``python benchmarks/capacity.py --runs 3`` (about half an hour).

For webhooks of several lengths (on average) and several numbers of slots more jobs are created than can be done, all
due at one instant. When the first webhooks have ended it is counted how many a second are delivered, and what CPU that
takes, by role. What creating costs is measured apart.
``--json FILE`` keeps the figures; ``hookline plan`` is calibrated with them.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from busy import ReadyTooLateError, arrived_within, patiently
from cluster_process import cluster
from node_process import Process, node, receiver, script

_NOBODY = 9
_WEBHOOK_MS = (0, 50, 200, 1_000, 10_000)
_SLOTS = (100, 500, 2_000)
_SECONDS = 6  # of counting
_CREATED = 20_000
_SPREAD = 0.5  # webhooks take half as long to one and a half times, so that they do not end all at once
_FASTEST = 8_000  # jobs a second that may be expected at best
_CREATE_S = 0.0002  # a job


@contextmanager
def serving(nodes: int, slots: int) -> Iterator[tuple[Process, Callable[[], dict[str, float]]]]:
    """One node or three; the node that leads, and the CPU seconds of all by role."""
    options = ("--slots", str(slots), "--attempt-processes", "0", "--api-processes", "0")
    if nodes == 1:
        with node(None, *options) as process:
            yield process, lambda: {"leader": process.cpu_seconds(), "followers": 0.0, "etcd": 0.0}
    else:
        with cluster(*options) as three:
            yield three.leader, three.cpu_seconds


def deliver(nodes: int, webhook_ms: int, slots: int, seconds: float) -> dict[str, Any]:
    """Deliver what is due, more than can be done, and count for a while, when the first webhooks have ended."""
    return patiently(lambda slowness: _deliver(nodes, webhook_ms, slots, seconds, slowness * _CREATE_S))


def _deliver(nodes: int, webhook_ms: int, slots: int, seconds: float, create_s: float) -> dict[str, Any]:
    webhook_s = webhook_ms / 1_000
    at_best = min(_FASTEST, slots / webhook_s) if webhook_s else _FASTEST
    warm_s, window_s = 1 + 1.5 * webhook_s, max(seconds, 2 * webhook_s)
    count = int(at_best * (warm_s + window_s + 2)) // 100 * 100 + 100
    with receiver(webhook_s, spread=_SPREAD) as target, serving(nodes, slots) as (process, cpu):
        at = int(time.time() + 5 + count * create_s)
        created = script("load.py", process.port, target.port, count, 100, 4, 0, 0, at)["created"]
        if time.time() > at:
            raise ReadyTooLateError
        time.sleep(at + warm_s - time.time())
        before = cpu()
        stats, took = arrived_within(target, window_s)
        arrived, used = stats["count"], cpu()
        done = process.succeeded()
        if created - done < slots:
            raise RuntimeError(f"{done} of {created} jobs were done before the end: too few were made")
        rss = process.rss_mib()
    return {
        "rate": arrived / took,
        "cpu_us": {role: (now - before[role]) / arrived * 1e6 for role, now in used.items()},
        "rss_mib": rss,
    }


def create(nodes: int, batch: int, count: int) -> dict[str, Any]:
    """Create what is not due: what that alone costs."""
    with serving(nodes, 100) as (process, cpu):
        script("load.py", process.port, _NOBODY, 10 * batch, batch, 2, 0, 86_400)
        before, began = cpu(), time.time()
        created = script("load.py", process.port, _NOBODY, count, batch, 32 if batch == 1 else 4, 0, 86_400)["created"]
        took = time.time() - began
        return {
            "rate": created / took,
            "cpu_us": {role: (seconds - before[role]) / created * 1e6 for role, seconds in cpu().items()},
        }


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The medians, and how far the rates spread."""
    rates = [one["rate"] for one in runs]
    found = {
        "rate": statistics.median(rates),
        "slowest": min(rates),
        "fastest": max(rates),
        "runs": len(runs),
        "cpu_us": {role: statistics.median(one["cpu_us"][role] for one in runs) for role in runs[0]["cpu_us"]},
    }
    if "rss_mib" in runs[0]:
        found["rss_mib"] = statistics.median(one["rss_mib"] for one in runs)
    return found


def shown(found: dict[str, Any]) -> str:
    """Cells of a row."""
    cpu = " + ".join(f"{found['cpu_us'][role]:.0f}" for role in ("leader", "followers", "etcd"))
    return f"{found['rate']:,.0f} ({found['slowest']:,.0f}–{found['fastest']:,.0f}) | {cpu}"


def main() -> None:
    """Run it and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--nodes", type=int, choices=(1, 3), nargs="+", default=[1, 3])
    parser.add_argument("--webhook-ms", type=int, nargs="+", default=_WEBHOOK_MS)
    parser.add_argument("--slots", type=int, nargs="+", default=_SLOTS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="a small part of the work, for trying the script")
    given = parser.parse_args()
    seconds, count = (0.5, 400) if given.quick else (_SECONDS, _CREATED)
    machine = f"Python {platform.python_version()}, {platform.platform()}, 2 cores"
    kept: dict[str, Any] = {"machine": machine, "date": time.strftime("%Y-%m-%d"), "deliver": [], "create": []}
    print(f"{machine}, {kept['date']}\n")
    print("| nodes | creates | a second (min–max) | CPU µs each: leader + followers + etcd |\n|---|---|---|---|")
    for nodes in given.nodes:
        for batch in (1, 100):
            found = middle([create(nodes, batch, count) for _ in range(given.runs)])
            kept["create"].append({"nodes": nodes, "batch": batch} | found)
            print(f"| {nodes} | {'one by one' if batch == 1 else f'batches of {batch}'} | {shown(found)} |", flush=True)
    print("\n| nodes | webhook ms | slots | jobs/s (min–max) | CPU µs a job: leader + followers + etcd | of slots |")
    print("|---|---|---|---|---|---|")
    for nodes in given.nodes:
        for webhook_ms in given.webhook_ms:
            for slots in given.slots:
                found = middle([deliver(nodes, webhook_ms, slots, seconds) for _ in range(given.runs)])
                kept["deliver"].append({"nodes": nodes, "webhook_ms": webhook_ms, "slots": slots} | found)
                share = f"{found['rate'] * webhook_ms / 1_000 / slots:.3f}" if webhook_ms else ""
                print(f"| {nodes} | {webhook_ms:,} | {slots:,} | {shown(found)} | {share} |", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
