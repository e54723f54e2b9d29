"""HAProxy and nginx, run from the files in ``deploy/``: only what belongs to a machine is replaced.

That is addresses, paths of files, and the user.
"""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.fleet import fresh_port
from tests.end_to_end.processes import until

DEPLOY = Path(__file__).parents[2] / "deploy"
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True, slots=True)
class Balancer:
    """One that runs; ``log`` is what it says."""

    port: int
    log: Path

    def takes_to_be_up(self, server: str) -> bool:
        """Says whether HAProxy's health checks found the server up when they looked last."""
        found = re.findall(rf"Server proxies/{server} is (UP|DOWN)", self.log.read_text())
        return not found or found[-1] == "UP"


@contextmanager
def haproxy(directory: Path, backends: Sequence[str], files_max: int = 4_096) -> Iterator[Balancer]:
    """Debian's haproxy before two backends (``host:port``), where a process may have that many open files."""
    port = fresh_port()
    file = _written(directory / "haproxy.cfg", haproxy_text(backends, port))
    with _running("haproxy", ["-db", "-f", str(file)], directory, port, files_max) as balancer:
        yield balancer


@contextmanager
def nginx(directory: Path, backends: Sequence[str]) -> Iterator[Balancer]:
    """Debian's nginx before two backends (``host:port``)."""
    port = fresh_port()
    file = _written(directory / "nginx.conf", nginx_text(directory, backends, port))
    user = "user root; " if os.geteuid() == 0 else ""
    settings = f"daemon off; {user}pid {directory}/nginx.pid;"
    with _running("nginx", ["-e", "stderr", "-c", str(file), "-g", settings], directory, port) as balancer:
        yield balancer


def haproxy_text(backends: Sequence[str], port: int) -> str:
    """Its configuration, as on this machine."""
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    text = _replaced(text, {"bind *:80": f"bind 127.0.0.1:{port}"})
    text = _replaced(text, _addresses(backends))
    if os.geteuid() != 0:  # it can only be who we are
        text = _replaced(text, {"user haproxy": "", "group haproxy": ""})
    return text


def nginx_text(directory: Path, backends: Sequence[str], port: int) -> str:
    """Likewise; its temporary files go below the directory."""
    paths = "".join(f"\n    {name}_temp_path {directory}/{name};" for name in _TEMPORARY)
    text = (DEPLOY / "nginx" / "nginx.conf").read_text()
    text = _replaced(text, {"listen 80": f"listen 127.0.0.1:{port}", "http {": "http {" + paths})
    return _replaced(text, _addresses(backends))


BALANCERS = {"haproxy": haproxy, "nginx": nginx}


def _addresses(backends: Sequence[str]) -> dict[str, str]:
    return dict(zip(("10.0.0.11:7000", "10.0.0.12:7000"), backends, strict=True))


def _replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        lines = [line for line in text.splitlines() if old in line and not line.lstrip().startswith("#")]
        assert len(lines) == 1, f"{old!r} is in {len(lines)} lines"
        text = text.replace(lines[0], lines[0].replace(old, new))
    return text


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


@contextmanager
def _running(
    program: str, arguments: list[str], directory: Path, port: int, files_max: int | None = None
) -> Iterator[Balancer]:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert path, f"{program} is missing: tools/test installs it"
    log = directory / f"{program}.log"
    with log.open("w") as output:
        limited = [] if files_max is None else ["prlimit", f"--nofile={files_max}:{files_max}"]
        process = subprocess.Popen([*limited, path, *arguments], stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: _listens(process, port, log), f"{program} listens")
        yield Balancer(port, log)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _listens(process: "subprocess.Popen[bytes]", port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
