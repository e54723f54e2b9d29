"""Carriers of a call for ordinary code: the library's pool, the caller's own client, or no library at all."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from hookline import errors
from hookline.cli.calls import Calls
from hookline.client import carriers
from hookline.client.carriers import Carrier, CarrierAnswer, CarrierCall
from hookline.client.connections import Connecting
from hookline.client.given_client import GivenClient
from hookline.client.plain_connections import PlainConnections
from hookline.client.pooled_connections import PooledConnections
from tests.dripping_server import Behave, drip, dripping_server, flood, silent

MAKERS: dict[str, Callable[[str], Carrier]] = {
    "pooled": lambda url: PooledConnections(Connecting(url=url)),
    "plain": lambda url: PlainConnections(Connecting(url=url)),
    "given": lambda _url: GivenClient(httpx2.Client(headers={"accept-encoding": "identity"}), False),
}
BOUNDED = ("pooled", "plain")  # a client of the caller's bounds each step by itself
OK = b"HTTP/1.1 200 OK\r\n"


def call_of(url: str, *, timeout_s: float = 60.0, method: str = "GET", body: bytes | None = None) -> CarrierCall:
    end_s = time.monotonic() + timeout_s
    return CarrierCall(method, url, "/jobs?limit=1", {"x-a": "b"}, body, timeout_s, lambda: end_s - time.monotonic())


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Carrier]]:
    made: list[Carrier] = []

    def make(url: str) -> Carrier:
        made.append(MAKERS[request.param](url))
        return made[-1]

    yield make
    for one in made:
        one.close()


bounded = pytest.mark.parametrize("make", BOUNDED, indirect=True)


def told(raw: bytes) -> Behave:
    """The bytes, then the end of the connection."""
    return lambda connection, _stop: connection.sendall(raw)


def outcome(make: Callable[[str], Carrier], behave: Behave, **options: Any) -> CarrierAnswer | type[Exception]:
    with dripping_server(behave) as server:
        try:
            return make(server.url).carry(call_of(server.url, **options))
        except errors.HooklineError as error:
            return type(error)


ANSWERS: dict[bytes, tuple[int, bytes] | type[Exception]] = {
    OK + b"content-length: 2\r\n\r\n{}": (200, b"{}"),
    OK + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n": (200, b"{}"),
    OK + b"\r\n{}": (200, b"{}"),
    b"HTTP/1.0 404 Not Found\r\n\r\nnope": (404, b"nope"),
    b"HTTP/1.1 204 No Content\r\n\r\n": (204, b""),
    b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK + b"content-length: 2\r\n\r\n{}": (200, b"{}"),
    b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n": (307, b""),
    OK + b"content-length: 3\r\n\r\n{}": errors.DeadlineExceeded,
    OK + b"transfer-encoding: chunked\r\n\r\n5\r\n{}": errors.DeadlineExceeded,
    b"": errors.DeadlineExceeded,
    b"HTTP/1.1 2": errors.DeadlineExceeded,
    b"SSH-2.0-OpenSSH_9.2\r\n": errors.DeadlineExceeded,
}


@pytest.mark.parametrize("raw", ANSWERS, ids=lambda raw: repr(raw[:60]))
def test_an_answer_is_what_it_says(make: Callable[[str], Carrier], raw: bytes) -> None:
    found = outcome(make, told(raw))
    expected = ANSWERS[raw]
    assert (found if not isinstance(found, CarrierAnswer) else (found.status, found.body)) == expected


def test_names_of_headers_are_in_lower_case(make: Callable[[str], Carrier]) -> None:
    found = outcome(make, told(OK + b"Retry-AFTER:  7 \r\nX-Odd: \xe4\r\ncontent-length: 0\r\n\r\n"))
    assert isinstance(found, CarrierAnswer)
    assert found.headers["retry-after"] == "7"
    assert "x-odd" in found.headers


def test_the_request_is_one_and_whole(make: Callable[[str], Carrier]) -> None:
    with dripping_server(told(OK + b"content-length: 0\r\n\r\n")) as server:
        make(server.url).carry(call_of(server.url, method="POST", body=b'{"a":1}'))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = [line.lower() for line in head.split(b"\r\n")]
    assert lines[0] == b"post /jobs?limit=1 http/1.1"
    assert {b"x-a: b", b"content-length: 7", f"host: {server.url[7:]}".encode()} <= set(lines)
    assert body in (b"", b'{"a":1}'), "the body may follow by itself"


ENDLESS: dict[str, Behave] = {
    "nothing": silent,
    "status line": drip(b"HTTP/1.1 2", b"0"),
    "header": drip(OK + b"x: ", b"y"),
    "headers": drip(OK, b"x: y\r\n"),
    "early hints": drip(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": drip(OK + b"content-length: 100000\r\n\r\n", b"x"),
    "chunks": drip(OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "chunk length": drip(OK + b"transfer-encoding: chunked\r\n\r\n", b"0"),
    "body without end": drip(OK + b"\r\n", b" "),
}


@pytest.mark.parametrize("make", ["plain"], indirect=True)  # the pool's are in test_sdk_transport
@pytest.mark.parametrize("behave", ENDLESS.values(), ids=ENDLESS.keys())
def test_an_answer_that_does_not_end_ends_at_the_timeout(make: Callable[[str], Carrier], behave: Behave) -> None:
    assert outcome(make, behave, timeout_s=0.15) is errors.DeadlineExceeded


@pytest.mark.parametrize("make", ["plain"], indirect=True)
def test_an_answer_is_bounded_in_memory(make: Callable[[str], Carrier], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriers, "ANSWER_BYTES_MAX", 200_000)
    for head in (OK + b"\r\n", OK + b"content-length: 999999999\r\n\r\n"):
        assert outcome(make, flood(head, b" " * 1_000)) is errors.ForeignAnswer


@bounded
def test_who_takes_no_more_may_have_answered(make: Callable[[str], Carrier]) -> None:
    def refuses(connection: socket.socket, _stop: threading.Event) -> None:
        connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):  # else the system would throw away the answer
            pass

    found = outcome(make, refuses, method="POST", body=b"x" * 3_000_000)
    assert isinstance(found, CarrierAnswer)
    assert found.status == 413


@bounded
def test_a_request_that_nobody_reads_ends_at_the_timeout(make: Callable[[str], Carrier]) -> None:
    with dripping_server(silent, reads=False) as server, pytest.raises(errors.DeadlineExceeded):
        make(server.url).carry(call_of(server.url, timeout_s=0.2, method="POST", body=b"x" * 12_000_000))


def test_nobody_there_is_a_failed_connection(make: Callable[[str], Carrier]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(errors.ConnectionFailed, match="Connection refused"):
            make(url).carry(call_of(url))


@bounded
def test_a_name_that_nobody_looks_up_ends_at_the_timeout(
    make: Callable[[str], Carrier], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: [release.wait(20)][:0])
    with pytest.raises(errors.ConnectionFailed, match=r"looking up slow\.example took too long"):
        make("http://slow.example").carry(call_of("http://slow.example", timeout_s=0.1))
    release.set()


@bounded
def test_the_next_address_is_tried_when_one_refuses(
    make: Callable[[str], Carrier], monkeypatch: pytest.MonkeyPatch
) -> None:
    with dripping_server(told(OK + b"content-length: 0\r\n\r\n")) as server:
        port = int(server.url.rpartition(":")[2])
        two = [(socket.AF_INET6, 1, 6, "", ("::1", port, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: two)
        url = f"http://both.example:{port}"
        assert make(url).carry(call_of(url)).status == 200


def keeps_open(connection: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        connection.sendall(OK + b"content-length: 2\r\n\r\n{}")
        if not connection.recv(65_536):
            return


@bounded
def test_a_connection_is_used_again(make: Callable[[str], Carrier]) -> None:
    with dripping_server(keeps_open) as server:
        carrier = make(server.url)
        assert [carrier.carry(call_of(server.url)).body for _ in range(5)] == [b"{}"] * 5
        assert server.connections == 1


@bounded
@pytest.mark.parametrize("more", [b"", b"HTTP/1.1 500 Unasked\r\ncontent-length: 0\r\n\r\n"], ids=["closed", "unasked"])
def test_one_that_was_closed_or_says_something_unasked_is_not(make: Callable[[str], Carrier], more: bytes) -> None:
    closed = threading.Semaphore(0)

    def once(connection: socket.socket, _stop: threading.Event) -> None:
        connection.sendall(OK + b"content-length: 2\r\n\r\n{}" + more)
        connection.shutdown(socket.SHUT_RDWR)
        closed.release()

    with dripping_server(once) as server:
        carrier = make(server.url)
        for _ in range(3):
            assert carrier.carry(call_of(server.url)).body == b"{}"
            assert closed.acquire(timeout=60)


def test_threads_share_it(make: Callable[[str], Carrier]) -> None:
    with dripping_server(keeps_open) as server, ThreadPoolExecutor(8) as threads:
        carrier = make(server.url)
        found = threads.map(lambda _: carrier.carry(call_of(server.url)).body, range(40))
        assert set(found) == {b"{}"}


@pytest.mark.parametrize(("url", "kind"), [("http://h", PlainConnections), ("https://h", PooledConnections)])
def test_the_commands_need_the_library_for_tls_only(url: str, kind: type[Carrier]) -> None:
    with Calls(url, 1.0) as calls:
        assert isinstance(calls.carrier, kind)
