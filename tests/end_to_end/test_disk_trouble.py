"""A node whose disk takes no more bytes: calls under way are told that their fate is open, and it says why it ends.

The disk is full for this process alone: the kernel refuses to make its files longer (RLIMIT_FSIZE).
"""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import UNMEASURED, NodeProcess, running_node

JOB = {"url": "http://127.0.0.1:9/", "delay": "1h"}
CALLS: dict[str, tuple[str, str, Any]] = {
    "create": ("POST", "/jobs", JOB | {"id": "new"}),
    "cancel": ("POST", "/jobs/old/cancel", None),
    "patch": ("PATCH", "/jobs/old", {"payload": {"n": 2}}),
    "run": ("POST", "/jobs/old/run", None),
    "batch": ("POST", "/jobs/batch", {"jobs": [JOB, JOB]}),
    "cancel by filter": ("POST", "/jobs/cancel", {"filter": {"state": "pending"}}),
    "schedule": ("POST", "/schedules", {"id": "s", "cron": "* * * * *", "job": {"url": "http://127.0.0.1:9/"}}),
    "destination": ("PUT", "/destinations/127.0.0.1:9", {"paused": True}),
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeProcess]:
    with running_node(tmp_path / "data") as node:
        yield node


def fill_disk(node: NodeProcess) -> None:
    """No file of the node grows from now on, its log included."""
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_a_call_whose_commit_fails_is_504_and_can_be_repeated(node: NodeProcess, call: tuple[str, str, Any]) -> None:
    assert node.call("POST", "/jobs", JOB | {"id": "old"})[0] == 201
    fill_disk(node)
    status, problem = node.call(*call)
    assert (status, problem["code"], problem["retryable"]) == (504, "deadline_exceeded", True)
    assert node.ended(60) == 1
    node.start()
    assert node.call("GET", "/jobs/old")[0] == 200
    assert node.call(*call)[0] in (200, 201)


def test_what_ends_it_is_one_sentence_that_names_the_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "hookline.cli.app", "up", "--data-dir", str(data), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=UNMEASURED)
    node = NodeProcess(data)
    node.adopt(process)
    node.wait_until_ready()
    fill_disk(node)
    assert node.call("POST", "/jobs", {"url": "https://example.com/", "delay": "1h"})[0] == 504
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert_one_sentence(said, data)


@pytest.mark.parametrize("limit", [0, 1, 8_192, 60_000])
def test_it_says_so_when_it_starts_too(tmp_path: Path, limit: int) -> None:
    data = tmp_path / "data"
    command = [sys.executable, "-m", "hookline.cli.app", "up", "--data-dir", str(data), "--port", "0"]
    process = subprocess.run(
        command,
        capture_output=True,
        env=UNMEASURED,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert process.returncode == 1
    assert_one_sentence(process.stderr, data)


def test_a_node_that_cannot_even_say_so_ends_all_the_same(node: NodeProcess) -> None:
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    assert node.call("POST", "/jobs", JOB)[0] == 504
    assert node.ended(60) == 1


def assert_one_sentence(said: str, data: Path) -> None:
    """Without a traceback; log lines may come before."""
    assert "Traceback" not in said, said
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, said
    assert f"the disk of {data} " in errors[0], said
    assert "start again" in errors[0]
