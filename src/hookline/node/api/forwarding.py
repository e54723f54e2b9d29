"""A follower passes requests on to the leader: one hop, the answer as it came."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import cached_property

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.request import ConsumedRequest
from pyreqwest.response import Response

from hookline.errors import DeadlineExceeded, NotLeader
from hookline.http_api.exchange import Reply, Request
from hookline.http_api.hops import FORWARDED, HOP_HEADERS, SAFE_METHODS, HopReply, target_of
from hookline.http_errors import never_left
from hookline.node.api.services import Role
from hookline.protocol.limits import REQUEST_BYTES_MAX

_TIMEOUT_S = 30
_WAIT_S = 3.0  # an election takes less
_PAUSE_S = 0.01
_LOOK_S = 0.1


class Forwarder:
    """Holds the connections to the other nodes."""

    def __init__(self, role: Role) -> None:
        self._role = role

    @cached_property
    def _client(self) -> Client:
        """Made by the first request that is passed on: it takes 10 ms, and a node alone needs none."""
        options = ClientBuilder().http1_only().no_proxy().follow_redirects(False)
        return options.timeout(timedelta(seconds=_TIMEOUT_S)).build()

    async def answer(self, request: Request, here: Callable[[], Awaitable[Reply]]) -> Reply:
        """The answer of whoever leads, ``here`` if it is this node; while nobody does, a moment is waited.

        Raises:
            NotLeader: nobody leads, or the request surely did not reach the leader.
            DeadlineExceeded: it may have.
        """
        is_forwarded = any(name == FORWARDED for name, _ in request.headers)
        until: float | None = None
        while True:
            try:
                if self._role.is_leading():
                    return await here()
                if is_forwarded:
                    raise NotLeader(retry_after_s=1)
                return await self._try(request)
            except NotLeader:
                now = asyncio.get_running_loop().time()
                until = until or now + _WAIT_S
                if is_forwarded or now > until:
                    raise
            await asyncio.sleep(_PAUSE_S)

    async def _try(self, request: Request) -> Reply:
        url = self._role.leader_url()
        if url is None:
            raise NotLeader(retry_after_s=1)
        body = await request.whole_body(REQUEST_BYTES_MAX)
        scope = request.scope
        headers = [
            (name.decode("latin-1"), value.decode())  # the server takes UTF-8 only
            for name, value in request.headers
            if name not in HOP_HEADERS
        ]
        call = self._client.request(scope["method"], url + target_of(request))
        call = call.headers([*headers, (FORWARDED.decode(), "1")])
        if body:
            call = call.body_bytes(body)
        try:
            answer, payload = await self._while_it_leads(url, call.build())
        except (PyreqwestError, TimeoutError) as error:
            raise _failure(scope["method"], error) from error
        if answer.status == 503 and b'"code":"no_leader"' in payload:
            raise NotLeader(retry_after_s=1)
        own = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.items()
            if name.encode("latin-1") not in HOP_HEADERS and name not in ("content-type", "date")
        ]
        content_type = answer.get_header("content-type") or "application/octet-stream"
        return HopReply(answer.status, payload, content_type.encode("latin-1"), own)

    async def _while_it_leads(self, url: str, call: ConsumedRequest) -> tuple[Response, bytes]:
        """The answer of the node at ``url``. Raises TimeoutError when another node leads before it has answered."""
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(_send(call))
            while not answering.done():
                await asyncio.wait({answering}, timeout=_LOOK_S)
                if not answering.done() and (self._role.is_leading() or self._role.leader_url() not in (url, None)):
                    answering.cancel()
                    break
        if answering.cancelled():
            raise TimeoutError
        answer = answering.result()
        if isinstance(answer, PyreqwestError):
            raise answer
        return answer


async def _send(call: ConsumedRequest) -> tuple[Response, bytes] | PyreqwestError:
    """Errors are returned, so that they do not come out of the task group in a group."""
    try:
        answer = await call.send()
        return answer, bytes(await answer.bytes())
    except PyreqwestError as error:
        return error


def _failure(method: str, error: Exception) -> NotLeader | DeadlineExceeded:
    if (isinstance(error, PyreqwestError) and never_left(error)) or method in SAFE_METHODS:
        return NotLeader("the leader cannot be reached; the request was not accepted", retry_after_s=1)
    return DeadlineExceeded("the leader did not answer; repeat the request with the same id or key")
