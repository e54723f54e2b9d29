"""A log in memory, for tests and the simulation: durable as long as the object lives."""

import asyncio
from contextlib import suppress

from hookline.errors import Compacted, Fenced
from hookline.protocol.codec import Entry, decode_entry, encode_entry
from hookline.protocol.limits import ENTRIES_READ_MAX


class MemoryLog:
    """Keeps encoded entries in a dict, so that the codec is exercised too."""

    def __init__(self) -> None:
        self._entries: dict[int, bytes] = {}
        self._first = 1
        self._last = 0
        self._term = 0
        self._changed = asyncio.Event()

    async def append(self, entry: Entry) -> int:
        if entry.term != self._term:
            raise Fenced(f"term {entry.term} does not own the log, term {self._term} does")
        if entry.index != self._last + 1:
            raise Fenced(f"index {entry.index} is not the next one, {self._last + 1} is")
        self._entries[entry.index] = encode_entry(entry)
        self._last = entry.index
        self._changed.set()
        self._changed = asyncio.Event()
        return entry.index

    async def read_from(self, index: int, limit: int = ENTRIES_READ_MAX) -> list[Entry]:
        if index < self._first:
            raise Compacted(f"entry {index} was truncated; the first is {self._first}")
        last = min(self._last, index + limit - 1)
        return [decode_entry(self._entries[number]) for number in range(index, last + 1)]

    async def truncate(self, upto: int) -> None:
        upto = min(upto, self._last)
        for index in range(self._first, upto + 1):
            del self._entries[index]
        self._first = max(self._first, upto + 1)

    async def last_index(self) -> int:
        return self._last

    def begin_after(self, index: int) -> None:
        if self._last == 0:
            self._last, self._first = index, index + 1

    async def take_over(self, term: int) -> None:
        if term <= self._term:
            raise Fenced(f"term {term} is not newer than {self._term}")
        self._term = term

    async def wait_for_change(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
