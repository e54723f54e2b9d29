"""A cluster as processes: three etcd members and three nodes, each of which can be killed, paused and started again."""

import http.client
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hookline.cli import app
from hookline.clock import SystemClock
from hookline.tls.files import NO_TLS, TlsFiles
from hookline.tls.live import LiveTls
from tests.chaos.disks import Disks
from tests.chaos.networks import Network, PlacedMembers
from tests.end_to_end.processes import NodeProcess, until
from tests.etcd_members import EtcdMembers, free_ports
from tests.faulty_proxy import FaultyProxy
from tests.wrong_clock import set_clock

NAMES = ("n1", "n2", "n3")
_ASK_S = 1.0
AWAY = (OSError, ValueError, http.client.HTTPException)


class ClusterNode(NodeProcess):
    """``hookline serve`` of one node."""

    def __init__(self, name: str, directory: Path, etcd: Sequence[str], *options: str) -> None:
        super().__init__(directory / name, *options, port=free_ports(1)[0])
        self.name = name
        self.etcd = tuple(etcd)
        self.log = directory / f"{name}.log"
        self.is_paused = False
        self.losses = -1  # processes that ended otherwise than by SIGTERM
        self.inside: list[str] = []  # of a namespace
        self.clock: Path | None = None  # of a machine that can be set wrong

    def command(self) -> list[str]:
        return [
            *self.inside,
            *(sys.executable, "-m", *self._program(), "serve", "--cluster", "c0", "--shard", "0"),
            *("--node", self.name, "--listen", f"{self.host}:{self.port}", "--data-dir", str(self.data_dir)),
            *("--etcd", ",".join(self.etcd), "--secret-key-file", str(self.log.parent / "secret.key")),
            *("--allow-private-destinations", "--log-json", *self._options),
        ]

    def _program(self) -> list[str]:
        return ["hookline.cli.app"] if self.clock is None else ["tests.wrong_clock", str(self.clock)]

    def set_clock(self, ahead_ms: int) -> None:
        """Let its machine's wall clock be so far ahead."""
        assert self.clock is not None, "its clock is the machine's own"
        set_clock(self.clock, ahead_ms)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def spawn(self) -> None:
        self.is_paused = False
        self.losses += 1
        super().spawn()

    def stop(self) -> int:
        self.losses -= 1
        return super().stop()

    def pause(self) -> None:
        """SIGSTOP: connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)
        self.is_paused = True

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)
        self.is_paused = False

    def health(self) -> Any:
        """The body of ``GET /health``; None when the node does not answer at once."""
        if not self.is_running or self.is_paused:
            return None
        try:
            return self.call("GET", "/health", timeout_s=_ASK_S)[1]
        except AWAY:
            return None

    def is_ok(self) -> bool:
        """Does it say that all is well?"""
        return (self.health() or {}).get("status") == "ok"

    def is_halted(self) -> bool:
        """Does it wait for a person?"""
        return (self.health() or {}).get("role") == "halted"

    def applied(self) -> int:
        """Newest entry in its state, by its own word, its file may be a moment behind; -1 when it does not answer."""
        try:
            _, text = self.raw_call("GET", "/metrics", None, {}, 2)
        except AWAY:
            return -1
        for line in text.decode().splitlines():
            if line.startswith("hookline_applied_index "):
                return int(float(line.split()[1]))
        return -1


class WorkerProcess(NodeProcess):
    """``hookline worker`` of a cluster."""

    def __init__(self, name: str, directory: Path, urls: Sequence[str], *options: str) -> None:
        super().__init__(directory / name, *options)
        self.name = name
        self.urls = tuple(urls)
        self.log = directory / f"{name}.log"

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "hookline.cli.app", "worker", "--cluster", ",".join(self.urls)),
            *("--name", self.name, "--listen", f"{self.host}:{self.port}"),
            *("--secret-key-file", str(self.log.parent / "secret.key")),
            *("--allow-private-destinations", "--log-json", *self._options),
        ]

    def pause(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)


class Cluster:
    """Three members and three nodes; a context manager that starts and ends them.

    Args:
        directory: where all data and logs go.
        options: of each node.
        proxied: the nodes reach etcd through proxies, ``proxies[node]``, one for each member, that can be told to harm.
        etcd_quota_bytes: of each member; etcd's default unless given.
        disks: what the data lies on, when it is not an ordinary directory; mounted while the cluster runs.
        mode: which runners make attempts.
        workers: how many of them run, each with ``worker_slots``.
        clocks: each node has a wall clock of its own, that ``set_clock`` sets wrong.
        network: with a place for each node, which its etcd member shares; up while the cluster exists.
        tls: the files of all nodes and workers; clients show the same certificate.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        proxied: bool = False,
        etcd_quota_bytes: int | None = None,
        disks: Disks | None = None,
        network: Network | None = None,
        clocks: bool = False,
        mode: str = "leader",
        workers: int = 0,
        worker_slots: int = 0,
        tls: TlsFiles = NO_TLS,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        key = directory / "secret.key"
        key.write_text("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
        key.chmod(0o600)
        self.directory = directory
        self.disks = disks
        self.network = network
        if network is not None:
            network.__enter__()
            self.etcd: EtcdMembers = PlacedMembers(directory / "etcd", network)
        else:
            self.etcd = EtcdMembers(directory / "etcd", quota_backend_bytes=etcd_quota_bytes)
        if etcd_quota_bytes is not None:
            options = (*options, "--etcd-quota", str(etcd_quota_bytes))
        self.proxies: dict[str, list[FaultyProxy]] = {}
        if proxied:
            targets = [url.removeprefix("http://") for url in self.etcd.endpoints]
            self.proxies = {name: [FaultyProxy(target).__enter__() for target in targets] for name in NAMES}
        secured = [part for option, file in tls.named().items() for part in (option, str(file))]
        self.nodes = [ClusterNode(name, directory, self._endpoints(name), *options, *secured) for name in NAMES]
        self.mode = mode
        if clocks:
            for node in self.nodes:
                node.clock = directory / f"{node.name}.clock"
                node.set_clock(0)
        if network is not None:
            for node in self.nodes:
                node.host, node.inside = network.address[node.name], network.inside(node.name)
        context = LiveTls(tls, SystemClock()).client_context() if tls.is_server else None
        for node in self.nodes:
            node.tls = context
        urls = [node.url for node in self.nodes]
        self.workers = [
            WorkerProcess(f"w{number}", directory, urls, "--slots", str(worker_slots), *secured)
            for number in range(1, workers + 1)
        ]
        for worker in self.workers:
            worker.tls = context

    def _endpoints(self, name: str) -> Sequence[str]:
        proxies = self.proxies.get(name)
        return [proxy.url for proxy in proxies] if proxies else self.etcd.endpoints

    def run(self, command: str, *arguments: str) -> None:
        """``hookline cluster COMMAND`` on this cluster's etcd, as its operator. AssertionError when it fails."""
        tokens = ["cluster", command, "--cluster", "c0", "--etcd", ",".join(self.etcd.endpoints), *arguments]
        assert app.run(tokens) == 0, tokens

    def start_nodes(self) -> None:
        """All at once: they need no order."""
        away = [node for node in self.nodes if not node.is_running]
        for node in away:
            node.data_dir.mkdir(exist_ok=True)
            node.spawn()
        for node in away:
            node.wait_until_ready()

    def leader(self, seconds: float = 30) -> ClusterNode:
        """The node that takes writes; waits until there is one."""
        found: list[ClusterNode] = []

        def look() -> bool:
            found[:] = [node for node in self.nodes if (node.health() or {}).get("role") == "leader"][:1]
            return bool(found)

        until(look, f"a node leads; see {self.directory}", seconds)
        return found[0]

    def followers(self) -> list[ClusterNode]:
        """The nodes that do not lead."""
        leader = self.leader()
        return [node for node in self.nodes if node is not leader]

    def wait_until_serving(self) -> None:
        """Until one leads and the others know it."""
        self.leader()
        for node in self.nodes:
            if node.is_running:
                until(node.is_ok, f"{node.name} serves")

    def heal(self) -> None:
        """Undo every fault of a process or proxy: resume, start again, pass everything on."""
        for proxies in self.proxies.values():
            for proxy in proxies:
                proxy.answers_to_lose = proxy.requests_to_cut = 0
                proxy.delay_s, proxy.is_black_hole = 0.0, False
                proxy.reset_connections()
        if self.network is not None:
            self.network.heal()
        self.etcd.revive()
        for node in self.nodes:
            if node.is_running:
                node.resume()
            if node.clock is not None:
                node.set_clock(0)
        self.start_nodes()
        self.wait_until_serving()
        self.start_workers()

    def start_workers(self) -> None:
        """Those that do not run; the others are resumed."""
        for worker in self.workers:
            if worker.is_running:
                worker.resume()
            else:
                worker.start()

    def set_mode(self, mode: str) -> None:
        """``PATCH /cluster``."""
        self.mode = mode
        status, answer = self.leader().call("PATCH", "/cluster", {"mode": mode})
        assert (status, answer["mode"]) == (200, mode)

    def runners(self) -> dict[str, int]:
        """The slots that take part, by runner."""
        _, cluster = self.leader().call("GET", "/cluster")
        return {runner["name"]: runner["slots"] for runner in cluster["runners"] if runner["slots"]}

    def wait_for_runners(self, *names: str) -> None:
        """Until these take part, and no others."""
        until(lambda: set(self.runners()) == set(names), f"{names} attempt; see {self.directory}")

    def kill_all(self) -> None:
        """Every process, as if the power failed."""
        for node in (*self.workers, *self.nodes):
            node.kill()
        self.etcd.close()

    def __enter__(self) -> Self:
        try:
            if self.disks is not None:
                self.disks.__enter__()
            self.etcd.start()
            self.run("init", "--shard", "0")
            self.start_nodes()
            self.start_workers()
            if self.mode != "leader":
                self.set_mode(self.mode)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        self.kill_all()
        for proxies in self.proxies.values():
            for proxy in proxies:
                proxy.__exit__(None, None, None)
        self.proxies.clear()
        if self.disks is not None:
            self.disks.__exit__(None, None, None)
        if self.network is not None:
            self.network.__exit__(None, None, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
