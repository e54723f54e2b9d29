"""`hookline jobs replay`: what is sent again, and how it is told."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

import hookline
from hookline.cli import app
from hookline.http_api.server import listen, url_of
from hookline.protocol.signatures import generate_secret
from tests.scripted_server import Answer, ScriptedServer, job, scripted_server

SECRET = generate_secret(b"k" * 32)
LAST = {"number": 3, "outcome": "retryable_failure", "status": 500, "error": None}
LAST |= {"started_at": "2026-11-24T13:00:00.000Z", "duration_ms": 1}


@pytest.fixture
def receiver() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        server.answers = [Answer(200, {"thanks": True})]
        yield server


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        monkeypatch.setenv("HOOKLINE_URL", server.url)
        yield server


def give(service: ScriptedServer, **changes: Any) -> None:
    """The one job that there is."""
    text = json.dumps(job("j1", url="https://shop.example/a%2Fb?x=%20", last_attempt=LAST, **changes))
    service.answers = [Answer(200, text=text.replace('"PAYLOAD"', '{"b":1,  "a":1.50}'))]


def test_a_replay_is_the_request_as_then_signed_anew_and_marked(
    service: ScriptedServer, receiver: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    give(service, payload="PAYLOAD", headers={"X-Shop": "7"}, method="PUT")
    assert app.run(["jobs", "replay", "j1", "--to", receiver.url, "--secret", SECRET]) == 0
    (asked,) = receiver.asked
    assert (asked.method, asked.path, asked.body) == ("PUT", "/a%2Fb?x=%20", b'{"b":1,  "a":1.50}')
    info = hookline.verify(asked.body, asked.headers, SECRET)
    assert (info.id, info.attempt, info.scheduled_at) == ("j1", 3, "2026-11-24T13:00:00.000Z")
    assert asked.headers["hookline-replay"] == "true"
    assert (asked.headers["x-shop"], asked.headers["content-type"]) == ("7", "application/json")
    assert [asked.method for asked in service.asked] == ["GET"]  # the job stays as it is
    out = capsys.readouterr().out
    assert out.splitlines()[0] == f"PUT {receiver.url}/a%2Fb?x=%20 · j1 · replay of attempt 3"
    assert "answered 200 after" in out


def test_a_path_in_the_address_is_taken_instead_of_the_jobs(service: ScriptedServer, receiver: ScriptedServer) -> None:
    give(service, body_base64=base64.b64encode(b"\x00\xff").decode())
    assert app.run(["jobs", "replay", "j1", "--to", f"{receiver.url}/dev?y=1"]) == 0
    (asked,) = receiver.asked
    assert (asked.path, asked.body) == ("/dev?y=1", b"\x00\xff")
    assert "webhook-signature" not in asked.headers
    assert asked.headers["content-type"] == "application/octet-stream"


def test_hidden_headers_are_not_sent_as_a_mask_and_can_be_given(
    service: ScriptedServer, receiver: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    give(service, headers={"Authorization": "***", "X-Key": "***"})
    line = ["jobs", "replay", "j1", "--to", receiver.url, "-H", "x-key: mine"]
    assert app.run(line) == 0
    assert "authorization" not in receiver.asked[0].headers
    assert receiver.asked[0].headers["x-key"] == "mine"
    assert "not sent, since Hookline does not show what they hold: Authorization" in capsys.readouterr().err


def test_the_exit_code_says_whether_it_was_taken(
    service: ScriptedServer, receiver: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    give(service)
    receiver.answers = [Answer(503, text="not \x1b[2Jnow")]
    assert app.run(["jobs", "replay", "j1", "--to", receiver.url, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["error"], found["attempt"], found["signed"]) == (503, None, 3, False)
    assert app.run(["jobs", "replay", "j1", "--to", receiver.url]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_nobody_there_is_said_clearly(service: ScriptedServer, capsys: pytest.CaptureFixture[str]) -> None:
    give(service)
    with listen("127.0.0.1", 0) as listener:
        nobody = url_of(listener)
    assert app.run(["jobs", "replay", "j1", "--to", nobody]) == 1
    assert "no answer: " in capsys.readouterr().out
    assert app.run(["jobs", "replay", "j1", "--to", nobody, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["status"] is None


def test_a_deleted_payload_is_shown_as_such_and_not_replayed(
    service: ScriptedServer, receiver: ScriptedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    give(service, payload_removed=True)
    assert app.run(["jobs", "get", "j1"]) == 0
    assert ["payload", "deleted"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert app.run(["jobs", "replay", "j1", "--to", receiver.url]) == 1
    assert "payload of the job was deleted" in capsys.readouterr().err
    give(service, payload="***", redact=["payload"])
    assert app.run(["jobs", "replay", "j1", "--to", receiver.url]) == 1
    assert "payload of the job is hidden" in capsys.readouterr().err
    assert receiver.asked == []
