"""The processes of one cluster: its etcd members, if it has any, and its nodes."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hookline.cli.stack import etcd
from hookline.cli.stack.children import Child
from hookline.cli.stack.layout import Layout
from hookline.node.config import NodeConfig
from hookline.node.storage.snapshots import STATE_FILE

SERVE = (sys.executable, "-m", "hookline.cli.app", "serve")
LOOPBACK = "127.0.0.1"
_ETCD_GRACE_S = 10
_CLOSING_S = 15  # what a node may need beside its running attempts: hand over, finish requests, write


class ClusterProcesses:
    """One cluster on 127.0.0.1.

    Args:
        shard: it is called ``c`` and this number.
        directory: for its data.
        layout: which nodes it has and where they listen; more than one have etcd.
        config: what the nodes have in common.
        environment: of the nodes.
        serve: the command that is a node, without its arguments.
        host: where the nodes listen; they reach each other at 127.0.0.1.

    Attributes:
        urls: of the nodes, by name.
    """

    def __init__(
        self,
        shard: int,
        directory: Path,
        layout: Layout,
        config: NodeConfig,
        environment: dict[str, str],
        serve: Sequence[str] = SERVE,
        *,
        host: str = LOOPBACK,
    ) -> None:
        self.name = f"c{shard}"
        self.urls = layout.node_urls(config.tls.scheme)
        self.layout = layout
        self.logs = directory / "logs"
        self.logs.mkdir(exist_ok=True)
        self._grace_s = config.shutdown_grace_ms / 1_000 + _CLOSING_S
        is_quorum = len(layout.nodes) > 1
        is_new = is_quorum and _is_new(directory, layout)
        self.members = etcd.members(layout, directory, self.logs, config.etcd_quota_bytes) if is_quorum else []
        self.nodes = []
        for node, port in layout.nodes.items():
            command = [*serve, "--cluster", self.name, "--shard", str(shard), "--node", node]
            command += ["--listen", address(host, port), "--data-dir", str(directory / node)]
            if host != LOOPBACK:
                command += ["--advertise", self.urls[node]]
            if is_quorum:
                command += ["--etcd", ",".join(layout.etcd_urls().values())]
            if is_new:
                command.append("--new-cluster")
            self.nodes.append(Child(f"{self.name}/{node}", command, self.logs / f"{node}.log", environment))

    @property
    def children(self) -> list[Child]:
        """The nodes, then the members of etcd they depend on."""
        return [*self.nodes, *self.members]

    async def start(self, tasks: asyncio.TaskGroup, told: Callable[[str], None] = lambda _: None) -> None:
        """Start all; returns when the nodes serve.

        Args:
            tasks: where they run.
            told: hears what is up, as it comes.
        """
        for child in self.members:
            tasks.create_task(child.run())
        await etcd.wait_until_healthy(self.members, self.layout.etcd_urls())
        if self.members:
            told(f"{self.name}: etcd is up")
        for child in self.nodes:
            tasks.create_task(child.run())
        for child in self.nodes:
            await child.is_ready.wait()
            told(f"{self.name}: node {child.name.rpartition('/')[2]} is up")

    async def stop(self) -> None:
        """Stop all in good order."""
        # One by one, so that each hands over to one that still runs; the first, where clients are, ends last. The
        # members of etcd too: a leader whose followers stop along with it tries for 6 s to give its lead to them.
        for child in reversed(self.nodes):
            await child.stop(self._grace_s)
        for child in self.members:
            await child.stop(_ETCD_GRACE_S)


def address(host: str, port: int) -> str:
    """HOST:PORT, with brackets for IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_new(directory: Path, layout: Layout) -> bool:
    """Nothing was ever started here; or all nodes were restored from a backup, and etcd was not started since."""
    if any((directory / member).exists() for member in layout.etcd):
        return False
    return len({(directory / node / STATE_FILE).exists() for node in layout.nodes}) == 1
