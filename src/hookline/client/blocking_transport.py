"""Carrying calls for ordinary code."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from hookline.client.carriers import Carrier
from hookline.client.connections import Connecting
from hookline.client.pools import ProcessPools, Source
from hookline.client.requests import FINISHED, Request
from hookline.client.retrying import Retrying, Waited, check_wait, poll_s
from hookline.client.traces import traced
from hookline.client.transport import AnyPage, call_of, given_carrier, moved_on, own_headers
from hookline.errors import HooklineError

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
W = TypeVar("W", bound=Waited)


class BlockingTransport:
    """Sends calls and waits for their replies. Safe to share between threads, and to take along into a fork.

    Args:
        connecting: how to reach the service.
        retrying: what is sent again, and how long one try may take.
        sleep: waits for that many seconds.
        make: connections of the SDK's own.
    """

    def __init__(
        self,
        connecting: "Connecting[httpx2.Client]",
        retrying: Retrying,
        sleep: Callable[[float], None],
        make: "Callable[[Connecting[httpx2.Client]], Carrier]",
    ) -> None:
        self._url = connecting.url
        self._headers = own_headers(connecting)
        self._retrying = retrying
        self._sleep = sleep
        self._pools = ProcessPools(Source[Carrier, "httpx2.Client"](connecting, "Client", make, given_carrier))

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

    def items(self, page_at: Callable[[str | None], Request[AnyPage[T]]]) -> Iterator[T]:
        """The items of all pages of a list, in order, fetched as they are needed."""
        page = self.send(page_at(None))
        yield from page.data
        while page.next_cursor is not None:
            page = moved_on(page, self.send(page_at(page.next_cursor)))
            yield from page.data

    def finished(self, request: Request[W], timeout_s: float) -> W:
        """Ask for a job until it is finished. Raises DeadlineExceeded after ``timeout_s``."""
        deadline_ms = self._retrying.clock.boot_ms() + timeout_s * 1_000
        for polls in count():
            job = self.send(request)
            if job.state in FINISHED:
                return job
            left_s = (deadline_ms - self._retrying.clock.boot_ms()) / 1_000
            self._sleep(check_wait(job, poll_s(polls), left_s))
        raise AssertionError("count() does not end")

    @property
    def carrier(self) -> Carrier:
        """The carrier of this process's calls."""
        return self._pools.of_here()

    def close(self) -> None:
        """Close the connections."""
        if (carrier := self._pools.close()) is not None:
            carrier.close()

    def _exchange(self, request: Request[T]) -> T:
        with traced(call_of(request, self._url, self._headers, self._retrying)) as told:
            answer = told.answered(self.carrier.carry(told.call))
        return request.parse(*answer, self._url)
