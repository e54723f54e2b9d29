"""The receiver behind `hookline listen` and the demo: what it verifies, answers and prints."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from hookline.cli.listen import Printer, status_for
from hookline.cli.receiver import Received, Receiver
from hookline.errors import InvalidConfig
from hookline.http_api.server import listen, url_of
from hookline.protocol import signatures
from tests.unit.test_client_requests import SeededClock

SECRET = signatures.generate_secret(b"k" * 32)
NOW_S = SeededClock().wall_ms() // 1_000


async def call(receiver: Receiver, body: bytes, headers: Mapping[str, str], path: str = "/hook") -> int:
    """One request through ASGI, its body in two parts; the status that came back."""
    parts = [body[:1], body[1:]]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await receiver({"type": "http", "method": "POST", "path": path, "headers": pairs}, receive, send)
    status: int = sent[0]["status"]
    return status


def signed(body: bytes, **more: str) -> dict[str, str]:
    signature = signatures.sign([signatures.parse_secret(SECRET)], "j1", NOW_S, body)
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {"webhook-id": "j1", "webhook-timestamp": str(NOW_S), "webhook-signature": signature} | named


@pytest.fixture
def received() -> list[Received]:
    return []


def receiver(received: list[Received], secrets: list[str], status: int = 200) -> Receiver:
    def answer(one: Received) -> int:
        received.append(one)
        return status

    return Receiver(answer, SeededClock(), secrets=secrets)


async def test_a_true_webhook_verifies_and_tells_its_lag(received: list[Received]) -> None:
    headers = signed(b'{"a":1}', hookline_attempt="2", hookline_scheduled_at="2026-11-18T11:46:39.500Z")
    assert await call(receiver(received, [SECRET]), b'{"a":1}', headers) == 200
    (one,) = received
    assert (one.id, one.attempt, one.verified, one.why_not, one.body) == ("j1", 2, True, None, b'{"a":1}')
    assert one.lag_ms == SeededClock().wall_ms() - 1_795_002_399_500


@pytest.mark.parametrize("forged", ["body", "secret", "unsigned"])
async def test_a_forged_webhook_does_not_verify(received: list[Received], forged: str) -> None:
    headers = {} if forged == "unsigned" else signed(b"true")
    secrets = [signatures.generate_secret(b"x" * 32)] if forged == "secret" else [SECRET]
    await call(receiver(received, secrets), b"false" if forged == "body" else b"true", headers)
    assert received[0].verified is False
    assert received[0].why_not


async def test_without_a_secret_nothing_is_claimed(received: list[Received]) -> None:
    await call(receiver(received, [], status=503), b"x", {"hookline-attempt": "٣", "hookline-scheduled-at": "soon"})
    assert (received[0].verified, received[0].attempt, received[0].lag_ms, received[0].id) == (None, 0, None, "-")


def shown(printer: Printer, **changes: Any) -> None:
    plain = {"id": "j1", "attempt": 1, "method": "POST", "path": "/h", "verified": True, "why_not": None, "lag_ms": 4}
    printer.show(Received(**(plain | {"arrived_ms": 0, "body": b"{}"} | changes)), 200)


def test_what_arrives_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    shown(Printer(json=False))
    shown(Printer(json=False), verified=False, why_not="wrong secret", lag_ms=None, body=b"")
    assert capsys.readouterr().out == (
        "POST /h · j1 · attempt 1 · 4 ms after it was due\n  ✓ verified · answered 200\n  {}\n"
        "POST /h · j1 · attempt 1\n  ✗ wrong secret · answered 200\n"
    )


def test_a_request_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {"path": "/\x1b[31m", "id": "j\x1b]0;owned\x07", "body": b"a\x1b[2J\r\nPOST /fake"}
    for printer in (Printer(json=False), Printer(json=True)):
        shown(printer, **hostile)
        out = capsys.readouterr().out
        assert not {"\x1b", "\x07", "\r"} & set(out)
        assert "\nPOST /fake" not in out


@pytest.mark.parametrize(("attempt", "answered"), [(0, 200), (1, 500), (2, 500), (3, 200)])
def test_the_first_attempts_fail_and_requests_of_others_do_not(attempt: int, answered: int) -> None:
    assert status_for(attempt, 200, fail_first=2) == answered


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(json=True)
    shown(printer)
    shown(printer, body=b"\xff")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["body"] for line in lines] == ["{}", "\ufffd"]
    assert lines[0]["verified"] is True


def test_a_port_in_use_is_said_clearly() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = int(url_of(listener).rpartition(":")[2])
        with pytest.raises(InvalidConfig, match=f"127.0.0.1:{port}: Address already in use"):
            listen("127.0.0.1", port)
