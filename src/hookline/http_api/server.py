"""The HTTP server of nodes and proxies: uvicorn, uvloop and httptools, made strict, bounded in time, size and number.

One connection is in ``connection``, the head of a request in ``heads``.
"""

import asyncio
import contextlib
import ctypes
import select
import socket
import struct
import sys
from collections.abc import Generator, Iterable
from dataclasses import replace

import uvicorn
from starlette.applications import Starlette

from hookline.errors import InvalidConfig
from hookline.http_api.connection import StrictProtocol, protocol_of
from hookline.http_api.connection_limits import ConnectionLimits
from hookline.http_api.heads import hosts_allowed
from hookline.http_api.tls_door import TlsDoor, door_of
from hookline.lack import descriptors_for_clients
from hookline.tls.live import LiveTls

_BACKLOG = 2_048
_ATTACH_FILTER, _RETURN = 26, 6  # asm/socket.h, linux/bpf_common.h: Python has no names for them
_LOOK_S = 0.01
_LAST_LOOKS = 50


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises InvalidConfig when the address is taken or not ours."""
    if not host:  # the system would take it for all addresses
        raise InvalidConfig("cannot listen: no host is given; choose one, such as 127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except (OverflowError, TypeError, UnicodeError) as error:  # a port or a name that cannot be one
        listener.close()
        raise InvalidConfig(
            f"cannot listen on {host}:{port}: {str(error).removeprefix('bind(): ')}; choose another --host or --port"
        ) from error
    except OSError as error:
        listener.close()
        raise InvalidConfig(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --listen or --port"
        ) from error
    listener.setblocking(False)
    return listener


def drop_newcomers(listener: socket.socket) -> None:
    """Let no more connections be made; who tries it is refused when the socket is closed, a second later.

    One that is made and not taken when it is closed would be reset, whatever was sent on it already. So each packet to
    the socket is dropped, by a filter of one instruction (socket(7)). Where there is no such thing nothing is done.
    """
    if sys.platform == "linux":
        keep_nothing = ctypes.create_string_buffer(struct.pack("=HBBI", _RETURN, 0, 0, 0))
        program = struct.pack("@HP", 1, ctypes.addressof(keep_nothing))
        with contextlib.suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


def _has_newcomers(listener: socket.socket) -> bool:
    looking = select.poll()
    looking.register(listener, select.POLLIN)
    return bool(looking.poll(0))


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """The url at which the socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class ApiServer(uvicorn.Server):
    """Leaves signals to whoever runs the process, and nothing behind when it is cancelled."""

    def __init__(self, config: uvicorn.Config, strict: type[StrictProtocol], *, is_listener_shared: bool) -> None:
        super().__init__(config)
        self._strict = strict
        self._is_listener_shared = is_listener_shared

    def close_after_answers(self) -> None:
        """From now on each answer ends its connection and says so; the server goes on otherwise.

        A connection that is closed without a word may have a request on its way, which is then lost.
        """
        self._strict.is_last_answer = True

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
            await self._answer_last()
            for connection in list(self.server_state.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0)  # uvloop closes what it listens with in its next round
            raise

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take what clients have sent, and end.

        A process that was kept from running has not read what came meanwhile. uvicorn alone would reset connections
        that wait to be taken, and close others as if nothing had come on them.
        """
        own = [] if self._is_listener_shared else sockets or []
        for listener in own:
            drop_newcomers(listener)
        for _ in range(_BACKLOG):
            await asyncio.sleep(0)  # one round of the loop: it takes a connection of each socket, and reads
            if not any(map(_has_newcomers, own)):
                break
        await super().shutdown(sockets)

    async def _answer_last(self) -> None:
        """Let requests be answered whose fate was decided by whatever ended us; not for long."""
        for _ in range(_LAST_LOOKS):
            if not any(_has_request(one) for one in self.server_state.connections):
                return
            await asyncio.sleep(_LOOK_S)


def _has_request(connection: object) -> bool:
    assert isinstance(connection, StrictProtocol | TlsDoor)
    return connection.has_request


def make_server(
    app: Starlette,
    listener: socket.socket,
    limits: ConnectionLimits | None = None,
    *,
    grace_s: int = 10,
    allow_hosts: Iterable[str] = (),
    tls: LiveTls | None = None,
    is_listener_shared: bool = False,
) -> ApiServer:
    """A server for ``app``; run it with ``serve(sockets=[listener])``, end it with ``should_exit``.

    Args:
        app: from ``create_app``.
        listener: a listening socket.
        limits: what connections may take.
        grace_s: for requests under way when the server ends.
        allow_hosts: names it answers to beside its own, when it listens at a loopback address.
        tls: that of the process; None: it has none.
        is_listener_shared: others go on to listen there when this server has ended.
    """
    limits = limits or ConnectionLimits()
    limits = replace(limits, connections=min(limits.connections, descriptors_for_clients()))
    hosts = hosts_allowed(listener.getsockname()[0], allow_hosts)
    strict = protocol_of(limits, app.state.identity, hosts)
    config = uvicorn.Config(
        app,
        http=strict if tls is None or not tls.is_server else door_of(strict, limits, tls.server_context),
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
    return ApiServer(config, strict, is_listener_shared=is_listener_shared)
