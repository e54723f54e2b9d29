"""Connections of a server that speaks TLS, until hands are shaken: bounded in time and number.

A client that speaks plain HTTP is told so.
"""

import ssl
import time
from asyncio import AbstractEventLoop, Protocol, TimerHandle, Transport, get_running_loop
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import uvicorn
from uvicorn.server import ServerState

from hookline.errors import TlsRequired
from hookline.http_api.connection import LINGER_S, StrictProtocol, after_first_request
from hookline.http_api.connection_limits import ConnectionLimits
from hookline.http_api.heads import Refusal
from hookline.http_api.rare_lines import RareLines
from hookline.http_api.tls_transport import TlsTransport
from hookline.tls.explaining import why_not_let_in

_HANDSHAKE: Final = 22  # begins every TLS connection (RFC 8446, section 5.1)


def door_of(
    strict: type[StrictProtocol], limits: ConnectionLimits, context: Callable[[], ssl.SSLContext]
) -> "type[Protocol]":
    """Makes the protocol of a server, as uvicorn takes it; ``strict`` is that of the connections behind the door."""
    handshakes = Handshakes(max(1, min(limits.handshakes, limits.connections // 2)))
    lines = RareLines(time.monotonic)

    def make(
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> TlsDoor:
        inner = partial(strict, config, server_state, app_state, _loop)
        return TlsDoor(inner, context, handshakes, limits.handshake_s, server_state.connections, lines)

    return cast("type[Protocol]", make)


class Handshakes:
    """Those that are under way at a server. Beyond ``most`` the one that takes longest is broken off."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._doors: dict[TlsDoor, None] = {}

    def begin(self, door: "TlsDoor") -> None:
        """One more."""
        self._doors[door] = None
        if len(self._doors) > self._most:
            longest = next(iter(self._doors))
            del self._doors[longest]
            longest.transport.abort()

    def end(self, door: "TlsDoor") -> None:
        """It is over, or was already."""
        self._doors.pop(door, None)


class TlsDoor(Protocol):
    """One connection. Until hands are shaken it is among the server's connections; then its protocol is.

    Args:
        make: the protocol that takes requests.
        context: for this connection.
        within_s: hands are to be shaken within these seconds.
        lines: of the log.

    Attributes:
        transport: the wire.
    """

    def __init__(
        self,
        make: Callable[[], StrictProtocol],
        context: Callable[[], ssl.SSLContext],
        handshakes: Handshakes,
        within_s: float,
        connections: set[Any],
        lines: RareLines,
    ) -> None:
        self._make, self._context = make, context
        self._handshakes, self._within_s = handshakes, within_s
        self._connections, self._lines = connections, lines
        self._loop: AbstractEventLoop = get_running_loop()
        self.transport: Transport
        self._timer: TimerHandle | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._inner: StrictProtocol | None = None
        self._plain_side: TlsTransport | None = None
        self._is_over = False  # what still comes is not looked at
        self._is_leaving = False

    has_request = True  # one is probably on its way

    # --- of asyncio ---

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._connections.add(self)
        self._timer = self._loop.call_later(self._within_s, transport.abort)
        self._handshakes.begin(self)

    def data_received(self, data: bytes) -> None:
        if self._plain_side is not None:
            self._plain_side.feed(data)
        elif not self._is_over:
            if self._tls is None and not self._begin(data):
                return
            self._incoming.write(data)
            self._shake()

    def eof_received(self) -> None:
        """The transport closes then."""

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        if self._inner is not None:
            self._inner.connection_lost(exc)

    # --- of uvicorn ---

    def shutdown(self) -> None:
        """The server ends. The first request is probably on its way."""
        self._is_leaving = True
        after_first_request(self._loop, self._give_up)

    # --- the handshake ---

    def _begin(self, data: bytes) -> bool:
        """Whether it is TLS that the client speaks."""
        if data[0] != _HANDSHAKE:
            self._refuse_plain()
            return False
        self._tls = self._context().wrap_bio(self._incoming, self._outgoing, server_side=True)
        return True

    def _shake(self) -> None:
        assert self._tls is not None
        failed: ssl.SSLError | None = None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return
        except ssl.SSLError as error:
            failed = error
        self._send()
        if failed is not None:
            self._fail(failed)
        else:
            self._hand_over(self._tls)

    def _send(self) -> None:
        if data := self._outgoing.read():
            self.transport.write(data)

    def _hand_over(self, tls: ssl.SSLObject) -> None:
        self._leave()
        self._inner = inner = self._make()
        plain_side = TlsTransport(self.transport, tls, self._incoming, self._outgoing, inner.data_received, self._loop)
        self._plain_side = plain_side
        inner.connection_made(cast("Transport", plain_side))
        if self._is_leaving:
            inner.shutdown()
        plain_side.feed(b"")  # what came with the end of the handshake

    def _fail(self, error: ssl.SSLError) -> None:
        """The client is told why, and listened to for a moment, so that no reset overtakes that."""
        self._lines.say("tls_handshake_failed", client=self._client(), reason=why_not_let_in(error))
        self._is_over = True
        self.transport.write_eof()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(min(LINGER_S, self._within_s), self.transport.abort)

    def _refuse_plain(self) -> None:
        """Answer in plain HTTP, once."""
        self._lines.say("plain_http_refused", client=self._client(), advice="its address has to begin with https://")
        self._leave()
        self._is_over = True
        self._inner = inner = self._make()
        inner.connection_made(self.transport)
        self.transport.set_protocol(inner)
        inner.refuse(Refusal(TlsRequired.http_status, TlsRequired.code, TlsRequired.title()))

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._handshakes.end(self)
        self._connections.discard(self)

    def _give_up(self) -> None:
        if self._inner is None:
            self.transport.abort()

    def _client(self) -> str:
        peer = self.transport.get_extra_info("peername")
        return str(peer[0]) if peer else "unknown"
