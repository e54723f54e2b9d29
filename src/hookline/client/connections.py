"""The HTTP clients under the SDK: how they are set up, and one for each process and event loop.

A child that ``fork()`` made gets connections of its own. Its parent's are neither used nor closed there: they carry the
parent's calls, and a lock of theirs may be held for ever by a thread that does not exist in the child.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import httpcore2
import httpx2

from hookline.client.deadline import SOCKET_OPTIONS, AsyncBoundedBackend, BoundedBackend
from hookline.client.forks import process
from hookline.client.headers import check_headers
from hookline.errors import ClientClosed, InvalidConfig
from hookline.visible import without_password

CONNECTIONS_MAX = 100
_IDLE_S = 5.0

Verify = ssl.SSLContext | str | os.PathLike[str] | bool
H = TypeVar("H", bound=httpx2.Client | httpx2.AsyncClient)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connecting(Generic[H]):
    """How to reach the service.

    Attributes:
        url: its address, without a slash at the end.
        headers: sent with every call.
        verify: a file of certificates to trust, or a context; True: those that the system trusts; False: any.
        proxy: the url of an HTTP proxy to go through.
        http_client: the caller's own client, or what makes one in each process.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    verify: Verify = True
    proxy: str | None = None
    http_client: H | Callable[[], H] | None = None

    def __post_init__(self) -> None:
        check_headers(self.headers, "headers")
        if self.http_client is not None and (self.verify is not True or self.proxy is not None):
            raise InvalidConfig(
                "verify and proxy are settings of your http_client; give them to it", field="http_client"
            )
        if self.proxy is not None:
            _proxy(self.proxy)
        if self.verify is not True:
            _context(self.verify)


class Pools(Generic[H]):
    """One HTTP client for each process, and of asyncio for each event loop.

    Args:
        connecting: how to reach the service.
        kind: ``httpx2.Client`` or ``httpx2.AsyncClient``.
        make: a client as the SDK sets one up itself.
    """

    def __init__(self, connecting: Connecting[H], kind: type[H], make: Callable[[Connecting[H]], H]) -> None:
        self._connecting, self._kind, self._make = connecting, kind, make
        # Kept although a child does not use its parent's: when they go, their sockets are closed.
        self._by_process: dict[tuple[int, int], H] = {}
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[tuple[int, int], H]] = WeakKeyDictionary()
        self._given_to: tuple[int, int] | None = None
        self._is_closed = False
        given = connecting.http_client
        if given is not None and not callable(given) and not isinstance(given, kind):
            raise InvalidConfig(f"http_client is {_named(type(given))}; give an {_named(kind)}", field="http_client")

    def of_process(self) -> H:
        """The client of this process. Raises ClientClosed, InvalidConfig."""
        here = process()
        found = self._by_process.get(here)
        if found is None:  # no lock, which another thread might hold while it is forked; setdefault is atomic
            found = self._by_process.setdefault(here, self._fresh())
        return self._open(found)

    def of_loop(self) -> H:
        """The client of the running event loop. Raises ClientClosed, InvalidConfig."""
        here, loop = process(), asyncio.get_running_loop()
        made_in, found = self._by_loop.get(loop, (None, None))
        if found is None or made_in != here:
            found = self._fresh()
            self._by_loop[loop] = (here, found)
        return self._open(found)

    def close(self) -> None:
        """Close what this process has open, unless it is the caller's own."""
        self._is_closed = True
        found = self._by_process.get(process())
        if isinstance(found, httpx2.Client) and found is not self._connecting.http_client:
            found.close()

    async def aclose(self) -> None:
        """The same on an event loop."""
        self._is_closed = True
        made_in, found = self._by_loop.get(asyncio.get_running_loop(), (None, None))
        if isinstance(found, httpx2.AsyncClient) and made_in == process() and found is not self._connecting.http_client:
            await found.aclose()

    def _open(self, found: H) -> H:
        if self._is_closed:
            raise ClientClosed
        if found.is_closed:
            raise ClientClosed(
                "The http_client that this client was given is closed; keep it open as long as this one."
            )
        return found

    def _fresh(self) -> H:
        if self._is_closed:
            raise ClientClosed
        given = self._connecting.http_client
        if given is None:
            return self._make(self._connecting)
        if isinstance(given, self._kind):
            return self._theirs(given)
        made = given()  # type: ignore[operator]  # what can be called and is no client, as __init__ has checked
        if not isinstance(made, self._kind):
            raise InvalidConfig(
                f"http_client gave {_named(type(made))}; let it give an {_named(self._kind)}", field="http_client"
            )
        return made

    def _theirs(self, given: H) -> H:
        """The caller's own client, as long as no other process has used it."""
        if self._given_to not in (None, process()):
            raise InvalidConfig(
                "your http_client was used before fork() and cannot be shared with the parent process; give what makes "
                "one in each process: http_client=lambda: httpx2.Client(...)",
                field="http_client",
            )
        self._given_to = process()
        return given


