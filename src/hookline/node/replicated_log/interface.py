"""Interface to the log. Entries are consecutive integers from 1; one suite checks every implementation."""

from typing import Protocol

from hookline.protocol.codec import Entry
from hookline.protocol.limits import ENTRIES_READ_MAX


class ReplicatedLog(Protocol):
    """An ordered, fenced log of entries."""

    async def append(self, entry: Entry) -> int:
        """Write the entry at ``entry.index`` under ``entry.term``; returns the index.

        The entry is durable when this returns, except with the local log, where it becomes durable together with
        its effects, when the state machine commits.

        Raises:
            Fenced: a newer term owns the log, or the index is taken by another entry.
            EntryTooLarge: the entry is over ``ENTRY_BYTES_MAX``.
        """

    async def read_from(self, index: int, limit: int = ENTRIES_READ_MAX) -> list[Entry]:
        """Up to ``limit`` entries from ``index`` on; empty when there are none yet.

        Raises:
            Compacted: ``index`` was truncated.
        """

    async def truncate(self, upto: int) -> None:
        """Forget the entries up to and including ``upto``."""

    async def last_index(self) -> int:
        """The newest entry's index; 0 when there never was one."""

    async def take_over(self, term: int) -> None:
        """Fence every term below ``term``, of this node's election.

        Raises:
            Fenced: the log has seen that term or a newer one.
        """

    def begin_after(self, index: int) -> None:
        """The next append is the first one of an empty log, and has the index after this one. Once judged so."""

    async def wait_for_change(self, timeout_s: float) -> None:
        """Return when there may be new entries, after ``timeout_s`` at the latest. Only a hint."""
