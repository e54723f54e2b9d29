"""Grows and shrinks a fleet of real processes under load, and kills at every turn: ``python -m tests.chaos.moving``.

Clusters go from N to N + 1 and back while clients create jobs through two proxies, 200 a second, read them back and
cancel some. During each change the source, the destination, a proxy and the operator's command are killed in turn and
started again. In the end each acknowledged job was delivered or is cancelled, duplicates are counted, and every id that
was read was there.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.end_to_end.processes import until
from tests.etcd_members import EtcdMembers, free_ports

_KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
_DUE_S = (1, 90)
_WARM_UP_S = 60
_LATE_S = 150
_BETWEEN_KILLS_S = 3
_CLIENTS = 24
_OWN = "own-"  # begins an id that a client chose
_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "chaos-moving.md"
_HEAD = """# Chaos while clusters are added and taken out

What a fleet did while a cluster was added to it and taken out again under load, with real processes and real etcd, and
with one kill at each turn: the operator's command, the leader of a source, the leader of a destination, a proxy. Half
of the jobs have ids that clients chose; these move. The others hold the number of their shard, and move only out of a
cluster that leaves. `make chaos-moving ARGS="--write"` writes this page.

- Command: `{command}`
- Date: {date}
- Machine: 2 cores for everything: nodes, etcd, proxies, 24 clients, the receiver

A finished job stays where it is, so those of a cluster that was taken out are answered 404 afterwards, unless they move
too (`--with-finished`). A *duplicate* is a second request for a claim that was open when its leader was killed. A
*freeze* is the time for which a job counts at no cluster; that of a leader that was killed has its failover in it.
"""


class Program:
    """A ``hookline`` process that can be killed and started again."""

    def __init__(self, directory: Path, name: str, *arguments: str) -> None:
        self.name, self._arguments = name, arguments
        self._log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it."""
        command = [sys.executable, "-m", "hookline.cli.app", *self._arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=_environment())

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and wait for its end."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)

    def kill(self) -> None:
        """SIGKILL, and start it again."""
        self.end(signal.SIGKILL)
        self.start()


@dataclass
class Cluster:
    """A cluster: its nodes, and their urls."""

    name: str
    shard: int
    urls: list[str]
    nodes: list[Program]

    def leader(self) -> Program:
        """The node that leads, as one of them says."""
        if len(self.nodes) > 1:
            for url in self.urls:
                try:
                    leader = httpx.get(f"{url}/cluster", timeout=2).json()["leader"]
                    return next(node for node in self.nodes if node.name == f"{self.name}-{leader}")
                except (httpx.HTTPError, KeyError, StopIteration, ValueError):
                    continue
        return self.nodes[0]

    def entry(self) -> str:
        """As a topology names it."""
        urls = ", ".join(f'"{url}"' for url in self.urls)
        return f'[[cluster]]\nname = "{self.name}"\nshard = {self.shard}\nnodes = [{urls}]\n'


@dataclass
class Seen:
    """Holds what clients and the receiver saw."""

    acknowledged: dict[str, str] = field(default_factory=dict)  # id: state last heard of
    arrived: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    failed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def _environment() -> dict[str, str]:
    return os.environ | {"HOOKLINE_SECRET_KEY": _KEY}


class Clients(threading.Thread):
    """Creates jobs, reads them back and cancels some, through all proxies, until it is told to stop."""

    def __init__(self, proxies: Sequence[str], target: str, seen: Seen, rate: float, seed: int) -> None:
        super().__init__(daemon=True)
        self._proxies, self._target, self._seen, self._rate = proxies, target, seen, rate
        self._random = random.Random(seed)
        self.stop = threading.Event()

    def run(self) -> None:
        due = time.monotonic()
        number = 0
        with httpx.Client(timeout=15) as http:
            while not self.stop.is_set():
                due += 1 / self._rate
                time.sleep(max(0, due - time.monotonic()))
                number += 1
                self._create(http, number)
                if number % 4 == 0 and self._seen.acknowledged:
                    self._look(http, self._random.choice(list(self._seen.acknowledged)))

    def _create(self, http: httpx.Client, number: int) -> None:
        name = f"{self.name}-{number}"
        job: dict[str, Any] = {"url": self._target, "delay": self._random.uniform(*_DUE_S)}
        way = number % 4  # half of the ids are the client's choice, and move with the ring; the others hold their shard
        headers = {"Idempotency-Key": f"k-{name}"} if way == 1 else {}
        if way in (0, 2):
            job["id"] = _OWN + name
        answer = self._send(http, "POST", "/jobs", json=job, headers=headers, again=way != 3)
        if answer is not None and answer.status_code < 300:
            self._seen.acknowledged[answer.json()["id"]] = "pending"

    def _look(self, http: httpx.Client, job: str) -> None:
        if self._random.random() < 0.1:
            answer = self._send(http, "POST", f"/jobs/{job}/cancel", again=True)
            if answer is not None and answer.status_code == 200:
                self._seen.acknowledged[job] = "cancelled"
        else:
            answer = self._send(http, "GET", f"/jobs/{job}", again=True)
        if answer is not None and answer.status_code == 404 and job not in self._seen.arrived:
            again = [http.get(f"{proxy}/jobs/{job}") for proxy in self._proxies]
            later = [f"{one.status_code} {one.headers.get('hookline-cluster')}" for one in again]
            self._seen.missing.append(f"{job} at {answer.url}: {answer.text}; then {later}")

    def _send(self, http: httpx.Client, method: str, path: str, *, again: bool, **how: Any) -> httpx.Response | None:
        """As the SDK does: what may be repeated is, through the next proxy, while the answer says that it may be."""
        self._seen.calls += 1
        told = ""
        for attempt in range(8):
            try:
                answer = http.request(method, self._random.choice(self._proxies) + path, **how)
            except httpx.ConnectError:
                told = "connection refused"
            except httpx.HTTPError as error:
                told = repr(error)
                if not again:
                    return None  # nobody knows
            else:
                if answer.status_code < 500 and answer.status_code != 429:
                    return answer
                told = f"{answer.status_code} {answer.text[:200]}"
                if not again and answer.status_code == 504:
                    return None
            time.sleep(0.1 * 2**attempt)
        self._seen.failed.append(f"{method} {path}: {told}")
        return None


