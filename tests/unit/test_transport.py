"""The real HTTP client against a real socket: one request, no redirects, cookies or decompression, bounded reads."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from hookline.node.executor.transport import Answer, HttpTransport, SendFailed
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
    headers: list[tuple[str, str]] | None = None,
    body: bytes = b"{}",
    timeout_ms: int = 5_000,
    fresh: bool = False,
    method: str = "POST",
) -> Answer:
    target = parse_url(f"http://{host}:{receiver.port}/hook")
    return await transport.send(
        target, "127.0.0.1", method, headers or [], body, timeout_ms=timeout_ms, fresh_connection=fresh
    )


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


async def test_a_kept_connection_dropped_after_the_request_sends_nothing_twice(
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
    assert caught.value.kind == "broken"
    assert len(receiver.requests) == 2
    assert receiver.connections == 1


async def test_connections_are_kept_for_the_next_job(transport: HttpTransport, receiver: Receiver) -> None:
    for _ in range(3):
        await send(transport, receiver)
    assert (receiver.connections, len(receiver.requests)) == (1, 3)


async def test_at_most_once_never_uses_a_kept_connection(transport: HttpTransport, receiver: Receiver) -> None:
    await send(transport, receiver)
    for _ in range(3):
        await send(transport, receiver, fresh=True)
    assert receiver.connections == 4


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n", b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n"]
)
async def test_an_answer_that_is_no_http_is_broken(transport: HttpTransport, receiver: Receiver, answer: bytes) -> None:
    receiver.answer = answer
    with pytest.raises(SendFailed) as caught:
        await send(transport, receiver)
    assert caught.value.kind == "broken"


async def test_an_odd_header_does_not_turn_a_success_into_a_failure(
    transport: HttpTransport, receiver: Receiver
) -> None:
    receiver.answer = b"HTTP/1.1 200 OK\r\nx-odd: a\xff\xfeb\r\nx-b: 1\r\nx-b: 2\r\ncontent-length: 0\r\n\r\n"
    answer = await send(transport, receiver)
    assert (answer.status, answer.headers) == (200, [("x-b", "1"), ("x-b", "2"), ("content-length", "0")])


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


async def test_only_so_many_destinations_keep_a_client(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    from hookline.node.executor import transport as module

    monkeypatch.setattr(module, "_CLIENTS_MAX", 3)
    transport = HttpTransport()
    for number in range(5):
        await send(transport, receiver, host=f"h{number}.invalid")
    assert len(transport._clients) == 3
    await send(transport, receiver, host="h4.invalid")
    assert receiver.connections == 5
    await transport.close()
