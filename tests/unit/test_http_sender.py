"""The proxy's HTTP client against real sockets: what surely was not sent, and what may have been."""

import asyncio
import contextlib
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec.structs import replace

from hookline.peers.http_sender import HttpSender
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear

CREATE = NodeCall("POST", "/jobs?a=%2F", ((b"idempotency-key", b"k"),), b'{"url":"x"}')
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Node:
    """A socket that reads whole requests; ``script`` says what follows, else ``answer`` is given, again and again."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections: list[asyncio.StreamWriter] = []
        self.answer = OK
        self.script: Script | None = None
        self.is_gone = asyncio.Event()  # a client closed its connection
        self.url = ""

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """Head and body of one request; empty when the client has closed."""
        try:
            request = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            self.is_gone.set()
            return b""
        for line in request.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                request += await reader.readexactly(int(line.split(b":")[1]))
        self.requests.append(request)
        return request

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        try:
            if self.script is not None:
                await self.script(reader, writer)
                return
            while await self.read(reader):
                writer.write(self.answer)
        finally:
            writer.close()


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    node = Node()
    server = await asyncio.start_server(node.serve, "127.0.0.1", 0, backlog=500)
    node.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield node
    server.close()


@pytest.fixture
async def sender() -> AsyncIterator[HttpSender]:
    async with HttpSender() as sender:
        yield sender


def reset(writer: asyncio.StreamWriter) -> None:
    """Close the connection with a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def send(sender: HttpSender, node: Node, call: NodeCall = CREATE, timeout_s: float = 60.0) -> NodeAnswer:
    return await sender.send(node.url, call, timeout_s)


def head_of(request: bytes) -> list[bytes]:
    return request.split(b"\r\n\r\n")[0].lower().split(b"\r\n")


async def test_a_call_arrives_as_it_was_given(sender: HttpSender, node: Node) -> None:
    answer = await send(sender, node)
    assert (answer.status, answer.body) == (200, b"ok")
    (request,) = node.requests
    assert request.startswith(b"POST /jobs?a=%2F HTTP/1.1\r\n")
    assert request.endswith(b'\r\n\r\n{"url":"x"}')
    lines = head_of(request)
    assert b"idempotency-key: k" in lines
    assert b"content-length: 11" in lines
    assert not any(line.startswith((b"accept-encoding", b"cookie", b"referer")) for line in lines)


async def test_a_header_value_in_utf_8_arrives_byte_for_byte(sender: HttpSender, node: Node) -> None:
    value = "Zürich €".encode()
    await send(sender, node, replace(CREATE, headers=((b"x-city", value),)))
    assert b"x-city: " + value.lower() in head_of(node.requests[0])


async def test_headers_of_one_connection_do_not_go_back(sender: HttpSender, node: Node) -> None:
    node.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nKeep-Alive: timeout=5\r\nDate: now\r\nServer: s\r\n"
        b"hookline-node: n1\r\nX-A: 1\r\nX-A: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    answer = await send(sender, node)
    assert (answer.body, answer.content_type) == (b"ok", b"text/x")
    assert answer.headers == ((b"hookline-node", b"n1"), (b"x-a", b"1"), (b"x-a", b"2"))


async def test_a_header_of_an_answer_comes_byte_for_byte(sender: HttpSender, node: Node) -> None:
    node.answer = b"HTTP/1.1 201 Created\r\nx-a: \xe2\x82\xac\r\ncontent-length: 0\r\n\r\n"
    answer = await send(sender, node)
    assert (answer.status, answer.headers) == (201, ((b"x-a", b"\xe2\x82\xac"),))


async def test_a_compressed_answer_stays_compressed(sender: HttpSender, node: Node) -> None:
    """Else the client's ``content-encoding`` would be lost, or a bomb unpacked."""
    packed = gzip.compress(bytes(1_000))
    node.answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
    answer = await send(sender, node)
    assert (answer.body, answer.headers) == (packed, ((b"content-encoding", b"gzip"),))


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_no_redirect_is_followed(sender: HttpSender, node: Node, status: int) -> None:
    node.answer = b"HTTP/1.1 %d Moved\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n" % status
    assert (await send(sender, node)).status == status
    assert len(node.requests) == 1


