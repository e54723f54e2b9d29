"""Many clusters and the proxies before them on one machine: what DESIGN calls the whole picture."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

import msgspec

from hookline.cli.first_words import LabelledLines
from hookline.cli.node_options import NodeOptions
from hookline.cli.stack.children import Child
from hookline.cli.stack.cluster import ClusterProcesses, address
from hookline.cli.stack.layout import Layout, free_ports
from hookline.cli.stack.supervisor import Supervisor, node_environment, not_ready, told, without_identity
from hookline.clock import Clock, SystemClock
from hookline.errors import InvalidConfig, NodeFault
from hookline.node.config import NodeConfig
from hookline.protocol.topology import Topology, parse_topology_file

FILE = "fleet.json"
TOPOLOGY = "topology.toml"
PROXY = (sys.executable, "-m", "hookline.cli.app", "proxy")
_START_S = 60
_PROXY_GRACE_S = 20


class FleetPlan(msgspec.Struct, frozen=True):
    """The content of ``fleet.json``: how many clusters of how many nodes, and the ports of the proxies."""

    clusters: int
    nodes: int
    proxies: list[int]

    @classmethod
    def load(cls, directory: Path, clusters: int, nodes: int, proxies: int, port: int, clock: Clock) -> Self:
        """The remembered plan with as many proxies as wanted now, the first at ``port`` unless that is 0.

        Raises:
            InvalidConfig: the directory holds something else, or other clusters.
        """
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("state.db", "stack.json"):
            if (directory / name).exists():
                raise InvalidConfig(
                    f"{directory} holds one cluster without proxies; take another --data-dir", field="data_dir"
                )
        file = directory / FILE
        known: list[int] = []
        if file.exists():
            found = msgspec.json.decode(file.read_bytes(), type=cls)
            if (found.clusters, found.nodes) != (clusters, nodes):
                raise InvalidConfig(
                    f"{directory} holds {found.clusters} clusters of {found.nodes}; start it with "
                    f"--clusters {found.clusters} --nodes {found.nodes}, or take another --data-dir",
                    field="clusters",
                )
            known = found.proxies[:proxies]
        if port:
            known[:1] = [port]
        ports = known + free_ports(proxies - len(known), clock, set(known), port)
        plan = cls(clusters, nodes, ports)
        file.write_bytes(msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")
        return plan


class Fleet(Supervisor):
    """Clusters and proxies on 127.0.0.1, with their data in one directory.

    Args:
        directory: of all of them; each cluster has a folder of its own in it, and ``topology.toml`` lists them.
        config: what the nodes have in common; its port is the first proxy's.
        options: how the nodes work.

    Raises:
        InvalidConfig: etcd is missing, or the directory holds something else.
    """

    def __init__(
        self,
        directory: Path,
        config: NodeConfig,
        options: NodeOptions,
        clusters: int,
        nodes: Literal[1, 3],
        proxies: int,
    ) -> None:
        super().__init__(directory, config)
        self._host = config.host
        clock = SystemClock()
        plan = FleetPlan.load(self.directory, clusters, nodes, proxies, config.port, clock)
        environment = node_environment(self.directory, options, clock) | config.tls.environment()
        self._proxy_environment = without_identity(os.environ) | options.proxy_environment() | config.tls.environment()
        taken = set(plan.proxies)
        self.clusters = []
        for shard in range(clusters):
            place = self.directory / f"c{shard}"
            layout = Layout.load(place, nodes, 0, clock, taken, behind=config.port)
            taken |= layout.ports()
            self.clusters.append(ClusterProcesses(shard, place, layout, config, environment))
        self._write_topology()
        logs = self.directory / "logs"
        logs.mkdir(exist_ok=True)
        self.proxies = {
            f"{config.tls.scheme}://127.0.0.1:{port}": self._proxy(number, port)
            for number, port in enumerate(plan.proxies, 1)
        }

    def _write_topology(self) -> None:
        file = self.directory / TOPOLOGY
        if file.exists():  # the operator's from then on
            self._check_schemes(parse_topology_file(file.read_text()))
            return
        text = 'epoch = 1\nstrategy = "modulo"\n'
        for number, cluster in enumerate(self.clusters):
            urls = ", ".join(f'"{url}"' for url in cluster.urls.values())
            text += f'\n[[cluster]]\nname = "{cluster.name}"\nshard = {number}\nnodes = [{urls}]\n'
        file.write_text(text)

    def _check_schemes(self, topology: Topology) -> None:
        """Raise InvalidConfig when its urls of our nodes are of the time before TLS, or with it."""
        listed = {url for entry in topology.all_clusters() for url in entry.nodes}
        for url in self.node_urls():
            scheme, _, place = url.partition("://")
            other = {"http": "https", "https": "http"}[scheme]
            if f"{other}://{place}" in listed:
                raise InvalidConfig(
                    f"{self.directory / TOPOLOGY} has {other}://{place}, and the node is at {url}; correct its urls, "
                    "and let its epoch grow by one"
                )

    def _proxy(self, number: int, port: int) -> Child:
        command = [*PROXY, "--listen", address(self._host, port), "--topology", str(self.directory / TOPOLOGY)]
        name = f"proxy{number}"
        return Child(name, command, self.directory / "logs" / f"{name}.log", self._proxy_environment)

    async def start(self, tasks: asyncio.TaskGroup, ready: Callable[[str], None]) -> None:
        limit_s = _START_S + 10 * len(self.clusters)
        try:
            async with asyncio.timeout(limit_s):
                for cluster in self.clusters:  # one after the other: they share the machine
                    await cluster.start(tasks, told)
                for child in self.proxies.values():
                    tasks.create_task(child.run())
                for child in self.proxies.values():
                    await child.is_ready.wait()
        except TimeoutError:
            raise NodeFault(not_ready(self.children(), limit_s)) from None
        ready(next(iter(self.proxies)))

    async def stop(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for child in self.proxies.values():
                tasks.create_task(child.stop(_PROXY_GRACE_S))
        async with asyncio.TaskGroup() as tasks:
            for cluster in self.clusters:
                tasks.create_task(cluster.stop())

    def children(self) -> list[Child]:
        return [*self.proxies.values(), *(child for cluster in self.clusters for child in cluster.children)]

    def node_urls(self) -> list[str]:
        return [url for cluster in self.clusters for url in cluster.urls.values()]

    def places(self) -> list[LabelledLines]:
        clusters = [(one.name, [f"{node}  {url}" for node, url in one.urls.items()]) for one in self.clusters]
        logs = [self.directory / "logs", *(one.logs for one in self.clusters)]
        return [
            ("proxies", [f"{child.name}  {url}" for url, child in self.proxies.items()]),
            *clusters,
            ("topology", [str(self.directory / TOPOLOGY)]),
            ("logs", [str(one) for one in logs]),
        ]
