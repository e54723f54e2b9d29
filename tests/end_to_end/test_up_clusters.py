"""``hookline up --clusters 3 --proxies 2`` as users start it: one door, a cluster killed and back, a clean end."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hookline import Client, HooklineError
from tests.end_to_end.processes import journal_receiver, until
from tests.end_to_end.test_up_three_nodes import pid_of

CLUSTERS = ("c0", "c1", "c2")


@contextmanager
def fleet(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The supervisor and the urls of its proxies."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
    command = [sys.executable, "-m", "hookline.cli.app", "up", "--clusters", "3", "--proxies", "2", "--port", "0"]
    with data_dir.with_suffix(".err").open("a") as messages:
        process = subprocess.Popen(
            [*command, "--allow-private-destinations", "--data-dir", str(data_dir)],
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            env=environment,
        )
    try:
        assert process.stdout
        line = process.stdout.readline()
        match = re.fullmatch(r"ready (http://127\.0\.0\.1:\d+)\n", line)
        if match is None:
            pytest.fail(f"no ready line but {line!r}: {data_dir.with_suffix('.err').read_text()}")
        ports = json.loads((data_dir / "fleet.json").read_text())["proxies"]
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        assert match[1] == urls[0]
        yield process, urls
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_one_door_to_three_clusters(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with journal_receiver() as (port, journal), fleet(data_dir) as (process, (first, second)):
        hook = f"http://127.0.0.1:{port}/hook"
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
