"""One carrier of calls for each process, and of asyncio for each event loop.

A child that ``fork()`` made gets connections of its own. Its parent's are neither used nor closed there: they carry the
parent's calls, and a lock of theirs may be held for ever by a thread that does not exist in the child.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Generic, Literal, TypeVar, cast

from hookline.client.connections import Connecting, H
from hookline.client.forks import Process, process
from hookline.errors import ClientClosed, InvalidConfig

C = TypeVar("C")


class Source(Generic[C, H]):
    """Makes carriers, as long as the client is open.

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
        self._given_to: Process | None = None
        self._is_closed = False
        given = connecting.http_client
        if given is not None and not callable(given) and not self._is_client(given):
            raise InvalidConfig(f"http_client is {_named(type(given))}; give an httpx2.{kind}", field="http_client")
        self._kind_name = kind

    def check_open(self) -> None:
        """Raises ClientClosed."""
        if self._is_closed:
            raise ClientClosed
        given = self._connecting.http_client
        if self._is_client(given) and cast(H, given).is_closed:
            raise ClientClosed("The http_client of this client is closed; keep it open as long as this one.")

    def close(self) -> None:
        """Make no more."""
        self._is_closed = True

    def fresh(self) -> C:
        """A new one. Raises InvalidConfig."""
        given = self._connecting.http_client
        if given is None:
            return self._make(self._connecting)
        if self._is_client(given):
            return self._wrap(self._theirs(cast(H, given)), True)
        made = cast(Callable[[], H], given)()  # what can be called and is not a client, as __init__ has checked
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


class ProcessPools(Generic[C, H]):
    """One for each process."""

    def __init__(self, source: Source[C, H]) -> None:
        self._source = source
        # Kept although a child does not use its parent's: when they go, their sockets are closed.
        self._by_process: dict[Process, C] = {}

    def of_here(self) -> C:
        """The carrier of this process. Raises ClientClosed, InvalidConfig."""
        self._source.check_open()
        here = process()
        found = self._by_process.get(here)
        if found is None:  # no lock, which another thread might hold while it is forked; setdefault is atomic
            found = self._by_process.setdefault(here, self._source.fresh())
        return found

    def close(self) -> C | None:
        """Take no more calls; gives the carrier of this process that is to be closed."""
        self._source.close()
        return self._by_process.pop(process(), None)


def _httpx2_class(name: str) -> type[Any]:
    kind: type[Any] = getattr(import_module("httpx2"), name)
    return kind


def _named(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
