"""Measures one peer: deliveries, enqueues, lag, and what a kill costs.

A peer's program is told ``setup``, ``work``, or ``enqueue FIRST COUNT BATCH CALLERS RATE AT``: enqueue the jobs with
the numbers FIRST to FIRST + COUNT, BATCH with a call, from CALLERS callers at once, RATE a second (0: as fast as it
goes), due at the second AT since 1970 (0: now). A job is a POST of a body to the receiver, with its number as path.
``enqueue`` prints one line of JSON: ``{"began", "seconds", "failed"}``, failed being the numbers that were not
acknowledged. The environment has PEER_STORE, PEER_ADMIN, PEER_RECEIVER, PEER_BODY, PEER_AT_ONCE, and PEER_PORT, a
free port.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from busy import ReadyTooLateError, patiently
from node_process import Process
from peers.accounts import account
from peers.catalogue import AT_ONCE, Peer
from peers.processes import Program, arrivals, cpu_seconds, free_port, memory_mib, own_environment
from peers.stores import Store

BODY = json.dumps({"order": 1234, "text": "x" * 461})  # 491 bytes
_DAY_S = 86_400


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        warm: jobs before a measurement.
        fast: jobs at a receiver that answers at once, and in enqueues.
        slow: jobs at one that takes 200 ms.
        batch: jobs of a call that enqueues many.
        herd: jobs due at one instant.
        ahead_s: how long before they are due.
        rate: jobs a second while something is killed.
        load_s: for so long.
        watch_s: how long the receiver is watched after the kill.
        longer_s: so much longer, if something is missing then.
        patience_s: after so long without all its jobs, a case has failed.
    """

    warm: int
    fast: int
    slow: int
    batch: int
    herd: int
    ahead_s: int
    rate: int
    load_s: int
    watch_s: int
    longer_s: int
    patience_s: int


FULL = Size(
    warm=300,
    fast=10_000,
    slow=3_000,
    batch=100,
    herd=2_000,
    ahead_s=15,
    rate=200,
    load_s=10,
    watch_s=130,
    longer_s=60,
    patience_s=240,
)
QUICK = Size(
    warm=20, fast=100, slow=20, batch=10, herd=20, ahead_s=4, rate=40, load_s=2, watch_s=4, longer_s=30, patience_s=60
)


