"""Starts etcd, then the nodes, watches both, and stops them in the opposite order."""

import asyncio
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

from rich.table import Table

from hookline.cli.node_options import NodeOptions
from hookline.cli.output import stderr
from hookline.cli.stack import etcd
from hookline.cli.stack.children import Child
from hookline.cli.stack.layout import Layout
from hookline.clock import SystemClock
from hookline.errors import HooklineError, NodeFault
from hookline.node.config import NodeConfig
from hookline.node.leadership.local import LocalLeadership
from hookline.node.vault import DEFAULT_FILE, Vault

_INTERRUPTED = 130
START_S = 60
ETCD_GRACE_S = 10
CLOSING_S = 15  # what a node may need beside its running attempts: hand over, finish requests, write
SERVE = (sys.executable, "-m", "hookline.cli.app", "serve")


class Supervisor(ABC):
    """Runs processes until a signal comes, and stops them in good order.

    Args:
        directory: that holds the data of all; one supervisor at a time works in it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()

    @abstractmethod
    async def start(self, tasks: asyncio.TaskGroup, ready: Callable[[str], None]) -> None:
        """Start all in ``tasks``; calls ``ready`` when they serve."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop all in good order."""

    @abstractmethod
    def children(self) -> list[Child]:
        """All processes, those that depend on others first."""

    async def run(self, ready: Callable[[str], None]) -> None:
        """Until SIGTERM or SIGINT; a second SIGINT kills everything.

        Args:
            ready: called with the url of the front door when all serve.

        Raises:
            DataDirectoryInUse: another stack runs in this directory.
            NodeFault: a part did not start.
        """
        lock = LocalLeadership(self.directory)
        lock.lock()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGINT, self._interrupted, stop)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._first(tasks, stop, self.start(tasks, ready))
                await stop.wait()
                await self.stop()
        except BaseExceptionGroup as group:
            raise _first_reason(group) from group
        finally:
            await lock.release()

    async def _first(self, tasks: asyncio.TaskGroup, stop: asyncio.Event, start: Coroutine[None, None, None]) -> None:
        """Start, or stop trying when told to."""
        starting = tasks.create_task(start)
        stopping = tasks.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        stopping.cancel()

    def _interrupted(self, stop: asyncio.Event) -> None:
        if stop.is_set():
            for child in self.children():
                child.signal(signal.SIGKILL)
            os._exit(_INTERRUPTED)
        stop.set()


class Stack(Supervisor):
    """Three etcd members and three nodes on 127.0.0.1, with their data in one directory.

    Args:
        directory: of the stack.
        config: of the first node, for its port and what the others have in common with it.
        options: how the nodes work.
        serve: the command that is a node, without its arguments.

    Raises:
        InvalidConfig: etcd is missing, or the directory is not one of a stack.
    """

    def __init__(
        self, directory: Path, config: NodeConfig, options: NodeOptions, *, count: int = 3, serve: Sequence[str] = SERVE
    ) -> None:
        super().__init__(directory)
        etcd.program()
        clock = SystemClock()
        self.layout = Layout.load(self.directory, count, config.port, clock)
        self.logs = self.directory / "logs"
        self.logs.mkdir(exist_ok=True)
        self._grace_s = config.shutdown_grace_ms / 1_000 + CLOSING_S
        environment = without_identity(os.environ) | options.environment()
        if options.secret_key is None and options.secret_key_file is None:
            Vault.load(self.directory, None, None, clock)  # makes the file
            environment["HOOKLINE_SECRET_KEY_FILE"] = str(self.directory / DEFAULT_FILE)
        self.members = etcd.members(self.layout, self.directory, self.logs, config.etcd_quota_bytes)
        self.nodes = [self._node(name, serve, environment) for name in self.layout.nodes]

    def _node(self, name: str, serve: Sequence[str], environment: dict[str, str]) -> Child:
        command = [*serve, "--cluster", "c0", "--shard", "0", "--node", name]
        command += ["--listen", f"127.0.0.1:{self.layout.nodes[name]}", "--data-dir", str(self.directory / name)]
        command += ["--etcd", ",".join(self.layout.etcd_urls().values())]
        return Child(name, command, self.logs / f"{name}.log", environment)

    async def start(self, tasks: asyncio.TaskGroup, ready: Callable[[str], None]) -> None:
        try:
            async with asyncio.timeout(START_S):
                for child in self.members:
                    tasks.create_task(child.run())
                await etcd.wait_until_healthy(self.members, self.layout.etcd_urls())
                for child in self.nodes:
                    tasks.create_task(child.run())
                for child in self.nodes:
                    await child.is_ready.wait()
        except TimeoutError:
            late = ", ".join(child.name for child in (*self.members, *self.nodes) if not child.is_ready.is_set())
            raise NodeFault(f"not ready within {START_S} s: {late}. Their logs are in {self.logs}") from None
        self._show()
        ready(next(iter(self.layout.node_urls().values())))

    async def stop(self) -> None:
        # One by one, so that each hands over to one that still runs; the first, where clients are, ends last. The
        # members of etcd too: a leader whose followers stop along with it tries for 6 s to give its lead to them.
        for child in reversed(self.nodes):
            await child.stop(self._grace_s)
        for child in self.members:
            await child.stop(ETCD_GRACE_S)

    def children(self) -> list[Child]:
        return [*self.nodes, *self.members]

    def _show(self) -> None:
        table = Table("name", "url", "log", box=None, pad_edge=False)
        for name, url in (self.layout.node_urls() | self.layout.etcd_urls()).items():
            table.add_row(name, url, str(self.logs / f"{name}.log"))
        console = stderr()
        console.print(table, soft_wrap=True)
        console.print("Every node takes every request. Ctrl-C stops everything.", soft_wrap=True)


def without_identity(environment: "os._Environ[str]") -> dict[str, str]:
    """What makes a node a particular one, or reaches another etcd, must not come from around us."""
    theirs = ("HOOKLINE_ETCD", "HOOKLINE_ADVERTISE")
    return {name: value for name, value in environment.items() if not name.startswith(theirs)}


def _first_reason(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        ours = [error for error in group.exceptions if isinstance(error, HooklineError | BaseExceptionGroup)]
        group = (ours or group.exceptions)[0]
    return group
