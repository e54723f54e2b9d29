"""Payloads at rest with real processes: what is written holds none of them, what is sent is what was given."""

import base64
import http.server
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import NodeProcess, has_open_jobs, journal_receiver, running_node, until

PLANTED = (b"planted-payload", b"planted-header", b"planted-answer", b"planted-binary")
OLD, NEW = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
BINARY = b"\x00planted-binary\xff"


def echo(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    answer = b"planted-answer to " + body
    handler.send_response(200)
    handler.send_header("content-length", str(len(answer)))
    handler.end_headers()
    handler.wfile.write(answer)


def held(directory: Path) -> list[tuple[str, bytes]]:
    """The planted texts in the files there."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    assert any(file.name == "state.db" for file in files)
    return [(file.name, text) for file in files for text in PLANTED if text in file.read_bytes()]


def make(node: NodeProcess, port: int) -> None:
    """Jobs that are sent now and later, and a schedule that makes one."""
    job: dict[str, Any] = {
        "url": f"http://127.0.0.1:{port}/hook",
        "payload": {"text": "planted-payload"},
        "headers": {"X-Mine": "planted-header"},
    }
    binary = {"url": job["url"], "body_base64": base64.b64encode(BINARY).decode()}
    schedule = {"id": "s", "cron": "0 3 * * *", "job": job}
    for path, body in (
        ("/jobs", {"id": "now"} | job),
        ("/jobs/batch", {"jobs": [{"id": "later", "delay": "1h"} | job, {"id": "binary"} | binary]}),
        ("/schedules", schedule),
        ("/schedules", schedule),
        ("/schedules/s/run", None),
    ):
        assert node.call("POST", path, body)[0] < 300
    assert node.call("PATCH", "/jobs/later", {"priority": 3})[0] == 200


@pytest.mark.parametrize("processes", ["0", "1"])
def test_nothing_that_is_written_holds_what_is_sent(tmp_path: Path, processes: str) -> None:
    data = tmp_path / "data"
    options = ("--encrypt-payloads", "--attempt-processes", processes, "--api-processes", processes)
    keys = {"HOOKLINE_SECRET_KEY": OLD}
    with journal_receiver(echo) as (port, journal):
        with running_node(data, *options, environment=keys) as node:
            make(node, port)
            until(lambda: len(journal.requests) == 3, "three jobs are sent")
            until(lambda: node.call("GET", "/jobs?state=succeeded")[1]["data"][2:] != [], "three are known to be sent")
            _, attempts = node.call("GET", "/jobs/binary/attempts")
            assert attempts["data"][0]["response_body"] == "planted-answer to \x00planted-binary\ufffd"
            assert node.stop() == 0
        assert held(tmp_path) == []
        sent = {headers["webhook-id"]: (headers.get("x-mine"), body) for _, _, headers, body in journal.requests}
        assert sent.pop("binary") == (None, BINARY)
        assert set(sent.values()) == {("planted-header", b'{"text": "planted-payload"}')}
        with running_node(data, *options, environment={"HOOKLINE_SECRET_KEY": f"{NEW},{OLD}"}) as node:
            _, shown = node.call("GET", "/jobs/later")
            assert (shown["payload"], shown["priority"]) == ({"text": "planted-payload"}, 3)
            assert shown["headers"] == {"X-Mine": "planted-header"}
            assert node.call("GET", "/schedules/s")[1]["job"]["payload"] == {"text": "planted-payload"}
            assert node.call("POST", "/jobs/later/run")[0] == 200
            until(lambda: len(journal.requests) == 4, "what the old key sealed is sent")
            until(lambda: not has_open_jobs(node), "it is known")
            node.stop()
        assert journal.requests[-1][3] == b'{"text": "planted-payload"}'
    assert held(tmp_path) == []


def test_without_its_key_it_waits_and_nothing_is_lost(tmp_path: Path) -> None:
    data, options = tmp_path / "data", ("--encrypt-payloads",)
    with journal_receiver() as (port, journal):
        with running_node(data, *options, environment={"HOOKLINE_SECRET_KEY": OLD}) as node:
            job = {"id": "a", "url": f"http://127.0.0.1:{port}/", "payload": 1, "delay": "1h", "labels": ["x"]}
            assert node.call("POST", "/jobs", job)[0] == 201
            node.stop()
        node = NodeProcess(data, *options, environment={"HOOKLINE_SECRET_KEY": NEW})
        node.spawn()
        assert "a stored secret or payload is sealed with key" in node.failed()
        allowed = (*options, "--allow-missing-secret-key")
        with running_node(data, *allowed, environment={"HOOKLINE_SECRET_KEY": NEW}) as node:
            status, problem = node.call("PATCH", "/jobs/a", {"priority": 1})
            assert (status, problem["code"]) == (503, "unavailable")
            shown = node.call("GET", "/jobs/a")[1]
            assert "payload" not in shown
            assert shown["waiting_for"]["reason"] == "key"
            assert node.call("GET", "/jobs?label=x")[1]["data"][0]["id"] == "a"
            node.stop()
        with running_node(data, environment={"HOOKLINE_SECRET_KEY": OLD}) as node:
            assert node.call("POST", "/jobs/a/run")[0] == 200
            until(lambda: len(journal.requests) == 1, "it is sent")
        assert journal.requests[0][3] == b"1"
