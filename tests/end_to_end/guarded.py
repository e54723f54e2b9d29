"""A cluster that asks for keys: nodes with a door of their own for each other, a worker, and a proxy before them."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.cluster import NAMES, Cluster, ClusterNode, WorkerProcess
from tests.end_to_end.fleet import ProxyProcess
from tests.end_to_end.processes import NodeProcess
from tests.etcd_members import free_ports

ROOT = "the-root-key-of-this-test"


class Shown(NodeProcess):
    """Each call to it shows the root key."""

    def raw_call(
        self, method: str, path: str, data: str | None, headers: dict[str, str], timeout_s: float = 60
    ) -> tuple[int, bytes]:
        return super().raw_call(method, path, data, {"authorization": f"Bearer {ROOT}"} | headers, timeout_s)


class GuardedNode(Shown, ClusterNode):
    """A node with a door of its own for other processes."""

    def __init__(self, name: str, directory: Path, etcd: Sequence[str], *options: str) -> None:
        self.inner_port = free_ports(1)[0]
        own = ("--root-key-file", str(directory / "root.key"), "--listen-internal", f"127.0.0.1:{self.inner_port}")
        super().__init__(name, directory, etcd, *own, *options)

    @property
    def inner_url(self) -> str:
        return f"http://{self.host}:{self.inner_port}"


class GuardedProxy(Shown, ProxyProcess):
    """A proxy that proves by the root key what it is."""

    def command(self) -> list[str]:
        return [*super().command(), "--root-key-file", str(self._topology.parent / "root.key")]


def guarded(directory: Path, *more: str) -> tuple[Cluster, list[GuardedNode]]:
    """A cluster of such nodes with ``more`` options, and a worker, in the mode hybrid."""
    (directory / "root.key").write_text(ROOT)
    cluster = Cluster(directory, mode="hybrid")
    options = ("--slots", "16", "--api-processes", "1", *more)
    nodes = [GuardedNode(name, directory, cluster.etcd.endpoints, *options) for name in NAMES]
    cluster.nodes[:] = nodes
    cluster.workers = [WorkerProcess("w1", directory, [node.inner_url for node in nodes], "--slots", "16")]
    return cluster, nodes


def proxy_before(nodes: Sequence[GuardedNode]) -> GuardedProxy:
    """A proxy that knows these nodes by their inner doors; it does not run yet."""
    directory = nodes[0].log.parent
    topology = directory / "topology.toml"
    urls = json.dumps([node.inner_url for node in nodes])
    topology.write_text(f'epoch = 1\n[[cluster]]\nname = "c0"\nshard = 0\nnodes = {urls}\n')
    return GuardedProxy(directory / "proxy", topology)
