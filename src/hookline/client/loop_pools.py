"""One carrier of calls for each event loop; as in ``pools``, none is shared with a parent process."""

import asyncio
from typing import Generic
from weakref import WeakKeyDictionary

from hookline.client.connections import H
from hookline.client.forks import Process, process
from hookline.client.pools import C, Source


class LoopPools(Generic[C, H]):
    """One for each event loop."""

    def __init__(self, source: Source[C, H]) -> None:
        self._source = source
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Process, C]] = WeakKeyDictionary()

    def of_here(self) -> C:
        """The carrier of the running event loop. Raises ClientClosed, InvalidConfig."""
        self._source.check_open()
        here, loop = process(), asyncio.get_running_loop()
        made_in, found = self._by_loop.get(loop, (None, None))
        if found is None or made_in != here:
            found = self._source.fresh()
            self._by_loop[loop] = (here, found)
        return found

    def close(self) -> C | None:
        """Take no more calls; gives the carrier of this loop that is to be closed."""
        self._source.close()
        made_in, found = self._by_loop.pop(asyncio.get_running_loop(), (None, None))
        return found if made_in == process() else None
