"""The real HTTP client against a real socket: one request, no redirects, cookies or decompression, bounded reads."""

import asyncio
import gc
import gzip
import os
import random
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from hookline.http_client.client import HttpClient
from hookline.node.attempts.transport import HttpTransport, Outgoing, ReceiverAnswer, SendFailed
from hookline.protocol.limits import RESPONSE_BYTES_READ_MAX
from hookline.protocol.urls import parse_url

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Head and body of one request; empty when the client has closed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head + await reader.readexactly(int(line.split(b":")[1]))
    return head


class Receiver:
    """Answers each request with ``answer``, keeps connections open; or hands each connection to ``handler``."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        self.handler: Handler | None = None
        self.port = 0
        self.names: list[str] = []  # that TLS was asked for

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.handler is not None:
                await self.handler(reader, writer)
                return
            while request := await read_request(reader):
                self.requests.append(request)
                writer.write(self.answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    transport = HttpTransport()
    yield transport
    await transport.close()


async def send(
    transport: HttpTransport,
    receiver: Receiver,
    *,
    host: str = "127.0.0.1",
    scheme: str = "http",
    headers: list[tuple[str, str]] | None = None,
    body: bytes = b"{}",
    timeout_ms: int = 5_000,
    fresh: bool = False,
    method: str = "POST",
    may_send: Callable[[], bool] = lambda: True,
    tenant: str = "",
) -> ReceiverAnswer:
    target = parse_url(f"{scheme}://{host}:{receiver.port}/hook")
    outgoing = Outgoing(target, "127.0.0.1", method, headers or [], body, timeout_ms, fresh, may_send, tenant=tenant)
    return await transport.send(outgoing)


async def test_a_request_arrives_as_it_was_given(transport: HttpTransport, receiver: Receiver) -> None:
    answer = await send(transport, receiver, headers=[("webhook-id", "1"), ("X-A", "b"), ("X-A", "c")], body=b"payload")
    assert (answer.status, answer.body) == (200, b"ok")
    (request,) = receiver.requests
    head, body = request.split(b"\r\n\r\n")
    assert body == b"payload"
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /hook http/1.1"
    for line in (
        b"webhook-id: 1",
        b"x-a: b",
        b"x-a: c",
        b"content-length: 7",
        f"host: 127.0.0.1:{receiver.port}".encode(),
    ):
        assert line in lines
    assert not any(line.startswith((b"accept-encoding", b"cookie", b"referer")) for line in lines)


async def test_a_name_is_called_at_the_vetted_address_with_its_own_host_header(
    transport: HttpTransport, receiver: Receiver
) -> None:
    """The name does not exist: were it looked up again, the request would fail."""
    answer = await send(transport, receiver, host="name.invalid")
    assert answer.status == 200
    assert f"host: name.invalid:{receiver.port}".encode() in receiver.requests[0].lower()


async def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    transport = HttpTransport()
    assert (await send(transport, receiver)).status == 200
    await transport.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(transport: HttpTransport, receiver: Receiver, status: int) -> None:
    receiver.answer = f"HTTP/1.1 {status} Moved\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n".encode()
    assert (await send(transport, receiver)).status == status
    assert len(receiver.requests) == 1


async def test_no_cookie_is_kept(transport: HttpTransport, receiver: Receiver) -> None:
    receiver.answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=b; Path=/\r\ncontent-length: 0\r\n\r\n"
    await send(transport, receiver)
    await send(transport, receiver)
    assert not any(b"cookie" in request.lower() for request in receiver.requests)


async def test_a_compressed_answer_stays_compressed(transport: HttpTransport, receiver: Receiver) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n".encode()
    receiver.answer = head + bomb
    assert (await send(transport, receiver)).body == bomb


async def test_a_long_body_is_cut(transport: HttpTransport, receiver: Receiver) -> None:
    receiver.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000
    answer = await send(transport, receiver)
    assert answer.status == 200
    assert answer.body == b"x" * RESPONSE_BYTES_READ_MAX


async def test_an_endless_body_ends_at_the_cut(transport: HttpTransport, receiver: Receiver) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await writer.drain()

    receiver.handler = endless
    answer = await send(transport, receiver)
    assert (answer.status, len(answer.body)) == (200, RESPONSE_BYTES_READ_MAX)


async def test_a_body_that_stalls_does_not_undo_the_status(transport: HttpTransport, receiver: Receiver) -> None:
    release = asyncio.Event()

    async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc")
        await writer.drain()
        await release.wait()

    receiver.handler = stalls
    answer = await send(transport, receiver, timeout_ms=300)
    release.set()
    assert answer.status == 200


async def test_half_an_answer_is_a_timeout_too(transport: HttpTransport, receiver: Receiver) -> None:
    release = asyncio.Event()

    async def stalls_within_the_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
        await writer.drain()
        await release.wait()

    receiver.handler = stalls_within_the_head
    with pytest.raises(SendFailed) as caught:
        await send(transport, receiver, timeout_ms=200)
    release.set()
    assert caught.value.kind == "timeout"


async def test_no_answer_in_time_is_a_timeout(transport: HttpTransport, receiver: Receiver) -> None:
    release = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await release.wait()

    receiver.handler = silent
    with pytest.raises(SendFailed, match="within 200 ms") as caught:
        await send(transport, receiver, timeout_ms=200)
    release.set()
    assert caught.value.kind == "timeout"


async def test_a_refused_connection_is_known_not_to_have_sent_anything(transport: HttpTransport) -> None:
    nobody = Receiver()
    server = await asyncio.start_server(nobody.serve, "127.0.0.1", 0)
    nobody.port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(SendFailed) as caught:
        await send(transport, nobody)
    assert caught.value.kind == "connect"
    assert "refused" in caught.value.detail.lower()


async def test_a_connection_dropped_without_an_answer_is_broken_and_nothing_is_sent_twice(
    transport: HttpTransport, receiver: Receiver
) -> None:
    async def drops(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        receiver.requests.append(await read_request(reader))

    receiver.handler = drops
    with pytest.raises(SendFailed) as caught:
        await send(transport, receiver)
    assert caught.value.kind == "broken"
    assert len(receiver.requests) == 1


async def test_a_kept_connection_that_ends_before_a_byte_is_stale_and_nothing_is_sent_twice(
    transport: HttpTransport, receiver: Receiver
) -> None:
    async def answers_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.requests.append(await read_request(reader))
        writer.write(receiver.answer)
        await writer.drain()
        if request := await read_request(reader):
            receiver.requests.append(request)  # received, and dropped

    receiver.handler = answers_once
    await send(transport, receiver)
    with pytest.raises(SendFailed) as caught:
        await send(transport, receiver)
    assert caught.value.kind == "stale"
    assert len(receiver.requests) == 2
    assert receiver.connections == 1


async def test_a_kept_connection_that_ends_within_an_answer_is_broken(
    transport: HttpTransport, receiver: Receiver
) -> None:
    async def answers_once_and_a_bit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(receiver.answer)
        await read_request(reader)
        writer.write(b"HTTP/1.1 2")
        await writer.drain()

    receiver.handler = answers_once_and_a_bit
    await send(transport, receiver)
    with pytest.raises(SendFailed) as caught:
        await send(transport, receiver)
    assert caught.value.kind == "broken"


async def test_a_connection_that_the_receiver_closed_is_not_used(transport: HttpTransport, receiver: Receiver) -> None:
    closed = asyncio.Event()

    async def answers_and_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.requests.append(await read_request(reader))
        writer.write(receiver.answer)
        writer.close()
        await writer.wait_closed()
        closed.set()

    receiver.handler = answers_and_closes
    for _ in range(5):
        assert (await send(transport, receiver)).status == 200
        await closed.wait()
        closed.clear()
        while transport.client.idle:  # noqa: ASYNC110 - until the end of the connection is read
            await asyncio.sleep(0)
    assert receiver.connections == 5


async def test_a_kept_connection_on_which_something_comes_is_not_used(
    transport: HttpTransport, receiver: Receiver
) -> None:
    async def says_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.requests.append(await read_request(reader))
        writer.write(receiver.answer)
        await writer.drain()
        await waiting.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")
        await reader.read()

    waiting = asyncio.Event()
    receiver.handler = says_more
    await send(transport, receiver)
    assert transport.client.idle == 1
    waiting.set()
    while transport.client.idle:  # noqa: ASYNC110 - until it is read
        await asyncio.sleep(0)
    assert (await send(transport, receiver)).body == b"ok"
    assert receiver.connections == 2


async def test_connections_are_kept_for_the_next_job(transport: HttpTransport, receiver: Receiver) -> None:
    for _ in range(3):
        await send(transport, receiver)
    assert (receiver.connections, len(receiver.requests)) == (1, 3)


async def test_a_connection_is_kept_for_one_tenant(transport: HttpTransport, receiver: Receiver) -> None:
    """Receivers may take a connection for a caller's, and answers could be mixed up by one who garbles requests."""
    peers: list[tuple[bytes, int]] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = receiver.connections
        while request := await read_request(reader):
            peers.append((request.partition(b"\r\n\r\n")[2], number))
            writer.write(receiver.answer)
            await writer.drain()

    receiver.handler = handler
    for tenant in ("", "acme", "", "globex", "acme", "globex"):
        await send(transport, receiver, body=tenant.encode(), tenant=tenant)
    assert peers == [(b"", 1), (b"acme", 2), (b"", 1), (b"globex", 3), (b"acme", 2), (b"globex", 3)]


