"""The log of a single node: the SQLite transaction that applies an entry is also the one that logs it.

``append`` opens the transaction and writes the entry's bytes; the state machine adds the effects and commits.
One fsync makes both durable, so an entry is never logged without its effects or the other way round.
"""

import asyncio
from typing import Any

import apsw

from hookline.errors import Compacted, Fenced
from hookline.node.database import Database
from hookline.protocol.codec import Entry, decode_entry, encode_entry
from hookline.protocol.limits import ENTRIES_READ_MAX, LOG_ENTRIES_KEPT

_TABLE = "CREATE TABLE IF NOT EXISTS log_entries (idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, entry BLOB NOT NULL)"
_TERM = "SELECT value FROM meta WHERE name = 'log_term'"
_PUT_TERM = "INSERT INTO meta (name, value) VALUES ('log_term', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1"


class LocalLog:
    """Keeps the newest ``LOG_ENTRIES_KEPT`` entries beside the state; older ones have served their purpose."""

    def __init__(self, database: Database, *, keep: int = LOG_ENTRIES_KEPT) -> None:
        self._database = database
        self._writer = database.writer
        self._keep = keep
        self._writer.execute(_TABLE)
        self._term: int = self._one(_TERM)
        self._last: int = max(
            self._one("SELECT max(idx) FROM log_entries"), self._one("SELECT value FROM meta WHERE name = 'applied'")
        )

    @property
    def term(self) -> int:
        """The newest term that took the log over; it may have ended before its first entry."""
        return self._term

    def _one(self, query: str) -> int:
        rows: list[tuple[Any, ...]] = self._writer.execute(query).fetchall()
        return int(rows[0][0] or 0) if rows else 0

    async def append(self, entry: Entry) -> int:
        if entry.term != self._term:
            raise Fenced(f"term {entry.term} does not own the log, term {self._term} does")
        if entry.index != self._last + 1:
            raise Fenced(f"index {entry.index} is not the next one, {self._last + 1} is")
        data = encode_entry(entry)
        self._database.begin()
        self._writer.execute(
            "INSERT INTO log_entries (idx, term, entry) VALUES (?, ?, ?)", (entry.index, entry.term, data)
        )
        self._writer.execute("DELETE FROM log_entries WHERE idx <= ?", (entry.index - self._keep,))
        self._last = entry.index
        return entry.index

    async def read_from(self, index: int, limit: int = ENTRIES_READ_MAX) -> list[Entry]:
        rows: list[tuple[Any, ...]] = self._writer.execute(
            "SELECT idx, entry FROM log_entries WHERE idx >= ? ORDER BY idx LIMIT ?", (index, limit)
        ).fetchall()
        first = rows[0][0] if rows else self._last + 1
        if index < first:
            raise Compacted(f"entry {index} was truncated; the first is {first}")
        return [decode_entry(data) for _, data in rows]

    async def truncate(self, upto: int) -> None:
        self._in_transaction("DELETE FROM log_entries WHERE idx <= ?", min(upto, self._last))

    async def last_index(self) -> int:
        return self._last

    def begin_after(self, index: int) -> None:
        """The log is in the state, and goes on behind it anyway."""

    async def take_over(self, term: int) -> None:
        if term <= self._term:
            raise Fenced(f"term {term} is not newer than {self._term}")
        self._in_transaction(_PUT_TERM, term)
        self._term = term

    async def wait_for_change(self, timeout_s: float) -> None:
        """Nobody else appends here."""
        await asyncio.sleep(timeout_s)

    def _in_transaction(self, statement: str, value: int) -> None:
        connection: apsw.Connection = self._writer
        if connection.in_transaction:
            connection.execute(statement, (value,))
            return
        with connection:
            connection.execute(statement, (value,))
