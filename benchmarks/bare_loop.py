"""The yardstick: a bare loop that only POSTs with the HTTP client that attempts use.

``python benchmarks/bare_loop.py RECEIVER_PORT COUNT CONCURRENCY`` prints ``{"count", "seconds", "cpu_seconds"}``.
"""

import asyncio
import json
import sys
import time

import uvloop

from hookline.node.attempts.transport import HttpTransport, Outgoing
from hookline.protocol.urls import parse_url


async def main(port: int, count: int, concurrency: int) -> None:
    """POST ``count`` times, ``concurrency`` at once."""
    transport, target = HttpTransport(), parse_url(f"http://127.0.0.1:{port}/hook")
    headers, body = [("content-type", "application/json")], json.dumps({"order": 1234, "text": "x" * 100}).encode()
    outgoing = Outgoing(target, target.host, "POST", headers, body, 30_000)

    async def worker(times: int) -> None:
        for _ in range(times):
            await transport.send(outgoing)

    started, cpu_before = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(worker(count // concurrency))
    seconds = time.perf_counter() - started
    cpu_seconds = time.process_time() - cpu_before
    print(json.dumps({"count": count // concurrency * concurrency, "seconds": seconds, "cpu_seconds": cpu_seconds}))


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:4])))
