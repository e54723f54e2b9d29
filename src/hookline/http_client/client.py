"""An HTTP/1.1 client: sends what it is given, keeps connections, and says what is known when no answer comes."""

import asyncio
import math
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, NamedTuple

from hookline.errors import HooklineError
from hookline.http_client.answer import Answer, AnswerReader, BadAnswer
from hookline.http_client.connection import Connection, ConnectionEnded
from hookline.http_client.pool import IdlePool
from hookline.http_client.tunnel import NoTunnel, TunnelProxy, tunnel
from hookline.lack import is_lack
from hookline.tls.contexts import tls_context
from hookline.tls.explaining import explained, is_not_let_in

IDLE_S: Final = 4.0  # most receivers close after 5 s or more
CONNECTIONS_KEPT: Final = 512
_LINGERING_MAX: Final = 256


class HttpEndpoint(NamedTuple):
    """The far end of a connection.

    Attributes:
        address: to connect to; a name is resolved.
        port: 1 to 65535.
        host: the name that was asked for, which a certificate has to be of.
        is_tls: speak TLS.
        tls: with this context; None: the client's.
        party: on whose behalf; a connection is kept for the same one only.
    """

    address: str
    port: int
    host: str
    is_tls: bool
    tls: ssl.SSLContext | None = None
    party: str = ""


class Limits(NamedTuple):
    """The times that one exchange may take.

    Attributes:
        all_s: for everything.
        connect_s: to connect, and again for the TLS handshake.
        patience_s: for the body, from when the head is there; the answer is given then as far as it came. None: none.
        body_max: bytes read of the body; None: all.
    """

    all_s: float
    connect_s: float
    patience_s: float | None = None
    body_max: int | None = None


class NoConnection(HooklineError):
    """Nothing of the request was sent. ``is_ours``: this process had no descriptor, port or memory for it."""

    code = "no_connection"

    def __init__(self, detail: str, *, is_ours: bool = False) -> None:
        super().__init__(detail)
        self.is_ours = is_ours


class NoAnswer(HooklineError):
    """The request was sent, or may have been; no answer came.

    Attributes:
        is_late: time was up.
        is_stale: a connection that was kept ended before a byte of an answer; it was probably closed already.
        is_unread: the server says that it does not let this client in, so it has read nothing.
    """

    code = "no_answer"

    def __init__(self, detail: str, *, is_late: bool = False, is_stale: bool = False, is_unread: bool = False) -> None:
        super().__init__(detail)
        self.is_late = is_late
        self.is_stale = is_stale
        self.is_unread = is_unread


