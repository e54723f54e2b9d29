"""One bound for a whole try: looking up, connecting, sending, waiting and all of the answer.

The HTTP library's own limits begin anew with every address, every piece sent and every byte that arrives, so that an
answer which drips never ends. Here each step gets what is left until the deadline of the call it belongs to, which is
that of the running thread or task.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import httpcore2

from hookline.client.lookup import addresses

SOCKET_OPTIONS = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
_PIECE_BYTES = 64 * 1024  # sent under one limit; held until the answer is waited for

_left: ContextVar[Callable[[], float] | None] = ContextVar("hookline_left", default=None)


@contextmanager
def until(left_s: Callable[[], float]) -> Iterator[None]:
    """Let every step in here end when ``left_s()``, the seconds that are left, is not above 0."""
    token = _left.set(left_s)
    try:
        yield
    finally:
        _left.reset(token)


class BoundedBackend(httpcore2.NetworkBackend):
    """Connections of ordinary code."""

    def __init__(self) -> None:
        self._backend = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Try each address of the host; what is left is shared by those that are."""
        found = _addresses(host, port, _bounded(timeout, httpcore2.ConnectTimeout))
        failed: Exception = httpcore2.ConnectError("the name has no address")
        for place, address in enumerate(found):
            share = _bounded(timeout, httpcore2.ConnectTimeout) / (len(found) - place)
            try:
                stream = self._backend.connect_tcp(address, port, share, local_address, socket_options or ())
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failed = error
            else:
                return _Stream(stream)
        raise failed

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream(httpcore2.NetworkStream):
    """Head and body of a small request leave in one system call, when the answer is waited for."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self._held = b""
        self.close = stream.close  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._held:
            held, self._held = self._held, b""
            with suppress(httpcore2.WriteError):  # whoever takes no more may have answered
                self._stream.write(held, _bounded(timeout, httpcore2.WriteTimeout))
        return self._stream.read(max_bytes, _bounded(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._held += buffer
        if len(self._held) > _PIECE_BYTES:
            held, self._held = self._held, b""
            for begin in range(0, len(held), _PIECE_BYTES):
                self._stream.write(held[begin : begin + _PIECE_BYTES], _bounded(timeout, httpcore2.WriteTimeout))

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        limit = _bounded(timeout, httpcore2.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, limit))


class AsyncBoundedBackend(httpcore2.AsyncNetworkBackend):
    """Connections of asyncio."""

    def __init__(self) -> None:
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # the interface is the library's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        limit = _bounded(timeout, httpcore2.ConnectTimeout)
        return _AsyncStream(await self._backend.connect_tcp(host, port, limit, local_address, socket_options or ()))

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _AsyncStream(httpcore2.AsyncNetworkStream):
    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._held = b""
        self.aclose = stream.aclose  # type: ignore[method-assign]
        self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._held:
            held, self._held = self._held, b""
            with suppress(httpcore2.WriteError):
                await self._stream.write(held, _bounded(timeout, httpcore2.WriteTimeout))
        return await self._stream.read(max_bytes, _bounded(timeout, httpcore2.ReadTimeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._held += buffer
        if len(self._held) > _PIECE_BYTES:
            held, self._held = self._held, b""
            await self._stream.write(held, _bounded(timeout, httpcore2.WriteTimeout))

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        limit = _bounded(timeout, httpcore2.ConnectTimeout)
        return _AsyncStream(await self._stream.start_tls(ssl_context, server_hostname, limit))


def _bounded(timeout: float | None, over: type[Exception]) -> float:
    """The seconds that a step may take; raises ``over`` when there are none left."""
    left_s = _left.get()
    limits = [limit for limit in (timeout, None if left_s is None else left_s()) if limit is not None]
    limit = min(limits, default=0.0)
    if limit <= 0:
        raise over("timed out")
    return limit


def _addresses(host: str, port: int, timeout_s: float) -> list[str]:
    """The addresses of a name. Raises ConnectTimeout, ConnectError."""
    try:
        return addresses(host, port, timeout_s)
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from error
