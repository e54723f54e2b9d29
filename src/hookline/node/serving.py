"""Opens a node's doors: its own process takes the connections, or its fronts do."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from starlette.applications import Starlette

from hookline.http_api.server import make_server
from hookline.node.assembly import Node
from hookline.node.config import NodeConfig
from hookline.node.front.fronts import Fronts
from hookline.tls.live import LiveTls


class Doors(Protocol):
    """Takes the connections."""

    @property
    def ready(self) -> asyncio.Event:
        """Set when it does."""

    async def run(self) -> None:
        """Until ``stop``, and the requests under way are answered."""

    def stop(self) -> None:
        """Make ``run`` return in good order."""


class OwnDoors:
    """Takes them in this process."""

    def __init__(self, app: Starlette, config: NodeConfig, tls: LiveTls, listener: socket.socket) -> None:
        self._server = make_server(app, listener, allow_hosts=_hosts(config), tls=tls)
        self._listener = listener
        self.ready = asyncio.Event()
        self.ready.set()  # connections wait until they are taken

    async def run(self) -> None:
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        self._server.should_exit = True


class TwoDoors:
    """The one for clients, and the one for our processes, which this process opens itself."""

    def __init__(self, public: Doors, inner: Doors) -> None:
        self._public, self._inner = public, inner
        self.ready = public.ready

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._public.run())
            tasks.create_task(self._inner.run())

    def stop(self) -> None:
        self._public.stop()
        self._inner.stop()


def doors_of(node: Node, listeners: Sequence[socket.socket], held: int, tls: LiveTls) -> Doors:
    """As the settings say; ``listeners``: one for each of its places; ``held`` as in ``Fronts``."""
    config, (listener, *inner) = node.config, listeners
    count = config.api_processes
    public: Doors = OwnDoors(node.app, config, tls, listener)
    if count:
        public = Fronts(node.api, node.app, listener, count=count, hosts=_hosts(config), held=held)
    return public if node.inner_app is None else TwoDoors(public, OwnDoors(node.inner_app, config, tls, *inner))


async def serve_when(halted: asyncio.Event, node: Node, listeners: Sequence[socket.socket], tls: LiveTls) -> None:
    """Serve in this process from then on, until cancelled: a node that waits for a person says why."""
    await halted.wait()
    async with asyncio.TaskGroup() as tasks:
        for app, listener in zip((node.app, node.inner_app), listeners, strict=False):
            assert app is not None
            tasks.create_task(_serve_meanwhile(app, node.config, listener, tls))


async def _serve_meanwhile(app: Starlette, config: NodeConfig, listener: socket.socket, tls: LiveTls) -> None:
    # On a socket of its own: uvicorn closes what it was given, and the node goes on to serve on the first one.
    own = listener.dup()
    server = make_server(app, own, allow_hosts=_hosts(config), tls=tls, is_listener_shared=True)
    try:
        await server.serve(sockets=[own])
    finally:
        own.close()


def _hosts(config: NodeConfig) -> tuple[str, ...]:
    """The names this node is called by, beside those of the loopback address."""
    return (*config.allow_hosts, urlsplit(config.advertised_url).netloc)
