"""Sends one request to one vetted address. The only module that knows the HTTP client."""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Literal, Protocol

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, PyreqwestError, RequestTimeoutError
from pyreqwest.http import HeaderMap

from hookline.errors import HooklineError
from hookline.http_errors import causes, never_left
from hookline.protocol.limits import CONNECT_MS_MAX, RESPONSE_BYTES_READ_MAX
from hookline.protocol.urls import Target

_CLIENTS_MAX = 1_024

FailureKind = Literal["connect", "timeout", "broken", "unsendable"]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a receiver answered; the body is cut at ``RESPONSE_BYTES_READ_MAX``."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class SendFailed(HooklineError):
    """No answer came.

    ``connect``: the request surely did not leave. ``timeout`` and ``broken``: it may have arrived. ``unsendable``:
    it can never be sent.
    """

    code = "send_failed"

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(detail)
        self.kind: FailureKind = kind


class Transport(Protocol):
    """What the executor sends with; the simulation has a scripted one."""

    async def send(
        self,
        target: Target,
        address: str,
        method: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        timeout_ms: int,
        fresh_connection: bool,
    ) -> Answer:
        """Make one request to ``target`` at ``address``, once. Raises SendFailed."""

    async def close(self) -> None:
        """Close all connections."""


class HttpTransport:
    """Real HTTP/1.1: a client, and with it a connection pool, for each destination and address.

    No redirects, cookies, proxies, decompression or retries. A client resolves its host to the vetted address only.
    """

    def __init__(self) -> None:
        self._clients: OrderedDict[tuple[str, str, bool], Client] = OrderedDict()

    async def send(
        self,
        target: Target,
        address: str,
        method: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        timeout_ms: int,
        fresh_connection: bool,
    ) -> Answer:
        client = self._client(target, address, fresh_connection)
        try:
            request = client.request(method, target.url).headers(headers).timeout(timedelta(milliseconds=timeout_ms))
            # Without this the client reads the body before it tells the status.
            request = request.streamed_read_buffer_limit(0)
            if body:
                request = request.body_bytes(body)
            async with request.build_streamed() as response:
                try:
                    kept = bytes(await response.body_reader.read(RESPONSE_BYTES_READ_MAX) or b"")
                except PyreqwestError:
                    kept = b""  # cut off or too slow; the status line has decided already
                return Answer(response.status, _readable(response.headers), kept)
        except PyreqwestError as error:
            raise _failure(error, timeout_ms) from error
        except ValueError as error:  # while the request is put together
            raise SendFailed("unsendable", f"a header cannot be sent: {error}") from error

    def _client(self, target: Target, address: str, fresh: bool) -> Client:
        key = (target.destination, address, fresh)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = _build(target, address, fresh)
            if len(self._clients) > _CLIENTS_MAX:
                self._clients.popitem(last=False)  # closes when its last request is done
        else:
            self._clients.move_to_end(key)
        return client

    async def close(self) -> None:
        while self._clients:
            _, client = self._clients.popitem()
            await client.close()


def _build(target: Target, address: str, fresh: bool) -> Client:
    builder = (
        ClientBuilder()
        .http1_only()
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .tcp_nodelay(True)
        .max_connections(None)
        .connect_timeout(timedelta(milliseconds=CONNECT_MS_MAX))
        .pool_idle_timeout(timedelta(seconds=20))
    )
    if fresh:
        builder = builder.pool_max_idle_per_host(0)
    if not target.is_literal:
        builder = builder.resolve(target.host, address, target.port)
    return builder.build()


def _readable(headers: HeaderMap) -> list[tuple[str, str]]:
    """The headers, without those whose value is not ASCII: an odd header must not turn a success into a failure."""
    try:
        return list(headers.items())
    except ValueError:
        readable = []
        for name in dict.fromkeys(headers.keys()):
            with suppress(ValueError):
                readable += [(name, value) for value in headers.getall(name)]
        return readable


def _failure(error: PyreqwestError, timeout_ms: int) -> SendFailed:
    """What happened.

    The exception's class does not tell: a request that was sent and not answered in time is a ``ConnectTimeoutError``
    too. Only the cause that the client's connector reports shows that nothing left.
    """
    why = causes(error)[-1]
    if never_left(error):
        return SendFailed("connect", why)
    if isinstance(error, RequestTimeoutError):
        return SendFailed("timeout", f"no answer within {timeout_ms} ms")
    return SendFailed("unsendable" if isinstance(error, BuilderError) else "broken", why)
