"""One connection of the server: made strict, and bounded in time and size from its first byte to the last of an answer.

llhttp already refuses a request with both Content-Length and Transfer-Encoding, with two Content-Lengths, with a bare
LF or a folded header. What else is refused in a head is in ``heads``. Bounded here: everything on the wire that is not
body, how much is parsed before others have their turn, and clients that do not go on, with a request or an answer.
"""

from asyncio import AbstractEventLoop, Event, TimerHandle, Transport
from collections.abc import Callable
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from hookline.http_api.connection_limits import ConnectionLimits
from hookline.http_api.heads import WHITE, HeadRules, Refusal
from hookline.http_api.held import HeldBytes
from hookline.http_api.joined_transport import JoinedTransport
from hookline.http_api.messages import AsgiScope
from hookline.http_api.request_cycle import RequestCycle, refusal_bytes, scope_of
from hookline.protocol.limits import KIB

_WHOLE_FACTOR = 6  # a whole body, or answer, may take as many times what one pause in it may
_PIECE_BYTES = 16 * KIB  # of a body, given to the parser at once
_HEAD_PIECE_BYTES = 2 * KIB  # of what may be many requests
_TURN_BYTES = 64 * KIB  # parsed before others have their turn
_BODY_BYTES_PER_FRAMING_BYTE = 8  # chunks of 40 bytes, and what stands around them
_SMALL_BODY_BYTES = 64 * KIB
_KEPT_REST_BYTES = 64 * KIB  # of the body of a request that is answered before it is read
LINGER_S = 2.0  # for a client that is still sending to see the answer; more, while it does send
_LINGERS = 5  # in all
_FIRST_REQUEST_S = 0.5
_LAST_LOOK_S = 0.001


def protocol_of(
    limits: ConnectionLimits, identity: list[tuple[bytes, bytes]], hosts: frozenset[bytes] | None
) -> "type[StrictProtocol]":
    """The protocol of one server; ``identity`` are the headers of each answer, ``hosts`` the names it answers to."""

    class BoundProtocol(StrictProtocol):
        pass

    BoundProtocol.limits = limits
    BoundProtocol.rules = HeadRules(limits.head_bytes, hosts=hosts)
    BoundProtocol.identity = b"".join(b"%s: %s\r\n" % header for header in identity)
    BoundProtocol.unsent = HeldBytes(limits.unsent_bytes, StrictProtocol.cut)
    BoundProtocol.requests = HeldBytes(limits.requests_bytes, StrictProtocol.refuse_unfinished)
    return BoundProtocol


def after_first_request(loop: AbstractEventLoop, end: Callable[[], object]) -> None:
    """End a new connection later, while the server ends: a request is probably on its way.

    The loop reads between two timers; a process that was kept from running has not read what came meanwhile.
    """
    loop.call_later(_FIRST_REQUEST_S, loop.call_later, _LAST_LOOK_S, end)


