"""``hookline up --clusters 3 --proxies 2`` as users start it: one door, a cluster killed and back, a clean end."""

import json
import os
import signal
from pathlib import Path

import pytest

from hookline import Client, HooklineError
from tests.end_to_end.processes import journal_receiver, supervised, until
from tests.end_to_end.test_up_three_nodes import pid_of

CLUSTERS = ("c0", "c1", "c2")


def test_one_door_to_three_clusters(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with (
        journal_receiver() as (receiver_port, journal),
        supervised(data_dir, "--clusters", "3", "--proxies", "2") as (
            process,
            url,
        ),
    ):
        first, second = [
            f"http://127.0.0.1:{port}" for port in json.loads((data_dir / "fleet.json").read_text())["proxies"]
        ]
        assert url == first
        hook = f"http://127.0.0.1:{receiver_port}/hook"
        with Client(first) as writer, Client(second) as reader:
            jobs = [writer.create_job(hook, id=f"order-{number}") for number in range(12)]
            homes = {job.id: reader.route(job.id).cluster for job in jobs}
            assert set(homes.values()) == set(CLUSTERS)
            until(lambda: all(_has_succeeded(reader, job.id) for job in jobs), "all were delivered")
            assert {job.id for job in reader.list_jobs()} == set(homes)

            os.kill(pid_of(f"{homes['order-0']}/n1", data_dir), signal.SIGKILL)
            until(lambda: _has_succeeded(reader, "order-0"), "the supervisor has started it again")
            assert writer.create_job(hook, id="order-0").deduplicated
        assert sorted(found for found, *_ in journal.requests) == sorted(homes)

        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    for cluster in CLUSTERS:
        with pytest.raises(AssertionError, match="does not run"):
            pid_of(f"{cluster}/n1", data_dir)


def _has_succeeded(client: Client, job_id: str) -> bool:
    try:
        return client.get_job(job_id).state == "succeeded"
    except HooklineError:
        return False
