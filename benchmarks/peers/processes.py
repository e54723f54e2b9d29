"""Processes of a peer, their CPU and their memory."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster_process import descendants
from node_process import Process, ready_port

BENCHMARKS = Path(__file__).parent.parent


class Program:
    """A process that can be killed and started again with the same command."""

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        log: Path | None = None,
    ) -> None:
        self._command, self._directory, self._user = list(command), directory, user
        self._environment = dict(environment or own_environment())
        self._process: subprocess.Popen[bytes] | None = None
        self.log = log or directory / f"{Path(command[0]).name}.log"

    @property
    def pid(self) -> int:
        """The pid; of a program that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Run it; what it prints goes to a log file in its directory."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env=self._environment,
                stdout=log,
                stderr=log,
                user=self._user,
                group=self._user,
                start_new_session=True,
            )

    def runs(self) -> bool:
        """Whether it is still there."""
        return self._process is not None and self._process.poll() is None

    def tree(self) -> list[int]:
        """Its pid, and those of all that it started."""
        return [self.pid, *_descendants(self.pid)] if self.runs() else []

    def kill(self) -> None:
        """SIGKILL to it and all that it started."""
        for pid in self.tree():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(60)

    def stop(self) -> None:
        """SIGTERM; SIGKILL to what is still there after ten seconds."""
        pids = self.tree()
        if self._process is None:
            return
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(errors="replace")[-2_000:] if self.log.exists() else ""


def own_environment() -> dict[str, str]:
    """The environment for what is not ours: without the path of our scripts."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


def _descendants(pid: int) -> list[int]:
    try:
        return descendants(pid)
    except (FileNotFoundError, ProcessLookupError):  # one ended meanwhile
        return _descendants(pid) if Path(f"/proc/{pid}").exists() else []


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes, and of those that they started and that have ended."""
    ticks = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(pids: Iterable[int]) -> float:
    """Memory of processes; what several share is counted once."""
    kib = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            kib += int(match[1]) if match else 0
    return kib / 1_024


def free_port() -> int:
    """A port that nobody listens at, below those that Linux takes for outgoing connections."""
    for port in range(20_000 + os.getpid() % 5_000 + len(_GIVEN) * 7, 32_000):
        with socket.socket() as probe:
            if port not in _GIVEN and probe.connect_ex(("127.0.0.1", port)) != 0:
                _GIVEN.add(port)
                return port
    raise RuntimeError("no port is free")


_GIVEN: set[int] = set()


def wait_port(port: int, program: Program, seconds: float = 60) -> None:
    """Wait until somebody listens at a port."""
    until = time.monotonic() + seconds
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > until or not program.runs():
            raise RuntimeError(f"it does not listen at {port}: {program.last_words()}")
        time.sleep(0.05)


@contextmanager
def arrivals(delay_s: float) -> Iterator[Process]:
    """The receiver that knows each job."""
    process = subprocess.Popen(
        [sys.executable, "-m", "peers.arrivals", str(delay_s)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(BENCHMARKS)},
    )
    try:
        yield Process(process.pid, ready_port(process))
    finally:
        process.kill()
        process.wait()
