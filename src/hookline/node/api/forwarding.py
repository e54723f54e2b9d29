"""A follower passes requests on to the leader: one hop, the answer as it came."""

import asyncio
from collections.abc import Coroutine

from hookline.errors import DeadlineExceeded, HooklineError, NotLeader
from hookline.http_api.addresses import passing
from hookline.http_api.endpoint import Handler
from hookline.http_api.forwarded_headers import ADDRESSES, FORWARDED, HOP_HEADERS, ForwardedReply, target_of
from hookline.http_api.messages import ApiRequest, Reply
from hookline.node.api.services import Role
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Sender, Unclear
from hookline.protocol.limits import REQUEST_BYTES_MAX

_TIMEOUT_S = 30
_WAIT_S = 3.0  # an election takes less
_PAUSE_S = 0.01
_LOOK_S = 0.1


class LeaderForwarder:
    """Knows who leads, and asks there."""

    def __init__(self, role: Role, sender: Sender) -> None:
        self._role = role
        self._sender = sender

    async def answer(self, here: Handler, request: ApiRequest) -> Reply:
        """The answer of whoever leads, ``here`` if it is this node; while nobody does, a moment is waited.

        Raises:
            NotLeader: nobody leads, or the request surely did not reach the leader.
            DeadlineExceeded: it may have.
        """
        is_forwarded = request.caller.is_forwarded
        until: float | None = None
        while True:
            try:
                if self._role.is_leading():
                    return await here(request)
                if is_forwarded:
                    raise NotLeader(retry_after_s=1)
                return await self._try(request)
            except NotLeader:
                now = asyncio.get_running_loop().time()
                until = until or now + _WAIT_S
                if is_forwarded or now > until:
                    raise
            await asyncio.sleep(_PAUSE_S)

    async def _try(self, request: ApiRequest) -> Reply:
        url = self._role.leader_url()
        if url is None:
            raise NotLeader(retry_after_s=1)
        body = await request.whole_body(REQUEST_BYTES_MAX)
        headers = (pair for pair in request.headers if pair[0] not in HOP_HEADERS and pair[0] != ADDRESSES)
        call = NodeCall(
            request.scope["method"],
            target_of(request),
            (*headers, *passing(request), (FORWARDED, b"1")),
            body,
            fresh=False,
        )
        try:
            answer = await self._while_it_leads(url, call)
        except (NotSent, Unclear, TimeoutError) as error:
            raise _failure(error, is_safe=request.call.is_safe) from error
        if answer.status == 503 and b'"code":"no_leader"' in answer.body:
            raise NotLeader(retry_after_s=1)
        own = [pair for pair in answer.headers if pair[0] not in HOP_HEADERS]
        return ForwardedReply(answer.status, answer.body, answer.content_type or b"application/octet-stream", own)

    async def _while_it_leads(self, url: str, call: NodeCall) -> NodeAnswer:
        """The answer of the node at ``url``. Raises TimeoutError when another node leads before it has answered."""
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(_outcome(self._sender.send(url, call, _TIMEOUT_S)))
            while not answering.done():
                await asyncio.wait({answering}, timeout=_LOOK_S)
                if not answering.done() and (self._role.is_leading() or self._role.leader_url() not in (url, None)):
                    answering.cancel()
                    break
        if answering.cancelled():
            raise TimeoutError
        answer = answering.result()
        if isinstance(answer, HooklineError):
            raise answer
        return answer


async def _outcome(call: Coroutine[None, None, NodeAnswer]) -> NodeAnswer | NotSent | Unclear:
    """Errors are returned, so that they do not come out of the task group in a group."""
    try:
        return await call
    except (NotSent, Unclear) as error:
        return error


def _failure(error: Exception, *, is_safe: bool) -> NotLeader | DeadlineExceeded:
    if isinstance(error, NotSent) or is_safe:
        return NotLeader("the leader cannot be reached; the request was not accepted", retry_after_s=1)
    return DeadlineExceeded("the leader did not answer; repeat the request with the same id or key")
