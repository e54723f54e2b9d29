"""`hookline watch` and `hookline jobs replay --original` against a real node, with an application on this machine."""

import http.server
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest

from hookline import verify
from tests.end_to_end.processes import (
    UNMEASURED,
    Journal,
    NodeProcess,
    answer_ok,
    journal_receiver,
    running_node,
    until,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature", "hookline-attempt", "hookline-term")


def fail_twice(handler: http.server.BaseHTTPRequestHandler, _body: bytes) -> None:
    handler.send_response(200 if int(handler.headers["hookline-attempt"]) > 2 else 500)
    handler.send_header("content-length", "0")
    handler.end_headers()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeProcess, str, Journal]]:
    directory = tmp_path_factory.mktemp("node") / "data"
    with journal_receiver(fail_twice) as (port, journal), running_node(directory) as node:
        url = f"http://127.0.0.1:{port}"
        assert node.call("PUT", f"/destinations/{quote(url, safe='')}", {"secrets": [SECRET]})[0] == 200
        yield node, url, journal


def hookline(node: NodeProcess, *tokens: str) -> list[str]:
    return [sys.executable, "-m", "hookline.cli.app", *tokens, "--url", f"http://127.0.0.1:{node.port}"]


def made(node: NodeProcess, url: str, **fields: Any) -> str:
    retry = {"schedule": ["1ms", "1ms"]}
    status, job = node.call("POST", "/jobs", {"url": f"{url}/hook?a=1", "payload": {"n": 1}, "retry": retry, **fields})
    assert status == 201, job
    return str(job["id"])


class Watched:
    """The lines that a command prints."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self.lines: list[str] = []

        def read() -> None:
            assert process.stdout
            for line in process.stdout:
                self._lines.put(line.rstrip("\n"))

        threading.Thread(target=read, daemon=True).start()

    def until(self, condition: Callable[[str], bool]) -> str:
        """Read until such a line comes."""
        while True:
            self.lines.append(self._lines.get(timeout=60))
            if condition(self.lines[-1]):
                return self.lines[-1]


@contextmanager
def watching(node: NodeProcess, *options: str) -> Iterator[Watched]:
    command = hookline(node, "watch", "--interval", "0.1", *options)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=UNMEASURED | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        try:
            assert process.stderr
            assert process.stderr.readline().startswith("watching http://127.0.0.1:")
            yield Watched(process)
        finally:
            process.kill()


def test_it_prints_what_happens_to_jobs_that_match(place: tuple[NodeProcess, str, Journal]) -> None:
    node, url, _ = place
    before = made(node, url, labels={"team": "billing"})
    until(lambda: node.call("GET", f"/jobs/{before}")[1]["state"] == "succeeded", "it is delivered")
    with watching(node, "--label", "team=billing", "--text", "HOOK?A=1") as found:
        other = made(node, url, labels={"team": "shop"})
        job = made(node, url, labels={"team": "billing"})
        line = found.until(lambda line: f"succeeded  {job}" in line)
    assert f"POST {url}/hook?a=1 · attempt 3: 200" in line
    assert not any(other in line or before in line for line in found.lines)


def test_its_json_is_an_object_a_line(place: tuple[NodeProcess, str, Journal]) -> None:
    node, url, _ = place
    with watching(node, "--json", "--label", "test=json") as found:  # jobs of other tests may not have ended
        job = made(node, url, labels={"test": "json"})
        last = json.loads(found.until(lambda line: '"succeeded"' in line))
    assert (last["id"], last["attempts_made"]) == (job, 3)
    assert {json.loads(line)["id"] for line in found.lines} == {job}


def test_each_attempt_goes_to_an_application_here_with_the_original_signature(
    place: tuple[NodeProcess, str, Journal],
) -> None:
    node, url, journal = place
    with (
        journal_receiver(answer_ok) as (port, local),
        # Jobs of other tests may not have ended.
        watching(node, "--forward-to", str(port), "--secret", SECRET, "--label", "test=forward") as found,
    ):
        job = made(node, url, labels={"test": "forward"})
        found.until(lambda line: line.startswith(f"  → http://127.0.0.1:{port}/hook?a=1 answered 200"))
        until(lambda: local.count(job) >= 1 and local.requests[-1][2]["hookline-attempt"] == "3", "the last one came")
    sent = {headers["hookline-attempt"]: headers for name, _, headers, _ in journal.requests if name == job}
    numbers = [headers["hookline-attempt"] for _, _, headers, _ in local.requests]
    assert len(set(numbers)) == len(numbers), "each attempt once"
    for _, _, headers, body in local.requests:
        original = sent[headers["hookline-attempt"]]
        assert {name: headers[name] for name in SIGNED} == {name: original[name] for name in SIGNED}
        assert headers["hookline-replay"] == "true"
        assert verify(body, headers, SECRET).id == job
    assert node.call("GET", f"/jobs/{job}")[1]["attempts_made"] == 3  # the job stays as it is


def test_an_application_that_does_not_run_is_told_and_the_watch_goes_on(
    place: tuple[NodeProcess, str, Journal],
) -> None:
    node, url, _ = place
    with watching(node, "--forward-to", "http://127.0.0.1:1") as found:
        made(node, url)
        found.until(lambda line: "→ http://127.0.0.1:1/hook?a=1: no answer" in line)
        second = made(node, url)
        found.until(lambda line: second in line)


def test_a_replay_with_the_original_signature_is_the_attempt_once_more(place: tuple[NodeProcess, str, Journal]) -> None:
    node, url, journal = place
    job = made(node, url)
    until(lambda: node.call("GET", f"/jobs/{job}")[1]["state"] == "succeeded", "it is delivered")
    with journal_receiver(answer_ok) as (port, local):
        command = hookline(node, "jobs", "replay", job, "--to", f"127.0.0.1:{port}", "--secret", SECRET, "--original")
        subprocess.run(command, check=True, capture_output=True, env=UNMEASURED)
    ((_, _, headers, body),) = local.requests
    (original,) = [
        (sent, was) for name, _, sent, was in journal.requests if name == job and sent["hookline-attempt"] == "3"
    ]
    assert body == original[1]
    assert {name: headers[name] for name in SIGNED} == {name: original[0][name] for name in SIGNED}


def test_a_job_without_an_attempt_has_no_original(place: tuple[NodeProcess, str, Journal]) -> None:
    node, url, _ = place
    command = hookline(node, "jobs", "replay", made(node, url, delay="1h"), "--to", "127.0.0.1:1", "--original")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=UNMEASURED)
    assert done.returncode == 1
    assert "no attempt yet" in done.stderr
