"""How long nothing is delivered after the leader of three nodes is killed, with few and with many pending jobs.

``python benchmarks/failover.py [--pending 1000000] [--kills 10]``. Jobs are due every 10 ms; the leader is killed with
SIGKILL while they are; the gap is how late the latest of them arrived.
"""

import argparse
import json
import os
import signal
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from cluster_process import leader_of, stack
from node_process import Process, receiver, script

_JOBS = 400  # due every 10 ms
_EVERY_MS = 10
_AHEAD_S = 1.0  # from their creation until the first is due
_KILL_AFTER_S = 1.0  # from then on


def post(front: Process, target: Process) -> float:
    """Create the jobs; when the first of them is due."""
    first = time.time() + _AHEAD_S
    times = (datetime.fromtimestamp(first + n * _EVERY_MS / 1_000, UTC) for n in range(_JOBS))
    url = f"http://127.0.0.1:{target.port}/hook"
    jobs = [
        {"url": url, "run_at": at.isoformat().replace("+00:00", "Z"), "retry": {"initial": "100ms"}} for at in times
    ]
    request = urllib.request.Request(
        f"http://127.0.0.1:{front.port}/jobs/batch",
        json.dumps({"jobs": jobs}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        assert all(item["status"] == 201 for item in json.load(response)["results"])
    return first


def wait(condition: Callable[[], bool], what: str, *, deadline_s: float = 120) -> None:
    """Until it holds."""
    until = time.time() + deadline_s
    while not condition():
        if time.time() > until:
            raise TimeoutError(what)
        time.sleep(0.05)


def all_are_back(front: Process) -> bool:
    """Every node has applied what the leader has."""
    try:
        nodes = front.get("/cluster")["nodes"]
    except OSError:
        return False
    newest = max(node["applied"] for node in nodes)
    return len(nodes) == 3 and all(newest - node["applied"] <= 10 for node in nodes)


def gap_ms(front: Process, target: Process) -> float:
    """Kill the leader once; how late the latest job arrived."""
    target.get("/stats")
    first = post(front, target)
    leader = leader_of(front)
    time.sleep(max(0.0, first + _KILL_AFTER_S - time.time()))
    os.kill(leader.pid, signal.SIGKILL)
    lags: list[float] = []

    def have_arrived() -> bool:
        lags.extend(target.get("/stats")["lags_ms"])
        return len(lags) >= _JOBS

    wait(have_arrived, f"only {len(lags)} of {_JOBS} jobs arrived")
    wait(lambda: all_are_back(front), "a node did not come back")
    time.sleep(2)  # what the stack calls a calm start
    return max(lags)


def measure(pending: list[int], kills: int) -> Iterator[tuple[int, list[float]]]:
    """For each number of pending jobs, ascending: the gaps of all kills, ms, shortest first."""
    with receiver(0) as target, stack("--nodes", "3") as front:
        there = 0
        for count in pending:
            while there < count:  # a busy node refuses some
                left = -(-(count - there) // 1_000) * 1_000
                there += script("load.py", leader_of(front).port, target.port, left, 1_000, 2, 0, 86_400)["created"]
                wait(lambda: all_are_back(front), "the followers did not catch up")
            yield count, sorted(gap_ms(front, target) for _ in range(kills))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    options = parser.parse_args()
    medians = []
    print("| pending jobs | kills | gap, ms: median (min-max) |\n|---|---|---|")
    for pending, gaps in measure([0, options.pending], options.kills):
        medians.append(statistics.median(gaps))
        row = f"{medians[-1]:.0f} ({gaps[0]:.0f}-{gaps[-1]:.0f})"
        print(f"| {pending:,} | {options.kills} | {row} |", flush=True)
    print(f"\ndifference of the medians: {medians[1] - medians[0]:.0f} ms")


if __name__ == "__main__":
    main()