async def test_a_proxy_of_the_environment_is_not_used(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with HttpSender() as sender:
        assert (await send(sender, node)).status == 200


async def test_repeatable_calls_share_a_connection_and_others_have_their_own(sender: HttpSender, node: Node) -> None:
    for _ in range(3):
        await send(sender, node)
    assert len(node.connections) == 1
    for _ in range(3):
        await send(sender, node, replace(CREATE, is_repeatable=False))
    assert len(node.connections) == 4
    await send(sender, node, replace(CREATE, is_again=True))
    assert len(node.connections) == 5


async def test_many_calls_at_once_do_not_wait_for_each_other(sender: HttpSender, node: Node) -> None:
    all_there = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await node.read(reader)
        if len(node.requests) == 150:
            all_there.set()
        await all_there.wait()
        writer.write(OK)

    node.script = hold
    async with asyncio.TaskGroup() as tasks:
        for _ in range(150):
            tasks.create_task(send(sender, node))
    assert len(node.requests) == 150


async def test_a_refused_connection_is_not_sent(sender: HttpSender) -> None:
    with socket.socket() as bound:  # bound, but it does not listen
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(NotSent):
            await sender.send(f"http://127.0.0.1:{bound.getsockname()[1]}", CREATE, 5.0)


async def test_an_unknown_name_is_not_sent(sender: HttpSender) -> None:
    with pytest.raises(NotSent):
        await sender.send("http://no-such-node.invalid:7070", CREATE, 5.0)


async def test_a_silent_address_is_not_sent() -> None:
    """No handshake within the connect time-out, as from a machine that is off: here, a backlog that is full."""
    async with HttpSender(connect_s=0.2) as sender:
        with contextlib.ExitStack() as stack:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
            for _ in range(3):
                filling = stack.enter_context(socket.socket())
                filling.setblocking(False)
                filling.connect_ex(listening.getsockname())
            with pytest.raises(NotSent):
                await sender.send(f"http://127.0.0.1:{listening.getsockname()[1]}", CREATE, 3.0)


async def closed_before(node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def closed_after(node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await node.read(reader)
    writer.close()


async def reset_after(node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await node.read(reader)
    reset(writer)


async def reset_within(node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readexactly(10)
    reset(writer)


async def garbage(node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await node.read(reader)
    writer.write(b"\x00\x01 nonsense\r\n\r\n")


async def cut_head(node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await node.read(reader)
    writer.write(b"HTTP/1.1 201 Cre")


async def cut_body(node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await node.read(reader)
    writer.write(b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\nhalf")


async def cut_chunk(node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await node.read(reader)
    writer.write(b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n64\r\nhalf")


FAULTS = (closed_before, closed_after, reset_after, reset_within, garbage, cut_head, cut_body, cut_chunk)


@pytest.mark.parametrize("is_repeatable", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_connection_that_was_made_and_broke_is_unclear(
    sender: HttpSender, node: Node, fault: Callable[..., Awaitable[None]], is_repeatable: bool
) -> None:
    """Also when nothing was read of it: the node may have, before it closed. And it is sent once."""
    node.script = lambda reader, writer: fault(node, reader, writer)
    with pytest.raises(Unclear):
        await send(sender, node, replace(CREATE, is_repeatable=is_repeatable))
    assert len(node.requests) <= 1
    assert len(node.connections) == 1


async def test_a_reset_while_connecting_is_either(sender: HttpSender, node: Node) -> None:
    """The client may see it before it has begun to send, which it then knows, or after."""

    async def reset_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    node.script = reset_at_once
    with pytest.raises((NotSent, Unclear)):
        await send(sender, node)
    assert (node.requests, len(node.connections)) == ([], 1)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 201", b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n"])
async def test_silence_is_unclear_within_the_time_out(sender: HttpSender, node: Node, said: bytes) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await node.read(reader)
        writer.write(said)
        await reader.read()  # until the client goes
        node.is_gone.set()

    node.script = silent
    with pytest.raises(Unclear):
        await send(sender, node, timeout_s=0.2)
    await node.is_gone.wait()
    node.script = None
    await send(sender, node)
    assert len(node.connections) == 2, "the connection is not used again"


@pytest.mark.parametrize("how", ["closed", "reset"])
async def test_a_kept_connection_that_the_node_closed_is_replaced_or_unclear(
    sender: HttpSender, node: Node, how: str
) -> None:
    """Whether the client has noticed is a race; it is never NotSent, and nothing arrives twice."""
    for number in range(1, 20):
        await send(sender, node)
        (node.connections[-1].close if how == "closed" else lambda: reset(node.connections[-1]))()
        before = len(node.requests)
        try:
            await send(sender, node, replace(CREATE, body=b"%d" % number))
        except Unclear:
            continue
        assert len(node.requests) == before + 1


async def test_a_kept_connection_closed_under_the_request_is_unclear(sender: HttpSender, node: Node) -> None:
    """The node took the request on a kept connection and closed instead of answering: no silent second try."""

    async def one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await node.read(reader)
        writer.write(OK)
        await node.read(reader)

    node.script = one_answer
    await send(sender, node)
    with pytest.raises(Unclear):
        await send(sender, node)
    assert len(node.requests) == 2
    assert len(node.connections) == 1
