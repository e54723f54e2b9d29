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
        leader_url: the present leader's url; None when it is unknown or this node leads.
    """

    def __init__(self, leader_url: Callable[[], str | None]) -> None:
        self._leader_url = leader_url
        self._gone: str | None = None

    def is_gone(self, url: str) -> bool:
        """Is the process behind ``url`` proven to be dead?"""
        return url == self._gone

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            url = self._leader_url()
            if url is None:
                self._gone = None  # what was proven of a process says nothing of the next one at its address
            else:
                await self._look(url)
            await asyncio.sleep(_PAUSE_S)

    async def _look(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        except ConnectionRefusedError:
            self._gone = url
            return
        except (OSError, TimeoutError):
            return  # silence proves nothing
        self._gone = None
        try:
            while self._leader_url() == url:
                async with asyncio.timeout(1.0):
                    if not await reader.read(1):
                        return
        except (OSError, TimeoutError):
            return
        finally:
            writer.close()
