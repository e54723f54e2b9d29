"""Stacks of several processes on this machine, as ``hookline up`` starts them."""

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from node_process import ENVIRONMENT, Process, ready_port


@dataclass(frozen=True)
class Cluster:
    """A running cluster; ``leader`` is the process that executes."""

    supervisor: int
    leader: Process

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time so far, by role."""
        split = {"leader": 0.0, "followers": 0.0, "etcd": 0.0}
        for pid in descendants(self.supervisor):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            if pid == self.leader.pid:
                split["leader"] += Process(pid, 0).cpu_seconds()
            elif Path(command[0]).name == "etcd":
                split["etcd"] += Process(pid, 0).cpu_seconds()
            elif "serve" in command:
                split["followers"] += Process(pid, 0).cpu_seconds()
        return split


@contextmanager
def stack(*options: str) -> Iterator[Process]:
    """``hookline up`` with these options in a fresh directory: its pid, and the port of its front door."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "hookline.cli.app", "up", "--data-dir", directory, "--port", "0"]
        process = subprocess.Popen(
            [*command, "--allow-private-destinations", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
            text=True,
        )
        try:
            yield Process(process.pid, ready_port(process))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


@contextmanager
def cluster(*options: str) -> Iterator[Cluster]:
    """A fresh one of three nodes with these options; gone at the end."""
    with stack("--nodes", "3", *options) as front:
        yield Cluster(front.pid, leader_of(front))


def leader_of(front: Process) -> Process:
    """The process that leads in the stack behind ``front``."""
    found = front.get("/cluster")
    (node,) = [node for node in found["nodes"] if node["name"] == found["leader"]]
    port = urlsplit(node["url"]).port
    assert port
    for pid in descendants(front.pid):
        if re.search(rf"--node\0{node['name']}\0", Path(f"/proc/{pid}/cmdline").read_text()):
            return Process(pid, port)
    raise RuntimeError("the leader's process was not found")


def descendants(pid: int) -> list[int]:
    """The pids of all processes that a process has started, and of those that they have."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [grandchild for child in children for grandchild in descendants(child)]
