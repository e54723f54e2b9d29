"""Measures what the worst requests cost: ``python benchmarks/hardening.py`` writes docs/reference/hardening.md.

The time is measured in a node and a proxy of this process: the longest step of the loops' threads in CPU time, the
least of three (a garbage collection may come between). The memory is that of a node and a proxy with processes of
their own: by how much the largest resident size while the request is served is above the size before.
"""

import argparse
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="for trying the script: one of each kind, and no page")
    is_quick = parser.parse_args().quick
    attacks, streams, tries = (ATTACKS[-1:], STREAMS[-1:], 1) if is_quick else (ATTACKS, STREAMS, 3)
    warm = 2 if is_quick else _WARM_BATCHES
    rows = "\n".join(_attack_rows(attacks, tries, warm))
    stream_rows = "\n".join(_stream_rows(streams, warm))
    if not is_quick:
        machine = f"{platform.system()} {platform.machine()}"
        head = HEAD.format(date=time.strftime("%Y-%m-%d"), python=platform.python_version(), machine=machine)
        PAGE.write_text(f"{head}{rows}\n{STREAMS_HEAD}{stream_rows}\n")


def _attack_rows(attacks: Sequence[Attack], tries: int, warm: int) -> Iterator[str]:
    times = _times(attacks, tries)
    grown = _grown([partial(_thrice, one) for one in attacks], warm)
    for attack, (own, proxys) in zip(attacks, grown, strict=True):
        (status, own_ms), (_, proxy_ms) = times["node", attack.name], times["proxy", attack.name]
        yield _row((attack.name, status, f"{own_ms:.1f}", f"{own:.0f}", f"{proxy_ms:.1f}", f"{proxys:.0f}"))


def _stream_rows(streams: Sequence[Stream], warm: int) -> Iterator[str]:
    for stream in streams:
        health: list[float] = []
        ((own, proxys),) = _grown([partial(_then_health, stream, health)], warm)
        yield _row((stream.name, f"{own:.0f}", f"{health[0]:.0f}", f"{proxys:.0f}", f"{health[1]:.0f}"))


def _row(cells: Sequence[object]) -> str:
    row = f"| {' | '.join(map(str, cells))} |"
    print(row, flush=True)
    return row


def _times(attacks: Sequence[Attack], tries: int) -> dict[tuple[str, str], tuple[int, float]]:
    """(status, longest step in ms) by who served it and the attack's name."""
    found = {}
    with tempfile.TemporaryDirectory() as directory, measured_steps() as steps, attacked(Path(directory)) as services:
        for name, service in services.items():
            for attack in attacks:
                steps_ms = [longest_step_ms(service, steps, attack) for _ in range(tries)]
                found[name, attack.name] = (steps_ms[0][0], min(ms for _, ms in steps_ms))
    return found


def _grown(acts: Sequence[Callable[[int], None]], warm: int) -> list[tuple[float, float]]:
    """By how many MiB a node, and a proxy, is larger at most while each act does something to its port."""
    return list(zip(list(_grown_one(acts, 0, warm)), list(_grown_one(acts, 1, warm)), strict=True))


def _grown_one(acts: Sequence[Callable[[int], None]], which: int, warm: int) -> Iterator[float]:
    with _processes() as processes:
        process = processes[which]
        fill(FrontDoor(processes[0].port))
        _warm(FrontDoor(process.port), warm)
        before = process.rss_mib()
        for act in acts:
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the largest size is counted anew
            act(process.port)
            yield max(0.0, process.peak_rss_mib() - before)


def _warm(door: FrontDoor, batches: int) -> None:
    """Write and read as much, in small requests, as the caches of the database take."""
    jobs = [{"url": URL, "payload": "x" * 15_000, "delay": "1h"}] * 25
    for _ in range(batches):
        assert door.call("POST", "/jobs/batch", {"jobs": jobs}).status == 200
    cursor = ""
    for _ in range(batches):
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
