"""Wakes who waits for the log or the leader to change, through a watch in etcd.

Only a hint: etcd 3.4 loses watch events, and a watch that was compacted or cut may miss some. What changed is always
read from etcd itself, and whoever waits looks at least each second. One stream is enough, over two small keys: every
append writes the beat, so the log's entries do not travel twice.
"""

import asyncio
from contextlib import suppress

from hookline.node.etcd.client import EtcdClient, EtcdRefused, EtcdUnclear
from hookline.node.etcd.keys import Keys, prefix_end
from hookline.node.etcd.transactions import IDLE_BEAT

_PAUSE_S = 0.1  # before a broken stream is opened again
_POLL_S = 0.05  # how often waiters look while no stream is open


class Hints:
    """One task waits for each of the two; a change that comes while it is busy wakes it when it waits again."""

    def __init__(self, client: EtcdClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._log = asyncio.Event()
        self._leader = asyncio.Event()
        self.is_watching = False

    async def run(self) -> None:
        """Watch until cancelled; a stream that breaks is opened again, on the next member."""
        while True:
            try:
                await self._watch()
            except (EtcdUnclear, EtcdRefused):
                self._client.rotate()
            finally:
                self.is_watching = False
                self._wake_all()
            await asyncio.sleep(_PAUSE_S)

    async def _watch(self) -> None:
        async for response in self._client.watch(self._keys.beat, prefix_end(self._keys.leader)):
            if not self.is_watching:
                self.is_watching = True
                self._wake_all()  # for what happened before the stream was open
            for event in response.events:
                if event.kv.key == self._keys.leader:
                    self._leader.set()
                elif not event.kv.value.startswith(IDLE_BEAT):
                    self._log.set()

    def _wake_all(self) -> None:
        self._log.set()
        self._leader.set()

    async def log_changed(self, timeout_s: float) -> None:
        """Return when there may be new entries; after ``timeout_s`` at the latest."""
        await self._wait(self._log, timeout_s if self.is_watching else min(timeout_s, _POLL_S))

    async def leader_changed(self, timeout_s: float) -> None:
        """Return when the leader record may have changed; after ``timeout_s`` at the latest."""
        await self._wait(self._leader, timeout_s)

    async def _wait(self, event: asyncio.Event, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await event.wait()
        event.clear()