def blocking_client(connecting: Connecting[httpx2.Client]) -> httpx2.Client:
    """A client for ordinary code."""
    return httpx2.Client(transport=_Carrier(connecting), cookies=_no_cookies(), trust_env=False)


def awaiting_client(connecting: Connecting[httpx2.AsyncClient]) -> httpx2.AsyncClient:
    """A client for asyncio."""
    return httpx2.AsyncClient(transport=_AsyncCarrier(connecting), cookies=_no_cookies(), trust_env=False)


class _Carrier(httpx2.BaseTransport):
    """The library's pool with a bound for a whole call, which its own transport has no place for."""

    def __init__(self, connecting: Connecting[httpx2.Client]) -> None:
        options = _pool_options(connecting) | {"network_backend": BoundedBackend()}
        proxy = connecting.proxy
        self._pool = httpcore2.ConnectionPool(**options, proxy=None if proxy is None else _proxy(proxy))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send; raises the errors of httpcore2."""
        answer = self._pool.handle_request(_core_request(request))
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Answer(answer.stream))

    def close(self) -> None:
        self._pool.close()


class _AsyncCarrier(httpx2.AsyncBaseTransport):
    def __init__(self, connecting: Connecting[httpx2.AsyncClient]) -> None:
        options = _pool_options(connecting) | {"network_backend": AsyncBoundedBackend()}
        proxy = connecting.proxy
        self._pool = httpcore2.AsyncConnectionPool(**options, proxy=None if proxy is None else _proxy(proxy))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send; raises the errors of httpcore2."""
        answer = await self._pool.handle_async_request(_core_request(request))
        return httpx2.Response(answer.status, headers=answer.headers, stream=_AsyncAnswer(answer.stream))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Answer(httpx2.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.close = stream.close  # type: ignore[method-assign]

    def __iter__(self) -> Any:
        return iter(self._stream)


class _AsyncAnswer(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.aclose = stream.aclose  # type: ignore[method-assign]

    def __aiter__(self) -> Any:
        return self._stream.__aiter__()


def _core_request(request: httpx2.Request) -> httpcore2.Request:
    url = request.url
    return httpcore2.Request(
        request.method,
        httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _pool_options(connecting: Connecting[Any]) -> dict[str, Any]:
    # What the system trusts takes long to load, and http:// has no use for it.
    has_tls = any(url is not None and url.startswith("https:") for url in (connecting.url, connecting.proxy))
    return {
        "ssl_context": _context(connecting.verify) if has_tls else None,
        "max_connections": CONNECTIONS_MAX,
        "max_keepalive_connections": CONNECTIONS_MAX,
        "keepalive_expiry": _IDLE_S,
        "socket_options": SOCKET_OPTIONS,
    }


def _context(verify: Verify) -> ssl.SSLContext:
    if isinstance(verify, (ssl.SSLContext, bool)):
        return httpx2.create_ssl_context(verify)
    try:
        path = Path(verify)
        return ssl.create_default_context(capath=path) if path.is_dir() else ssl.create_default_context(cafile=path)
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidConfig(
            f"verify is {verify!r}, which is no file of certificates: {reason}", field="verify"
        ) from error


def _proxy(text: str) -> httpcore2.Proxy:
    try:
        proxy = httpx2.Proxy(text)
        if proxy.url.scheme not in ("http", "https") or not proxy.url.host:
            raise ValueError("it is no http:// or https:// url")
    except (httpx2.InvalidURL, ValueError, TypeError) as error:
        shown = without_password(str(text))
        raise InvalidConfig(f"proxy is {shown!r}; use one like http://proxy.example:3128", field="proxy") from error
    url = proxy.url
    return httpcore2.Proxy(
        httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path), auth=proxy.raw_auth
    )


def _no_cookies() -> CookieJar:
    return CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))


def _named(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
