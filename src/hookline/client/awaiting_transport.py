"""Carrying calls for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import TYPE_CHECKING, Protocol, TypeVar

from hookline.client.carriers import AsyncCarrier
from hookline.client.connections import Connecting
from hookline.client.failed_calls import unclear
from hookline.client.loop_pools import LoopPools
from hookline.client.pooled_connections import AsyncPooledConnections
from hookline.client.pools import Source
from hookline.client.requests import FINISHED, Request
from hookline.client.retrying import Retrying, Waited, check_wait, poll_s
from hookline.client.traces import traced
from hookline.client.transport import AnyPage, call_of, given_async_carrier, moved_on, own_headers
from hookline.errors import HooklineError

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
W = TypeVar("W", bound=Waited)

_GRACE_S = 0.05  # so that a step that ends by itself can say which one it was


class AwaitingExchange(Protocol):
    """Makes single tries of calls."""

    async def once(self, request: Request[T]) -> T:
        """The typed reply. Raises HooklineError."""

    async def close(self) -> None:
        """Take no more calls."""


class AwaitingHttp:
    """Over HTTP. Belongs to the event loops of one thread; may go along into a fork.

    Args:
        connecting: how to reach the service.
        retrying: says how long one try may take.
    """

    def __init__(self, connecting: "Connecting[httpx2.AsyncClient]", retrying: Retrying) -> None:
        self._url = connecting.url
        self._headers = own_headers(connecting)
        self._retrying = retrying
        self._pools = LoopPools(
            Source[AsyncCarrier, "httpx2.AsyncClient"](
                connecting, "AsyncClient", AsyncPooledConnections, given_async_carrier
            )
        )

    async def once(self, request: Request[T]) -> T:
        """Send the call once, and return its typed reply."""
        carrier, call = self._pools.of_here(), call_of(request, self._url, self._headers, self._retrying)
        try:
            # The SDK's own connections end by themselves; this is for a client of the caller's, which may not.
            with traced(call) as told:
                async with asyncio.timeout(call.timeout_s + _GRACE_S):
                    answer = told.answered(await carrier.carry(told.call))
        except TimeoutError as error:
            raise unclear("timed out", self._url) from error
        return request.parse(*answer, self._url)

    async def close(self) -> None:
        """Close the connections."""
        if (carrier := self._pools.close()) is not None:
            await carrier.close()


class AwaitingTransport:
    """Sends calls and waits for their replies.

    Args:
        exchange: makes the tries.
        retrying: what is sent again.
        sleep: waits for that many seconds, without blocking the loop.
    """

    def __init__(
        self, exchange: AwaitingExchange, retrying: Retrying, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._exchange = exchange
        self._retrying = retrying
        self._sleep = sleep

    async def send(self, request: Request[T]) -> T:
        """Send the call, again as long as that is safe and allowed, and return its typed reply."""
        for tries in count(1):
            try:
                return await self._exchange.once(request)
            except HooklineError as error:
                wait_s = self._retrying.wait_s(request, error, tries)
                if wait_s is None:
                    raise
                request = request.after(error)
            await self._sleep(wait_s)
        raise AssertionError("count() does not end")

    async def items(self, page_at: Callable[[str | None], Request[AnyPage[T]]]) -> AsyncIterator[T]:
        """The items of all pages of a list, in order, fetched as they are needed."""
        page = await self.send(page_at(None))
        while True:
            for item in page.data:
                yield item
            if page.next_cursor is None:
                return
            page = moved_on(page, await self.send(page_at(page.next_cursor)))

    async def finished(self, request: Request[W], timeout_s: float) -> W:
        """Ask for a job until it is finished. Raises DeadlineExceeded after ``timeout_s``."""
        deadline_ms = self._retrying.clock.boot_ms() + timeout_s * 1_000
        for polls in count():
            job = await self.send(request)
            if job.state in FINISHED:
                return job
            left_s = (deadline_ms - self._retrying.clock.boot_ms()) / 1_000
            await self._sleep(check_wait(job, poll_s(polls), left_s))
        raise AssertionError("count() does not end")

    async def close(self) -> None:
        """Close the connections."""
        await self._exchange.close()
