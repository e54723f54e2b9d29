"""Clusters of one node each, and proxies before them, as processes that are killed and started one by one."""

import json
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

from hookline.protocol.routing import Router
from hookline.protocol.topology import parse_topology_file
from tests.end_to_end.processes import NodeProcess
from tests.etcd_members import free_ports

_taken: set[int] = set()


def fresh_port() -> int:
    """A free port that this process has not chosen before."""
    port = next(port for port in free_ports(len(_taken) + 1) if port not in _taken)
    _taken.add(port)
    return port


class ServedNode(NodeProcess):
    """The only node of a cluster: ``hookline serve``."""

    def __init__(self, directory: Path, shard: int) -> None:
        directory.mkdir(parents=True)
        super().__init__(directory / "data", port=fresh_port())
        self.shard = shard
        self.cluster = f"c{shard}"

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "hookline.cli.app", "serve", "--data-dir", str(self.data_dir)),
            *("--cluster", self.cluster, "--shard", str(self.shard), "--listen", self.address),
            *("--allow-private-destinations", "--slots", "20"),
        ]

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


class ProxyProcess(NodeProcess):
    """``hookline proxy``; the port is its own from the first start on."""

    def __init__(self, directory: Path, topology: Path) -> None:
        directory.mkdir(parents=True)
        super().__init__(directory / "data", port=fresh_port())
        self._topology = topology

    def command(self) -> list[str]:
        command = [sys.executable, "-m", "hookline.cli.app", "proxy", "--topology", str(self._topology)]
        return [*command, "--listen", self.address]

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


class Fleet:
    """Clusters c0, c1, … and proxies; ``doors``: other addresses (``host:port``) by which the proxies reach some."""

    def __init__(self, nodes: list[ServedNode], proxies: int, directory: Path, doors: Mapping[str, str]) -> None:
        self.nodes = {node.cluster: node for node in nodes}
        self.topology = directory / "topology.toml"
        self.topology.write_text("epoch = 1\n" + "".join(_entry(node, doors) for node in nodes))
        self.proxies = [ProxyProcess(directory / f"proxy{number}", self.topology) for number in range(proxies)]
        self._router = Router(parse_topology_file(self.topology.read_text()))
        self._names = count()

    def name_for(self, cluster: str) -> str:
        """A fresh id or key that is at home there."""
        while True:
            name = f"order-{next(self._names)}"
            if self._router.key_home(name).cluster.name == cluster:
                return name


def _entry(node: ServedNode, doors: Mapping[str, str]) -> str:
    url = f"http://{doors.get(node.cluster, node.address)}"
    return f'[[cluster]]\nname = "{node.cluster}"\nshard = {node.shard}\nnodes = {json.dumps([url])}\n'


@contextmanager
def running(fleet: Fleet) -> Iterator[Fleet]:
    """All processes of the fleet, started side by side; they are gone at the end."""
    processes: list[NodeProcess] = [*fleet.nodes.values(), *fleet.proxies]
    with ExitStack() as stack:
        for process in processes:
            process.spawn()
            stack.callback(process.kill)
        with ThreadPoolExecutor(len(processes)) as threads:
            list(threads.map(NodeProcess.wait_until_ready, processes))
        yield fleet