async def test_at_most_once_never_uses_a_kept_connection(transport: HttpTransport, receiver: Receiver) -> None:
    await send(transport, receiver)
    for _ in range(3):
        await send(transport, receiver, fresh=True)
    assert receiver.connections == 4


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n", b"HTTP/1.1 103 A\r\n\r\n" * 11])
async def test_an_answer_that_is_no_http_is_broken(transport: HttpTransport, receiver: Receiver, answer: bytes) -> None:
    receiver.answer = answer
    with pytest.raises(SendFailed) as caught:
        await send(transport, receiver)
    assert caught.value.kind == "broken"


async def test_odd_headers_do_not_turn_a_success_into_a_failure(transport: HttpTransport, receiver: Receiver) -> None:
    odd = [b"X-Odd: a\xff\x1bb", b"x-b: 1", b" 2", b"no colon", b"x-\xc3\xa9: e", b"content-length: 0"]
    receiver.answer = b"\r\n".join([b"HTTP/1.1 200 OK", *odd, b"", b""])
    answer = await send(transport, receiver)
    assert answer.status == 200
    assert answer.headers == [("x-odd", "a\ufffd\ufffdb"), ("x-b", "1 2"), ("content-length", "0")]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 X\r\ncontent-length: 30\r\nconnection: close\r\n\r\ndatabase is down",
        b"HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n10\r\ndatabase is down\r\n",
        b"HTTP/1.1 500 X\r\n\r\ndatabase is down",
    ],
)
async def test_what_came_of_a_body_that_does_not_end_well_is_kept(
    transport: HttpTransport, receiver: Receiver, answer: bytes
) -> None:
    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    receiver.handler = breaks_off
    got = await send(transport, receiver)
    assert (got.status, got.body) == (500, b"database is down")


