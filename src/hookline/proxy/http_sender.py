"""Sends calls to nodes over HTTP/1.1 with pyreqwest; connections are kept and used again.

A kept connection may have been closed by the node in the meantime. The HTTP library sees that and takes another one,
but when both happen at once the call fails and nobody knows whether the node took it: Unclear. Repeatable calls are
then sent again. Those that are not get a connection of their own, which nobody closes before the call arrives; so does
a call that is sent again: when a machine has vanished, all connections to it are dead and none says so.
"""

from datetime import timedelta
from types import TracebackType
from typing import Self

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.response import Response

from hookline.http_api.exchange import HeaderPair
from hookline.http_errors import causes, never_left
from hookline.proxy.sender import Answer, Call, NotSent, Unclear

CONNECT_TIMEOUT_S = 1.0
IDLE_S = 30.0  # less than a node keeps an idle connection (http_api.server), so that the proxy closes first
_NOT_PASSED_BACK = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive", "date", "server"})


class HttpSender:
    """The connections to all nodes. Use as an async context manager."""

    def __init__(self, connect_timeout_s: float = CONNECT_TIMEOUT_S, idle_s: float = IDLE_S) -> None:
        self._kept = _builder(connect_timeout_s).pool_idle_timeout(timedelta(seconds=idle_s)).build()
        self._fresh = _builder(connect_timeout_s).pool_max_idle_per_host(0).build()

    async def __aenter__(self) -> Self:
        await self._kept.__aenter__()
        await self._fresh.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._kept.close()
        await self._fresh.close()

    async def send(self, url: str, call: Call, timeout_s: float) -> Answer:
        """The answer of the node at ``url``. Raises NotSent or Unclear."""
        client: Client = self._kept if call.is_repeatable and not call.is_again else self._fresh
        builder = client.request(call.method, url + call.target).headers(_as_text(call.headers))
        if call.body:
            builder = builder.body_bytes(call.body)
        request = builder.timeout(timedelta(seconds=timeout_s)).build()
        try:
            response = await request.send()
            body = bytes(await response.bytes())
            return _answer(response, body)
        except PyreqwestError as error:
            raise _failure(url, error) from error
        except ValueError as error:  # a header of the answer that is not visible ASCII
            raise Unclear(f"{url}: {error}") from error


def _answer(response: Response, body: bytes) -> Answer:
    content_type = b""
    headers = []
    for name, value in response.headers.items():
        if name == "content-type":
            content_type = value.encode("latin-1")
        elif name not in _NOT_PASSED_BACK:
            headers.append((name.encode("latin-1"), value.encode("latin-1")))
    return Answer(response.status, body, content_type, tuple(headers))


def _builder(connect_timeout_s: float) -> ClientBuilder:
    return (
        ClientBuilder()
        .http1_only()
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        .gzip(False)  # what the client and the node agreed on passes through
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .tcp_nodelay(True)
        .max_connections(None)
        .connect_timeout(timedelta(seconds=connect_timeout_s))
    )


def _as_text(headers: tuple[HeaderPair, ...]) -> list[tuple[str, str]]:
    """As pyreqwest takes them, which sends text in UTF-8. The server lets nothing else in."""
    return [(name.decode("latin-1"), value.decode()) for name, value in headers]


def _failure(url: str, error: PyreqwestError) -> NotSent | Unclear:
    kind = NotSent if never_left(error) else Unclear
    return kind(f"{url}: {causes(error)[-1]}")
