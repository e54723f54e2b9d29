"""Wakes who waits for the log or the leader to change.

Only hints: what changed is always read from etcd itself, and whoever waits looks at least each second. That the
leader record changed is told by a watch, so that a hand-over takes milliseconds. That the log grew is told by the
beat, which every append writes and every follower looks at ten times a second: a watch of it would wake three
processes for each entry, which cost a third of a follower's work.
"""

import asyncio
from contextlib import suppress

from hookline.node.etcd.client import EtcdClient, EtcdRefused, EtcdUnclear
from hookline.node.etcd.keys import Keys, prefix_end

_PAUSE_S = 0.1  # before a broken stream is opened again


class Wakeups:
    """One task waits for each of the two; a change that comes while it is busy wakes it when it waits again."""

    def __init__(self, client: EtcdClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._log = asyncio.Event()
        self._leader = asyncio.Event()
        self._beat_revision: int | None = None
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
                self._leader.set()
            await asyncio.sleep(_PAUSE_S)

    async def _watch(self) -> None:
        async for response in self._client.watch(self._keys.leader, prefix_end(self._keys.leader)):
            # The first response has no event: it stands for what happened before the stream was open.
            if response.events or not self.is_watching:
                self._leader.set()
            self.is_watching = True

    def beat_seen(self, revision: int) -> None:
        """Somebody looked at the beat. Another one than before may mean a new entry."""
        if revision != self._beat_revision:
            self._beat_revision = revision
            self._log.set()

    async def log_changed(self, timeout_s: float) -> None:
        """Return when there may be new entries; after ``timeout_s`` at the latest."""
        await self._wait(self._log, timeout_s)

    async def leader_changed(self, timeout_s: float) -> None:
        """Return when the leader record may have changed; after ``timeout_s`` at the latest."""
        await self._wait(self._leader, timeout_s)

    async def _wait(self, event: asyncio.Event, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await event.wait()
        event.clear()
