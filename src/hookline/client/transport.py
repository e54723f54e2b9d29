"""Carrying calls over HTTP, once for ordinary code and once for asyncio.

``requests`` says what is sent and how the answer is read, ``retrying`` what is sent again, ``connections`` and
``carriers`` through what; here the HTTP library's errors become ours.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib.metadata import version
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

import httpcore2

from hookline.client.carriers import (
    AsyncCarrier,
    AsyncOwnConnections,
    Call,
    Carrier,
    OwnConnections,
)
from hookline.client.connections import Connecting, Pools
from hookline.client.deadline import until
from hookline.client.failed_calls import LIBRARY_ERRORS, failed_call
from hookline.client.place import Place
from hookline.client.requests import Request
from hookline.client.retrying import Retrying
from hookline.errors import HooklineError, InvalidConfig
from hookline.visible import without_password

if TYPE_CHECKING:
    import httpx2

DEFAULT_URL = "http://127.0.0.1:7070"

T = TypeVar("T")
P = TypeVar("P", bound=Any)


class BlockingTransport:
    """Sends calls and waits for their replies. Safe to share between threads, and to take along into a fork."""

    def __init__(
        self, connecting: "Connecting[httpx2.Client]", retrying: Retrying, sleep: Callable[[float], None]
    ) -> None:
        self._url = connecting.url
        self._headers = _own_headers(connecting)
        self._retrying = retrying
        self._sleep = sleep
        self._pools = Pools[Carrier, "httpx2.Client"](connecting, "Client", OwnConnections, _given)

    def send(self, request: Request[T]) -> T:
        """Send the call, again as long as that is safe and allowed, and return its typed reply."""
        for tries in count(1):
            try:
                return self._exchange(request)
            except HooklineError as error:
                wait_s = self._retrying.wait_s(request, error, tries)
                if wait_s is None:
                    raise
                request = request.after(error)
            self._sleep(wait_s)
        raise AssertionError("count() does not end")

    def items(self, page_at: Callable[[str | None], Request[Any]]) -> Iterator[Any]:
        """What all pages of a list hold, in order, fetched as they are needed."""
        page = self.send(page_at(None))
        yield from page.data
        while page.next_cursor is not None:
            page = _moved_on(page, self.send(page_at(page.next_cursor)))
            yield from page.data

    def close(self) -> None:
        """Close the connections."""
        if (carrier := self._pools.close()) is not None:
            carrier.close()

    def _exchange(self, request: Request[T]) -> T:
        carrier, call = self._pools.of_process(), _call(request, self._url, self._headers, self._retrying)
        try:
            with until(call.left_s):
                answer = carrier.carry(call)
        except LIBRARY_ERRORS as error:
            raise failed_call(error, self._url) from error
        return request.parse(*answer, self._url)


class AwaitingTransport:
    """The same for asyncio."""

    def __init__(
        self,
        connecting: "Connecting[httpx2.AsyncClient]",
        retrying: Retrying,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._url = connecting.url
        self._headers = _own_headers(connecting)
        self._retrying = retrying
        self._sleep = sleep
        self._pools = Pools[AsyncCarrier, "httpx2.AsyncClient"](
            connecting, "AsyncClient", AsyncOwnConnections, _given_async
        )

    async def send(self, request: Request[T]) -> T:
        """Send the call, again as long as that is safe and allowed, and return its typed reply."""
        for tries in count(1):
            try:
                return await self._exchange(request)
            except HooklineError as error:
                wait_s = self._retrying.wait_s(request, error, tries)
                if wait_s is None:
                    raise
                request = request.after(error)
            await self._sleep(wait_s)
        raise AssertionError("count() does not end")

    async def items(self, page_at: Callable[[str | None], Request[Any]]) -> AsyncIterator[Any]:
        """What all pages of a list hold, in order, fetched as they are needed."""
        page = await self.send(page_at(None))
        while True:
            for item in page.data:
                yield item
            if page.next_cursor is None:
                return
            page = _moved_on(page, await self.send(page_at(page.next_cursor)))

    async def close(self) -> None:
        """Close the connections."""
        if (carrier := self._pools.close_of_loop()) is not None:
            await carrier.close()

    async def _exchange(self, request: Request[T]) -> T:
        carrier, call = self._pools.of_loop(), _call(request, self._url, self._headers, self._retrying)
        try:
            # The SDK's own connections end by themselves; this is for a client of the caller's, which may not.
            async with asyncio.timeout(call.timeout_s + _GRACE_S):
                with until(call.left_s):
                    answer = await carrier.carry(call)
        except TimeoutError:
            raise failed_call(httpcore2.ReadTimeout("timed out"), self._url) from None
        except LIBRARY_ERRORS as error:
            raise failed_call(error, self._url) from error
        return request.parse(*answer, self._url)


def _call(request: Request[Any], url: str, headers: dict[str, str], retrying: Retrying) -> Call:
    left_s = retrying.deadline()
    return Call(request.method, url, request.path, headers | request.headers, request.body, retrying.timeout_s, left_s)


_GRACE_S = 0.05  # so that a step that ends by itself can say which one it was


def _moved_on(before: P, page: P) -> P:
    """The next page, unless the service goes round in a circle: the list would never end."""
    if page.next_cursor is not None and page.next_cursor == before.next_cursor:
        raise HooklineError("The service gives the same page of the list again. Is the address right?")
    return page


def _own_headers(connecting: Connecting[Any]) -> dict[str, str]:
    """What goes with every call; the caller's headers replace the SDK's."""
    return {
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": f"hookline-python/{version('hookline')}",
    } | {name.lower(): value for name, value in connecting.headers.items()}


def service_url(given: str | None) -> str:
    """The service's address without a trailing slash: ``given``, else HOOKLINE_URL, else a node on this machine.

    Raises:
        InvalidConfig: it is no address.
    """
    text, named = given, "base_url"
    if text is None:
        text, named = os.environ.get("HOOKLINE_URL") or DEFAULT_URL, "HOOKLINE_URL"
    if not text.startswith(("http://", "https://")) or "?" in text or "#" in text or not _is_url(text):
        shown = without_password(text)
        raise InvalidConfig(
            f"{named} {shown!r} is not the address of a service; use one like {DEFAULT_URL}", field=named
        )
    return text.rstrip("/")


def _is_url(text: str) -> bool:
    try:
        Place(text)
    except ValueError:
        return False
    return True


def _given(client: "httpx2.Client", is_theirs: bool) -> Carrier:
    from hookline.client.given_client import GivenClient  # noqa: PLC0415  # most callers have none

    return GivenClient(client, is_theirs)


def _given_async(client: "httpx2.AsyncClient", is_theirs: bool) -> AsyncCarrier:
    from hookline.client.given_client import AsyncGivenClient  # noqa: PLC0415

    return AsyncGivenClient(client, is_theirs)
