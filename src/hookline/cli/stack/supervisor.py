"""Runs processes until a signal comes, and stops them in good order."""

import asyncio
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import msgspec

from hookline.cli.first_words import LabelledLines
from hookline.cli.node_options import NodeOptions
from hookline.cli.output import stderr, waiting
from hookline.cli.stack.children import Child
from hookline.clock import Clock, SystemClock
from hookline.errors import HooklineError, NodeFault
from hookline.http_api.guard import bearer
from hookline.node.config import NodeConfig
from hookline.node.leadership.local import LocalLeadership
from hookline.node.vault import DEFAULT_FILE, Vault
from hookline.peers.http_sender import HttpSender
from hookline.peers.sender import NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.protocol.http import ClusterChange, Health
from hookline.protocol.modes import Mode
from hookline.tls.live import LiveTls

_INTERRUPTED = 130
_ASK_S = 0.5
_SET_S = 15.0


class Supervisor(ABC):
    """Starts and stops a group of processes.

    Args:
        directory: that holds the data of all; one supervisor at a time works in it.
        config: what the nodes have in common.

    Attributes:
        mode: to be set when all serve; None: as it was.
    """

    def __init__(self, directory: Path, config: NodeConfig) -> None:
        self.directory = directory.absolute()
        self.mode: Mode | None = None
        self._root_key = config.root_key
        self._tls = LiveTls(config.tls, SystemClock())

    @abstractmethod
    async def start(self, tasks: asyncio.TaskGroup, ready: Callable[[str], None]) -> None:
        """Start all in ``tasks``; calls ``ready`` when they serve."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop all in good order."""

    @abstractmethod
    def children(self) -> list[Child]:
        """All processes, those that depend on others first."""

    @abstractmethod
    def node_urls(self) -> list[str]:
        """Lists the urls of the nodes."""

    @abstractmethod
    def places(self) -> list[LabelledLines]:
        """Lists what there is beside the front door, and where."""

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
                await self._first(tasks, stop, self._start(tasks, ready))
                await stop.wait()
                if text := waiting(await running_at(self.node_urls(), self._tls)):
                    told(text)
                await self.stop()
        except BaseExceptionGroup as group:
            raise _first_reason(group) from group
        finally:
            await lock.release()

    async def _start(self, tasks: asyncio.TaskGroup, ready: Callable[[str], None]) -> None:
        serving: list[str] = []
        await self.start(tasks, serving.append)
        if self.mode is not None:
            await set_mode(self.node_urls(), self.mode, self._tls, self._root_key)
        ready(serving[0])

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
        told("stopping; Ctrl-C again to force")


def told(text: str) -> None:
    """A line while something starts: it takes a while."""
    stderr().print(text, style="dim", soft_wrap=True)


async def set_mode(urls: Sequence[str], mode: Mode, tls: LiveTls, root_key: str | None = None) -> None:
    """Have the clusters of these nodes work in this mode. Raises NodeFault."""
    async with HttpSender(tls=tls) as sender:
        for url in urls:
            call = NodeCall.to(CALLS["changeCluster"], msgspec.json.encode(ClusterChange(mode)))
            if root_key is not None:
                call = call.with_headers(bearer(root_key))
            try:
                answer = await sender.send(url, call, _SET_S)
            except (NotSent, Unclear) as error:
                raise NodeFault(f"the mode cannot be set: {error.detail}") from error
            if answer.status != 200:
                raise NodeFault(f"the mode cannot be set: {url} answered {answer.status} {answer.code}")


async def running_at(urls: Sequence[str], tls: LiveTls | None = None) -> int:
    """How many attempts run at these nodes; those that do not say so at once are left out."""
    async with HttpSender(tls=tls) as sender:
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(_running(sender, url)) for url in urls]
        return sum(task.result() for task in asking)


async def _running(sender: Sender, url: str) -> int:
    try:
        answer = await sender.send(url, NodeCall.to(CALLS["getHealth"]), _ASK_S)
        slots = msgspec.json.decode(answer.body, type=Health).usage.get("slots")
    except (NotSent, Unclear, TimeoutError, msgspec.MsgspecError):
        return 0
    return slots.used if slots else 0


def not_ready(children: Sequence[Child], limit_s: int) -> str:
    """Names the processes that did not become ready in time; the last words of the first of them may say why."""
    late = [child for child in reversed(children) if not child.is_ready.is_set()]
    names = ", ".join(child.name for child in late)
    return f"not ready within {limit_s} s: {names}. The end of {late[0].log}:\n{late[0].log_end()}"


def without_identity(environment: "os._Environ[str]") -> dict[str, str]:
    """Leaves out of the environment what makes a node a particular one, reaches another etcd, or was read already."""
    theirs = ("HOOKLINE_ETCD", "HOOKLINE_ADVERTISE", "HOOKLINE_LISTEN_INTERNAL", "HOOKLINE_CONFIG")
    return {name: value for name, value in environment.items() if not name.startswith(theirs)}


def node_environment(directory: Path, options: NodeOptions, clock: Clock) -> dict[str, str]:
    """The environment of all nodes that share ``directory``: the options, and one key for their secrets."""
    environment = without_identity(os.environ) | options.environment()
    for name in ("api_processes", "attempt_processes"):
        if getattr(options, name) in (None, "auto"):  # the nodes share the cores of this machine already
            environment[f"HOOKLINE_{name.upper()}"] = "0"
    if options.secret_key is None and options.secret_key_file is None:
        Vault.load(directory, None, None, clock)  # makes the file
        environment["HOOKLINE_SECRET_KEY_FILE"] = str(directory / DEFAULT_FILE)
    return environment


def _first_reason(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        ours = [error for error in group.exceptions if isinstance(error, HooklineError | BaseExceptionGroup)]
        group = (ours or group.exceptions)[0]
    return group
