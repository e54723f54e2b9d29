"""`hookline logs JOB` against a real node and a receiver that fails first."""

import http.server
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.end_to_end.processes import UNMEASURED, Journal, NodeProcess, journal_receiver, running_node, until

HARM = "\x1b[31mred \u202eback\nnot a step"


def answer_third(handler: http.server.BaseHTTPRequestHandler, _body: bytes) -> None:
    """Fails until the third attempt, with a text that would move the cursor."""
    is_good = handler.headers["hookline-attempt"] == "3"
    text = b"thank you" if is_good else HARM.encode()
    handler.send_response(200 if is_good else 500)
    handler.send_header("content-length", str(len(text)))
    handler.end_headers()
    handler.wfile.write(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, str, Journal]]:
    directory = tmp_path_factory.mktemp("node") / "data"
    with journal_receiver(answer_third) as (port, journal), running_node(directory) as node:
        yield node, f"http://127.0.0.1:{port}/hook", journal


def command(node: NodeProcess, *options: str) -> list[str]:
    url = ("--url", f"http://127.0.0.1:{node.port}")
    return [sys.executable, "-m", "hookline.cli.app", "logs", *options, *url]


def logs(node: NodeProcess, *options: str) -> tuple[int, str]:
    done = subprocess.run(command(node, *options), capture_output=True, text=True, check=False, env=UNMEASURED)
    assert not done.stderr
    return done.returncode, done.stdout


def made(node: NodeProcess, url: str, **fields: Any) -> str:
    status, job = node.call("POST", "/jobs", {"url": url, **fields})
    assert status == 201, job
    return str(job["id"])


def test_it_follows_a_job_until_it_ends_and_tells_each_step_once(place: tuple[NodeProcess, str, Journal]) -> None:
    node, url, _ = place
    job = made(node, url, delay="1h", retry={"schedule": ["1ms", "2s"]})
    with subprocess.Popen(command(node, job, "--follow"), stdout=subprocess.PIPE, text=True, env=UNMEASURED) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(4)]
        assert lines[0] == f"{job} · POST {url} · pending, at_least_once\n"
        assert "Created" in lines[1]
        assert lines[2].strip() == "It was made to run later."
        assert "Waits for attempt 1" in lines[3]
        assert node.call("POST", f"/jobs/{job}/run")[0] == 200
        rest = process.stdout.read()
        assert process.wait(60) == 0
    for number, outcome in ((1, "failed"), (2, "failed"), (3, "succeeded")):
        assert rest.count(f"Attempt {number} {outcome}") == 1
    assert rest.count("answered 500 after") == 2
    assert "node n1, term 1" in rest
    assert "… waited" in rest
    assert rest.splitlines()[-1].endswith("Succeeded")


def test_what_a_receiver_says_moves_nothing_and_passes_for_no_step(place: tuple[NodeProcess, str, Journal]) -> None:
    node, url, _ = place
    job = made(node, url, retry={"max_attempts": 1})
    code, told = logs(node, job, "--follow")
    assert code == 1  # it is dead
    assert not {"\x1b", "\u202e"} & set(told)
    assert "\\x1b[31mred \\u202eback" in told
    assert all(line.startswith(" ") for line in told.splitlines() if "not a step" in line)
    assert "Dead: it is not tried again by itself" in told


def test_its_json_has_the_job_and_all_steps(place: tuple[NodeProcess, str, Journal]) -> None:
    node, url, journal = place
    job = made(node, url, retry={"max_attempts": 1}, labels={"a": "b"})
    until(lambda: node.call("GET", f"/jobs/{job}")[1]["state"] == "dead", "it is dead")
    code, told = logs(node, job, "--json")
    assert code == 0  # it was only looked at
    found = json.loads(told)
    assert (found["job"]["id"], found["job"]["state"]) == (job, "dead")
    assert [step["kind"] for step in found["steps"]] == ["created", "attempt", "ended"]
    attempt = found["steps"][1]
    assert attempt["attempt"]["status"] == 500
    (sent,) = [headers for name, _, headers, _ in journal.requests if name == job]
    assert attempt["sent"] == {name: sent[name] for name in attempt["sent"]}  # as the receiver saw them


def test_a_job_that_waits_says_why(place: tuple[NodeProcess, str, Journal]) -> None:
    node, url, _ = place
    other = url.replace("/hook", "").replace("127.0.0.1", "localhost")
    assert node.call("PUT", f"/destinations/{quote(other, safe='')}", {"paused": True})[0] == 200
    code, told = logs(node, made(node, f"{other}/hook"))
    assert code == 0
    assert "Waits for attempt 1" in told
    assert "paused" in told


def test_a_job_that_is_not_there_is_told(place: tuple[NodeProcess, str, Journal], tmp_path: Path) -> None:
    node, _, _ = place
    done = subprocess.run(command(node, "nothing"), capture_output=True, text=True, check=False, env=UNMEASURED)
    assert done.returncode == 1
    assert "code: job_not_found" in done.stderr
