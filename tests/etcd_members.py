"""Real etcd members on this machine, to test against: started, killed, paused and asked who leads.

They listen on free ports of 127.0.0.1 and keep their data, fsynced as in production, below a directory of the caller's.
"""

import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hookline.errors import InvalidConfig

# What Hookline runs etcd with; compaction is Hookline's own.
_FLAGS = (
    "--heartbeat-interval=50",
    "--election-timeout=500",
    "--pre-vote",
    "--snapshot-count=5000",
    "--auto-compaction-retention=0",
    "--logger=zap",
    "--log-level=warn",
)
_POLL_S = 0.02
_ASK_S = 1.0
_PORTS = range(20_000, 32_000)
_SHARES = 4
_given: deque[int] = deque(maxlen=1_000)  # what this process chose lately, and may not use yet


@dataclass(frozen=True, slots=True)
class EtcdTls:
    """PEM files for the client side of the members; the certificate must name 127.0.0.1.

    ``is_mutual``: clients have to show one of that authority, as the tests do with the members' own.
    """

    ca_file: Path
    cert_file: Path
    key_file: Path
    is_mutual: bool = False


class EtcdMember:
    """One etcd process and its data."""

    def __init__(self, name: str, data_dir: Path, tls: EtcdTls | None) -> None:
        self.name = name
        self.log_file = data_dir / f"{name}.log"
        self._data_dir = data_dir / name
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self._command: list[str] = []
        client_port, peer_port = free_ports(2)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{client_port}"
        self.peer_url = f"http://127.0.0.1:{peer_port}"

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process, "not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """The process is there; it may be paused."""
        return self._process is not None and self._process.poll() is None

    def complain_if_failed(self) -> None:
        """Raises ChildProcessError when the process ended by itself."""
        if self._process is not None and (self._process.poll() or 0) > 0:
            raise ChildProcessError(f"{self.name} ended: {self.log_file.read_text(errors='replace')[-1_000:]}")

    def configure(self, cluster: str, *options: str) -> None:
        """Fix the command line; ``cluster``: what ``--initial-cluster`` says."""
        self._command = [
            _program(),
            f"--name={self.name}",
            f"--data-dir={self._data_dir}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={self.peer_url}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={cluster}",
            *_FLAGS,
            *options,
        ]
        if self._tls:
            self._command += [f"--cert-file={self._tls.cert_file}", f"--key-file={self._tls.key_file}"]
            if self._tls.is_mutual:
                self._command += ["--client-cert-auth", f"--trusted-ca-file={self._tls.ca_file}"]

    def start(self) -> None:
        """Start the process, with the data it left behind, if any."""
        assert not self.is_running, f"{self.name} runs already"
        with self.log_file.open("ab") as log:
            # The command is built above from our own values.
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone; nothing happens to one that is not running."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone; SIGKILL when that takes more than 5 s."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None or not self.is_running:
            return
        self._process.send_signal(how)
        if how is signal.SIGTERM:
            self._process.send_signal(signal.SIGCONT)  # a paused one would not notice
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: connections stay, nothing answers, from the moment that this returns."""
        self._signal(signal.SIGSTOP)
        assert self._process
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process, "not started"
        assert self.is_running, f"{self.name} does not run"
        self._process.send_signal(number)

    def is_healthy(self) -> bool:
        """It answers a read that a majority confirmed."""
        found = self._ask("/health")
        return found is not None and found.get("health") == "true"

    def is_leader(self) -> bool:
        """It says that it leads; an old leader may say so for a while."""
        found = self._ask("/v3/maintenance/status", {})
        return found is not None and found.get("leader") == found["header"]["member_id"]

    def _ask(self, path: str, body: object = None) -> dict[str, Any] | None:
        data = None if body is None else json.dumps(body).encode()
        context = None
        if self._tls:
            context = ssl.create_default_context(cafile=str(self._tls.ca_file))
            context.load_cert_chain(self._tls.cert_file, self._tls.key_file)
        try:
            # The url is the member's own, http(s) and 127.0.0.1.
            with urllib.request.urlopen(self.url + path, data, timeout=_ASK_S, context=context) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (urllib.error.URLError, OSError, ValueError):
            return None


class EtcdMembers:
    """One or three members that form an etcd cluster; a context manager that starts and ends them.

    Args:
        data_dir: where their data and logs go; made when missing.
        members: how many.
        options: of etcd, besides ours.
        quota_backend_bytes: of each database; etcd's default (2 GiB) unless given.
        tls: for the clients' side.

    Raises:
        InvalidConfig: etcd is not on PATH.
    """

    def __init__(
        self,
        data_dir: Path,
        members: int = 3,
        *options: str,
        quota_backend_bytes: int | None = None,
        tls: EtcdTls | None = None,
    ) -> None:
        _program()
        data_dir.mkdir(parents=True, exist_ok=True)
        self.members = [EtcdMember(f"e{number}", data_dir, tls) for number in range(1, members + 1)]
        cluster = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        quota = [f"--quota-backend-bytes={quota_backend_bytes}"] if quota_backend_bytes else []
        for member in self.members:
            member.configure(cluster, *quota, *options)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The clients' urls of all members."""
        return tuple(member.url for member in self.members)

    def start(self, timeout_s: float = 60) -> None:
        """Start all members and wait until they answer."""
        for member in self.members:
            member.start()
        try:
            self.wait_until_healthy(timeout_s)
            for member in self.members:  # another process may have answered at the port of one that could not start
                member.complain_if_failed()
        except BaseException:
            self.close()
            raise

    def wait_until_healthy(self, timeout_s: float = 60) -> None:
        """Wait until every member that runs answers. Raises TimeoutError, ChildProcessError when one has ended."""
        waiting = [member for member in self.members if member.is_running]

        def look() -> bool:
            while waiting and waiting[0].is_healthy():
                del waiting[0]
            return not waiting

        self._wait_for(look, "etcd is not healthy", timeout_s)

    def leader(self, timeout_s: float = 10) -> EtcdMember:
        """The member that leads; waits until there is one."""
        found: list[EtcdMember] = []

        def look() -> bool:
            found[:] = [member for member in self.members if member.is_running and member.is_leader()]
            return len(found) == 1

        self._wait_for(look, "no member leads", timeout_s)
        return found[0]

    def followers(self) -> list[EtcdMember]:
        """The members that do not lead."""
        leader = self.leader()
        return [member for member in self.members if member is not leader]

    def revive(self) -> None:
        """Resume what is paused, start what has ended, and wait until all members are healthy."""
        for member in self.members:
            if member.is_running:
                member.resume()
            else:
                member.start()
        self.wait_until_healthy()

    def close(self) -> None:
        """Kill all members; their data stays."""
        for member in self.members:
            member.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _wait_for(self, look: Callable[[], bool], complaint: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not look():
            for member in self.members:
                member.complain_if_failed()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{complaint} after {timeout_s:g} s")
            time.sleep(_POLL_S)


def _program() -> str:
    path = shutil.which("etcd")
    if path is None:
        raise InvalidConfig("etcd is not on PATH; install it (Debian: apt-get install etcd-server)", field="etcd")
    return path


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 where nobody listens, below those that the system gives to outgoing connections.

    So a process that is killed and started again finds its port free. Processes side by side choose among different
    ones, mostly: between the choice and the use of a port, nothing holds it.
    """
    found: list[int] = []
    own = [port for port in _PORTS[os.getpid() % _SHARES :: _SHARES] if port not in _given]
    for port in random.sample(own, len(own)):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        _given.append(port)
        if len(found) == count:
            return found
    raise OSError("no port is free")
