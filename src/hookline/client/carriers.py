"""What carries one call and brings back its answer; here, connections of the SDK's own.

The SDK's own go straight to the pool of the HTTP library, httpcore2. The layer above it, httpx2, takes about a quarter
of a call's CPU; its redirects, cookies and environment are not wanted here.
"""

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import httpcore2

from hookline.client.connections import Connecting, proxy_of, tls_context
from hookline.client.deadline import SOCKET_OPTIONS, AsyncBoundedBackend, BoundedBackend
from hookline.client.place import Place
from hookline.errors import ForeignAnswer
from hookline.protocol.limits import KIB

ANSWER_BYTES_MAX = 64 * 1024 * KIB
CONNECTIONS_MAX = 100
_IDLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Call:
    """One try. ``left_s`` tells how many of its ``timeout_s`` seconds are left."""

    method: str
    url: str  # the service's
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout_s: float
    left_s: Callable[[], float]


class Answer(NamedTuple):
    """Names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Carrier(Protocol):
    """For ordinary code."""

    def carry(self, call: Call) -> Answer:
        """Send it and read all of the answer. Raises ForeignAnswer, and what ``failed_calls`` knows."""

    def close(self) -> None:
        """Close the connections that are the SDK's own."""


class AsyncCarrier(Protocol):
    """For asyncio."""

    async def carry(self, call: Call) -> Answer:
        """Send it and read all of the answer. Raises ForeignAnswer, and what ``failed_calls`` knows."""

    async def close(self) -> None:
        """Close the connections that are the SDK's own."""


# --- connections of the SDK's own -------------------------------------------------------------------------------


class OwnConnections:
    """For ordinary code."""

    def __init__(self, connecting: Connecting[Any]) -> None:
        self._place = Place(connecting.url)
        self._pool = httpcore2.ConnectionPool(**_pool_options(connecting), network_backend=BoundedBackend())

    def carry(self, call: Call) -> Answer:
        response = self._pool.handle_request(_request(self._place, call))
        try:
            body = all_of(response.stream, call.left_s)  # type: ignore[arg-type]  # the library types both kinds as one
        finally:
            response.close()
        return Answer(response.status, _lowered(response.headers), body)

    def close(self) -> None:
        self._pool.close()


class AsyncOwnConnections:
    """For asyncio."""

    def __init__(self, connecting: Connecting[Any]) -> None:
        self._place = Place(connecting.url)
        self._pool = httpcore2.AsyncConnectionPool(**_pool_options(connecting), network_backend=AsyncBoundedBackend())

    async def carry(self, call: Call) -> Answer:
        response = await self._pool.handle_async_request(_request(self._place, call))
        try:
            body = await all_of_async(response.stream, call.left_s)  # type: ignore[arg-type]  # as above
        finally:
            await response.aclose()
        return Answer(response.status, _lowered(response.headers), body)

    async def close(self) -> None:
        await self._pool.aclose()


def _request(place: Place, call: Call) -> httpcore2.Request:
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
        "ssl_context": tls_context(connecting.verify) if has_tls else None,
        "proxy": None if connecting.proxy is None else proxy_of(connecting.proxy),
        "max_connections": CONNECTIONS_MAX,
        "max_keepalive_connections": CONNECTIONS_MAX,
        "keepalive_expiry": _IDLE_S,
        "socket_options": SOCKET_OPTIONS,
    }


def _lowered(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


# --- an answer's body, bounded in size and time ------------------------------------------------------------------


def all_of(parts: Iterable[bytes], left_s: Callable[[], float]) -> bytes:
    """The parts together. Raises ForeignAnswer, ReadTimeout."""
    body = bytearray()
    for part in parts:
        _add(body, part, left_s)
    return bytes(body)


async def all_of_async(parts: AsyncIterable[bytes], left_s: Callable[[], float]) -> bytes:
    """The parts together. Raises ForeignAnswer, ReadTimeout."""
    body = bytearray()
    async for part in parts:
        _add(body, part, left_s)
    return bytes(body)


def _add(body: bytearray, part: bytes, left_s: Callable[[], float]) -> None:
    if len(body) + len(part) > ANSWER_BYTES_MAX:
        raise ForeignAnswer("The answer is longer than 64 MiB. Is that address Hookline?")
    if left_s() <= 0:
        raise httpcore2.ReadTimeout("the answer did not end in time")
    body += part
