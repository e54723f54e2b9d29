"""`hookline up`, `serve` and `listen` as users start them: real processes, real jobs, clean ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hookline import Client, verify
from tests.scripted_server import Answer, scripted_server

SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0LTMyLWJ5dGVzLWxvbmc="


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOOKLINE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "hookline.cli.app", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its url; it is killed if the test did not end it."""
    process = start(*arguments)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready http://127.0.0.1:"):
            process.kill()
            pytest.fail(f"no ready line but {line!r}: {process.communicate()[1]}")
        yield process, line.removeprefix("ready ").strip()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


UP = ("up", "--port", "0", "--allow-private-destinations", "--data-dir")


def test_a_job_is_delivered_signed_and_survives_a_restart(tmp_path: Path) -> None:
    with scripted_server() as receiver:
        receiver.answers = [Answer(503), Answer(200)]
        with started(*UP, str(tmp_path / "data")) as (process, url), Client(url) as client:
            client.put_destination(receiver.url, secrets=[SECRET])
            job = client.create_job(f"{receiver.url}/hook", payload={"n": 1}, retry={"schedule": ["1ms"]})
            assert client.wait_for_job(job.id, timeout=60).state == "succeeded"
            assert [attempt.status for attempt in client.attempts(job.id)] == [503, 200]
            later = client.create_job(f"{receiver.url}/later", delay="1h")
            client.create_job(f"{receiver.url}/later", delay="2h")
            made = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
            assert not [path for path in made if path.stat().st_mode & 0o077], "somebody else could read these"
            code, out, err = ended(process)
        assert (code, out) == (0, ""), "after the ready line stdout stays silent"
        assert "WARNING: --allow-private-destinations" in err
        for number, asked in enumerate(receiver.asked, 1):
            info = verify(asked.body, asked.headers, SECRET)
            assert (info.id, info.attempt, asked.body) == (job.id, number, b'{"n":1}')
        with started(*UP, str(tmp_path / "data")) as (process, url), Client(url) as client:
            assert client.get_job(job.id).state == "succeeded"
            assert client.get_job(later.id).state == "pending"
            assert client.run_job(later.id).id == later.id
            assert client.wait_for_job(later.id, timeout=60).state == "succeeded"
            assert ended(process, signal.SIGINT)[0] == 0


def test_the_command_line_drives_it(tmp_path: Path) -> None:
    def run(url: str, *tokens: str) -> dict[str, object]:
        command = [sys.executable, "-m", "hookline.cli.app", *tokens, "--json", "--url", url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        document: dict[str, object] = json.loads(done.stdout)
        return document

    arguments = ("listen", "--port", "0", "--json", "--secret", SECRET, "--fail-first", "1")
    with started(*UP, str(tmp_path / "data")) as (node, url), _listening(*arguments) as (listener, receiver_url):
        run(url, "destinations", "set", receiver_url, "--secret", SECRET)
        create = ("jobs", "create", f"{receiver_url}/hook", "--data", '{"a": 1.0}', "--retry-schedule", "1ms", "--wait")
        assert run(url, *create)["state"] == "succeeded"
        run(url, "schedules", "create", "0 9 * * *", f"{receiver_url}/daily", "--id", "daily")
        assert run(url, "schedules", "run", "daily")["schedule"] == "daily"
        assert run(url, "jobs", "list")["data"]
        assert run(url, "cluster", "health")["status"] == "ok"
        assert ended(node)[0] == 0
        code, out, _ = ended(listener)
        assert code == 0
    received = [json.loads(line) for line in out.splitlines()]
    assert [(one["path"], one["attempt"], one["verified"], one["answered"]) for one in received[:2]] == [
        ("/hook", 1, True, 500),
        ("/hook", 2, True, 200),
    ]
    assert received[0]["body"] == '{"a": 1.0}'


@contextmanager
def _listening(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """With --json the ready line of ``listen`` goes to stderr, so that stdout is JSON only."""
    process = start(*arguments)
    try:
        assert process.stderr is not None
        yield process, process.stderr.readline().removeprefix("ready ").strip()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_serve_names_itself_and_refuses_a_second_process(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    arguments = ("serve", "--cluster", "c7", "--shard", "7", "--node", "n3", "--listen", "127.0.0.1:0", "--data-dir")
    with started(*arguments, data) as (process, url):
        with Client(url) as client:
            cluster = client.cluster()
            assert (cluster.name, cluster.shard, cluster.leader) == ("c7", 7, "n3")
            assert client.create_job("http://example.com/", delay="1h").id.endswith("-7")
        second = start(*arguments, data)
        out, err = second.communicate(timeout=60)
        assert (second.returncode, out) == (1, "")
        assert "code: data_directory_in_use" in err
        assert "Traceback" not in err
        taken = start("up", "--port", url.rpartition(":")[2], "--data-dir", str(tmp_path / "other"))
        out, err = taken.communicate(timeout=60)
        assert (taken.returncode, out) == (1, "")
        assert "ddress already in use" in err
        assert "Traceback" not in err
        assert ended(process)[0] == 0