class StrictProtocol(HttpToolsProtocol):
    """One connection.

    One timer watches it. It is set once and only moved when it fires, so a request costs no timer of its own: what has
    to arrive, be it the next request, has a deadline in ``_deadline``, and None means that it is we who work. The timer
    is never set further ahead than any new deadline can be. An answer that does not fit into the socket's buffer has a
    timer of its own.
    """

    limits: ConnectionLimits
    rules: HeadRules
    identity: bytes
    unsent: "HeldBytes[StrictProtocol]"
    requests: "HeldBytes[StrictProtocol]"
    is_last_answer = False  # the next answer ends the connection

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._wire: Transport
        self._deadline: float | None = None
        self._is_idle = False  # nothing of a request is there, and no answer is to be sent
        self._body_until = 0.0
        self._timer: TimerHandle | None = None
        self._unread = memoryview(b"")
        self._in_head = True
        self._is_body_open = False  # the head is complete, the body is not
        self._wire_bytes = self._body_bytes = 0  # of this request
        self._discarded = self._discarded_before = 0  # before: when it was last looked at
        self._lingers = 0
        self._refusal: Refusal | None = None
        self._taking: TimerHandle | None = None  # watches a client that has an answer to take
        self._taken_until = 0.0
        self._untaken = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        self._wire = transport
        self._joined = JoinedTransport(transport, self._headed, self._ended, self._resumed)
        super().connection_made(self._joined)  # type: ignore[arg-type]
        transport.set_write_buffer_limits(high=0)  # so that we are told of every answer that is not taken at once
        if len(self.connections) > self.limits.connections:
            detail = f"more than {self.limits.connections} connections are open; come back later"
            self.refuse(Refusal(503, "overloaded", detail))
            return
        self._wait_for(self.limits.request_s)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._stop_watching()
        self.requests.remove(self)
        self._unread = memoryview(b"")
        super().connection_lost(exc)

    @property
    def has_request(self) -> bool:
        """One is on its way, or is not answered yet. Of a new connection the first one is."""
        return cast("object", self.cycle) is None or not self.cycle.response_complete

    # --- what comes in ---

    def data_received(self, data: bytes) -> None:
        """Take what came; what the parser refuses is answered with a problem and the connection is closed."""
        if self._joined.is_closing():
            self._discard(len(data))
            return
        if self._is_idle:
            self._is_idle = False
            self._wait_for(self.limits.request_s)
        if len(data) <= _HEAD_PIECE_BYTES and not self._unread:
            self._parse(data)
        else:
            self._unread = memoryview(bytes(self._unread) + data if self._unread else data)
            self._parse_on()

    def _parse_on(self) -> None:
        """Parse what was read, a turn of it; the rest later, when there is room and others had their turn."""
        turn = self._unread[:_TURN_BYTES]
        done = 0
        while done < len(turn) and not self._joined.is_closing() and not self.flow.read_paused:
            piece = turn[done : done + (_PIECE_BYTES if self._is_body_open else _HEAD_PIECE_BYTES)]
            self._parse(piece)
            done += len(piece)
        if self._joined.is_closing():
            self._unread = memoryview(b"")
            return
        self._unread = self._unread[done:] or memoryview(b"")  # an empty view would hold all that was read
        if self._unread:
            self._wire.pause_reading()
        if not self.flow.read_paused:
            self._resumed()

    def _resumed(self) -> None:
        if self._unread:
            self.loop.call_soon(self._parse_on_if_open)
        elif not self._wire.is_closing():
            self._wire.resume_reading()

    def _parse_on_if_open(self) -> None:
        if self._unread and not self._joined.is_closing() and not self.flow.read_paused:
            self._parse_on()

    def _parse(self, piece: bytes | memoryview) -> None:
        self._wire_bytes += len(piece)
        try:
            while piece:
                piece = self._feed(piece)
        except httptools.HttpParserError as error:
            self.refuse(self._refusal or Refusal(400, "invalid_request", f"this is not HTTP/1.1: {error}"))
            return
        framing = self._wire_bytes - self._body_bytes
        # The first bytes of the piece may have been those of the request before.
        if framing > self.limits.head_bytes + _PIECE_BYTES + self._body_bytes // _BODY_BYTES_PER_FRAMING_BYTE:
            self.refuse(self.rules.too_large())
        elif self._in_head and self._wire_bytes:
            self.requests.add(self, self._wire_bytes)

    def _feed(self, data: bytes | memoryview) -> bytes:
        """Feed the parser; what is left is to be fed again."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            return self._without_upgrade(bytes(data[stopped.args[0] :]))
        return b""

    def _without_upgrade(self, rest: bytes) -> bytes:
        """The request again, as if it had no Upgrade header, which RFC 9110 section 7.8 allows.

        Some clients wish for h2c with their first request. The parser stops at the end of such a head, so the head is
        given to a new one, without the wish.
        """
        method = self.parser.get_method()
        head = [b"%s %s HTTP/1.1\r\n" % (method, self.url)]
        head += [b"%s: %s\r\n" % pair for pair in self.headers if pair[0] not in (b"upgrade", b"connection")]
        self.parser = httptools.HttpRequestParser(self)
        return b"".join(head) + b"\r\n" + rest

    def on_message_begin(self) -> None:
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._in_head = True
        self._is_body_open = False
        self._wire_bytes = self._body_bytes = 0
        if self._is_idle or self._deadline is None:
            self._is_idle = False
            self._wait_for(self.limits.request_s)

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) > self.rules.headers_max:
            self._refusal = self.rules.too_large()
            raise httptools.HttpParserError(self._refusal.detail)
        if self._in_head:  # else it is a trailer, which is not a header (RFC 9110, section 6.5.1)
            # Transfer-Encoding decides where the request ends: it is looked at as it came.
            super().on_header(name, value if name.lower() == b"transfer-encoding" else value.strip(WHITE))

    def on_headers_complete(self) -> None:
        self._in_head = False
        parser = self.parser
        method, version = parser.get_method(), parser.get_http_version()
        refusal = self.rules.refusal(method, version, self.url, self.headers)
        if refusal is not None:
            self._refusal = refusal
            raise httptools.HttpParserError(refusal.detail)
        if parser.should_upgrade():
            return
        self._is_body_open = True
        now = self.loop.time()
        self._deadline = now + self.limits.request_s
        self._body_until = now + self.limits.request_s * _WHOLE_FACTOR
        self._take(scope_of(method, version, self.url, self.headers, self.client))

    def _take(self, scope: AsgiScope) -> None:
        """Hand the request to the app, or let it wait for the answer to the one before."""
        before: RequestResponseCycle | None = self.cycle
        is_kept = scope["http_version"] != "1.0" and self.parser.should_keep_alive() and not self.is_last_answer
        self.cycle = RequestCycle(
            scope=cast("Any", scope),
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=is_kept,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._deadline = min(self.loop.time() + self.limits.request_s, self._body_until)
        super().on_body(body)
        if self._body_bytes > _SMALL_BODY_BYTES and not self._joined.is_closing():
            self.requests.add(self, self._body_bytes)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._is_body_open = False
        self._deadline = None
        self.requests.settle(self)
        super().on_message_complete()
        if self.cycle.response_complete:
            self._wait_idle()

    # --- what goes out ---

    def _headed(self, head: bytes) -> bytes:
        """The head of an answer; it ends the connection if the request goes on and is not worth reading."""
        if self._is_body_open and not self._in_head and not self.pipeline and self.cycle.keep_alive:
            length = next((int(value) for name, value in self.headers if name == b"content-length"), None)
            if length is None or length - self._body_bytes > _KEPT_REST_BYTES:
                self.cycle.keep_alive = False
                return head[:-2] + b"connection: close\r\n\r\n"
        return head

    def on_response_complete(self) -> None:
        self._joined.flush()
        self.requests.remove(self)
        self.server_state.total_requests += 1
        if self._joined.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._deadline is None:
            self._wait_idle()

    def refuse_unfinished(self) -> None:
        """Others bring large requests, too, and this one is on its way for longest."""
        self.refuse(Refusal(503, "overloaded", "too many large requests are on their way at once; come back later"))

    def refuse(self, refusal: Refusal) -> None:
        """Answer on this level and close; an answer of the app that has begun is only broken off."""
        if self._joined.is_closing():
            return
        cycle = self.cycle
        if cast("object", cycle) is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if cast("object", cycle) is None or cycle.response_complete or not cycle.response_started:
            self._wire.write(refusal_bytes(refusal, self.identity))
        self._is_body_open = True  # whatever follows is not read
        self.parser = httptools.HttpRequestParser(self)  # the old one may hold half a head, until the client has left
        self._joined.close()

    def _ended(self) -> None:
        """The last answer is written. A client that is still sending is listened to for a moment.

        Closed at once, its next bytes would be answered with a reset, and the answer be lost with it.
        """
        if not self._is_body_open:
            self._wire.close()
            return
        self._unread = memoryview(b"")
        if self._wire.can_write_eof():
            self._wire.write_eof()
        self._wire.resume_reading()
        if self._timer is not None:
            self._timer.cancel()
        self._linger_on()

    def _linger_on(self) -> None:
        """Listen once more, until nothing comes for a while."""
        self._lingers += 1
        self._discarded_before = self._discarded
        self._timer = self.loop.call_later(min(LINGER_S, self.limits.request_s), self._look_last)

    def _look_last(self) -> None:
        """Let what came while the process was kept from running be read before it is decided."""
        self._timer = self.loop.call_later(_LAST_LOOK_S, self._check_lingering)

    def _check_lingering(self) -> None:
        if self._discarded == self._discarded_before or self._lingers == _LINGERS:
            self._wire.abort()
        else:
            self._linger_on()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > self.limits.discarded_bytes:
            self._wire.abort()

    def pause_writing(self) -> None:
        """An answer did not fit into the socket's buffer: from now on the client has to take it."""
        super().pause_writing()
        self._untaken = self._wire.get_write_buffer_size()
        self._taken_until = self.loop.time() + self.limits.request_s * _WHOLE_FACTOR
        if self._taking is None:
            self._taking = self.loop.call_later(self.limits.request_s, self._check_taking)
        self.unsent.add(self, max(self._untaken, self._joined.last_bytes))

    def resume_writing(self) -> None:
        """It has been taken."""
        self._stop_watching()
        super().resume_writing()

    def cut(self) -> None:
        """Forget what the client has not taken."""
        self._wire.abort()

    def _check_taking(self) -> None:
        left = self._wire.get_write_buffer_size()
        if left >= self._untaken or self.loop.time() >= self._taken_until:
            self.cut()
            return
        self._untaken = left
        self._taking = self.loop.call_later(self.limits.request_s, self._check_taking)

    def _stop_watching(self) -> None:
        self.unsent.remove(self)
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    # --- time ---

    def shutdown(self) -> None:
        """The server ends. A new connection is left open for a moment: its first request is probably on its way."""
        self.is_last_answer = True
        if cast("object", self.cycle) is None:  # uvicorn's type hides that
            after_first_request(self.loop, super().shutdown)
        else:
            super().shutdown()

    def _wait_for(self, seconds: float) -> None:
        """Set a deadline."""
        now = self.loop.time()
        self._deadline = now + seconds
        if self._timer is None:
            self._timer = self.loop.call_at(min(self._deadline, now + self.limits.look_s), self._check_deadline)

    def _wait_idle(self) -> None:
        """For the next request."""
        self._is_idle = True
        self._wait_for(self.limits.idle_s)

    def _check_deadline(self) -> None:
        self._timer = None
        deadline = self._deadline
        if deadline is None or self._joined.is_closing():
            return
        now = self.loop.time()
        if self.flow.read_paused:  # it is we who do not read
            deadline = self._deadline = now + self.limits.request_s
        if now < deadline:
            self._timer = self.loop.call_at(min(deadline, now + self.limits.look_s), self._check_deadline)
        elif self._is_idle:
            self._joined.close()
        else:
            self._wire.abort()
