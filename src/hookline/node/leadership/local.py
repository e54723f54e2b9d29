"""Leading a cluster of one: whoever holds the lock on the data directory leads."""

import asyncio
import fcntl
import math
import os
from pathlib import Path

from hookline.errors import DataDirectoryInUse


class LocalLeadership:
    """The lock is the kernel's, so it is gone when the process is; that is also the proof that an earlier one died.

    Args:
        data_dir: the node's directory; a file ``lock`` in it is locked.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"
        self._file: int | None = None
        self._term = 0

    def lock(self) -> None:
        """Take the directory. Raises DataDirectoryInUse."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(file)
            raise DataDirectoryInUse(f"{self._path.parent} is in use by another process; stop it first") from error
        self._file = file

    @property
    def descriptor(self) -> int:
        """Of the locked file: a child that keeps it open holds the lock until it is gone."""
        assert self._file is not None
        return self._file

    def continue_after(self, term: int) -> None:
        """Terms go on after ``term``, the newest in the state."""
        self._term = term

    async def acquire(self) -> int:
        if self._file is None:
            self.lock()
        self._term += 1
        return self._term

    def is_valid(self) -> bool:
        return self._file is not None

    def valid_until_ms(self) -> float:
        return math.inf if self._file is not None else 0.0

    async def lost(self) -> None:
        """Never: nobody else can take the directory."""
        await asyncio.Event().wait()

    def dead_owners(self) -> tuple[str, ...]:
        return ()

    async def release(self) -> None:
        self.unlock()

    def unlock(self) -> None:
        """Let others take the directory."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
