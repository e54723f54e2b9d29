"""Sends calls to nodes over HTTP/1.1; connections are kept and used again.

A kept connection may have been closed by the node in the meantime. The HTTP library sees that and takes another one,
but when both happen at once the call fails and nobody knows whether the node took it: Unclear. Repeatable calls are
then sent again. Those that are not get a connection of their own, which nobody closes before the call arrives; so does
a call that is sent again: when a machine has vanished, all connections to it are dead and none says so.
"""

import asyncio
from types import TracebackType
from typing import Self

from hookline.http_client.answer import Answer
from hookline.http_client.caller import CONNECT_S, IDLE_S, Caller
from hookline.http_client.client import NoAnswer, NoConnection
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.tls.live import LiveTls
from hookline.visible import without_password

_LARGE_BYTES = 1024 * 1024
_NOT_PASSED_BACK = frozenset(
    {b"connection", b"content-length", b"transfer-encoding", b"keep-alive", b"date", b"server", b"content-type"}
)


class HttpSender:
    """The connections of one process to all nodes. Use as an async context manager, or close it.

    Args:
        connect_s: to make a connection.
        idle_s: how long one is kept.
        tls: that of this process; None: it has none, and trusts the system's authorities.
    """

    def __init__(self, *, connect_s: float = CONNECT_S, idle_s: float = IDLE_S, tls: LiveTls | None = None) -> None:
        context = None if tls is None else tls.client_context
        self._caller = Caller(connect_s=connect_s, idle_s=idle_s, tls=context)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections."""
        await self._caller.close()

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        """The answer of the node at ``url``. Raises NotSent or Unclear."""
        fresh = call.fresh if call.fresh is not None else call.is_again or not call.is_repeatable
        if len(call.body) > _LARGE_BYTES:  # making it took a while, and so will sending it: let others in between
            await asyncio.sleep(0)
        try:
            answer = await self._caller.call(
                call.method,
                url,
                call.target,
                headers=call.headers,
                body=call.body,
                timeout_s=timeout_s,
                fresh=fresh,
                may_be_cut=call.may_be_cut,
            )
        except NoConnection as error:
            raise NotSent(f"{without_password(url)}: {error.detail}") from error
        except NoAnswer as error:
            raise Unclear(f"{without_password(url)}: {error.detail}") from error
        return _answer(answer)


def _answer(answer: Answer) -> NodeAnswer:
    headers = tuple(pair for pair in answer.headers if pair[0] not in _NOT_PASSED_BACK)
    content_type = answer.header(b"content-type") or b""
    return NodeAnswer(answer.status, answer.body, content_type, headers, is_whole=answer.is_whole)