class Stack:
    """A peer that runs: its store, its worker and the receiver."""

    def __init__(self, peer: Peer, store: Store, target: Process, directory: Path) -> None:
        self.peer, self.store, self.target = peer, store, target
        told = {
            "PEER_STORE": store.url,
            "PEER_ADMIN": store.admin,
            "PEER_RECEIVER": f"http://127.0.0.1:{target.port}",
            "PEER_BODY": BODY,
            "PEER_AT_ONCE": str(AT_ONCE),
            "PEER_PORT": str(free_port()),
        }
        self._environment: Mapping[str, str] = own_environment() | dict(peer.environment) | told
        self.worker = self._program("work", directory) if peer.program else None

    def _program(self, what: str, directory: Path) -> Program:
        log = directory / f"{what}.log"
        command = [*self.peer.program, what]
        return Program(command, self.peer.directory, environment=self._environment, log=log)

    def set_up(self) -> None:
        """Call ``setup``."""
        if self.peer.sets_up:
            self._run([*self.peer.program, "setup"])

    def enqueue(self, first: int, count: int, batch: int, callers: int, rate: int = 0, at: int = 0) -> dict[str, Any]:
        """Enqueue jobs; what the enqueuer printed."""
        with self.enqueuing(first, count, batch, callers, rate, at) as process:
            printed, words = process.communicate()
        return self._figures(process, printed, words)

    @contextmanager
    def enqueuing(self, *numbers: int) -> Iterator[subprocess.Popen[str]]:
        """An enqueuer that runs meanwhile."""
        command = [*self.peer.enqueuer, *map(str, numbers)]
        process = subprocess.Popen(
            command,
            cwd=self.peer.directory,
            env=dict(self._environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _figures(self, process: subprocess.Popen[str], printed: str, words: str) -> dict[str, Any]:
        if process.returncode:
            raise RuntimeError(f"{self.peer.name}: enqueuing failed: {words[-1_500:]}")
        figures: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return figures

    def ended(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """The figures of an enqueuer, when it ends."""
        printed, words = process.communicate()
        return self._figures(process, printed, words)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.peer.directory,
            env=dict(self._environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.peer.name}: {command[-1]} failed: {done.stderr[-1_500:]}")

    def pids(self) -> list[int]:
        """All processes of the peer, without the receiver and the enqueuer."""
        return self.store.pids() + (self.worker.tree() if self.worker else [])

    def wait_arrived(self, jobs: int, seconds: float) -> dict[str, Any]:
        """Wait until so many jobs came; the receiver's figures."""
        until = time.monotonic() + seconds
        while (stats := self.target.get("/stats"))["jobs"] < jobs:
            self.keep_running()
            if time.monotonic() > until:
                words = self.worker.last_words() if self.worker else ""
                raise TimeoutError(f"{self.peer.name}: {stats['jobs']} of {jobs} jobs came in {seconds} s. {words}")
            time.sleep(0.1)
        return dict(stats)

    def keep_running(self) -> None:
        """Start a worker that ended again, as whoever supervises it does."""
        if self.worker and not self.worker.runs():
            time.sleep(1)
            self.worker.start()

    def arrived(self) -> dict[int, list[float]]:
        """When each job came."""
        return {int(number): times for number, times in self.target.get("/arrivals").items()}


@contextmanager
def running(peer: Peer, delay_s: float, *, works: bool = True) -> Iterator[Stack]:
    """A fresh one; gone at the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, arrivals(delay_s) as target:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "store").mkdir()
        store = peer.store(directory / "store")
        try:
            store.start()
            stack = Stack(peer, store, target, directory)
            stack.set_up()
            if works and stack.worker:
                stack.worker.start()
            yield stack
        finally:
            if "stack" in locals() and stack.worker:
                stack.worker.kill()
            store.stop()


def _callers(batch: int) -> int:
    return 32 if batch == 1 else 4


def _warm(stack: Stack, size: Size) -> None:
    """Let a few through, until the peer works."""
    until = time.monotonic() + size.patience_s
    while stack.enqueue(0, 1, 1, 1)["failed"]:  # Restate does not know the service before it is registered
        if time.monotonic() > until:
            raise TimeoutError(f"{stack.peer.name}: no job was acknowledged in {size.patience_s} s")
        time.sleep(0.2)
    if failed := stack.enqueue(1, size.warm - 1, 1, 8)["failed"]:
        raise RuntimeError(f"{stack.peer.name}: {len(failed)} of {size.warm} first jobs were not acknowledged")
    stack.wait_arrived(size.warm, size.patience_s)


def deliver(peer: Peer, size: Size, delay_s: float, batch: int) -> dict[str, float]:
    """Jobs a second from the first enqueue to the last arrival; CPU and memory of all its processes."""
    count = size.slow if delay_s else size.fast
    with running(peer, delay_s) as stack:
        _warm(stack, size)
        before = cpu_seconds(stack.pids())
        figures = stack.enqueue(size.warm, count, batch, _callers(batch))
        created = count - len(figures["failed"])
        stats = stack.wait_arrived(size.warm + created, size.patience_s)
        time.sleep(1)  # in which it writes down that the last ones are done
        pids = stack.pids()
        return {
            "rate": created / (stats["last"] - figures["began"]),
            "cpu_us": (cpu_seconds(pids) - before) / created * 1e6,
            "memory_mib": memory_mib(pids),
            "at_once": stats["at_once"],
        }


def enqueue(peer: Peer, size: Size, batch: int) -> dict[str, float]:
    """Acknowledged jobs a second; nothing is delivered meanwhile."""
    with running(peer, 0, works=not peer.apart) as stack:
        at = 0 if peer.apart else int(time.time()) + _DAY_S
        if not peer.apart:
            _warm(stack, size)
        figures = stack.enqueue(size.warm, size.fast, batch, _callers(batch), 0, at)
        return {"rate": (size.fast - len(figures["failed"])) / figures["seconds"]}


def herd(peer: Peer, size: Size) -> dict[str, float]:
    """How late jobs arrive that are all due at one instant."""
    return patiently(lambda slowness: _herd(peer, size, slowness))


def _herd(peer: Peer, size: Size, slowness: int) -> dict[str, float]:
    with running(peer, 0) as stack:
        _warm(stack, size)
        batch = size.batch if peer.bulk else 1
        at = int(time.time()) + slowness * size.ahead_s
        stack.enqueue(size.warm, size.herd, batch, _callers(batch), 0, at)
        if time.time() > at:
            raise ReadyTooLateError
        stack.wait_arrived(size.warm + size.herd, size.patience_s)
        came = stack.arrived()
        lags = sorted((min(came[number]) - at) * 1_000 for number in range(size.warm, size.warm + size.herd))
        return {"p50": lags[len(lags) // 2], "p99": lags[int(len(lags) * 0.99)], "max": lags[-1], "min": lags[0]}


def killed(peer: Peer, size: Size, what: str) -> dict[str, float]:
    """Count what is lost and doubled when its ``worker`` or its ``store`` is killed under load, and started again."""
    with running(peer, 0.2) as stack:
        _warm(stack, size)
        numbers = range(size.warm, size.warm + size.rate * size.load_s)
        with stack.enqueuing(numbers.start, len(numbers), 1, 16, size.rate, 0) as process:
            stack.wait_arrived(size.warm + len(numbers) // 3, size.patience_s)
            killed_at = time.time()
            _kill(stack, what)
            until = time.monotonic() + size.watch_s
            while process.poll() is None:
                if time.monotonic() > until + size.patience_s:
                    raise TimeoutError(f"{peer.name}: the enqueuer did not end after the kill")
                stack.keep_running()
                time.sleep(0.1)
            figures = stack.ended(process)
        wanted = size.warm + len(numbers) - len(figures["failed"])
        while time.monotonic() < until or (  # all of the watch: doubles come late; and longer, if something is missing
            stack.target.get("/stats")["jobs"] < wanted and time.monotonic() < until + size.longer_s
        ):
            stack.keep_running()
            time.sleep(0.25)
        found = account(numbers, figures["failed"], stack.arrived(), killed_at)
        return {name: float(value) for name, value in found._asdict().items()}


def _kill(stack: Stack, what: str) -> None:
    if what == "store":
        stack.store.kill()
    elif not stack.store.kill_worker():
        assert stack.worker
        stack.worker.kill()
        stack.worker.start()
