"""Measures what traces cost: ``python benchmarks/traces.py`` (about 6 minutes).

One node in one process without traces beside one that records a tenth of them, and one that records all, in turn and in
one run: jobs one by one and in batches, end to end. The collector only reads, and has its share of the cores, too.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from beside import HEAD, compare, options_of
from node_process import Process, node, ready_port

OFF, *ON = ("off", "10 %", "100 %")
_RATIOS = {"10 %": "0.1", "100 %": "1"}
_COLLECTOR = """
import asyncio
async def take(reader, writer):
    while head := await reader.readuntil(b"\\r\\n\\r\\n"):
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\\r")[0])
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n")
async def main():
    server = await asyncio.start_server(take, "127.0.0.1", 0)
    print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def collector() -> Iterator[int]:
    """The port of a receiver of OTLP that looks at nothing."""
    process = subprocess.Popen(
        [sys.executable, "-c", _COLLECTOR], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield ready_port(process)
    finally:
        process.kill()
        process.wait()


@contextmanager
def serving(port: int, traces: str) -> Iterator[tuple[Process, dict[str, str]]]:
    """One node in one process."""
    options = ["--attempt-processes", "0", "--api-processes", "0"]
    if traces != OFF:
        options += ["--traces", f"http://127.0.0.1:{port}", "--traces-ratio", _RATIOS[traces]]
    with node(None, *options) as process:
        yield process, {}


def main() -> None:
    """Run everything and print the table."""
    options = options_of(__doc__, 5)
    print(HEAD)
    with collector() as port:
        compare((OFF, *ON), partial(serving, port), options, "jobs {case}: traces {kind}")


if __name__ == "__main__":
    main()
