"""Creates jobs over HTTP as cheaply as possible: bare protocols with ready-made request bytes.

``python benchmarks/load.py NODE_PORT RECEIVER_PORT COUNT BATCH CONNECTIONS [RATE [DELAY [AT]]]`` prints one JSON line:
``{"created", "seconds", "latencies_ms": {"p50", "p99"}, "refused"}``. BATCH 1 uses ``POST /jobs``. RATE: jobs a
second, 0 for as fast as it goes. DELAY: seconds from creation to due. AT: the second since 1970 at which all are due.
HOOKLINE_API_KEY is shown, if there is one.
With LOAD_CA_FILE in the environment it speaks TLS.
"""

import asyncio
import json
import os
import ssl
import sys
import time
from datetime import UTC, datetime
from typing import NamedTuple, cast

import uvloop

_TRIES = 100
_PAUSE_S = 0.3


class Connection(asyncio.Protocol):
    """Sends a request, waits for its answer, sends the next."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.buffer = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own, of no class of asyncio's
        self.next()

    def next(self) -> None:
        request = self.load.take()
        if request is None:
            self.transport.close()
            return
        self.sent_at = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"content-length: ")
        length = int(head[at + 16 :].split(b"\r\n", 1)[0])
        if len(self.buffer) < end + 4 + length:
            return
        self.load.answered(head, time.perf_counter() - self.sent_at)
        self.buffer = self.buffer[end + 4 + length :]
        self.load.pace(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self.load.closed()


class Work(NamedTuple):
    """The arguments, see above."""

    node_port: int
    receiver_port: int
    jobs: int
    batch: int
    connections: int
    rate: int = 0
    delay: int = 0
    at: int = 0


class Load:
    """The jobs that are left to create."""

    def __init__(self, work: Work) -> None:
        url, payload = f"http://127.0.0.1:{work.receiver_port}/hook", {"order": 1234, "text": "x" * 100}
        job: dict[str, object] = {"url": url, "payload": payload}
        if work.delay:
            job["delay"] = work.delay
        if work.at:
            job["run_at"] = datetime.fromtimestamp(work.at, UTC).isoformat()
        body = json.dumps({"jobs": [job] * work.batch} if work.batch > 1 else job).encode()
        path = b"/jobs/batch" if work.batch > 1 else b"/jobs"
        key = os.environ.get("HOOKLINE_API_KEY")
        shown = f"authorization: Bearer {key}\r\n".encode() if key else b""
        head = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" % path
        self.request = head + shown + b"content-length: %d\r\n\r\n%s" % (len(body), body)
        self.left = work.jobs // work.batch
        self.batch = work.batch
        self.rate = work.rate
        self.started = time.perf_counter()
        self.scheduled = 0
        self.latencies: list[float] = []
        self.refused = 0
        self.refusal = ""
        self.open = work.connections
        self.done = asyncio.get_running_loop().create_future()

    def take(self) -> bytes | None:
        if self.left == 0:
            return None
        self.left -= 1
        return self.request

    def pace(self, connection: Connection) -> None:
        if not self.rate:
            connection.next()
            return
        self.scheduled += 1
        at = self.started + self.scheduled * self.batch / self.rate
        asyncio.get_running_loop().call_later(max(0.0, at - time.perf_counter()), connection.next)

    def answered(self, head: bytes, seconds: float) -> None:
        self.latencies.append(seconds)
        if not head.startswith((b"http/1.1 201", b"http/1.1 200")):
            self.refused += 1
            self.refusal = head.partition(b"\r\n")[0].decode(errors="replace")

    def closed(self) -> None:
        self.open -= 1
        if self.open == 0 and not self.done.done():
            self.done.set_result(None)


async def created_by(work: Work) -> Load:
    """Create them all, but for what is refused."""
    load, loop = Load(work), asyncio.get_running_loop()
    ca_file = os.environ.get("LOAD_CA_FILE")
    context = ssl.create_default_context(cafile=ca_file) if ca_file else None
    for _ in range(work.connections):
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", work.node_port, ssl=context)
    await load.done
    return load


async def main(work: Work) -> None:
    """Create them and print the figures; a node so busy that it refused every single one is asked again."""
    for _ in range(_TRIES):
        load = await created_by(work)
        seconds = time.perf_counter() - load.started
        if created := (len(load.latencies) - load.refused) * work.batch:
            break
        await asyncio.sleep(_PAUSE_S)
    else:
        sys.exit(f"every request was refused: {load.refusal or 'without an answer'}")
    latencies = sorted(load.latencies)
    figures = {"p50": latencies[len(latencies) // 2] * 1e3, "p99": latencies[int(len(latencies) * 0.99)] * 1e3}
    print(json.dumps({"created": created, "seconds": seconds, "latencies_ms": figures, "refused": load.refused}))


if __name__ == "__main__":
    uvloop.run(main(Work(*map(int, sys.argv[1:]))))
