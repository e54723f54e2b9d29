"""The HTTP server of nodes and proxies: uvicorn, uvloop and httptools, made strict, bounded in time, size and number.

llhttp already refuses a request with both Content-Length and Transfer-Encoding, with two Content-Lengths, with a bare
LF or a folded header. Refused here: what it lets pass that two parsers could read differently, and clients that keep a
connection busy without sending a request.
"""

import asyncio
import contextlib
import gc
import socket
from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, cast

import httptools
import msgspec
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from hookline.errors import InvalidConfig
from hookline.lack import descriptors_for_clients
from hookline.protocol.limits import KIB, REQUEST_BYTES_MAX, REQUEST_SECONDS_MAX

_BODY_SECONDS_FACTOR = 6
_BACKLOG = 2_048
_FIRST_REQUEST_S = 0.5  # for a request that is on its way on a new connection while the server ends
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection, and all of them together, may take.

    Attributes:
        request_s: to send the whole head; then for each pause in the body, which in all may take six times as long.
        head_bytes: request line and headers.
        discarded_bytes: of a body that was refused, before the connection is cut.
        idle_s: between two requests.
        connections: open at once.
    """

    request_s: float = REQUEST_SECONDS_MAX
    head_bytes: int = 64 * KIB
    discarded_bytes: int = REQUEST_BYTES_MAX
    idle_s: int = 75
    connections: int = 10_000


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises InvalidConfig when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise InvalidConfig(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --listen or --port"
        ) from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where the socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def calm_garbage_collector() -> None:
    """What was loaded at the start stays; a busy process makes few cycles, looking for them cost 5 % of its time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class ApiServer(uvicorn.Server):
    """Leaves signals to whoever runs the process, and nothing behind when it is cancelled."""

    def close_after_answers(self) -> None:
        """From now on each answer ends its connection and says so; the server goes on otherwise.

        A connection that is closed without a word may have a request on its way, which is then lost.
        """
        protocol = self.config.http_protocol_class
        assert issubclass(protocol, StrictProtocol)
        protocol.is_last_answer = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Until ``should_exit``; uvicorn alone would go on listening after a cancellation, and keep the port."""
        try:
            await super().serve(sockets)
        except asyncio.CancelledError:
            for server in self.servers if self.started else ():
                server.close()
            for connection in list(self.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0)  # uvloop closes what it listens with in its next round
            raise


def make_server(
    app: Starlette, listener: socket.socket, limits: ConnectionLimits | None = None, *, grace_s: int = 10
) -> ApiServer:
    """A server for ``app``; run it with ``serve(sockets=[listener])``, end it with ``should_exit``.

    Args:
        app: from ``create_app``.
        listener: a listening socket.
        limits: what connections may take.
        grace_s: for requests under way when the server ends.
    """
    limits = limits or ConnectionLimits()
    limits = replace(limits, connections=min(limits.connections, descriptors_for_clients()))
    config = uvicorn.Config(
        app,
        http=_protocol(limits, app.state.identity),
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.idle_s,
        timeout_graceful_shutdown=grace_s,
        backlog=_BACKLOG,
    )
    return ApiServer(config)


def _protocol(limits: ConnectionLimits, identity: list[tuple[bytes, bytes]]) -> type[HttpToolsProtocol]:
    class BoundProtocol(StrictProtocol):
        pass

    BoundProtocol.limits = limits
    BoundProtocol.identity = b"".join(b"%s: %s\r\n" % header for header in identity)
    return BoundProtocol


class JoinedTransport:
    """Holds the head of an answer back until its body comes, so that both leave in one system call.

    A call of its own for the head costs 35 µs, a third of a whole create.
    """

    __slots__ = ("_head", "_transport", "abort", "is_closing")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._head = b""
        self.is_closing = transport.is_closing
        self.abort = transport.abort

    def write(self, data: bytes) -> None:
        """Write what was held and ``data``, or hold it if it is a head."""
        if not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def flush(self) -> None:
        """Write what was held: an answer without a body is complete."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Close when everything is written."""
        self.flush()
        self._transport.close()


