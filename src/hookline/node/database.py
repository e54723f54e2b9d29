"""The SQLite file of a node: opening, checking, committing and checkpointing it. The only user of apsw's settings."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw

from hookline.errors import StateDamaged

_CHECKPOINT_PAGES = 4_000  # of 4 KiB: about 16 MiB of write-ahead log between checkpoints


class Database:
    """One writing connection and one reading connection on a file.

    Args:
        path: the database file; created when missing.
        schema: statements that make a new database.
        version: of the schema, kept in ``user_version``.
        durable: fsync on every commit. False only where another log still has the entries.

    Raises:
        StateDamaged: the file is not a healthy database of this release.
    """

    def __init__(self, path: Path, schema: str, version: int, *, durable: bool = True) -> None:
        self.path = path
        self._wal_pages = 0
        self.is_durable = durable
        try:
            self.writer = self._connect()
            self._prepare(schema, version, durable)
            self.reader = self._connect()
            self.reader.pragma("query_only", True)
        except (apsw.NotADBError, apsw.CorruptError) as error:
            raise StateDamaged(f"{path}: {error}") from error

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), statementcachesize=200)
        connection.set_busy_timeout(5_000)
        connection.pragma("cache_size", -65_536)
        return connection

    def _prepare(self, schema: str, version: int, durable: bool) -> None:
        writer = self.writer
        writer.pragma("journal_mode", "WAL")
        writer.pragma("synchronous", "FULL" if durable else "NORMAL")
        writer.pragma("temp_store", "MEMORY")
        found = writer.pragma("user_version")
        if found == 0:
            with writer:
                writer.execute(schema)
                writer.pragma("user_version", version)
        elif found != version:
            raise StateDamaged(f"{self.path} has schema {found}, this release knows {version}; upgrade me")
        # Replaces SQLite's own checkpoints, which would run inside a commit whenever SQLite likes.
        writer.set_wal_hook(self._note_wal_pages)

    def _note_wal_pages(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def quick_check(self) -> None:
        """Raise StateDamaged unless SQLite finds the file sound."""
        quick_check(self.writer, self.path)

    def begin(self) -> None:
        """Start the transaction of an entry, unless the local log has started it already."""
        if not self.writer.in_transaction:
            self.writer.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End the transaction of an entry: with an fsync if the file is durable, else with the next checkpoint.

        Blocking: runs off the event loop.
        """
        self.writer.execute("COMMIT")

    @property
    def wants_checkpoint(self) -> bool:
        """The write-ahead log has grown so much that it should be moved into the file."""
        return self._wal_pages >= _CHECKPOINT_PAGES

    def rollback(self) -> None:
        """Forget the open transaction, if any."""
        if self.writer.in_transaction:
            self.writer.execute("ROLLBACK")

    def checkpoint(self) -> bool:
        """Copy the write-ahead log into the file and fsync it, without waiting for readers. Blocking.

        Returns:
            Whether everything committed so far is in the file now.
        """
        pages, moved = self.writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return pages == moved

    def close(self) -> None:
        """Close both connections; the last one checkpoints."""
        self.rollback()
        self.reader.close()
        self.writer.close()


def quick_check(connection: apsw.Connection, path: Path) -> None:
    """Raise StateDamaged unless SQLite finds the structure of the file sound. Reads all of it."""
    try:
        answer = connection.execute("PRAGMA quick_check(1)").fetchall()
    except apsw.CorruptError as error:
        raise StateDamaged(f"{path}: {error}") from error
    if answer != [("ok",)]:
        raise StateDamaged(f"{path}: {answer[0][0]}")


@contextmanager
def read_beside(path: Path) -> Iterator[apsw.Connection]:
    """A reading connection beside another process that has the database open, and writes to it.

    It changes nothing, not even by a checkpoint when it is closed last.
    """
    with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, statementcachesize=200)) as connection:
        connection.set_busy_timeout(5_000)
        connection.pragma("query_only", True)
        yield connection


@contextmanager
def only_read(path: Path, *, is_whole: bool = False) -> Iterator[apsw.Connection]:
    """The database in a file that nobody has open. Nothing beside it changes, unless its write-ahead log is there.

    ``is_whole``: all of it is in the file; what lies beside it does not count.
    """
    has_wal = not is_whole and path.with_name(path.name + "-wal").exists()
    # Else SQLite would leave a -wal and a -shm file beside one that says it is in WAL mode.
    uri = path.resolve().as_uri() + ("" if has_wal else "?immutable=1")
    with closing(apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)) as connection:
        yield connection
