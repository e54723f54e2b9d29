"""Carrying calls over HTTP, once for ordinary code and once for asyncio.

``requests`` says what is sent and how the answer is read, ``retrying`` what is sent again; here bytes move, and the
HTTP library's errors become ours.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

from pyreqwest.client import BaseClientBuilder, ClientBuilder, SyncClientBuilder
from pyreqwest.exceptions import BuilderError, PoolTimeoutError, PyreqwestError, RequestError
from pyreqwest.http import Url
from pyreqwest.request import BaseRequestBuilder

from hookline.client.requests import Request
from hookline.client.retrying import Retrying
from hookline.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    HooklineError,
    InvalidConfig,
    InvalidHeader,
    InvalidRequest,
)
from hookline.visible import without_password

_NOT_CONNECTED = "client error (Connect)"
DEFAULT_URL = "http://127.0.0.1:7070"

T = TypeVar("T")
B = TypeVar("B", bound=BaseClientBuilder)
P = TypeVar("P", bound=Any)
R = TypeVar("R", bound=BaseRequestBuilder)


class BlockingTransport:
    """Sends calls and waits for their replies. Safe to share between threads."""

    def __init__(self, base_url: str, retrying: Retrying, sleep: Callable[[float], None]) -> None:
        self._base_url = _checked_url(base_url)
        self._retrying = retrying
        self._sleep = sleep
        self._http = _configured(SyncClientBuilder(), retrying.timeout_s).build()

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
        self._http.close()

    def _exchange(self, request: Request[T]) -> T:
        builder = _filled(self._http.request(request.method, self._base_url + request.path), request)
        try:
            response = builder.build().send()
            body = response.bytes().to_bytes()
        except BuilderError as error:
            raise InvalidRequest(f"This cannot be sent: {_causes(error)[-1]}") from error
        except RequestError as error:
            raise _translated(error, self._base_url) from error
        return request.parse(response.status, dict(response.headers), body)


class AwaitingTransport:
    """The same for asyncio."""

    def __init__(self, base_url: str, retrying: Retrying, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._base_url = _checked_url(base_url)
        self._retrying = retrying
        self._sleep = sleep
        self._http = _configured(ClientBuilder(), retrying.timeout_s).build()

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
        await self._http.close()

    async def _exchange(self, request: Request[T]) -> T:
        builder = _filled(self._http.request(request.method, self._base_url + request.path), request)
        try:
            response = await builder.build().send()
            body = (await response.bytes()).to_bytes()
        except BuilderError as error:
            raise InvalidRequest(f"This cannot be sent: {_causes(error)[-1]}") from error
        except RequestError as error:
            raise _translated(error, self._base_url) from error
        return request.parse(response.status, dict(response.headers), body)


def _moved_on(before: P, page: P) -> P:
    """The next page, unless the service goes round in a circle: the list would never end."""
    if page.next_cursor is not None and page.next_cursor == before.next_cursor:
        raise HooklineError("The service gives the same page of the list again. Is the address right?")
    return page


def _configured(builder: B, timeout_s: float) -> B:
    """No redirects, no proxies from the environment, and every phase bounded."""
    limit = timedelta(seconds=timeout_s)
    builder = builder.follow_redirects(False).referer(False).no_proxy()
    return builder.timeout(limit).connect_timeout(limit).user_agent("hookline-python")


def _filled(builder: R, request: Request[T]) -> R:
    try:
        builder = builder.headers(request.headers)
    except ValueError as error:
        raise InvalidHeader(f"This cannot be sent as a header: {error}") from error
    return builder if request.body is None else builder.body_bytes(request.body)


def _checked_url(text: str) -> str:
    """The service's address without a trailing slash."""
    if not text.startswith(("http://", "https://")) or "?" in text or "#" in text or not _is_url(text):
        shown = without_password(text)
        raise InvalidConfig(f"{shown!r} is not the address of a service; use one like {DEFAULT_URL}", field="base_url")
    return text.rstrip("/")


def _is_url(text: str) -> bool:
    try:
        return Url.is_valid(text)
    except UnicodeEncodeError:
        return False


def _translated(error: RequestError, base_url: str) -> HooklineError:
    """``ConnectionFailed`` if nothing was sent, else ``DeadlineExceeded``: it may or may not have arrived."""
    reason, base_url = _causes(error)[-1], without_password(base_url)
    if isinstance(error, PoolTimeoutError) or _never_left(error):
        return ConnectionFailed(f"No connection to {base_url} ({reason}). Is Hookline running there?")
    return DeadlineExceeded(f"No answer from {base_url} ({reason}). The request may or may not have been accepted.")


# --- what an error of the library shows (pyreqwest 0.15) ----------------------------------------------------------
#
# The classes of its exceptions do not: a connection that is reset under a request is a ConnectError too, and a server
# that took the request and is silent a ConnectTimeoutError.


def _causes(error: PyreqwestError) -> list[str]:
    """Outermost first, at least one; the last is what the operating system or the protocol said."""
    details = getattr(error, "details", None)
    found = details.get("causes") if isinstance(details, dict) else None
    return [str(cause["message"]) for cause in found] if found else [error.message]


def _never_left(error: PyreqwestError) -> bool:
    """Whether it is certain that no byte of the request was sent: no connection was made."""
    return _NOT_CONNECTED in _causes(error)
