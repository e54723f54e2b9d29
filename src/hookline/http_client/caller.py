"""Calls to other processes of Hookline, and to etcd's HTTP side, by url."""

import ssl
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from hookline.http_client.answer import Answer, Header
from hookline.http_client.client import HttpClient, HttpEndpoint, Limits, NoAnswer, NoConnection
from hookline.http_client.request import Unsendable, request_parts
from hookline.visible import without_password

CONNECT_S: Final = 3.0
IDLE_S: Final = 30.0  # less than a node keeps an idle connection (http_api.server), so that this side closes first
_PORTS: Final = {"http": 80, "https": 443}


class _Server(NamedTuple):
    endpoint: HttpEndpoint
    host_header: str
    path: str  # before that of a call


class Caller:
    """Keeps connections, and repeats nothing.

    Args:
        connect_s: to make a connection.
        idle_s: how long one is kept.
        tls: gives the context of the next connection to an https url; None: the system's authorities are trusted.
    """

    def __init__(
        self, *, connect_s: float = CONNECT_S, idle_s: float = IDLE_S, tls: Callable[[], ssl.SSLContext] | None = None
    ) -> None:
        self._connect_s = connect_s
        self._client = HttpClient(idle_s=idle_s, tls=tls)

    async def call(
        self,
        method: str,
        url: str,
        path: str,
        *,
        headers: Sequence[Header] = (),
        body: bytes = b"",
        timeout_s: float,
        fresh: bool = False,
        may_be_cut: bool = False,
    ) -> Answer:
        """The answer, whole.

        Args:
            method: upper case.
            url: of the process.
            path: with query, from there.
            headers: as bytes; names that HTTP sets itself are left out.
            body: sent with its length.
            timeout_s: for everything.
            fresh: not on a connection that was kept.
            may_be_cut: an answer that broke off is of use, too.

        Raises:
            NoConnection: nothing was sent.
            NoAnswer: it may have arrived; no answer came, or not all of it.
        """
        try:
            origin = _origin_of(url)
            request = request_parts(method, origin.path + path, origin.host_header, headers, body)
        except (Unsendable, ValueError) as error:
            raise NoConnection(f"this cannot be sent: {error}") from error
        limits = Limits(timeout_s, self._connect_s)
        try:
            answer = await self._client.exchange(
                origin.endpoint, request, limits, fresh=fresh, is_head=method == "HEAD"
            )
        except NoAnswer as error:
            if error.is_unread:
                raise NoConnection(error.detail) from error
            raise
        if not answer.is_whole and not may_be_cut:
            raise NoAnswer("the answer broke off")
        return answer

    async def close(self) -> None:
        """End all connections."""
        await self._client.close()


@lru_cache(maxsize=256)
def _origin_of(url: str) -> _Server:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{without_password(url)!r} is not an http url")
    port = parts.port or _PORTS[parts.scheme]
    endpoint = HttpEndpoint(parts.hostname, port, parts.hostname, parts.scheme == "https")
    return _Server(endpoint, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"))
