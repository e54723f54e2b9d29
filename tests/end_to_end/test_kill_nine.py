"""An acknowledged job survives ``kill -9`` at any moment: every one is accounted for after 12 kills under load.

Killed is the node, or one of its attempt processes.
"""

import os
import random
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hookline.protocol.limits import CLAIMS_AHEAD_SHARE
from tests.end_to_end.clients import LoadingClient
from tests.end_to_end.processes import CLOCK, NodeProcess, has_open_jobs, journal_receiver, running_node, until

KILLS = 12
SLOTS = 20
OPEN_MAX = SLOTS + SLOTS // CLAIMS_AHEAD_SHARE
FINAL = {"succeeded", "dead", "cancelled", "unknown"}


@pytest.mark.parametrize("processes", [0, 2])
def test_every_acknowledged_job_is_accounted_for(tmp_path: Path, processes: int) -> None:
    seed = CLOCK.wall_ms() % 10**6
    print(f"seed {seed}")
    chance = random.Random(seed)
    options = ("--slots", str(SLOTS), "--attempt-processes", str(processes))
    with journal_receiver() as (port, journal), running_node(tmp_path / "data", *options) as node:
        clients = [LoadingClient(node, f"http://127.0.0.1:{port}/", seed + number) for number in range(2)]
        for client in clients:
            client.start()
        kills = 0
        while kills < KILLS:
            until(partial(journal.has_more_than, len(journal.requests) + 5), "the node delivers again")
            time.sleep(chance.uniform(0, 0.25))  # any moment of the work, not the same one each time
            kills += 1
            if processes and chance.random() < 0.5:
                until(lambda: bool(node.children()), "there are attempt processes")
                os.kill(chance.choice(node.children()), signal.SIGKILL)
            else:
                node.kill()
                node.start()
        ledgers = [client.stop() for client in clients]
        acknowledged = set().union(*(ledger.at_least_once | ledger.at_most_once for ledger in ledgers))
        once = set().union(*(ledger.at_most_once for ledger in ledgers))
        cancelled = set().union(*(ledger.cancelled for ledger in ledgers))
        unclear = set().union(*(ledger.unclear for ledger in ledgers))
        until(lambda: not has_open_jobs(node), "nothing is pending or running", 60)
        jobs = {job["id"]: job for job in all_jobs(node)}
        assert node.stop() == 0

    arrivals = Counter(found for found, *_ in journal.requests)
    assert len(acknowledged) > 300, "there was hardly any load"
    assert not acknowledged - jobs.keys(), "acknowledged jobs are gone"
    assert not jobs.keys() - acknowledged - unclear, "jobs nobody created"
    assert not {job["state"] for job in jobs.values()} - FINAL
    assert not arrivals.keys() - jobs.keys(), "requests for jobs that do not exist"

    duplicates = {found: count for found, count in arrivals.items() if count > 1}
    assert not duplicates.keys() & once, "at-most-once jobs were sent twice"
    assert sum(count - 1 for count in duplicates.values()) <= KILLS * OPEN_MAX, "more than claims open at kills"
    for found in duplicates:
        assert jobs[found]["attempts_made"] >= arrivals[found], "a duplicate without a claim of its own"

    for job_id in acknowledged:
        state = jobs[job_id]["state"]
        if state == "succeeded":
            assert arrivals[job_id] >= 1, f"{job_id} is said to be delivered and never arrived"
        elif state == "cancelled":
            assert job_id in cancelled | unclear
        elif state == "unknown":
            assert job_id in once
        else:  # a job that was being attempted at three kills in a row is taken for the cause of them
            error = jobs[job_id]["last_attempt"]["error"]
            assert state == "dead", f"{job_id} is {state}"
            assert error.startswith("the node was lost during 3 attempts"), f"{job_id} is dead: {error}"
    delivered = Counter(job["state"] for job in jobs.values())
    print(f"{len(acknowledged)} acknowledged, {delivered}, {len(duplicates)} duplicates in {KILLS} kills")


def all_jobs(node: NodeProcess) -> list[dict[str, Any]]:
    """By the list."""
    jobs: list[dict[str, Any]] = []
    cursor = ""
    while True:
        status, page = node.call("GET", f"/jobs?limit=1000{cursor}")
        assert status == 200, page
        jobs += page["data"]
        if page["next_cursor"] is None:
            return jobs
        cursor = f"&cursor={page['next_cursor']}"