class Fleet:
    """The clusters, the proxies and the receiver."""

    def __init__(self, directory: Path, stack: ExitStack, nodes: int) -> None:
        self._directory, self._stack, self._nodes = directory, stack, nodes
        self.clusters: list[Cluster] = []
        self.epoch = 1

    def add(self) -> Cluster:
        """Start another cluster."""
        shard = len(self.clusters)
        name = f"c{shard}"
        ports = free_ports(self._nodes)
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        etcd: list[str] = []
        if self._nodes > 1:
            members = EtcdMembers(self._directory / f"etcd-{name}")
            members.start()
            self._stack.callback(members.close)
            etcd = ["--etcd", ",".join(members.endpoints), "--new-cluster"]
        programs = []
        for number, port in enumerate(ports, 1):
            node = Program(
                self._directory,
                f"{name}-n{number}",
                *("serve", "--cluster", name, "--shard", str(shard), "--node", f"n{number}"),
                *("--listen", f"127.0.0.1:{port}", "--data-dir", str(self._directory / f"{name}-n{number}")),
                *("--allow-private-destinations", "--attempt-processes", "0", "--api-processes", "0", *etcd),
            )
            node.start()
            self._stack.callback(node.end)
            programs.append(node)
        until(lambda: _is_ready(urls[0]), f"{name} is ready", 120)
        self.clusters.append(Cluster(name, shard, urls, programs))
        return self.clusters[-1]

    def topology(self, *names: str) -> Path:
        """A file with these clusters; without an epoch: the next one."""
        file = self._directory / f"topology-{'-'.join(names)}.toml"
        entries = "".join(one.entry() for one in self.clusters if one.name in names)
        file.write_text(f'strategy = "ring"\n{entries}')
        return file


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def change(fleet: Fleet, urls: Sequence[str], names: Sequence[str], victims: list[Any], rate: float) -> dict[str, Any]:
    """Apply a topology, at this many jobs a second; kill each victim while it goes on. What came of it."""
    file = fleet.topology(*names)
    began = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "hookline.cli.app",
        "topology",
        "apply",
        str(file),
        "--url",
        urls[0],
        "--rate",
        str(rate),
    ]
    operator = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment())
    freeze = 0
    moved: dict[tuple[str, str], int] = {}
    killed = []
    next_kill = began + _BETWEEN_KILLS_S / 2
    while True:
        time.sleep(0.7)
        try:
            status = httpx.get(f"{urls[1]}/topology/status", timeout=10).json()
        except (httpx.HTTPError, ValueError) as error:
            print(f"{time.monotonic() - began:.0f} s", repr(error), file=sys.stderr)
            continue
        if "pairs" not in status:
            print(f"{time.monotonic() - began:.0f} s", status, file=sys.stderr)
            continue
        print(f"{time.monotonic() - began:.0f} s", status, file=sys.stderr)
        freeze = max(freeze, status["longest_freeze_ms"])
        moved |= {(pair["from"], pair["to"]): pair["jobs_moved"] for pair in status["pairs"]}
        if status["state"] == "stable" and status["epoch"] > fleet.epoch:
            fleet.epoch = status["epoch"]
            break
        if sum(moved.values()) > 0 and victims and time.monotonic() > next_kill:
            next_kill = time.monotonic() + _BETWEEN_KILLS_S
            victim = victims.pop(0)
            killed.append(victim if isinstance(victim, str) else victim.name)
            if victim == "operator":
                operator.send_signal(signal.SIGKILL)
            elif isinstance(victim, Cluster):
                victim.leader().kill()
            else:
                victim.kill()
        if time.monotonic() - began > 300:
            raise TimeoutError(f"the change did not end: {status}")
    operator.kill()
    operator.wait()
    return {"seconds": time.monotonic() - began, "freeze_ms": freeze, "moved": sum(moved.values()), "killed": killed}


