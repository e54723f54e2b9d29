"""Keeps a node's fronts running: starts them, hands them the listening socket, starts those again that end.

All fronts accept from one queue of connections, which is the node's, so none is lost with a front that dies.
"""

import asyncio
import socket
from contextlib import suppress
from typing import Final

from hookline.errors import NodeFault
from hookline.http_api.endpoint import AsgiApp
from hookline.node.api.context import Api
from hookline.node.front.node_end import NodeEnd
from hookline.node.front.setup import FrontSetup, encode_setup, without_secrets
from hookline.processes.child import ChildProcess, start_child
from hookline.processes.restarts import Restarts
from hookline.protocol.api_keys import hash_of
from hookline.telemetry.area_log import log_of
from hookline.telemetry.logs import log_settings
from hookline.telemetry.tracing.export import settings_of_traces

MODULE: Final = "hookline.node.front.process"
TELL_S: Final = 1.0
HANGS_S: Final = 30.0  # without a word; a front says something every second
_STARTS_MAX: Final = 3  # until one is ready for the first time
_DRAIN_S: Final = 15.0  # for the requests under way when the node stops
_LAST_ANSWERS_S: Final = 0.5  # for those whose fate was decided by whatever ends the node

_log = log_of("api")


class Fronts:
    """The fronts of one node.

    Args:
        api, app: of the node.
        listener: where they take connections; this process takes none.
        count: how many, at least one.
        hosts: names that the node is called by.
        held: a descriptor that they hold open: the lock on the data directory, so that whoever gets it next knows that
            they are gone, and their port is free.

    Attributes:
        ready: set when all take connections.
    """

    def __init__(
        self, api: Api, app: AsgiApp, listener: socket.socket, *, count: int, hosts: tuple[str, ...], held: int
    ) -> None:
        self._api = api
        self._app = app
        self._listener = listener
        self._count = count
        self._hosts = hosts
        self._held = held
        self._children: dict[NodeEnd, ChildProcess] = {}
        self._stopping = asyncio.Event()
        self.ready = asyncio.Event()

    @property
    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [child.pid for child in self._children.values()]

    def stop(self) -> None:
        """Make ``run`` return, once the requests under way are answered."""
        self._stopping.set()
        self._listener.close()  # theirs are closed as well when they have got the message
        for end in self._children:
            end.drain()

    async def run(self) -> None:
        """Until ``stop``.

        Raises:
            NodeFault: a front cannot be started.
        """
        # What fronts have begun in this process outlives them, and is answered also when this is cancelled.
        async with asyncio.TaskGroup() as begun, asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch())
            keeping = [tasks.create_task(self._keep(begun)) for _ in range(self._count)]
            await asyncio.wait(keeping)
            watching.cancel()

    async def _watch(self) -> None:
        """Tell them the time, and kill those that hang. Looks are counted: a pause of this process is not theirs."""
        while True:
            await asyncio.sleep(TELL_S)
            for end, child in self._children.items():
                end.tell_time()
                end.silent_s += TELL_S
                if end.silent_s > HANGS_S:
                    _log.error("front_hangs", pid=child.pid)
                    child.kill()

    async def _keep(self, begun: asyncio.TaskGroup) -> None:
        loop, restarts = asyncio.get_running_loop(), Restarts()
        starts = 0
        while not self._stopping.is_set():
            started_s = loop.time()
            starts += 1
            code = await self._run_one(begun)
            if self._stopping.is_set():
                return
            if not self.ready.is_set() and starts == _STARTS_MAX:
                raise NodeFault(f"an API process ended with code {code} before it took connections, three times")
            pause_s = restarts.pause_s(loop.time() - started_s)
            _log.error("front_ended", code=code, again_in_s=pause_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()

    async def _run_one(self, begun: asyncio.TaskGroup) -> int:
        """One life of a front; its exit code."""
        end = NodeEnd(self._api, self._app, begun.create_task, self._look_whether_ready)
        listening = self._listener.fileno()
        child = await start_child(MODULE, end.received, arguments=(str(listening),), keep=(listening, self._held))
        end.link = child.link
        self._children[end] = child
        try:
            child.link.send(encode_setup(self._setup()))
            end.tell_time()
            if self._stopping.is_set():
                end.drain()
            await self._until_ended(child)
        finally:
            end.drain()  # if this node fails: what was decided by then is still answered
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_ANSWERS_S):
                    await child.ended()
            code = await child.end()
            del self._children[end]
            end.gone()
        return code

    async def _until_ended(self, child: ChildProcess) -> None:
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(child.ended())
            stopping = tasks.create_task(self._stopping.wait())
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await asyncio.wait({ended}, timeout=_DRAIN_S)
            ended.cancel()
            stopping.cancel()

    def _look_whether_ready(self) -> None:
        if sum(end.is_ready for end in self._children) == self._count:
            self.ready.set()

    def _setup(self) -> FrontSetup:
        config = self._api.config
        roots = tuple(hash_of(key) for key in config.root_keys)
        keys = self._api.services.inner_door.keys if config.internal_host is None else ()
        return FrontSetup(without_secrets(config), self._hosts, *log_settings(), roots, keys, settings_of_traces())
