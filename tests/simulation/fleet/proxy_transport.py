"""How a simulated client reaches the proxies."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from hookline.client.awaiting_transport import AwaitingTransport
from hookline.client.requests import Request
from hookline.client.retrying import Retrying
from hookline.errors import DeadlineExceeded, HooklineError
from tests.simulation.asgi import scope_of

if TYPE_CHECKING:
    from tests.simulation.fleet.proxy import SimulatedProxy
    from tests.simulation.fleet.world import FleetWorld

T = TypeVar("T")

_TRY_S = 15.0  # a client waits that long for an answer


class ProxyTransport:
    """The SDK's way of repeating, over whichever proxy the load balancer picks. One for each thing that is wanted.

    Attributes:
        heard: told the error of each try, or None.
    """

    def __init__(self, world: "FleetWorld", retries: int, proxy: "SimulatedProxy | None" = None) -> None:
        self._world = world
        self._proxy = proxy
        self._transport = AwaitingTransport(self, Retrying(retries, 10.0, world.clock), asyncio.sleep)
        self.heard: Callable[[HooklineError | None], None] = lambda _error: None

    async def close(self) -> None:
        """Nothing to close."""

    async def send(self, request: Request[T]) -> T:
        """Send the call, again as long as that is safe and allowed, and return its typed reply."""
        return await self._transport.send(request)

    async def once(self, request: Request[T]) -> T:
        """One try, by some proxy."""
        proxy = self._proxy or self._world.any_proxy()
        stamp = self._world.history.note(f"{request.method} {request.path} by {proxy.name} {request.body!r:.200}")
        try:
            value = await self._answer(proxy, request)
        except HooklineError as error:
            self._world.history.note(f"to {stamp}: {error.code} {error.detail}")
            if request.path != "/topology":
                self._world.record.said(error.code, f"{request.method} {request.path} ({stamp})")
            self.heard(error)
            raise
        self._world.history.note(f"to {stamp}: ok {str(value)[:200]}")
        self.heard(None)
        return value

    async def _answer(self, proxy: "SimulatedProxy", request: Request[T]) -> T:
        headers = tuple((name.lower().encode(), value.encode()) for name, value in request.headers.items())
        scope = scope_of(request.method, request.path, headers)
        try:
            async with asyncio.timeout(_TRY_S):
                answer = await proxy.ask(scope, request.body or b"")
        except TimeoutError:
            raise DeadlineExceeded from None
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
        return request.parse(answer.status, names, answer.body)