def main() -> None:
    """Run it and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=3, help="to begin with")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=3, help="of each cluster")
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--move-rate", type=float, default=25, help="jobs a second, so that all are killed meanwhile")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help=f"{_PAGE.name} too")
    parser.add_argument("--directory", type=Path, help="for data and logs, which are kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        report = run(given, given.directory or Path(name), stack)
    print(*report, sep="\n")
    if given.write:
        command = " ".join(["python -m tests.chaos.moving", *sys.argv[1:]])
        _PAGE.write_text("\n".join([_HEAD.format(command=command, date=time.strftime("%Y-%m-%d")), *report, ""]))


def run(given: argparse.Namespace, directory: Path, stack: ExitStack) -> list[str]:
    """The whole story; the lines that tell what came of it."""
    seen = Seen()
    target = stack.enter_context(_receiver(seen))
    fleet = Fleet(directory, stack, given.nodes)
    for _ in range(given.clusters):
        fleet.add()
    names = [one.name for one in fleet.clusters]
    file = directory / "first.toml"
    file.write_text(f"epoch = 1\n{fleet.topology(*names).read_text()}")
    ports = free_ports(2)
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    proxies = [
        Program(directory, f"p{port}", "proxy", "--listen", f"127.0.0.1:{port}", "--topology", str(file))
        for port in ports
    ]
    for proxy, url in zip(proxies, urls, strict=True):
        proxy.start()
        stack.callback(proxy.end)
        until(lambda url=url: _is_ready(url), "a proxy is ready", 120)  # type: ignore[misc]
    clients = [
        Clients(urls, target, seen, given.rate / _CLIENTS, given.seed * 100 + number) for number in range(_CLIENTS)
    ]
    began = time.monotonic()
    for client in clients:
        client.start()
    time.sleep(_WARM_UP_S)
    new = fleet.add()
    pending = len([job for job in seen.acknowledged.keys() - seen.arrived.keys() if job.startswith(_OWN)])
    grown = change(fleet, urls, [*names, new.name], ["operator", fleet.clusters[0], new, proxies[0]], given.move_rate)
    time.sleep(5)
    shrunk = change(fleet, urls, names, ["operator", new, fleet.clusters[0], proxies[1]], given.move_rate)
    time.sleep(2)
    for client in clients:
        client.stop.set()
        client.join()
    seconds = time.monotonic() - began
    cancelled = {job for job, state in seen.acknowledged.items() if state == "cancelled"}
    wanted = set(seen.acknowledged) - cancelled

    def has_all() -> bool:
        return wanted <= seen.arrived.keys()

    with suppress(AssertionError):  # it is told in the table
        until(has_all, "all arrived", _LATE_S)
    lost = sorted(wanted - seen.arrived.keys())
    doubled = {job: times for job, times in seen.arrived.items() if times > 1}
    few, many = given.clusters, given.clusters + 1
    return [
        "| jobs acknowledged | a second | calls | failed calls | waiting jobs answered 404 | lost | duplicates |",
        "|--:|--:|--:|--:|--:|--:|--:|",
        f"| {len(seen.acknowledged):,} | {len(seen.acknowledged) / seconds:.0f} | {seen.calls:,} | {len(seen.failed)} |"
        f" {len(seen.missing)} | {len(lost)} | {len(doubled)} |",
        "",
        "| clusters | seconds | jobs moved | longest freeze, ms | killed meanwhile |",
        "|---|--:|--:|--:|---|",
        f"| {few} to {many} | {_row(grown)} |",
        f"| {many} to {few} | {_row(shrunk)} |",
        "",
        f"When the ring grew, {pending:,} pending jobs had ids that clients chose;"
        f" {grown['moved'] / max(1, pending):.3f} of them moved, 1/{many} is {1 / many:.3f}.",
        *(["", *seen.failed[:5], *lost[:5], *seen.missing[:5]] if seen.failed or lost or seen.missing else []),
    ]


def _row(change: dict[str, Any]) -> str:
    return f"{change['seconds']:.1f} | {change['moved']:,} | {change['freeze_ms']:,} | {', '.join(change['killed'])}"


def _receiver(seen: Seen) -> Any:

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_arguments: Any) -> None:
            """A node that was killed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            seen.arrived[self.headers["webhook-id"]] += 1
            self.send_response(204)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            return

    @contextmanager
    def serving() -> Any:
        server = Server(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()

    return serving()


if __name__ == "__main__":
    main()
