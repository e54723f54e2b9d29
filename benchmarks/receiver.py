"""A receiver that costs as little as possible: one process, a bare protocol, a fixed delay before each answer.

``python benchmarks/receiver.py DELAY_SECONDS [SPREAD]`` takes a free port and prints ``ready URL``. With a spread of
0.5 the delay is a random one between half and one and a half times as long. ``GET /stats`` answers and
resets ``{"count", "lags_ms"}``: how many requests came, and for those with ``hookline-scheduled-at`` how long after
that time they arrived.
"""

import asyncio
import json
import random
import sys
import time
from datetime import datetime
from typing import cast

import uvloop

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
_SCHEDULED = b"hookline-scheduled-at: "


class Receiver(asyncio.Protocol):
    """One connection."""

    delay_s = 0.0
    spread = 0.0
    count = 0
    last = 0.0
    lags_ms: list[float] = []  # noqa: RUF012 - shared by all connections on purpose

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own, of no class of asyncio's
        self.buffer = b""
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            length = _number_after(head, b"content-length: ")
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            if head.startswith(b"get /stats"):
                self._stats()
            else:
                self._request(head)

    def _request(self, head: bytes) -> None:
        cls = type(self)
        cls.count += 1
        cls.last = time.time()
        at = head.find(_SCHEDULED)
        if at >= 0:
            text = head[at + len(_SCHEDULED) : at + len(_SCHEDULED) + 24].decode().upper()
            cls.lags_ms.append((cls.last - datetime.fromisoformat(text).timestamp()) * 1_000)
        if self.delay_s:
            self.loop.call_later(self.delay_s * (1 + self.spread * random.uniform(-1, 1)), self._answer, _OK)
        else:
            self._answer(_OK)

    def _stats(self) -> None:
        cls = type(self)
        body = json.dumps({"count": cls.count, "last": cls.last, "lags_ms": cls.lags_ms}).encode()
        cls.count, cls.lags_ms = 0, []
        self._answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

    def _answer(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)


def _number_after(head: bytes, name: bytes) -> int:
    at = head.find(name)
    return int(head[at + len(name) :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def main(delay_s: float, spread: float) -> None:
    """Serve until killed."""
    Receiver.delay_s, Receiver.spread = delay_s, spread
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=4_096)
    print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]), float(sys.argv[2]) if sys.argv[2:] else 0.0))
