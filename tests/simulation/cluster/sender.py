"""The network between nodes, as the sender that a node asks the others with: requests go to other nodes at once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hookline.errors import ConnectionFailed, HooklineError
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from tests.simulation.asgi import answer_of, scope_of

Message = dict[str, Any]
Ask = Callable[[str, Message, bytes], Awaitable[list[Message]]]
"""Asks the node at a url: (url, ASGI scope, body) -> the ASGI messages of its answer."""


class NodeSender:
    """A ``Sender``."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        """Ask the node there."""
        try:
            async with asyncio.timeout(timeout_s):
                messages = await self._ask(url, scope_of(call.method, call.target, call.headers), call.body)
        except ConnectionFailed as error:
            raise NotSent("refused") from error
        except (HooklineError, TimeoutError) as error:
            raise Unclear("no answer") from error
        return answer_of(messages)
