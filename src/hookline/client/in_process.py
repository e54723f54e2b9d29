"""The SDK's client on a node or a proxy in the same process: the same calls and checks, without a socket."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote

from hookline.client.awaiting import AsyncClient
from hookline.client.awaiting_transport import AwaitingTransport
from hookline.client.requests import Request
from hookline.client.retrying import Retrying
from hookline.clock import Clock
from hookline.errors import ConnectionFailed

_HERE = ("127.0.0.1", 1)
T = TypeVar("T")
App = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application."""


class InProcessClient(AsyncClient):
    """An ``AsyncClient`` that calls an ASGI application directly.

    Args:
        app: gives the application of the node that runs now, None while it is down.
        clock: where ids and jitter come from.
        retries: how often a call is tried again, if that is safe.
        headers: sent with every call; their names in lower case.
        address: of whoever the calls are made for, as the application sees it.
    """

    def __init__(
        self,
        app: Callable[[], App | None],
        clock: Clock,
        *,
        retries: int = 3,
        headers: Mapping[str, str] | None = None,
        address: tuple[str, int] = _HERE,
    ) -> None:
        self._clock = clock
        exchange = InProcessExchange(app, headers or {}, address)
        self._transport = AwaitingTransport(exchange, Retrying(retries, 60.0, clock), asyncio.sleep)

    async def send(self, request: Request[T]) -> T:
        """Carry one call, made by ``client.requests``, to the node."""
        return await self._transport.send(request)


class InProcessExchange:
    """Carries a call to the application and its answer back."""

    def __init__(self, app: Callable[[], App | None], headers: Mapping[str, str], address: tuple[str, int]) -> None:
        self._app = app
        self._headers = headers
        self._address = address

    async def close(self) -> None:
        """Nothing to close."""

    async def once(self, request: Request[T]) -> T:
        """Ask it. Raises ConnectionFailed while there is none."""
        app = self._app()
        if app is None:
            raise ConnectionFailed("The node in this process is not running.")
        answer: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": request.body or b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            answer.append(message)

        await app(self._scope(request), receive, send)
        start, *rest = answer
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        return request.parse(start["status"], headers, b"".join(message.get("body", b"") for message in rest))

    def _scope(self, request: Request[Any]) -> dict[str, Any]:
        path, _, query = request.path.partition("?")
        given = {**self._headers, **{name.lower(): value for name, value in request.headers.items()}}
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode("ascii"),
            "root_path": "",
            "query_string": query.encode("ascii"),
            "headers": headers,
            "client": self._address,
            "server": ("127.0.0.1", 7070),
            "extensions": {"hookline.in_process": {}},
        }
