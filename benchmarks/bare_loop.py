"""The yardstick: a bare loop that only POSTs with the HTTP client the executor uses.

``python benchmarks/bare_loop.py RECEIVER_PORT COUNT CONCURRENCY`` prints ``{"count", "seconds"}``.
"""

import asyncio
import json
import sys
import time

import uvloop
from pyreqwest.client import ClientBuilder


async def main(port: int, count: int, concurrency: int) -> None:
    """POST ``count`` times, ``concurrency`` at once."""
    client = ClientBuilder().http1_only().no_proxy().max_connections(None).build()
    url, body = f"http://127.0.0.1:{port}/hook", json.dumps({"order": 1234, "text": "x" * 100}).encode()

    async def worker(times: int) -> None:
        for _ in range(times):
            request = client.post(url).headers([("content-type", "application/json")]).body_bytes(body)
            async with request.build_streamed() as response:
                await response.body_reader.read(65_536)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(worker(count // concurrency))
    seconds = time.perf_counter() - started
    print(json.dumps({"count": count // concurrency * concurrency, "seconds": seconds}))


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:4])))
