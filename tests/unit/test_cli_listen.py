"""The receiver behind `hookline listen` and the demo: what it verifies, answers and prints."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cyclopts import CycloptsError

from hookline.cli import inputs
from hookline.cli.answering import AppForwarder, StatusAnswerer
from hookline.cli.received import ReceivedFilter, ReceivedPrinter
from hookline.cli.receiver import BODY_BYTES_MAX, Received, ReceiverApp, ReceiverReply, plain
from hookline.errors import InvalidConfig
from hookline.http_api.server import listen, url_of
from hookline.protocol import signatures
from tests.unit.test_client_requests import SeededClock

SECRET = signatures.generate_secret(b"k" * 32)
NOW_S = SeededClock().wall_ms() // 1_000


async def exchange(
    receiver: ReceiverApp, body: bytes, headers: Mapping[str, str], target: str = "/hook", method: str = "POST"
) -> ReceiverReply:
    """One request through ASGI, its body in two parts; what came back."""
    parts = [body[:1], body[1:]]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = target.encode().partition(b"?")
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "raw_path": path, "query_string": query, "headers": pairs}
    await receiver(scope, receive, send)
    return ReceiverReply(sent[0]["status"], sent[1]["body"], tuple(sent[0]["headers"]))


async def call(receiver: ReceiverApp, body: bytes, headers: Mapping[str, str]) -> int:
    return (await exchange(receiver, body, headers)).status


def signed(body: bytes, **more: str) -> dict[str, str]:
    signature = signatures.sign([signatures.parse_secret(SECRET)], "j1", NOW_S, body)
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return {"webhook-id": "j1", "webhook-timestamp": str(NOW_S), "webhook-signature": signature} | named


@pytest.fixture
def received() -> list[Received]:
    return []


def receiver(received: list[Received], secrets: list[str], status: int = 200) -> ReceiverApp:
    async def answer(one: Received) -> ReceiverReply:
        received.append(one)
        return plain(status)

    return ReceiverApp(answer, SeededClock(), secrets=secrets)


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


def shown(printer: ReceivedPrinter, status: int = 200, **changes: Any) -> None:
    usual: dict[str, Any] = {"id": "j1", "attempt": 1, "is_replay": False, "method": "POST", "target": "/h"}
    usual |= {"headers": (), "verified": True, "why_not": None, "lag_ms": 4, "arrived_ms": 0, "body": b"{}"}
    printer.show(Received(**(usual | changes)), plain(status))


def test_what_arrives_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    shown(ReceivedPrinter(json=False))
    shown(ReceivedPrinter(json=False), verified=False, why_not="wrong secret", lag_ms=None, body=b"")
    assert capsys.readouterr().out == (
        "POST /h · j1 · attempt 1 · 4 ms after it was due\n  ✓ verified · answered 200\n  {}\n"
        "POST /h · j1 · attempt 1\n  ✗ wrong secret · answered 200\n"
    )


@pytest.mark.parametrize(
    ("which", "is_shown"),
    [
        (ReceivedFilter(), True),
        (ReceivedFilter(path="/h"), True),
        (ReceivedFilter(path="/other"), False),
        (ReceivedFilter(text="WIDGET"), True),
        (ReceivedFilter(text="x-shop: 7"), True),
        (ReceivedFilter(text="gadget"), False),
        (ReceivedFilter(only_failed=True), False),
        (ReceivedFilter(path="/h", text="gadget"), False),
    ],
)
def test_a_filter_says_what_is_printed(
    capsys: pytest.CaptureFixture[str], which: ReceivedFilter, is_shown: bool
) -> None:
    for printer in (ReceivedPrinter(which, json=False), ReceivedPrinter(which, json=True)):
        shown(printer, body=b'{"name": "widget"}', headers=((b"x-shop", b"7"),))
        assert bool(capsys.readouterr().out) is is_shown


def test_what_is_not_verified_or_answered_with_an_error_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    printer = ReceivedPrinter(ReceivedFilter(only_failed=True), json=False)
    shown(printer, verified=False, why_not="no signature")
    shown(printer, 404)
    shown(printer)
    assert [line for line in capsys.readouterr().out.splitlines() if "answered" in line] == [
        "  ✗ no signature · answered 200",
        "  ✓ verified · answered 404",
    ]


@pytest.mark.parametrize(
    ("status", "verified", "colour"), [(200, True, "32"), (404, True, "33"), (503, True, "1;31"), (200, False, "1;31")]
)
def test_colours_tell_how_it_went_and_a_body_brings_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, status: int, verified: bool, colour: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown(ReceivedPrinter(json=False), status, verified=verified, why_not="wrong", body=b"\x1b[35mpink")
    out = capsys.readouterr().out
    assert f"\x1b[{colour}m" in out
    assert "\x1b[35m" not in out


def test_a_request_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile: dict[str, Any] = {"target": "/\x1b[31m", "id": "j\x1b]0;owned\x07", "body": b"a\x1b[2J\r\nPOST /fake"}
    hostile["headers"] = ((b"x", b"\x1b[2J\r\nPOST /fake"),)
    for printer in (ReceivedPrinter(json=False, headers=True), ReceivedPrinter(json=True)):
        shown(printer, **hostile)
        out = capsys.readouterr().out
        assert not {"\x1b", "\x07", "\r"} & set(out)
        assert "\nPOST /fake" not in out


@pytest.mark.parametrize(("attempt", "answered"), [(None, 200), ("1", 500), ("2", 500), ("3", 200)])
async def test_the_first_attempts_fail_and_requests_of_others_do_not(attempt: str | None, answered: int) -> None:
    one = ReceiverApp(StatusAnswerer(200, fail_first=2), SeededClock(), secrets=[])
    assert await call(one, b"", {} if attempt is None else {"hookline-attempt": attempt}) == answered


async def test_what_is_not_signed_rightly_is_refused_and_told_why() -> None:
    one = ReceiverApp(StatusAnswerer(200, fail_first=1), SeededClock(), secrets=[SECRET])
    unsigned = await exchange(one, b"x", {"hookline-attempt": "1"})
    assert (unsigned.status, unsigned.body) == (401, b"not verified: The webhook-id header is missing.\n")
    other = await exchange(one, b"other", signed(b"true"))
    assert other.status == 401
    assert b"No signature matches" in other.body
    twice = ReceiverApp(StatusAnswerer(200, fail_first=0), SeededClock(), secrets=[SECRET])
    assert await call(twice, b"true", signed(b"true")) == 200


async def test_a_body_that_is_not_kept_whole_is_refused() -> None:
    one = ReceiverApp(AppForwarder("http://127.0.0.1:9", 0), SeededClock(), secrets=[])
    assert await call(one, bytes(BODY_BYTES_MAX + 1), {}) == 413


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    printer = ReceivedPrinter(json=True)
    shown(printer, target="/q?token=abc&x=%20", headers=((b"x-a", b"1"), (b"x-a", b"2")))
    shown(printer, body=b"\xff")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["body"] for line in lines] == ["{}", None]
    assert lines[1]["body_base64"] == "/w=="
    assert (lines[0]["path"], lines[0]["query"], lines[0]["headers"]) == ("/q", "token=abc&x=%20", {"x-a": "1, 2"})
    assert (lines[0]["verified"], lines[0]["answered"]) == (True, 200)


def test_query_and_headers_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    shown(ReceivedPrinter(json=False, headers=True), target="/q?token=abc", headers=((b"content-type", b"a/b"),))
    assert capsys.readouterr().out == (
        "POST /q?token=abc · j1 · attempt 1 · 4 ms after it was due\n"
        "  ✓ verified · answered 200\n  content-type: a/b\n  {}\n"
    )


# --- forwarding ---------------------------------------------------------------------------------------------------


async def test_what_is_forwarded_arrives_as_it_came_and_its_answer_goes_back() -> None:
    answer = b"HTTP/1.1 207 Fine\r\nServer: shop\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 3\r\n\r\nyes"
    async with scripted(answer) as (url, requests):
        one = ReceiverApp(AppForwarder(url + "/base", 0), SeededClock(), secrets=[])
        headers = {"host": "here", "webhook-id": "j1", "x-odd": "a,  b", "connection": "x-mine", "x-mine": "1"}
        reply = await exchange(one, b"\x00\xff{ }", headers, "/a%2Fb/../c?q=%7e&&=", "PATCH")
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"PATCH /base/a%2Fb/../c?q=%7e&&= HTTP/1.1",
        b"Host: " + url.removeprefix("http://").encode(),
        b"webhook-id: j1",
        b"x-odd: a,  b",
        b"Content-Length: 5",
    ]
    assert body == b"\x00\xff{ }"
    assert (reply.status, reply.body) == (207, b"yes")
    kept = [(b"server", b"shop"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"content-length", b"3")]
    assert list(reply.headers) == kept


async def test_an_application_that_does_not_answer_is_a_502_that_says_so() -> None:
    with listen("127.0.0.1", 0) as listener:
        nobody = url_of(listener)
    one = ReceiverApp(AppForwarder(nobody, 0), SeededClock(), secrets=[])
    refused = await exchange(one, b"x", {})
    assert refused.status == 502
    assert f"nothing was passed on to {nobody}: ".encode() in refused.body
    async with scripted(b"") as (url, _):
        broken = await exchange(ReceiverApp(AppForwarder(url, 0), SeededClock(), secrets=[]), b"x", {})
    assert broken.status == 502
    assert b"no answer from" in broken.body


async def test_what_is_refused_is_not_forwarded() -> None:
    async with scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (url, requests):
        one = ReceiverApp(AppForwarder(url, 1), SeededClock(), secrets=[SECRET])
        assert await call(one, b"false", signed(b"true")) == 401
        assert await call(one, b"true", signed(b"true", hookline_attempt="1")) == 500
        assert requests == []
        assert await call(one, b"true", signed(b"true", hookline_attempt="2")) == 200
        assert await call(one, b"true", signed(b"true", hookline_attempt="1", hookline_replay="true")) == 200


@pytest.mark.parametrize("text", ["9000", ":9000", "127.0.0.1:9000", "http://127.0.0.1:9000/"])
def test_where_to_forward_is_understood_as_people_write_it(text: str) -> None:
    assert inputs.local_url(text, "--forward-to") == "http://127.0.0.1:9000"


@pytest.mark.parametrize("text", ["", "http://", "ftp://x", "localhost:http"])
def test_where_to_forward_has_to_be_an_address(text: str) -> None:
    with pytest.raises(CycloptsError, match="--forward-to has"):
        inputs.local_url(text, "--forward-to")


@asynccontextmanager
async def scripted(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives this answer to each request; an empty one: it closes the connection."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        requests.append(head + await reader.readexactly(int(length[1]) if length else 0))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}", requests


def test_a_port_in_use_is_said_clearly() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = int(url_of(listener).rpartition(":")[2])
        with pytest.raises(InvalidConfig, match=f"127.0.0.1:{port}: Address already in use"):
            listen("127.0.0.1", port)
