"""Clients that do not end, or do not take: each makes many connections at once, for as long as they are let."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

MIB = 2**20
_HEAD = b"Host: localhost\r\nContent-Type: application/json\r\n"
_BATCH = b"POST /jobs/batch HTTP/1.1\r\n" + _HEAD
_JOB = b"POST /jobs HTTP/1.1\r\n" + _HEAD
_PAGE = b"GET /jobs?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
_LASTS_S = 4.0


@dataclass(frozen=True)
class Stream:
    """Every connection sends ``start``, and then ``more`` again and again, ``most`` bytes in all."""

    name: str
    connections: int
    start: bytes
    more: bytes = b""
    most: int = 0

    def run(self, port: int) -> None:
        """Until all that can be sent is sent, or the server has cut all; then the connections are closed."""
        with _connections(port, self.connections) as connections:
            left = dict.fromkeys(connections, self.most)
            for connection in connections:
                _send(connection, self.start)
            until = time.monotonic() + _LASTS_S
            while left and time.monotonic() < until:
                for connection in list(left):
                    sent = _send(connection, self.more) if self.more else None
                    left[connection] -= sent or 0
                    if sent is None or left[connection] <= 0:
                        del left[connection]
            time.sleep(max(0.0, until - time.monotonic()))


def _big_batch() -> bytes:
    jobs = json.dumps([{"url": "https://example.com/", "payload": "x" * 16_000, "delay": "1h"}] * 1_000).encode()
    return _BATCH + b"Content-Length: %d\r\n\r\n%b" % (len(jobs), jobs)


_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
_GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
_FIELDS = b"t: x\r\n" * 10_000
_MUCH = 30 * MIB
_ENDLESS = _BATCH + b"Content-Length: 16777216\r\n\r\n"
STREAMS: Sequence[Stream] = (
    Stream("50 bodies of 16 MiB that never end", 50, _ENDLESS, b" " * MIB, 15 * MIB),
    Stream("20 batches of 16 MiB at once", 20, _big_batch()),
    Stream("20 bodies in chunks of one byte", 20, _JOB + _CHUNKED, b"1\r\n \r\n" * 10_000, _MUCH),
    Stream("20 endless trailers", 20, _JOB + _CHUNKED + b"2\r\n{}\r\n0\r\n", _FIELDS, _MUCH),
    Stream("20 endless heads", 20, _GET, _FIELDS, _MUCH),
    Stream("1,000 heads of 60 KiB that never end", 1_000, _GET + b"x: " + b"x" * 60_000),
    Stream("60 pages that nobody reads", 60, _PAGE),
    Stream("20,000 requests in 20 pipelines, unread", 20, _PAGE * 1_000),
)


@contextmanager
def _connections(port: int, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            connection.connect(("127.0.0.1", port))
            connection.settimeout(0.5)
            found.append(connection)
        yield found


def _send(connection: socket.socket, data: bytes) -> int | None:
    """How much was taken; None: the server has closed it, or takes nothing for a while."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < len(data):
            sent += connection.send(data[sent:])
    return sent or None
