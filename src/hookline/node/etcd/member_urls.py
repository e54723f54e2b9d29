"""Finds where the members of etcd listen, for clients and for each other: no job may call them."""

import asyncio

from hookline.errors import LogFault
from hookline.node.etcd.client import EtcdClient

_EVERY_S = 30.0
_TRY_S = 2.0


class MemberUrls:
    """Asks etcd now and then.

    Attributes:
        urls: as the last answer had them.
    """

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self.urls: tuple[str, ...] = ()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except LogFault:  # whoever needs etcd says so
                self._client.rotate()
            await asyncio.sleep(_EVERY_S if self.urls else _TRY_S)

    async def look(self) -> None:
        """Ask once. Raises LogFault."""
        members = await self._client.members(_TRY_S)
        self.urls = tuple(url for member in members for url in (*member.clientURLs, *member.peerURLs))
