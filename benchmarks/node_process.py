"""Starts and stops the processes of a benchmark: a node, a receiver, a load."""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

ENVIRONMENT = os.environ | {"HOOKLINE_SIGNING_SECRET": SECRET}


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """A running node or receiver."""

    pid: int
    port: int
    tls: ssl.SSLContext | None = None  # it speaks TLS
    key: str | None = None  # it asks for one

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return cpu_seconds(self.pid)

    def children_cpu_seconds(self) -> float:
        """The same of the processes that it has started and that run."""
        return sum(map(cpu_seconds, self.children()))

    def children(self) -> list[int]:
        """The processes that it has started and that run."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def rss_mib(self) -> float:
        """Resident memory."""
        return self._memory_mib("VmRSS")

    def peak_rss_mib(self) -> float:
        """The largest it was."""
        return self._memory_mib("VmHWM")

    def _memory_mib(self, field: str) -> float:
        match = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert match
        return int(match[1]) / 1024

    def get(self, path: str) -> Any:
        """GET a JSON document."""
        with self._open(path) as response:
            return json.load(response)

    def succeeded(self) -> int:
        """Jobs delivered so far, by the node's metrics."""
        with self._open("/metrics") as response:
            match = re.search(rb'hookline_jobs\{state="succeeded"\} (\S+)', response.read())
        return int(float(match[1])) if match else 0

    def _open(self, path: str) -> Any:
        scheme = "http" if self.tls is None else "https"
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(f"{scheme}://127.0.0.1:{self.port}{path}", headers=headers)
        return urllib.request.urlopen(request, context=self.tls)


@contextmanager
def node(
    data_dir: Path | None = None,
    *options: str,
    tls: ssl.SSLContext | None = None,
    key: str | None = None,
    program: Sequence[str] = ("-m", "hookline.cli.app"),
) -> Iterator[Process]:
    """``hookline up`` with one node on the local log; a fresh directory unless one is given.

    ``program``: the command ``hookline``, as Python's arguments.
    """
    with tempfile.TemporaryDirectory() as fresh:
        command = [sys.executable, *program, "up", "--data-dir", str(data_dir or fresh), "--port", "0"]
        command += ["--allow-private-destinations", *options]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT, text=True
        )
        try:
            yield Process(process.pid, ready_port(process), tls, key)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def ready_port(process: subprocess.Popen[str]) -> int:
    """The port of the ready line."""
    assert process.stdout
    for line in process.stdout:
        if match := re.match(r"ready https?://127\.0\.0\.1:(\d+)", line):
            return int(match[1])
    raise RuntimeError("the process did not start")


@contextmanager
def receiver(delay_s: float, spread: float = 0.0) -> Iterator[Process]:
    """The bare receiver."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "receiver.py"), str(delay_s), str(spread)], stdout=subprocess.PIPE, text=True
    )
    try:
        yield Process(process.pid, ready_port(process))
    finally:
        process.kill()
        process.wait()


def script(name: str, *arguments: object, **environment: str) -> dict[str, Any]:
    """Run another script of this folder to its end and read the JSON line it prints."""
    command, env = [sys.executable, str(HERE / name), *map(str, arguments)], ENVIRONMENT | environment
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:])} failed: {done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
