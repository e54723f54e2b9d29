"""The receiver of a benchmark, a process of its own: ``python -m hookline.cli.bench.receiver HOST PORT DELAY_S``.

It answers each request 200 after the delay. On stdout it writes ``ready HOST:PORT``, then, ten times a second, a line
of JSON with what has arrived: ``[[id, arrived, due], …]`` in seconds since 1970; ``due`` is null without
``hookline-scheduled-at``. It ends when its parent does: stdin is closed then.
"""

import asyncio
import socket
import sys
import time
from datetime import datetime
from typing import cast

import httptools
import msgspec

from hookline.cli.bench.loops import run

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_REPORT_S = 0.1
_encode = msgspec.json.Encoder().encode

CaughtRequest = tuple[str, float, float | None]


class _ReceivingEnd(asyncio.Protocol):
    def __init__(self, arrived: list[CaughtRequest], delay_s: float) -> None:
        self._arrived = arrived
        self._delay_s = delay_s
        self._parser = httptools.HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._id, self._due = "", None  # type: tuple[str, float | None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"webhook-id":
                self._id = value.decode(errors="replace")
            case b"hookline-scheduled-at":
                self._due = datetime.fromisoformat(value.decode()).timestamp()

    def on_message_complete(self) -> None:
        self._arrived.append((self._id, time.time(), self._due))
        self._id, self._due = "", None
        if self._delay_s:
            self._loop.call_later(self._delay_s, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_OK)


async def _serve(host: str, port: int, delay_s: float) -> None:
    arrived: list[CaughtRequest] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _ReceivingEnd(arrived, delay_s), host, port, backlog=4_096)
    _write(f"ready {_place(server.sockets[0])}\n".encode())
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    while not ended.is_set():
        await asyncio.sleep(_REPORT_S)
        if arrived:
            lines, arrived[:] = _encode(arrived) + b"\n", []
            _write(lines)


def _place(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    run(_serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
