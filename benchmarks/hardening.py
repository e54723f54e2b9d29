"""Measures what the worst requests cost: ``python benchmarks/hardening.py`` writes docs/reference/hardening.md.

The time is measured in a node and a proxy of this process: the longest step of the loops' threads in CPU time, the
least of three (a garbage collection may come between). The memory is that of a node and a proxy with processes of
their own: by how much the largest resident size while the request is served is above the size before.
"""

import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from cluster_process import descendants, stack
from hostile_streams import STREAMS, Stream
from node_process import Process

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.integration.loop_blocks import ATTACKS, URL, Attack, attacked, fill, longest_step_ms, measured_steps  # noqa: E402
from tests.integration.proxy_under_test import FrontDoor  # noqa: E402

_WARM_BATCHES = 200  # 72 MiB; a cache takes 64 MiB
PAGE = HERE.parent / "docs" / "reference" / "hardening.md"
HEAD = """# What hostile requests cost

No request may hold the event loop of a node or a proxy for more than 50 ms: all others wait for it. These are the
worst requests that we know, each as large as its call takes. The tests send them too
(`tests/integration/test_loop_blocks.py`).

- Command: `python benchmarks/hardening.py`
- Date: {date}, Python {python}, {machine}
- *Longest step*: of the thread of the event loop, in CPU time; the least of three tries.
- *Grew*: by how much the largest resident size of the process, while it served three of them, was above that of the
  same process when it had served small requests only: so many that the caches of its database were full.
- *By a proxy*: the same request sent through a proxy; the growth is the proxy's own.

| request | status | longest step ms | grew MiB | by a proxy: longest step ms | grew MiB |
|---|--:|--:|--:|--:|--:|
"""
STREAMS_HEAD = """
## Many clients at once

Clients that never end a request, or never read an answer, for 4 seconds; then a request of our own.

| what | grew MiB | health ms after it | by a proxy: grew MiB | health ms after it |
|---|--:|--:|--:|--:|
"""


def main() -> None:
    """Send all, and write the page."""
    times = _times()
    grown = dict(zip((one.name for one in ATTACKS), _grown([partial(_thrice, one) for one in ATTACKS]), strict=True))
    lines = []
    for attack in ATTACKS:
        (status, own_ms), (_, proxy_ms) = times["node", attack.name], times["proxy", attack.name]
        own, proxys = grown[attack.name]
        lines.append(_row((attack.name, status, f"{own_ms:.1f}", f"{own:.0f}", f"{proxy_ms:.1f}", f"{proxys:.0f}")))
    streams = []
    for stream in STREAMS:
        health: list[float] = []
        ((own, proxys),) = _grown([partial(_then_health, stream, health)])
        streams.append(_row((stream.name, f"{own:.0f}", f"{health[0]:.0f}", f"{proxys:.0f}", f"{health[1]:.0f}")))
    machine = f"{platform.system()} {platform.machine()}"
    head = HEAD.format(date=time.strftime("%Y-%m-%d"), python=platform.python_version(), machine=machine)
    PAGE.write_text(head + "\n".join(lines) + "\n" + STREAMS_HEAD + "\n".join(streams) + "\n")


def _row(cells: Sequence[object]) -> str:
    row = f"| {' | '.join(map(str, cells))} |"
    print(row, flush=True)
    return row


def _times() -> dict[tuple[str, str], tuple[int, float]]:
    """(status, longest step in ms) by who served it and the attack's name."""
    found = {}
    with tempfile.TemporaryDirectory() as directory, measured_steps() as steps, attacked(Path(directory)) as services:
        for name, service in services.items():
            for attack in ATTACKS:
                tries = [longest_step_ms(service, steps, attack) for _ in range(3)]
                found[name, attack.name] = (tries[0][0], min(ms for _, ms in tries))
    return found


def _grown(acts: Sequence[Callable[[int], None]]) -> list[tuple[float, float]]:
    """By how many MiB a node, and a proxy, is larger at most while each act does something to its port."""
    return list(zip(list(_grown_one(acts, 0)), list(_grown_one(acts, 1)), strict=True))


def _grown_one(acts: Sequence[Callable[[int], None]], which: int) -> Iterator[float]:
    with _processes() as processes:
        process = processes[which]
        fill(FrontDoor(processes[0].port))
        _warm(FrontDoor(process.port))
        before = process.rss_mib()
        for act in acts:
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the largest size is counted anew
            act(process.port)
            yield max(0.0, process.peak_rss_mib() - before)


def _warm(door: FrontDoor) -> None:
    """Write and read as much, in small requests, as the caches of the database take."""
    jobs = [{"url": URL, "payload": "x" * 15_000, "delay": "1h"}] * 25
    for _ in range(_WARM_BATCHES):
        assert door.call("POST", "/jobs/batch", {"jobs": jobs}).status == 200
    cursor = ""
    for _ in range(_WARM_BATCHES):
        page = door.get(f"/jobs?limit=25{cursor}").json
        cursor = f"&cursor={page['next_cursor']}"


@contextmanager
def _processes() -> Iterator[tuple[Process, Process]]:
    """A node and the proxy before it."""
    with stack("--proxies", "1") as front:
        (cluster,) = front.get("/topology")["cluster"]
        port = urlsplit(cluster["nodes"][0]).port
        assert port
        yield Process(_pid_of(front.pid, "serve"), port), Process(_pid_of(front.pid, "proxy"), front.port)


def _pid_of(supervisor: int, command: str) -> int:
    for pid in descendants(supervisor):
        if command.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pid
    raise RuntimeError(f"no process runs {command}")


def _thrice(attack: Attack, port: int) -> None:
    body = None if attack.body is None else attack.body()
    for _ in range(3):
        FrontDoor(port).call(attack.method, attack.path, body)


def _then_health(stream: Stream, milliseconds: list[float], port: int) -> None:
    stream.run(port)
    started = time.monotonic()
    FrontDoor(port).get("/health")
    milliseconds.append((time.monotonic() - started) * 1_000)


if __name__ == "__main__":
    main()
