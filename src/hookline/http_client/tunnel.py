"""Goes through an HTTP proxy to the endpoint: ``CONNECT`` (RFC 9110, section 9.3.6), then whatever is spoken there."""

import asyncio
import base64
import re
import socket
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from hookline.errors import InvalidConfig

_HEAD_MAX: Final = 8_192
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")


class TunnelProxy(NamedTuple):
    """The proxy that all connections go through; ``authorization``: for it, or empty."""

    host: str
    port: int
    authorization: str = ""

    @classmethod
    def parse(cls, url: str, option: str) -> "TunnelProxy":
        """Read ``http://[user:password@]host:port``. Raises InvalidConfig naming the option, never the password."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or port is None or parts.scheme != "http" or parts.path.strip("/") or parts.query or parts.fragment:
            raise InvalidConfig(
                f"--{option} is not like http://proxy.internal:3128 or http://user:password@proxy.internal:3128",
                field=option.replace("-", "_"),
            )
        if parts.username is None:
            return cls(host, port)
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return cls(host, port, "Basic " + base64.b64encode(credentials.encode()).decode())


class NoTunnel(Exception):
    """The proxy lets nothing through to there."""


async def tunnel(proxy: TunnelProxy, address: str, port: int) -> socket.socket:
    """A socket that leads through the proxy to the address. Raises NoTunnel, OSError; bound it in time."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    last: OSError | None = None
    for family, kind, protocol, _, place in found:
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, place)
            await _ask(connection, proxy, f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
        except OSError as error:
            connection.close()
            last = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise last or OSError(f"{proxy.host} has no address")


async def _ask(connection: socket.socket, proxy: TunnelProxy, authority: str) -> None:
    loop = asyncio.get_running_loop()
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    await loop.sock_sendall(connection, "\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        part = await loop.sock_recv(connection, _HEAD_MAX)
        head += part
        if not part or len(head) > _HEAD_MAX:
            raise NoTunnel("the egress proxy ended the connection" if not part else "the egress proxy speaks no HTTP")
    status = _STATUS.match(head)
    if status is None or not head.endswith(b"\r\n\r\n"):
        raise NoTunnel("the egress proxy speaks no HTTP")
    if not status[1].startswith(b"2"):
        raise NoTunnel(f"the egress proxy answered {status[1].decode()} for {authority}")
