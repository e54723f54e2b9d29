"""Answers like a node that leads, with ready-made bytes: so that a benchmark shows what is before it.

``python benchmarks/stub_node.py`` takes a free port and prints ``ready URL``.
"""

import asyncio
from functools import cache
from typing import cast

import msgspec
import uvloop

from hookline.protocol.internal_http import GatheredAnswer

BODY = (
    b'{"id":"0192f0c1-0000-7000-8000-000000000000-0","url":"http://127.0.0.1/hook","method":"POST","state":"pending"}'
)
HEALTH = b'{"status":"ok","role":"leader","usage":{},"epoch":1,"term":1}'
HEAD = b"HTTP/1.1 %s\r\nhookline-cluster: c0\r\nhookline-node: n1\r\ncontent-type: application/json\r\n"


def _answer(status: bytes, body: bytes) -> bytes:
    return HEAD % status + b"content-length: %d\r\n\r\n" % len(body) + body


CREATED, HEALTHY = _answer(b"201 Created", BODY), _answer(b"200 OK", HEALTH)


@cache
def _all_created(count: int) -> bytes:
    """The answer to so many creates that came together."""
    one = GatheredAnswer(201, BODY, b"application/json", ())
    return _answer(b"200 OK", msgspec.msgpack.encode([one] * count))


def _answer_to(head: bytes, body: bytes) -> bytes:
    if head.startswith(b"get /health"):
        return HEALTHY
    if head.startswith(b"post /internal/jobs"):
        return _all_created(len(msgspec.msgpack.decode(body, type=list[msgspec.Raw])))
    return CREATED


class Connection(asyncio.Protocol):
    """One answer to each request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own, of no class of asyncio's
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length: ")
            length = int(head[at + 16 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.transport.write(_answer_to(head, body))


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main())
