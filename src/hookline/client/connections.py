"""The HTTP clients under the SDK: how they are set up, and one for each process and event loop.

A child that ``fork()`` made gets connections of its own. Its parent's are neither used nor closed there: they carry the
parent's calls, and a lock of theirs may be held for ever by a thread that does not exist in the child.
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast
from weakref import WeakKeyDictionary

import httpcore2

from hookline.client.forks import Process, process
from hookline.client.headers import check_headers
from hookline.client.place import Place
from hookline.errors import ClientClosed, InvalidConfig
from hookline.visible import without_password

if TYPE_CHECKING:
    import httpx2

Verify = ssl.SSLContext | str | os.PathLike[str] | bool
C = TypeVar("C")
H = TypeVar("H", bound="httpx2.Client | httpx2.AsyncClient")


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
            proxy_of(self.proxy)
        if self.verify is not True:
            tls_context(self.verify)


class Pools(Generic[C, H]):
    """One carrier of calls for each process, and of asyncio for each event loop.

    Args:
        connecting: how to reach the service.
        kind: which of httpx2's classes the caller's own client must be, or make.
        make: a carrier over connections of the SDK's own.
        wrap: a carrier over the caller's client; True: it stays open.
    """

    def __init__(
        self,
        connecting: Connecting[H],
        kind: Literal["Client", "AsyncClient"],
        make: Callable[[Connecting[H]], C],
        wrap: Callable[[H, bool], C],
    ) -> None:
        self._connecting, self._make, self._wrap = connecting, make, wrap
        self._kind = None if connecting.http_client is None else _httpx2_class(kind)
        # Kept although a child does not use its parent's: when they go, their sockets are closed.
        self._by_process: dict[Process, C] = {}
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Process, C]] = WeakKeyDictionary()
        self._given_to: Process | None = None
        self._is_closed = False
        given = connecting.http_client
        if given is not None and not callable(given) and not self._is_client(given):
            raise InvalidConfig(f"http_client is {_named(type(given))}; give an httpx2.{kind}", field="http_client")
        self._kind_name = kind

    def of_process(self) -> C:
        """The carrier of this process. Raises ClientClosed, InvalidConfig."""
        self._check_open()
        here = process()
        found = self._by_process.get(here)
        if found is None:  # no lock, which another thread might hold while it is forked; setdefault is atomic
            found = self._by_process.setdefault(here, self._fresh())
        return found

    def of_loop(self) -> C:
        """The carrier of the running event loop. Raises ClientClosed, InvalidConfig."""
        self._check_open()
        here, loop = process(), asyncio.get_running_loop()
        made_in, found = self._by_loop.get(loop, (None, None))
        if found is None or made_in != here:
            found = self._fresh()
            self._by_loop[loop] = (here, found)
        return found

    def close(self) -> C | None:
        """Take no more calls; gives the carrier of this process that is to be closed."""
        self._is_closed = True
        return self._by_process.pop(process(), None)

    def close_of_loop(self) -> C | None:
        """Take no more calls; gives the carrier of this loop that is to be closed."""
        self._is_closed = True
        made_in, found = self._by_loop.pop(asyncio.get_running_loop(), (None, None))
        return found if made_in == process() else None

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClientClosed
        given = self._connecting.http_client
        if self._is_client(given) and cast(H, given).is_closed:
            raise ClientClosed("The http_client of this client is closed; keep it open as long as this one.")

    def _fresh(self) -> C:
        given = self._connecting.http_client
        if given is None:
            return self._make(self._connecting)
        if self._is_client(given):
            return self._wrap(self._theirs(cast(H, given)), True)
        made = cast(Callable[[], H], given)()  # what can be called and is no client, as __init__ has checked
        if not self._is_client(made):
            raise InvalidConfig(
                f"http_client gave {_named(type(made))}; let it give an httpx2.{self._kind_name}", field="http_client"
            )
        return self._wrap(made, False)

    def _is_client(self, given: object) -> bool:
        return self._kind is not None and isinstance(given, self._kind)

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


def _httpx2_class(name: str) -> type[Any]:
    kind: type[Any] = getattr(import_module("httpx2"), name)
    return kind


def tls_context(verify: Verify) -> ssl.SSLContext:
    """What decides whose certificate is good. Raises InvalidConfig."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    if verify is True:
        return httpcore2.default_ssl_context()
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    try:
        path = Path(verify)
        return ssl.create_default_context(capath=path) if path.is_dir() else ssl.create_default_context(cafile=path)
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        said = f"verify is {str(verify)!r}, which is no file of certificates: {reason}"
        raise InvalidConfig(said, field="verify") from error


def proxy_of(text: str) -> httpcore2.Proxy:
    """The HTTP proxy of that url. Raises InvalidConfig."""
    try:
        place = Place(str(text))
    except ValueError as error:
        shown = without_password(str(text))
        raise InvalidConfig(f"proxy is {shown!r}; use one like http://proxy.example:3128", field="proxy") from error
    url = httpcore2.URL(scheme=place.scheme, host=place.host, port=place.port, target=b"/")
    return httpcore2.Proxy(url, auth=place.user_and_password)


def _named(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
