"""Connections of the SDK's own, kept in the pool of the HTTP library, httpcore2.

The layer above it, httpx2, takes about a quarter of a call's CPU; its redirects, cookies and environment are not wanted
here.
"""

from collections.abc import Iterable
from typing import Any

import httpcore2

from hookline.client.carriers import CarrierAnswer, CarrierCall, all_of, all_of_async
from hookline.client.connections import Connecting, proxy_place
from hookline.client.deadline import SOCKET_OPTIONS, AsyncBoundedBackend, BoundedBackend, until
from hookline.client.httpcore_errors import told_as_ours
from hookline.client.place import Place

CONNECTIONS_MAX = 100
_IDLE_S = 5.0


class PooledConnections:
    """For ordinary code."""

    def __init__(self, connecting: Connecting[Any]) -> None:
        self._place = Place(connecting.url)
        self._pool = httpcore2.ConnectionPool(**_pool_options(connecting), network_backend=BoundedBackend())

    def carry(self, call: CarrierCall) -> CarrierAnswer:
        with told_as_ours(call.url), until(call.left_s):
            response = self._pool.handle_request(_request(self._place, call))
            try:
                body = all_of(response.stream, call.left_s)  # type: ignore[arg-type]  # the library types both kinds as one
            finally:
                response.close()
            return CarrierAnswer(response.status, _lowered(response.headers), body)

    def close(self) -> None:
        self._pool.close()


class AsyncPooledConnections:
    """For asyncio."""

    def __init__(self, connecting: Connecting[Any]) -> None:
        self._place = Place(connecting.url)
        self._pool = httpcore2.AsyncConnectionPool(**_pool_options(connecting), network_backend=AsyncBoundedBackend())

    async def carry(self, call: CarrierCall) -> CarrierAnswer:
        with told_as_ours(call.url), until(call.left_s):
            response = await self._pool.handle_async_request(_request(self._place, call))
            try:
                body = await all_of_async(response.stream, call.left_s)  # type: ignore[arg-type]  # as above
            finally:
                await response.aclose()
            return CarrierAnswer(response.status, _lowered(response.headers), body)

    async def close(self) -> None:
        await self._pool.aclose()


def _request(place: Place, call: CarrierCall) -> httpcore2.Request:
    """A call as the library takes it."""
    headers = [*place.headers, *((name.encode(), value.encode()) for name, value in call.headers.items())]
    if call.body is not None or call.method != "GET":
        headers.append((b"Content-Length", str(len(call.body or b"")).encode()))
    limits = dict.fromkeys(("connect", "read", "write", "pool"), call.timeout_s)
    target = place.path + call.path.encode()
    url = httpcore2.URL(scheme=place.scheme, host=place.host, port=place.port, target=target)
    return httpcore2.Request(call.method, url, headers=headers, content=call.body, extensions={"timeout": limits})


def _pool_options(connecting: Connecting[Any]) -> dict[str, Any]:
    # What the system trusts takes long to load, and http:// has no use for it.
    has_tls = any(url is not None and url.startswith("https:") for url in (connecting.url, connecting.proxy))
    return {
        "ssl_context": (connecting.trust.context() or httpcore2.default_ssl_context()) if has_tls else None,
        "proxy": None if connecting.proxy is None else _proxy(connecting.proxy),
        "max_connections": CONNECTIONS_MAX,
        "max_keepalive_connections": CONNECTIONS_MAX,
        "keepalive_expiry": _IDLE_S,
        "socket_options": SOCKET_OPTIONS,
    }


def _proxy(text: str) -> httpcore2.Proxy:
    place = proxy_place(text)
    url = httpcore2.URL(scheme=place.scheme, host=place.host, port=place.port, target=b"/")
    return httpcore2.Proxy(url, auth=place.user_and_password)


def _lowered(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
