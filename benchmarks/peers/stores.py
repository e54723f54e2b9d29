"""Starts what peers keep their jobs in. Each acknowledged write is on the disk: nothing here turns fsync off."""

import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from cluster_process import leader_of
from node_process import ENVIRONMENT, Process
from peers.processes import Program, free_port, wait_port


class Store(Protocol):
    """The place where a peer keeps its jobs.

    Attributes:
        url: as the peer's programs are told it; several are separated by commas.
        admin: another one, for those that have it.
    """

    url: str
    admin: str

    def start(self) -> None:
        """Run it, and wait until it answers."""

    def kill_worker(self) -> bool:
        """Kill the part of it that makes attempts and see that it runs again; false if it has none."""

    def kill(self) -> None:
        """Kill it, or one of three, and start it again."""

    def pids(self) -> list[int]:
        """All its processes."""

    def stop(self) -> None:
        """End it."""


class _OneProgram:
    """A store that is one program."""

    url = ""
    admin = ""

    def __init__(self, program: Program, port: int) -> None:
        self._program, self._port = program, port

    def start(self) -> None:
        self._program.start()
        wait_port(self._port, self._program)

    def kill_worker(self) -> bool:
        return False

    def kill(self) -> None:
        self._program.kill()
        self.start()

    def pids(self) -> list[int]:
        return self._program.tree()

    def stop(self) -> None:
        self._program.stop()


class Redis(_OneProgram):
    """One server.

    ``appendfsync always``: an acknowledged write is on the disk
    (https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/). ``noeviction``, as BullMQ asks for
    (https://docs.bullmq.io/guide/going-to-production); without snapshots, which the append-only file replaces.
    """

    def __init__(self, directory: Path) -> None:
        port = free_port()
        options = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction"]
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), *options]
        super().__init__(Program(command, directory), port)
        self.url = f"redis://127.0.0.1:{port}/0"


class Postgres(_OneProgram):
    """A cluster of its own, with the defaults: ``fsync``, ``synchronous_commit`` and ``full_page_writes`` are on.

    Only ``max_connections`` is raised. No peer's documentation asks for another setting of the server.
    """

    def __init__(self, directory: Path) -> None:
        binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        data, port = directory / "data", free_port()
        data.mkdir()
        for folder in (directory, data):
            subprocess.run(["chown", "postgres:postgres", str(folder)], check=True)
        make = [str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale"]
        subprocess.run(make, check=True, capture_output=True, user="postgres", group="postgres", cwd=directory)
        command = [str(binaries / "postgres"), "-D", str(data), "-p", str(port), "-k", str(data)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300"]
        super().__init__(Program(command, directory, user="postgres"), port)
        self._ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"

    def start(self) -> None:
        super().start()
        while subprocess.run(self._ready, check=False).returncode:  # it listens while it still reads its log
            time.sleep(0.05)


class Restate:
    """One server, or three that replicate to two (https://docs.restate.dev/server/deploy/cluster).

    All else is the default; ``rocksdb-disable-wal-fsync`` is false by default, so appends to its log are on the disk.
    The service has as many connections to the receiver as there are attempts at once.
    """

    def __init__(self, directory: Path, binary: Path, nodes: int) -> None:
        fabric = [free_port() for _ in range(nodes)]
        ingress = [free_port() for _ in range(nodes)]
        admins = [free_port() for _ in range(nodes)]
        self._ports = [*fabric, *ingress, *admins]
        self.url = ",".join(f"http://127.0.0.1:{port}" for port in ingress)
        self.admin = f"http://127.0.0.1:{admins[0]}"
        self._nodes = []
        peers = ", ".join(f'"http://127.0.0.1:{port}"' for port in fabric)
        for number in range(nodes):
            folder = directory / f"n{number + 1}"
            folder.mkdir()
            file = folder / "restate.toml"
            file.write_text(
                f'node-name = "n{number + 1}"\ncluster-name = "peers"\nbase-dir = "{folder}/data"\n'
                f'bind-address = "127.0.0.1:{fabric[number]}"\nlisten-mode = "tcp"\n'
                f'advertised-address = "http://127.0.0.1:{fabric[number]}"\n'
                f"auto-provision = {'true' if number == 0 else 'false'}\n"
                f"default-replication = {2 if nodes > 1 else 1}\ndisable-telemetry = true\n"
                f"[metadata-client]\naddresses = [{peers}]\n"
                f'[ingress]\nbind-address = "127.0.0.1:{ingress[number]}"\n'
                f'[admin]\nbind-address = "127.0.0.1:{admins[number]}"\n'
            )
            self._nodes.append(Program([str(binary), "--config-file", str(file)], folder))

    def start(self) -> None:
        for node in self._nodes:
            node.start()
        for port in self._ports:
            wait_port(port, self._nodes[0], 120)
        _until(lambda: _answers(f"{self.admin}/health"), "Restate is healthy")

    def kill_worker(self) -> bool:
        return False

    def kill(self) -> None:
        self._nodes[0].kill()
        self._nodes[0].start()

    def pids(self) -> list[int]:
        return [pid for node in self._nodes for pid in node.tree()]

    def stop(self) -> None:
        for node in self._nodes:
            node.kill()


class Hookline:
    """``hookline up`` with one node or three and its defaults; it has no worker beside it."""

    admin = ""

    def __init__(self, directory: Path, nodes: int) -> None:
        port = free_port()
        command = [sys.executable, "-m", "hookline.cli.app", "up", "--data-dir", str(directory / "data")]
        command += ["--port", str(port), "--nodes", str(nodes), "--allow-private-destinations"]
        self._program, self._port, self._count = Program(command, directory, environment=ENVIRONMENT), port, nodes
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        self._program.start()
        wait_port(self._port, self._program, 120)
        _until(lambda: _answers(f"http://127.0.0.1:{self._port}/readyz"), "Hookline is ready")
        if self._count > 1:
            found = Process(self._program.pid, self._port).get("/cluster")
            self.url = ",".join(node["url"] for node in found["nodes"])

    def kill_worker(self) -> bool:
        if self._count == 1:
            self.kill()
        else:
            _kill(leader_of(Process(self._program.pid, self._port)).pid)
        return True

    def kill(self) -> None:
        if self._count == 1:
            self._program.kill()
            self.start()
            return
        etcd = [pid for pid in self._program.tree() if re.match(r"[^\0]*etcd\0", _command(pid))]
        _kill(etcd[0])  # hookline up starts it again

    def pids(self) -> list[int]:
        return self._program.tree()

    def stop(self) -> None:
        self._program.stop()


class Nothing:
    """No store of ours: the program has its own."""

    url = ""
    admin = ""

    def start(self) -> None:
        pass

    def kill_worker(self) -> bool:
        return False

    def kill(self) -> None:
        pass

    def pids(self) -> list[int]:
        return []

    def stop(self) -> None:
        pass


def _command(pid: int) -> str:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""


def _kill(pid: int) -> None:
    subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(pid)], check=True)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _until(holds: Callable[[], bool], what: str, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(f"not in {seconds} s: {what}")
        time.sleep(0.1)