async def test_a_body_that_does_not_end_frees_its_slot_and_the_connection_is_left_alone_until_the_end_of_the_time(
    transport: HttpTransport, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookline.node.attempts.transport.BODY_S", 0.02)
    go_on, is_over = asyncio.Event(), asyncio.Event()
    rest = b""

    async def works_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal rest
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nearly")
        await go_on.wait()
        writer.write(b" late")
        rest = await reader.read()  # the client has not closed before
        is_over.set()

    receiver.handler = works_on
    answer = await send(transport, receiver, timeout_ms=60_000)
    assert (answer.status, answer.body) == (200, b"early")
    assert transport.client.lingering == 1
    go_on.set()
    await is_over.wait()
    assert rest == b""
    assert transport.client.lingering == 0
    assert not transport.client.connections


async def test_a_request_that_is_given_up_ends_its_connection(transport: HttpTransport, receiver: Receiver) -> None:
    arrived, is_over = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        arrived.set()
        await reader.read()
        is_over.set()

    receiver.handler = silent
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(send(transport, receiver))
        await arrived.wait()
        task.cancel()
    assert task.cancelled()
    await is_over.wait()
    assert not transport.client.connections


@pytest.mark.parametrize(
    "headers", [[("bad name", "v")], [("x", "line\r\nbreak")], [("x", "nul\0")]], ids=["name", "break", "nul"]
)
async def test_a_header_that_cannot_be_sent_is_unsendable(
    transport: HttpTransport, receiver: Receiver, headers: list[tuple[str, str]]
) -> None:
    with pytest.raises(SendFailed) as caught:
        await send(transport, receiver, headers=headers)
    assert caught.value.kind == "unsendable"
    assert receiver.requests == []


async def test_no_body_means_no_body(transport: HttpTransport, receiver: Receiver) -> None:
    await send(transport, receiver, method="GET", body=b"")
    assert receiver.requests[0].startswith(b"GET /hook HTTP/1.1")
    assert b"transfer-encoding" not in receiver.requests[0].lower()


async def test_a_lead_that_is_lost_while_a_connection_is_made_sends_nothing(
    transport: HttpTransport, receiver: Receiver
) -> None:
    await send(transport, receiver)
    with pytest.raises(SendFailed, match="leads") as caught:
        await send(transport, receiver, may_send=lambda: False)
    assert caught.value.kind == "ours"
    await send(transport, receiver)
    assert len(receiver.requests) == 2


async def test_a_request_is_with_the_system_before_anything_else_runs(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request has left, even if the process stops right then."""
    transport = HttpTransport()
    await send(transport, receiver)
    wrote: list[int] = []
    real = os.writev

    def writev(descriptor: int, parts: Sequence[bytes]) -> int:
        wrote.append(real(descriptor, parts))
        return wrote[-1]

    monkeypatch.setattr(os, "writev", writev)
    await send(transport, receiver, body=b"x" * 200)
    assert wrote == [len(receiver.requests[1])]
    await transport.close()


async def test_a_connection_is_kept_alive_while_an_answer_takes_its_time(receiver: Receiver) -> None:
    transport = HttpTransport()
    await send(transport, receiver)
    (connection,) = transport.client.connections
    assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    await transport.close()


@pytest.mark.parametrize("size", [65_536, 65_537, 8_000_000])
async def test_a_body_of_any_size_arrives_byte_for_byte(
    transport: HttpTransport, receiver: Receiver, size: int
) -> None:
    body = random.Random(size).randbytes(size)
    for _ in range(2):
        await send(transport, receiver, body=body)
    assert [request.endswith(b"\r\n\r\n" + body) for request in receiver.requests] == [True, True]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_an_empty_body_has_a_length(transport: HttpTransport, receiver: Receiver, method: str) -> None:
    await send(transport, receiver, method=method, body=b"")
    assert b"\r\nContent-Length: 0\r\n" in receiver.requests[0]


async def test_the_url_and_the_headers_arrive_byte_for_byte(transport: HttpTransport, receiver: Receiver) -> None:
    path = "/a/../b/%2e%2e/./c//?$filter=name%20eq%20'x'&y[]=1&z=%zz;,:@!*()"
    target = parse_url(f"http://127.0.0.1:{receiver.port}{path}")
    headers = [("accessToken", "x  y"), ("X-API-KEY", "k\tl"), ("SOAPAction", '"urn:a"')]
    await transport.send(Outgoing(target, "127.0.0.1", "POST", headers, b"{}", 5_000))
    assert receiver.requests == [
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{receiver.port}\r\naccessToken: x  y\r\nX-API-KEY: k\tl\r\n"
        'SOAPAction: "urn:a"\r\nContent-Length: 2\r\n\r\n{}'.encode()
    ]


async def test_kept_connections_are_closed_after_a_while(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = HttpTransport(HttpClient(idle_s=0.01))
    await send(transport, receiver)
    assert transport.client.idle == 1
    while transport.client.connections:  # noqa: ASYNC110 - until the timer closes it
        await asyncio.sleep(0.001)
    await transport.close()


async def test_only_so_many_connections_are_kept(receiver: Receiver) -> None:
    transport = HttpTransport(HttpClient(kept=3))
    for number in range(5):
        await send(transport, receiver, host=f"h{number}.invalid")
    assert len(transport.client.connections) == 3
    await send(transport, receiver, host="h4.invalid")
    assert receiver.connections == 5
    await transport.close()


async def test_a_lack_of_descriptors_is_ours(receiver: Receiver, transport: HttpTransport) -> None:
    gc.collect()  # what earlier tests have left open would be closed in between, and a descriptor be free
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    held: list[socket.socket] = []
    try:
        _take_all_descriptors(held)
        with pytest.raises(SendFailed, match="Too many open files") as caught:
            await send(transport, receiver)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in held:
            one.close()
    assert caught.value.kind == "ours"
    assert (await send(transport, receiver)).status == 200


def test_a_lookup_without_descriptors_is_ours() -> None:
    """In a process of its own: elsewhere a failed lookup gives back descriptors that the C library has kept."""
    done = subprocess.run([sys.executable, "-c", _LOOKUP], capture_output=True, text=True, check=True)
    assert done.stdout == "ours\n"


_LOOKUP = """
import asyncio, resource, socket
from hookline.clock import SystemClock
from hookline.errors import ResolveFailed
from hookline.node.attempts.resolver import Resolver, system_lookup

async def main():
    async with Resolver(system_lookup(), SystemClock()) as resolver:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True:
                held.append(socket.socket())
        except OSError:
            pass
        try:
            await resolver.resolve("name.invalid", 80)
        except ResolveFailed as error:
            print(error.reason)

asyncio.run(main())
"""


def _take_all_descriptors(held: list[socket.socket]) -> None:
    with suppress(OSError):
        while True:
            held.append(socket.socket())


# --- TLS --------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


@asynccontextmanager
async def tls_receiver(certificate: trustme.LeafCert) -> AsyncIterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    receiver = Receiver()
    context.sni_callback = lambda _socket, name, _context: receiver.names.append(name)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()


async def test_tls_asks_for_the_name_and_keeps_the_connection(authority: trustme.CA) -> None:
    transport = HttpTransport()
    async with tls_receiver(authority.issue_cert("name.invalid")) as receiver:
        for _ in range(2):
            assert (await send(transport, receiver, scheme="https", host="name.invalid")).body == b"ok"
        assert (receiver.names, receiver.connections) == (["name.invalid"], 1)
        assert f"host: name.invalid:{receiver.port}".encode() in receiver.requests[0].lower()
        await transport.close()


@pytest.mark.parametrize("name", ["another.invalid", "sub.name.invalid"])
async def test_a_certificate_of_another_name_is_refused(authority: trustme.CA, name: str) -> None:
    transport = HttpTransport()
    async with tls_receiver(authority.issue_cert(name)) as receiver:
        with pytest.raises(SendFailed, match="certificate") as caught:
            await send(transport, receiver, scheme="https", host="name.invalid")
        assert (caught.value.kind, receiver.requests) == ("connect", [])
        await transport.close()


async def test_a_certificate_of_an_unknown_authority_is_refused(transport: HttpTransport) -> None:
    async with tls_receiver(trustme.CA().issue_cert("name.invalid")) as receiver:
        with pytest.raises(SendFailed, match="certificate") as caught:
            await send(transport, receiver, scheme="https", host="name.invalid")
        assert (caught.value.kind, receiver.requests) == ("connect", [])


async def test_a_receiver_that_speaks_no_tls_gets_nothing(transport: HttpTransport, receiver: Receiver) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    receiver.handler = plain
    with pytest.raises(SendFailed, match=r"TLS|record") as caught:
        await send(transport, receiver, scheme="https")
    assert caught.value.kind == "connect"


async def test_a_handshake_that_never_ends_is_bounded(transport: HttpTransport, receiver: Receiver) -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    receiver.handler = silent
    with pytest.raises(SendFailed, match="no connection within 200 ms") as caught:
        await send(transport, receiver, scheme="https", timeout_ms=200)
    assert caught.value.kind == "connect"
