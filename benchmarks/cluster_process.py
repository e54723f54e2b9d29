"""Three nodes and three etcd members on this machine, as ``hookline up --nodes 3`` starts them."""

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
        for pid in _descendants(self.supervisor):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            if pid == self.leader.pid:
                split["leader"] += Process(pid, 0).cpu_seconds()
            elif Path(command[0]).name == "etcd":
                split["etcd"] += Process(pid, 0).cpu_seconds()
            elif "serve" in command:
                split["followers"] += Process(pid, 0).cpu_seconds()
        return split


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A fresh one; gone at the end."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "hookline.cli.app", "up", "--nodes", "3", "--data-dir", directory]
        command += ["--port", "17070", "--allow-private-destinations"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT, text=True
        )
        try:
            front = Process(process.pid, ready_port(process))
            yield Cluster(process.pid, _leader(front))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _leader(front: Process) -> Process:
    found = front.get("/cluster")
    (node,) = [node for node in found["nodes"] if node["name"] == found["leader"]]
    port = urlsplit(node["url"]).port
    assert port
    for pid in _descendants(front.pid):
        if re.search(rf"--node\0{node['name']}\0", Path(f"/proc/{pid}/cmdline").read_text()):
            return Process(pid, port)
    raise RuntimeError("the leader's process was not found")


def _descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [grandchild for child in children for grandchild in _descendants(child)]
