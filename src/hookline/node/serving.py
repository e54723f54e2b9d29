"""Opens a node's doors: its own process takes the connections, or its fronts do."""

import asyncio
import socket
from typing import Protocol
from urllib.parse import urlsplit

from hookline.http_api.server import make_server
from hookline.node.assembly import Node
from hookline.node.config import NodeConfig
from hookline.node.front.fronts import Fronts


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

    def __init__(self, node: Node, listener: socket.socket) -> None:
        self._server = make_server(node.app, listener, allow_hosts=_hosts(node.config))
        self._listener = listener
        self.ready = asyncio.Event()
        self.ready.set()  # connections wait until they are taken

    async def run(self) -> None:
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        self._server.should_exit = True


def doors_of(node: Node, listener: socket.socket, held: int) -> Doors:
    """As the settings say; ``held`` as in ``Fronts``."""
    count = node.config.api_processes
    if not count:
        return OwnDoors(node, listener)
    return Fronts(node.api, node.app, listener, count=count, hosts=_hosts(node.config), held=held)


async def serve_when(halted: asyncio.Event, node: Node, listener: socket.socket) -> None:
    """Serve in this process from then on, until cancelled: a node that waits for a person says why."""
    await halted.wait()
    # On a socket of its own: uvicorn closes what it was given, and the node goes on to serve on the first one.
    own = listener.dup()
    server = make_server(node.app, own, allow_hosts=_hosts(node.config))
    try:
        await server.serve(sockets=[own])
    finally:
        own.close()


def _hosts(config: NodeConfig) -> tuple[str, ...]:
    """The names this node is called by, beside those of the loopback address."""
    return (*config.allow_hosts, urlsplit(config.advertised_url).netloc)