class StrictProtocol(HttpToolsProtocol):
    """One connection.

    One timer watches it. It is set once and only moved when it fires, so a request costs no timer of its own: what has
    to arrive has a deadline in ``_deadline``, and None means that we wait for nothing but the next request.
    """

    limits: ConnectionLimits
    identity: bytes
    is_last_answer = False  # the next answer ends the connection

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._deadline: float | None = None
        self._body_until = 0.0
        self._timer: TimerHandle | None = None
        self._in_head = True  # or between two requests
        self._framing_bytes = 0  # read since a message began or a part of its body came
        self._discarded = 0
        self._refusal: tuple[int, str, str] | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._joined = JoinedTransport(transport)
        self.transport = self._joined  # type: ignore[assignment]
        if len(self.connections) > self.limits.connections:
            self._refuse(
                503, "overloaded", f"more than {self.limits.connections} connections are open; come back later"
            )
            return
        self._deadline = self.loop.time() + self.limits.request_s
        self._timer = self.loop.call_at(self._deadline, self._check_deadline)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what it refuses is answered with a problem and the connection is closed."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        try:
            while data:
                data = self._feed(data)
        except httptools.HttpParserError as error:
            status, code, detail = self._refusal or (400, "invalid_request", f"this is not HTTP/1.1: {error}")
            self._refuse(status, code, detail)
            return
        if self._framing_bytes > self.limits.head_bytes:
            self._refuse(431, "invalid_header", self._head_too_large())

    def on_header(self, name: bytes, value: bytes) -> None:
        """White space around a value is no part of it (RFC 9110 section 5.5), and a trailer is no header (6.5.1)."""
        if self._in_head:
            # That one decides where the request ends: it is looked at as it came.
            super().on_header(name, value if name.lower() == b"transfer-encoding" else value.strip(b" \t"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._discarded = 0
        if self._deadline is None:
            self._wait_until(self.loop.time() + self.limits.request_s)

    def on_headers_complete(self) -> None:
        self._framing_bytes = 0
        self._check_head()
        if self.parser.should_upgrade():
            return
        now = self.loop.time()
        self._deadline = now + self.limits.request_s
        self._body_until = now + self.limits.request_s * _BODY_SECONDS_FACTOR
        super().on_headers_complete()
        self._in_head = False
        if self.is_last_answer:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._framing_bytes = 0
        self._deadline = min(self.loop.time() + self.limits.request_s, self._body_until)
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > self.limits.discarded_bytes:
                self.transport.close()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._deadline = None
        self._in_head = True
        self._framing_bytes = 0
        super().on_message_complete()

    def _feed(self, data: bytes) -> bytes:
        """Feed the parser; what is left is to be fed again."""
        self._framing_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stopped:
            return self._without_upgrade(data[stopped.args[0] :])
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
        self._framing_bytes = 0
        return b"".join(head) + b"\r\n" + rest

    def shutdown(self) -> None:
        """The server ends. A new connection is left open for a moment: its first request is probably on its way."""
        self.is_last_answer = True
        if cast("object", self.cycle) is None:  # uvicorn's type hides that
            self.loop.call_later(_FIRST_REQUEST_S, super().shutdown)
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        self._joined.flush()
        super().on_response_complete()

    def _check_head(self) -> None:
        """Refuse a head that is too large or could be read in two ways, by raising out of the parser."""
        size = len(self.url)
        hosts = 0
        version = self.parser.get_http_version()
        for name, value in self.headers:
            size += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
                self._stop(400, "invalid_request", "the only Transfer-Encoding taken is chunked, in HTTP/1.1")
            if not value.isascii() and not _is_utf8(value):  # what is, can be passed on byte for byte
                code = "invalid_id" if name == b"idempotency-key" else "invalid_header"  # as any other bad key
                self._stop(400, code, f"the value of the header {name[:80].decode()} is not UTF-8")
        if size > self.limits.head_bytes:
            self._stop(431, "invalid_header", self._head_too_large())
        if self.parser.get_method() == b"CONNECT":
            self._stop(400, "invalid_request", "this server is no proxy")
        if version not in ("1.0", "1.1"):
            self._stop(400, "invalid_request", "this server speaks HTTP/1.1")
        if hosts > 1 or (hosts == 0 and version == "1.1"):
            self._stop(400, "invalid_request", "a request needs exactly one Host header (RFC 9112)")

    def _head_too_large(self) -> str:
        return f"request line and headers, and trailers, may have at most {self.limits.head_bytes} bytes together"

    def _stop(self, status: int, code: str, detail: str) -> None:
        self._refusal = (status, code, detail)
        raise httptools.HttpParserError(detail)

    def _refuse(self, status: int, code: str, detail: str) -> None:
        """Answer on this level, before there is a request for the app, and close."""
        problem = {
            "type": f"https://hookline.dev/errors/{code}",
            "title": STATUS_LINE[status][13:-2].decode(),
            "status": status,
            "code": code,
            "detail": detail,
            "retryable": status == 503,
        }
        if not self._in_head and self.cycle.response_started:  # it has its answer, or half of it
            self.transport.close()
            return
        body = _encode(problem)
        retry_after = b"retry-after: 1\r\n" if status == 503 else b""
        self.transport.write(
            STATUS_LINE[status]
            + self.identity
            + retry_after
            + b"content-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
            + body
        )
        self.transport.close()

    def _wait_until(self, deadline: float) -> None:
        """Set a deadline when there was none; the timer is moved forward if it would fire too late."""
        self._deadline = deadline
        if self._timer is None:
            self._timer = self.loop.call_at(deadline, self._check_deadline)

    def _check_deadline(self) -> None:
        self._timer = None
        deadline = self._deadline
        if deadline is None or self.transport.is_closing():
            return
        now = self.loop.time()
        if self.flow.read_paused:  # it is we who do not read
            deadline = self._deadline = now + self.limits.request_s
        if now < deadline:
            self._timer = self.loop.call_at(deadline, self._check_deadline)
            return
        self.transport.close()


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
