"""Carrying calls over HTTP, once for ordinary code and once for asyncio.

``requests`` says what is sent and how the answer is read, ``retrying`` what is sent again, ``connections`` through
what; here bytes move, and the HTTP library's errors become ours.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib.metadata import version
from itertools import count
from typing import Any, TypeVar

import httpx2

from hookline.client.connections import Connecting, Pools, awaiting_client, blocking_client
from hookline.client.deadline import until
from hookline.client.failed_calls import LIBRARY_ERRORS, failed_call
from hookline.client.requests import Request
from hookline.client.retrying import Retrying
from hookline.errors import ForeignAnswer, HooklineError, InvalidConfig
from hookline.protocol.limits import KIB
from hookline.visible import without_password

DEFAULT_URL = "http://127.0.0.1:7070"
ANSWER_BYTES_MAX = 64 * 1024 * KIB

T = TypeVar("T")
P = TypeVar("P", bound=Any)


class BlockingTransport:
    """Sends calls and waits for their replies. Safe to share between threads, and to take along into a fork."""

    def __init__(
        self, connecting: Connecting[httpx2.Client], retrying: Retrying, sleep: Callable[[float], None]
    ) -> None:
        self._url = connecting.url
        self._headers = _own_headers(connecting)
        self._retrying = retrying
        self._sleep = sleep
        self._pools = Pools(connecting, httpx2.Client, blocking_client)

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
        self._pools.close()

    def _exchange(self, request: Request[T]) -> T:
        client, left_s = self._pools.of_process(), self._retrying.deadline()
        try:
            with until(left_s):
                response = client.send(self._built(client, request), stream=True, follow_redirects=False)
                try:
                    body = _Body(left_s)
                    for part in response.iter_bytes():
                        body.add(part)
                finally:
                    response.close()
        except LIBRARY_ERRORS as error:
            raise failed_call(error, self._url) from error
        return request.parse(response.status_code, _lowered(response), body.whole(), self._url)

    def _built(self, client: httpx2.Client, request: Request[Any]) -> httpx2.Request:
        return client.build_request(
            request.method,
            self._url + request.path,
            headers=self._headers | request.headers,
            content=request.body,
            timeout=self._retrying.timeout_s,
        )


class AwaitingTransport:
    """The same for asyncio."""

    def __init__(
        self,
        connecting: Connecting[httpx2.AsyncClient],
        retrying: Retrying,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._url = connecting.url
        self._headers = _own_headers(connecting)
        self._retrying = retrying
        self._sleep = sleep
        self._pools = Pools(connecting, httpx2.AsyncClient, awaiting_client)

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
        await self._pools.aclose()

    async def _exchange(self, request: Request[T]) -> T:
        client, left_s = self._pools.of_loop(), self._retrying.deadline()
        try:
            # The library's steps end by themselves; this is for a client of the caller's, whose steps may not.
            async with asyncio.timeout(self._retrying.timeout_s + _GRACE_S):
                status, headers, body = await self._answer(client, request, left_s)
        except TimeoutError:
            raise failed_call(httpx2.ReadTimeout("timed out"), self._url) from None
        except LIBRARY_ERRORS as error:
            raise failed_call(error, self._url) from error
        return request.parse(status, headers, body, self._url)

    async def _answer(
        self, client: httpx2.AsyncClient, request: Request[Any], left_s: Callable[[], float]
    ) -> tuple[int, dict[str, str], bytes]:
        with until(left_s):
            response = await client.send(self._built(client, request), stream=True, follow_redirects=False)
            try:
                body = _Body(left_s)
                async for part in response.aiter_bytes():
                    body.add(part)
            finally:
                await response.aclose()
        return response.status_code, _lowered(response), body.whole()

    def _built(self, client: httpx2.AsyncClient, request: Request[Any]) -> httpx2.Request:
        return client.build_request(
            request.method,
            self._url + request.path,
            headers=self._headers | request.headers,
            content=request.body,
            timeout=self._retrying.timeout_s,
        )


_GRACE_S = 0.05  # so that a step that ends by itself can say which one it was


class _Body:
    """An answer's body as it arrives, bounded in size and time."""

    def __init__(self, left_s: Callable[[], float]) -> None:
        self._left_s = left_s
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        """Keep a part. Raises ForeignAnswer, ReadTimeout."""
        self._size += len(part)
        if self._size > ANSWER_BYTES_MAX:
            raise ForeignAnswer("The answer is longer than 64 MiB. Is that address Hookline?")
        if self._left_s() <= 0:
            raise httpx2.ReadTimeout("the answer did not end in time")
        self._parts.append(part)

    def whole(self) -> bytes:
        """All of it."""
        return b"".join(self._parts)


def _moved_on(before: P, page: P) -> P:
    """The next page, unless the service goes round in a circle: the list would never end."""
    if page.next_cursor is not None and page.next_cursor == before.next_cursor:
        raise HooklineError("The service gives the same page of the list again. Is the address right?")
    return page


def _own_headers(connecting: Connecting[Any]) -> dict[str, str]:
    """What goes with every call; the caller's headers replace the SDK's."""
    return {
        "accept": "application/json",
        "accept-encoding": "identity",  # it costs a node more to compress than to send
        "user-agent": f"hookline-python/{version('hookline')}",
    } | {name.lower(): value for name, value in connecting.headers.items()}


def _lowered(response: httpx2.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


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
        url = httpx2.URL(text)
    except httpx2.InvalidURL:
        return False
    return bool(url.host) and "%" not in url.raw_host.decode() and (url.port is None or 0 < url.port < 65_536)
