"""Notices at once when the leader's process dies: its port then refuses connections.

A hint that makes failover quicker than the election timeout, and the proof that its attempts have ended with it.
"""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

_CONNECT_S = 0.5
_PAUSE_S = 0.05


class LeaderWatch:
    """Holds a connection to the leader's port; when it breaks and a new one is refused, the process is gone.

    Args:
        leader: the present leader's url and nonce; None when it is unknown or this node leads. What is proven of one
            process says nothing of the next one at its address, so a proof holds for a nonce.
    """

    def __init__(self, leader: Callable[[], tuple[str, str] | None]) -> None:
        self._leader = leader
        self._gone: tuple[str, str] | None = None

    def is_gone(self, url: str) -> bool:
        """Is the process of the present leader, at ``url``, proven to be dead?"""
        leader = self._leader()
        return leader is not None and leader[0] == url and leader == self._gone

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            leader = self._leader()
            if leader is not None:
                await self._look(leader)
            await asyncio.sleep(_PAUSE_S)

    async def _look(self, leader: tuple[str, str]) -> None:
        parts = urlsplit(leader[0])
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except ConnectionRefusedError:
            self._gone = leader
            return
        except (OSError, TimeoutError):
            return  # silence proves nothing
        self._gone = None
        try:
            while self._leader() == leader:
                async with asyncio.timeout(1.0):
                    if not await reader.read(1):
                        return
        except (OSError, TimeoutError):
            return
        finally:
            writer.close()
