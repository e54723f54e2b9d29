"""Calls through a client of the caller's own. Only imported when there is one: httpx2 is 30 ms of a start."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpcore2
import httpx2

from hookline.client.carriers import CarrierAnswer, CarrierCall, all_of, all_of_async
from hookline.client.deadline import until
from hookline.client.httpcore_errors import told_as_ours


@contextmanager
def _core_errors() -> Iterator[None]:
    """The errors of httpx2 as those of httpcore2, which have the same names and meaning."""
    try:
        yield
    except httpx2.InvalidURL as error:
        raise httpcore2.LocalProtocolError(str(error)) from error
    except httpx2.HTTPError as error:
        same: type[Exception] = getattr(httpcore2, type(error).__name__, httpcore2.ProtocolError)
        raise same(str(error)) from error


class GivenClient:
    """For ordinary code. ``is_theirs``: it stays open."""

    def __init__(self, client: httpx2.Client, is_theirs: bool) -> None:
        self._client, self._is_theirs = client, is_theirs

    def carry(self, call: CarrierCall) -> CarrierAnswer:
        with told_as_ours(call.url), until(call.left_s), _core_errors():
            request = self._client.build_request(
                call.method, call.url + call.path, headers=call.headers, content=call.body, timeout=call.timeout_s
            )
            response = self._client.send(request, stream=True, follow_redirects=False)
            try:
                body = all_of(response.iter_bytes(), call.left_s)
            finally:
                response.close()
            return CarrierAnswer(response.status_code, dict(response.headers.items()), body)

    def close(self) -> None:
        if not self._is_theirs:
            self._client.close()


class AsyncGivenClient:
    """For asyncio. ``is_theirs``: it stays open."""

    def __init__(self, client: httpx2.AsyncClient, is_theirs: bool) -> None:
        self._client, self._is_theirs = client, is_theirs

    async def carry(self, call: CarrierCall) -> CarrierAnswer:
        with told_as_ours(call.url), until(call.left_s), _core_errors():
            request = self._client.build_request(
                call.method, call.url + call.path, headers=call.headers, content=call.body, timeout=call.timeout_s
            )
            response = await self._client.send(request, stream=True, follow_redirects=False)
            try:
                body = await all_of_async(response.aiter_bytes(), call.left_s)
            finally:
                await response.aclose()
            return CarrierAnswer(response.status_code, dict(response.headers.items()), body)

    async def close(self) -> None:
        if not self._is_theirs:
            await self._client.aclose()
