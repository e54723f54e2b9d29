"""One connection: it carries one exchange after the other. Bytes move and time passes here; nothing is decided."""

import asyncio
import math
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from hookline.http_client.answer import AnswerReader, BadAnswer
from hookline.protocol.limits import KIB
from hookline.tls.explaining import explained

# An answer may take hours. Whatever lies between must not forget the connection, and a receiver whose machine is gone
# is noticed after a minute.
_KEEP_ALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)] + [
    (socket.IPPROTO_TCP, getattr(socket, name), value)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
]


_PIECE_BYTES = 128 * KIB  # encrypted at once


class ConnectionEnded(Exception):
    """The connection ended before an answer was there; ``cause``: what the loop said."""

    def __init__(self, cause: Exception | None) -> None:
        super().__init__(_said(cause))
        self.cause = cause


class Connection(asyncio.Protocol):
    """A connection of the client.

    Args:
        on_end: called once, when the connection carries nothing any more.

    Attributes:
        was_used: an exchange went over it before.
    """

    def __init__(self, on_end: "Callable[[Connection], None]") -> None:
        self._loop = asyncio.get_running_loop()
        self._on_end = on_end
        self._transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._answered: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None  # never later than the deadline; moved when it fires
        self._deadline_s = math.inf
        self._patience_s: float | None = None
        self._descriptor = -1
        self._has_ended = False
        self._is_tls = self._is_paused = False
        self._unsent: deque[memoryview] = deque()
        self.was_used = False

    # --- for the client -----------------------------------------------------------------------------------------

    def exchange(
        self, request: Sequence[bytes], reader: AnswerReader, until_s: float, patience_s: float | None
    ) -> asyncio.Future[None]:
        """Send a request. Done when the answer is complete, or its head is there and time is up.

        Args:
            request: the whole of it, in parts.
            reader: takes the answer.
            until_s: the end of the loop's time for it.
            patience_s: how long the body may take from when the head is there; None: until the end.

        Raises:
            ConnectionEnded: in the future, as the two others; no head of an answer was there.
            BadAnswer: what came was not an answer.
            TimeoutError: time is up, and the head is not there.
        """
        assert self._transport is not None
        assert self._reader is None, "one exchange at a time"
        self._reader, self._patience_s = reader, patience_s
        self._answered = answered = self._loop.create_future()
        self._end_at(until_s)
        sent = self._sent_at_once(request)
        for part in request:
            if sent < len(part):
                self._unsent.append(memoryview(part)[sent:])  # no copy: it may be large
            sent = max(0, sent - len(part))
        self._send_on()
        return answered

    def _send_on(self) -> None:
        """Encrypt a piece of what is left, or send all of it at once in plain; the loop has others to serve between."""
        assert self._transport is not None
        while self._unsent and not self._is_paused and not self._transport.is_closing():
            part = self._unsent.popleft()
            if self._is_tls and len(part) > _PIECE_BYTES:
                self._unsent.appendleft(part[_PIECE_BYTES:])
                self._transport.write(part[:_PIECE_BYTES])
                self._loop.call_soon(self._send_on)
                return
            self._transport.write(part)

    def _sent_at_once(self, request: Sequence[bytes]) -> int:
        """How much of it the socket took now.

        The loop would send it after its other callbacks, milliseconds later. Were the process paused between, a leader
        that has lost the lead meanwhile would send it when it goes on. TLS cannot be had so.
        """
        assert self._transport is not None
        if self._is_tls or self._transport.get_write_buffer_size() or self._transport.is_closing():
            return 0
        try:
            return os.writev(self._descriptor, request)
        except OSError:  # no room, or the connection has ended: the transport finds out
            return 0

    @property
    def sock(self) -> socket.socket:
        """The socket that the connection goes over."""
        assert self._transport is not None
        found: socket.socket = self._transport.get_extra_info("socket")
        return found

    def finish(self) -> bool:
        """The exchange is over. Whether the connection can carry another."""
        assert self._reader is not None
        assert self._transport is not None
        is_reusable = self._reader.is_reusable and not self._has_ended and not self._transport.is_closing()
        is_reusable = is_reusable and not self._unsent and self._transport.get_write_buffer_size() == 0
        self._deadline_s = math.inf
        self._reader = self._answered = None
        self.was_used = True
        return is_reusable

    def linger(self, until_s: float) -> None:
        """The answer is decided, its body is not wanted any more: let the receiver end in peace, but not longer."""
        self._answered = None
        self._end_at(until_s)

    def abort(self) -> None:
        """End the connection at once."""
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()
        self._end(None)

    # --- of asyncio ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        self._descriptor = self.sock.fileno()
        for level, option, value in _KEEP_ALIVE:
            self.sock.setsockopt(level, option, value)

    def data_received(self, data: bytes) -> None:
        if self._has_ended:
            return
        reader = self._reader
        if reader is None or reader.is_complete:  # nobody asked for it
            self.abort()
            return
        had_head = reader.status is not None
        try:
            is_complete = reader.feed(data)
        except BadAnswer as error:
            self._fail(error)
            self.abort()
            return
        if is_complete:
            self._done()
        elif reader.status is not None and not had_head:
            self._be_patient()

    def pause_writing(self) -> None:
        self._is_paused = self._is_tls

    def resume_writing(self) -> None:
        self._is_paused = False
        self._send_on()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._end(exc)

    # --- what happened ------------------------------------------------------------------------------------------

    def _be_patient(self) -> None:
        """The head is there: the body may take so long from now."""
        if self._patience_s is not None:
            self._end_at(min(self._deadline_s, self._loop.time() + self._patience_s))

    def _end_at(self, until_s: float) -> None:
        """Time is up then. A timer for each exchange would cost more than to send it."""
        self._deadline_s = until_s
        if self._timer is not None and until_s < self._timer.when():
            self._stop_timer()
        if self._timer is None:
            self._timer = self._loop.call_at(until_s, self._look_at_the_time)

    def _look_at_the_time(self) -> None:
        self._timer = None
        if self._loop.time() >= self._deadline_s:
            self._time_is_up()
        elif self._deadline_s < math.inf:
            self._timer = self._loop.call_at(self._deadline_s, self._look_at_the_time)

    def _time_is_up(self) -> None:
        assert self._reader is not None
        if self._reader.status is None:
            self._fail(TimeoutError())
        else:
            self._done()

    def _end(self, error: Exception | None) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        if self._reader is not None:
            self._reader.end()
            if self._reader.status is None:
                self._fail(ConnectionEnded(error))
            else:
                self._done()
        self._on_end(self)

    def _done(self) -> None:
        if self._answered is None:  # it lingers
            self.abort()
        elif not self._answered.done():
            self._answered.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _said(error: Exception | None) -> str:
    if isinstance(error, ssl.SSLError):
        return explained(error)
    if isinstance(error, ConnectionResetError):
        return "the connection was reset before an answer came"
    return f"the connection broke: {error}" if error else "the connection was closed before an answer came"
