"""What carries one call and brings back its answer: connections of the SDK's own, or a client of the caller's.

The SDK's own go straight to the pool of the HTTP library, httpcore2: half of the library's cost is in the layer above
it, httpx2, whose redirects, cookies and environment are just what is not wanted here.
"""

import base64
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

import httpcore2
import httpx2

from hookline.client.connections import Connecting, proxy_of, tls_context
from hookline.client.deadline import SOCKET_OPTIONS, AsyncBoundedBackend, BoundedBackend
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
        self._place = _Place(connecting.url)
        self._pool = httpcore2.ConnectionPool(**_pool_options(connecting), network_backend=BoundedBackend())

    def carry(self, call: Call) -> Answer:
        response = self._pool.handle_request(self._place.request(call))
        try:
            body = _all_of(response.stream, call.left_s)  # type: ignore[arg-type]  # the library types both kinds as one
        finally:
            response.close()
        return Answer(response.status, _lowered(response.headers), body)

    def close(self) -> None:
        self._pool.close()


class AsyncOwnConnections:
    """For asyncio."""

    def __init__(self, connecting: Connecting[Any]) -> None:
        self._place = _Place(connecting.url)
        self._pool = httpcore2.AsyncConnectionPool(**_pool_options(connecting), network_backend=AsyncBoundedBackend())

    async def carry(self, call: Call) -> Answer:
        response = await self._pool.handle_async_request(self._place.request(call))
        try:
            body = await _all_of_async(response.stream, call.left_s)  # type: ignore[arg-type]  # as above
        finally:
            await response.aclose()
        return Answer(response.status, _lowered(response.headers), body)

    async def close(self) -> None:
        await self._pool.aclose()


class _Place:
    """The service's address, taken apart once."""

    def __init__(self, text: str) -> None:
        url = httpx2.URL(text)
        self._scheme, self._host, self._port = url.raw_scheme, url.raw_host, url.port
        self._path = url.raw_path.rstrip(b"/")
        self._headers = [(b"Host", url.netloc)]
        if url.userinfo:
            user, _, password = url.userinfo.partition(b":")
            pair = unquote(user.decode()) + ":" + unquote(password.decode())
            self._headers.append((b"Authorization", b"Basic " + base64.b64encode(pair.encode())))

    def request(self, call: Call) -> httpcore2.Request:
        """A call as the library takes it."""
        headers = [*self._headers, *((name.encode(), value.encode()) for name, value in call.headers.items())]
        if call.body is not None or call.method != "GET":
            headers.append((b"Content-Length", str(len(call.body or b"")).encode()))
        limits = dict.fromkeys(("connect", "read", "write", "pool"), call.timeout_s)
        target = self._path + call.path.encode()
        url = httpcore2.URL(scheme=self._scheme, host=self._host, port=self._port, target=target)
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


# --- a client of the caller's -----------------------------------------------------------------------------------


class GivenClient:
    """For ordinary code. ``is_theirs``: it stays open."""

    def __init__(self, client: httpx2.Client, is_theirs: bool) -> None:
        self._client, self._is_theirs = client, is_theirs

    def carry(self, call: Call) -> Answer:
        request = self._client.build_request(
            call.method, call.url + call.path, headers=call.headers, content=call.body, timeout=call.timeout_s
        )
        response = self._client.send(request, stream=True, follow_redirects=False)
        try:
            body = _all_of(response.iter_bytes(), call.left_s)
        finally:
            response.close()
        return Answer(response.status_code, dict(response.headers.items()), body)

    def close(self) -> None:
        if not self._is_theirs:
            self._client.close()


class AsyncGivenClient:
    """For asyncio. ``is_theirs``: it stays open."""

    def __init__(self, client: httpx2.AsyncClient, is_theirs: bool) -> None:
        self._client, self._is_theirs = client, is_theirs

    async def carry(self, call: Call) -> Answer:
        request = self._client.build_request(
            call.method, call.url + call.path, headers=call.headers, content=call.body, timeout=call.timeout_s
        )
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            body = await _all_of_async(response.aiter_bytes(), call.left_s)
        finally:
            await response.aclose()
        return Answer(response.status_code, dict(response.headers.items()), body)

    async def close(self) -> None:
        if not self._is_theirs:
            await self._client.aclose()


# --- an answer's body, bounded in size and time ------------------------------------------------------------------


def _all_of(parts: Iterable[bytes], left_s: Callable[[], float]) -> bytes:
    body = bytearray()
    for part in parts:
        _add(body, part, left_s)
    return bytes(body)


async def _all_of_async(parts: AsyncIterable[bytes], left_s: Callable[[], float]) -> bytes:
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
