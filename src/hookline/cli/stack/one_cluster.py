"""One cluster of three nodes on one machine."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from hookline.cli.first_words import LabelledLines
from hookline.cli.node_options import NodeOptions
from hookline.cli.stack import etcd
from hookline.cli.stack.children import Child
from hookline.cli.stack.cluster import SERVE, ClusterProcesses
from hookline.cli.stack.layout import Layout
from hookline.cli.stack.supervisor import Supervisor, node_environment, not_ready, told
from hookline.clock import SystemClock
from hookline.errors import NodeFault
from hookline.node.config import NodeConfig

_START_S = 60


class OneCluster(Supervisor):
    """Three etcd members and three nodes on 127.0.0.1, with their data in one directory.

    Args:
        directory: of the cluster.
        config: of the first node, for its port and what the others have in common with it.
        options: how the nodes work.
        serve: the command that is a node, without its arguments.

    Raises:
        InvalidConfig: etcd is missing, or the directory is not one of a cluster.
    """

    def __init__(
        self, directory: Path, config: NodeConfig, options: NodeOptions, *, count: int = 3, serve: Sequence[str] = SERVE
    ) -> None:
        super().__init__(directory, config)
        etcd.program()
        clock = SystemClock()
        layout = Layout.load(self.directory, count, config.port, clock)
        environment = node_environment(self.directory, options, clock) | config.tls.environment()
        self.cluster = ClusterProcesses(0, self.directory, layout, config, environment, serve, host=config.host)

    async def start(self, tasks: asyncio.TaskGroup, ready: Callable[[str], None]) -> None:
        try:
            async with asyncio.timeout(_START_S):
                await self.cluster.start(tasks, told)
        except TimeoutError:
            raise NodeFault(not_ready(self.children(), _START_S)) from None
        ready(next(iter(self.cluster.urls.values())))

    async def stop(self) -> None:
        await self.cluster.stop()

    def children(self) -> list[Child]:
        return self.cluster.children

    def node_urls(self) -> list[str]:
        return list(self.cluster.urls.values())

    def places(self) -> list[LabelledLines]:
        layout = self.cluster.layout
        return [
            ("nodes", [f"{name}  {url}" for name, url in self.cluster.urls.items()]),
            ("etcd", [f"{name}  {url}" for name, url in layout.etcd_urls().items()]),
            ("logs", [str(self.cluster.logs)]),
        ]
