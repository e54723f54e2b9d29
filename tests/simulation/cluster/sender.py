"""The network between nodes, as the sender that a node asks the others with: requests go to other nodes at once."""

import asyncio
from collections.abc import Awaitable, Callable

from hookline.errors import ConnectionFailed, HooklineError
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear


class NodeSender:
    """A ``Sender``; ``ask`` carries a call to the node at a url."""

    def __init__(self, ask: Callable[[str, NodeCall], Awaitable[NodeAnswer]]) -> None:
        self._ask = ask

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        """Ask the node there."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(url, call)
        except ConnectionFailed as error:
            raise NotSent("refused") from error
        except (HooklineError, TimeoutError) as error:
            raise Unclear("no answer") from error
