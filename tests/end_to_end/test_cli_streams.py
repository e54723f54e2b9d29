"""Commands whose streams are closed, full or of a narrow encoding: real processes, no traceback, a right exit code."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import scripted_server as served
from tests.scripted_server import Answer, ScriptedServer, scripted_server


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.script = lambda _: Answer(200, served.job(labels=["ä"]))
        yield server


def shell(server: ScriptedServer, line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``hookline`` with that line, of which the shell sees the redirections."""
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} -m hookline.cli.app {line}"],
        capture_output=True,
        text=True,
        env=os.environ | {"HOOKLINE_URL": server.url} | environment,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["jobs create http://a.example/", "jobs get j1 --json", "--version"])
def test_a_closed_output_is_refused_before_anything_is_done(server: ScriptedServer, command: str) -> None:
    done = shell(server, f"{command} >&-")
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output is closed")
    assert server.asked == []


@pytest.mark.parametrize("command", ["jobs get j1", "jobs get j1 --json", "secret new", "completion bash", "--help"])
def test_a_full_output_is_an_error(server: ScriptedServer, command: str) -> None:
    done = shell(server, f"{command} >/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the result cannot be written (No space left on device)")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("where", ["2>&-", "2>/dev/full", ">/dev/full 2>&1"])
def test_an_error_that_nobody_can_read_shows_in_the_exit_code(server: ScriptedServer, where: str) -> None:
    server.script = lambda _: Answer(404, {"code": "job_not_found", "detail": "none"})
    done = shell(server, f"jobs get j1 --json {where}")
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    "command", ["jobs import -", "jobs create http://a.example/ --data -", "schedules delete s1", "jobs cancel-all"]
)
def test_a_closed_input_is_a_usage_error(server: ScriptedServer, command: str) -> None:
    server.script = lambda _: Answer(200, {"matched": 2, "changed": 0, "dry_run": True, "more": False, "sample": []})
    done = shell(server, f"{command} <&-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(("error: ", "created 0"))
    assert "Traceback" not in done.stderr


def test_what_an_encoding_does_not_know_is_written_out(server: ScriptedServer) -> None:
    done = shell(server, "jobs get j1", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert r"\xe4" in done.stdout
