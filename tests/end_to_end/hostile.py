"""Receivers that misbehave, each on a port of its own, in one thread with one loop."""

import asyncio
import gzip
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_BOMB = gzip.compress(b"\0" * 100 * 2**20)


async def byte_a_second(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A head that never ends."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x" * 1_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def endless_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As much as it is let."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


async def gzip_bomb(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """100 KB that become 100 MiB."""
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(_BOMB)
    writer.write(head + _BOMB)
    await writer.drain()


async def many_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ten thousand of them."""
    headers = b"".join(b"x-%d: y\r\n" % number for number in range(10_000))
    writer.write(b"HTTP/1.1 200 OK\r\n" + headers + b"content-length: 0\r\n\r\n")
    await writer.drain()


async def interim_flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Early hints without end."""
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100)
        await writer.drain()


async def empty_lines(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Empty lines before an answer, without end."""
    while True:
        writer.write(b"\r\n" * 10_000)
        await writer.drain()


async def tiny_chunks(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body of one byte in each chunk, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\nx\r\n" * 5_000)
        await writer.drain()


async def endless_trailer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Fields behind the last chunk, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
    while True:
        writer.write(b"X-A: " + b"b" * 1_000 + b"\r\n")
        await writer.drain()


async def odd_lines(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A success with header lines that no RFC knows."""
    writer.write(
        b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nX-B : d\r\nnonsense\r\n: e\r\nX-F: \x01\r\ncontent-length: 2\r\n\r\nok"
    )
    await writer.drain()


async def broken_failure(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A failure that says why, and breaks off."""
    writer.write(b"HTTP/1.1 400 Bad\r\ncontent-length: 30\r\n\r\ndatabase is down")
    await writer.drain()


async def reset_after_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A promise of a body, and then a reset."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    await writer.drain()
    writer.transport.abort()


async def reset_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The request is read, the connection dropped."""
    writer.transport.abort()


def redirect_to(location: str) -> Behave:
    """302 to somewhere inside."""

    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 302 Found\r\nlocation: %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % location.encode()
        )
        await writer.drain()

    return behave


@contextmanager
def hostile_receivers(behaviours: Mapping[str, Behave]) -> Iterator[dict[str, int]]:
    """Their ports by name."""
    ports: dict[str, int] = {}
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        servers = []
        for name, behave in behaviours.items():
            server = await asyncio.start_server(_connection(behave), "127.0.0.1", 0)
            ports[name] = server.sockets[0].getsockname()[1]
            servers.append(server)
        started.set()
        await asyncio.get_running_loop().run_in_executor(None, stop.wait)
        for server in servers:
            server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    started.wait()
    try:
        yield ports
    finally:
        stop.set()
        thread.join(60)


def _connection(behave: Behave) -> Behave:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await behave(reader, writer)
        writer.close()

    return handle