class HttpClient:
    """Connections to any number of endpoints. No redirects, cookies, proxies, decompression or repetitions.

    Args:
        idle_s: how long a connection is kept after an answer.
        kept: connections kept in all.
        tls: gives the context of the next connection, for https; None: ``tls_context()``, made when it is needed.
        proxy: all connections go through it; None: straight on.
    """

    def __init__(
        self,
        *,
        idle_s: float = IDLE_S,
        kept: int = CONNECTIONS_KEPT,
        tls: Callable[[], ssl.SSLContext] | None = None,
        proxy: TunnelProxy | None = None,
    ) -> None:
        self._pool: IdlePool[HttpEndpoint, Connection] = IdlePool(idle_s, kept)
        self._tls: Callable[[], ssl.SSLContext] = tls or cache(tls_context)
        self._proxy = proxy
        self._open: dict[Connection, None] = {}
        self._lingering: dict[Connection, None] = {}
        self._sweep: asyncio.TimerHandle | None = None

    async def exchange(
        self,
        endpoint: HttpEndpoint,
        request: Sequence[bytes],
        limits: Limits,
        *,
        fresh: bool = False,
        is_head: bool = False,
        why_not: Callable[[], str | None] = lambda: None,
    ) -> Answer:
        """Send a request, once, and return its answer.

        Args:
            endpoint: where to.
            request: from ``request_parts``.
            limits: what it may take.
            fresh: not on a connection that was kept: such a one may be about to be closed.
            is_head: the method is HEAD.
            why_not: the last question, when there is a connection and right before the first byte; a reason ends it.

        Raises:
            NoConnection: nothing was sent; ``is_ours`` if it was not to be.
            NoAnswer: it may have arrived.
        """
        until_s = asyncio.get_running_loop().time() + limits.all_s
        connection = None if fresh else self._pool.take(endpoint)
        if connection is None:
            connection = await self._connect_or_make_room(endpoint, limits, until_s)
        if (reason := why_not()) is not None:
            connection.abort()
            raise NoConnection(reason, is_ours=True)
        reader = AnswerReader(is_head=is_head, body_max=limits.body_max)
        try:
            await connection.exchange(request, reader, until_s, limits.patience_s)
        except ConnectionEnded as error:
            is_stale = connection.was_used and not reader.has_begun
            raise NoAnswer(str(error), is_stale=is_stale, is_unread=is_not_let_in(error.cause)) from None
        except BadAnswer as error:
            raise NoAnswer(error.detail) from None
        except TimeoutError:
            connection.abort()
            raise NoAnswer(f"no answer within {limits.all_s * 1_000:.0f} ms", is_late=True) from None
        except asyncio.CancelledError:
            connection.abort()
            raise
        answer = reader.answer()
        self._put_away(endpoint, connection, reader, until_s)
        return answer

    @property
    def connections(self) -> list[Connection]:
        """Those that are open, idle or not."""
        return list(self._open)

    @property
    def idle(self) -> int:
        """Connections that are kept for the next request."""
        return len(self._pool)

    @property
    def lingering(self) -> int:
        """Connections that only wait for the rest of an answer, so as not to cut it off."""
        return len(self._lingering)

    async def close(self) -> None:
        """End all connections; what is under way fails."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self.connections:
            connection.abort()
        await asyncio.sleep(0)  # the loop closes their sockets in its next round

    # --- connections --------------------------------------------------------------------------------------------

    async def _connect_or_make_room(self, endpoint: HttpEndpoint, limits: Limits, until_s: float) -> Connection:
        try:
            return await self._connect(endpoint, limits, until_s)
        except NoConnection as error:
            if not error.is_ours or not len(self._pool):
                raise
        for idle in self._pool.expire(math.inf):
            idle.abort()
        await asyncio.sleep(0)  # the loop closes their sockets
        return await self._connect(endpoint, limits, until_s)

    async def _connect(self, endpoint: HttpEndpoint, limits: Limits, until_s: float) -> Connection:
        loop = asyncio.get_running_loop()
        is_tls = endpoint.is_tls
        within_s = min(limits.connect_s * (2 if is_tls else 1), max(0.0, until_s - loop.time()))
        try:
            async with asyncio.timeout(within_s):
                through = None if self._proxy is None else await tunnel(self._proxy, endpoint.address, endpoint.port)
                _, connection = await loop.create_connection(
                    lambda: Connection(self._ended),
                    **({"host": endpoint.address, "port": endpoint.port} if through is None else {"sock": through}),
                    ssl=(endpoint.tls or self._tls()) if is_tls else None,
                    server_hostname=endpoint.host if is_tls else None,
                )
        except NoTunnel as error:
            raise NoConnection(str(error)) from None
        except TimeoutError:
            raise NoConnection(f"no connection within {within_s * 1_000:.0f} ms") from None
        except (OSError, MemoryError) as error:
            raise _no_connection(error) from error
        self._open[connection] = None
        return connection

    def _put_away(self, endpoint: HttpEndpoint, connection: Connection, reader: AnswerReader, until_s: float) -> None:
        """Keep the connection for the next request, or let it end."""
        loop = asyncio.get_running_loop()
        if not reader.is_complete:
            connection.linger(until_s)
            self._lingering[connection] = None
            if len(self._lingering) > _LINGERING_MAX:
                next(iter(self._lingering)).abort()
        elif connection.finish():
            for dropped in self._pool.put(endpoint, connection, loop.time()):
                dropped.abort()
            self._sweep_later(loop)
        else:
            connection.abort()

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sweep is None and (at_s := self._pool.next_expiry_s()) is not None:
            self._sweep = loop.call_at(at_s, self._sweep_now, loop)

    def _sweep_now(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = None
        for connection in self._pool.expire(loop.time()):
            connection.abort()
        self._sweep_later(loop)

    def _ended(self, connection: Connection) -> None:
        self._open.pop(connection, None)
        self._lingering.pop(connection, None)
        self._pool.remove(connection)


def _no_connection(error: OSError | MemoryError) -> NoConnection:
    if is_lack(error):
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no memory"
        return NoConnection(f"this node cannot open a connection: {why}", is_ours=True)
    if isinstance(error, ssl.SSLError):
        return NoConnection(explained(error))
    if isinstance(error, socket.gaierror):
        return NoConnection(f"the name cannot be resolved: {error.strerror}")
    return NoConnection(os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error))
