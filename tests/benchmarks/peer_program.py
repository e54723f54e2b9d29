"""A peer as small as it gets: its jobs are lines of a file. ``python peer_program.py DIRECTORY FAULT COMMAND …``.

FAULT is ``none``, ``loses`` (a worker that starts again skips 25 jobs, more than are under way), or ``doubles`` (each
job goes twice).
"""

import json
import os
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hookline.clock import SystemClock


class Queue:
    """A file of jobs, and one that says how many of them were taken."""

    def __init__(self, directory: Path) -> None:
        self._jobs, self._taken = directory / "jobs", directory / "taken"

    def clear(self) -> None:
        self._jobs.write_text("")
        self._taken.write_text("0")

    def add(self, numbers: range, at: float) -> None:
        with self._jobs.open("a") as file:
            file.writelines(f"{number} {at}\n" for number in numbers)

    def taken(self) -> int:
        return int(self._taken.read_text())

    def take(self, count: int) -> None:
        other = self._taken.with_suffix(".new")
        other.write_text(str(count))
        other.replace(self._taken)

    def jobs(self) -> list[tuple[int, float]]:
        lines = [line.split() for line in self._jobs.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [(int(number), float(at)) for number, at in lines]


def now() -> float:
    return SystemClock().wall_ms() / 1_000


def post(job: tuple[int, float]) -> None:
    number, at = job
    time.sleep(max(0.0, at - now()))
    body = os.environ["PEER_BODY"].encode()
    urllib.request.urlopen(f"{os.environ['PEER_RECEIVER']}/{number}", data=body).close()


def work(queue: Queue, fault: str) -> None:
    if fault == "loses" and queue.taken():
        queue.take(queue.taken() + 25)
    with ThreadPoolExecutor(20) as pool:
        while True:
            taken = queue.taken()
            jobs = queue.jobs()[taken:][:20]
            for _ in range(2 if fault == "doubles" else 1):
                list(pool.map(post, jobs))
            queue.take(taken + len(jobs))
            time.sleep(0.01)


def enqueue(queue: Queue, first: int, count: int, batch: int, _callers: int, rate: int, at: int) -> None:
    began, started = now(), time.perf_counter()
    for start in range(first, first + count, batch):
        if rate:
            time.sleep(max(0.0, began + (start - first) / rate - now()))
        queue.add(range(start, min(start + batch, first + count)), at)
    print(json.dumps({"began": began, "seconds": time.perf_counter() - started, "failed": []}))


def main(directory: str, fault: str, command: str, *numbers: str) -> None:
    queue = Queue(Path(directory))
    if command == "setup":
        queue.clear()
    elif command == "work":
        work(queue, fault)
    else:
        enqueue(queue, *map(int, numbers))


if __name__ == "__main__":
    main(*sys.argv[1:])
