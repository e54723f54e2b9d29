"""Enqueues over HTTP, for those whose interface is HTTP: Hookline and Restate; the same client for both.

``python -m peers.http_enqueuer hookline|restate FIRST COUNT BATCH CALLERS RATE AT``, see cases.py; the environment is
that of a peer's program. A caller has one connection and one request at a time. What is not acknowledged is not sent
again: its numbers count as failed. A caller whose connection breaks goes on at the next address.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle
from typing import NamedTuple
from urllib.parse import urlsplit

import uvloop

Frame = Callable[["Order", range], tuple[str, object]]  # the path and the JSON body of one request


class Order(NamedTuple):
    """The order: what is to be enqueued."""

    first: int
    jobs: int
    batch: int
    callers: int
    rate: int
    at: int


class Target(NamedTuple):
    """The values of the environment."""

    urls: list[str]
    receiver: str
    body: str


def for_hookline(target: Target) -> Frame:
    """A create, or a batch of them."""
    payload = json.loads(target.body)

    def frame(order: Order, numbers: range) -> tuple[str, object]:
        due = {"run_at": datetime.fromtimestamp(order.at, UTC).isoformat()} if order.at else {}
        jobs = [{"url": f"{target.receiver}/{number}", "payload": payload, **due} for number in numbers]
        return ("/jobs", jobs[0]) if order.batch == 1 else ("/jobs/batch", {"jobs": jobs})

    return frame


def for_restate(target: Target) -> Frame:
    """A one-way call (https://docs.restate.dev/services/invocation/http); there is no call for many."""

    def frame(order: Order, numbers: range) -> tuple[str, object]:
        delay = f"?delay={max(0, int((order.at - time.time()) * 1_000))}ms" if order.at else ""
        return f"/Hook/post/send{delay}", {"number": numbers[0], "body": target.body}

    return frame


FRAMES = {"hookline": for_hookline, "restate": for_restate}


class Enqueuer:
    """The callers and what they have left."""

    def __init__(self, order: Order, target: Target, frame: Frame) -> None:
        self._order, self._target, self._frame = order, target, frame
        self._next = order.first
        self.failed: list[int] = []
        self.refusals: set[bytes] = set()
        self.began = time.time()

    async def run(self) -> None:
        """Enqueue it all."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._order.callers):
                tasks.create_task(self._call())

    async def _call(self) -> None:
        order, urls = self._order, cycle(self._target.urls)
        reader, writer = await self._connect(urls)
        while numbers := range(self._next, min(self._next + order.batch, order.first + order.jobs)):
            self._next = numbers.stop
            if order.rate:
                due = self.began + (numbers.start - order.first) / order.rate
                await asyncio.sleep(max(0.0, due - time.time()))
            if writer.is_closing():
                reader, writer = await self._connect(urls)
            try:
                status = await self._send(reader, writer, numbers)
            except (
                OSError,
                asyncio.IncompleteReadError,
                TimeoutError,
                RuntimeError,
            ):  # uvloop raises that for a closed one
                self.failed.extend(numbers)
                writer.close()
                reader, writer = await self._connect(urls)
                continue
            if not status.startswith(b"HTTP/1.1 2"):
                self.failed.extend(numbers)
                self.refusals.add(status.strip())
                await asyncio.sleep(0.1)

    async def _connect(self, urls: "cycle[str]") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            address = urlsplit(next(urls))
            try:
                return await asyncio.open_connection(address.hostname, address.port)
            except OSError:
                await asyncio.sleep(0.1)

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, numbers: range) -> bytes:
        path, content = self._frame(self._order, numbers)
        body = json.dumps(content).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(30):
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            at = answer.find(b"content-length: ")
            if at >= 0:
                await reader.readexactly(int(answer[at + 16 :].split(b"\r\n", 1)[0]))
            elif b"chunked" in answer:
                await reader.readuntil(b"0\r\n\r\n")
        return answer.partition(b"\r\n")[0].upper()


async def main(kind: str, order: Order) -> None:
    """Enqueue and print the figures."""
    target = Target(os.environ["PEER_STORE"].split(","), os.environ["PEER_RECEIVER"], os.environ["PEER_BODY"])
    enqueuer = Enqueuer(order, target, FRAMES[kind](target))
    await enqueuer.run()
    if enqueuer.refusals:
        print(enqueuer.refusals, file=sys.stderr)
    seconds = time.time() - enqueuer.began
    print(json.dumps({"began": enqueuer.began, "seconds": seconds, "failed": enqueuer.failed}))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Order(*map(int, sys.argv[2:8]))))
