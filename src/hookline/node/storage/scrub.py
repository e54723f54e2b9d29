"""Reads the whole state now and then and ends the node when a row is not as it was written; see ``contents``.

At a start before anything else, as long as the state is small; a large one is read beside the node's work.
"""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import apsw

from hookline.clock import Clock
from hookline.errors import ShuttingDown, StateDamaged
from hookline.node.database import Database, quick_check
from hookline.node.state_machine.contents import check_contents
from hookline.telemetry.area_log import log_of

_JOBS = "SELECT coalesce(sum(value), 0) FROM counters WHERE name <> 'pending_bytes'"
_SMALL_JOBS = 200_000  # read in half a second
_PAUSE_S = 0.002  # after each slice, of a large state: the node's own work goes first
_PATIENCE_MS = 10_000
_EVERY_S = 24 * 3_600.0
_STEPS_BETWEEN_LOOKS = 10_000  # of SQLite, some 100 us

_log = log_of("storage")


class Scrub:
    """Checks one node's state.

    Args:
        database: the state.
        clock: measures how long it took.
        is_structure_checked: SQLite has looked through the file at this start, so the first time that is left out.

    Attributes:
        is_done: the state was read once since the start, and was sound.
    """

    def __init__(self, database: Database, clock: Clock, *, is_structure_checked: bool) -> None:
        self._database = database
        self._is_structure_checked = is_structure_checked
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="scrub")
        self.is_done = False

    async def start(self) -> None:
        """Read a small state now. Raises StateDamaged."""
        ((jobs,),) = self._database.reader.execute(_JOBS)
        if jobs <= _SMALL_JOBS:
            await self._check(0.0)

    async def run(self) -> None:
        """Read it once a day, and at first if ``start`` did not, until cancelled. Raises StateDamaged."""
        if not self.is_done:
            await self._check(_PAUSE_S)
        while True:
            await asyncio.sleep(_EVERY_S)
            await self._check(_PAUSE_S)

    def may_lead(self, waited_ms: float) -> bool:
        """May a node stand for election on this state, when nobody has led for ``waited_ms``?

        Another node may have read its own sooner; but not for ever without a leader.
        """
        return self.is_done or waited_ms > _PATIENCE_MS

    async def _check(self, pause_s: float) -> None:
        started_ms = self._clock.boot_ms()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._read, pause_s)
        self.is_done = True
        _log.info("state_read_through", took_ms=round(self._clock.boot_ms() - started_ms))

    def _read(self, pause_s: float) -> None:
        def pause() -> None:
            if self._stopping.wait(pause_s) if pause_s else self._stopping.is_set():
                raise ShuttingDown

        path = self._database.path
        try:
            with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
                connection.set_busy_timeout(5_000)
                if not self._is_structure_checked:
                    connection.set_progress_handler(self._stopping.is_set, _STEPS_BETWEEN_LOOKS)
                    quick_check(connection, path)
                    connection.set_progress_handler(None)
                self._is_structure_checked = False
                check_contents(connection, pause)
        except apsw.InterruptError:
            raise ShuttingDown from None
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise StateDamaged(f"{path}: {error}") from error

    def interrupt(self) -> None:
        """Break off what is being read: it raises ShuttingDown."""
        self._stopping.set()

    def close(self) -> None:
        """Break off what is being read, and end the thread."""
        self.interrupt()
        self._thread.shutdown()
