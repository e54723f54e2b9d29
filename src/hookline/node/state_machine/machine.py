"""The state machine: one entry in, one transaction, results and effects out."""

import hashlib
from collections import deque
from contextlib import closing
from pathlib import Path

import apsw
import msgspec

from hookline.errors import LogFault, StateDamaged, StateDiffers
from hookline.node.database import Database
from hookline.node.state_machine import sql
from hookline.node.state_machine.apply import apply_command
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.tables import Tables
from hookline.protocol.codec import Entry
from hookline.protocol.commands import AnyCommand, BeginLog, Refused, Result

_encode = msgspec.msgpack.Encoder().encode
# What a command and the state alone can cause, so that it happens on every node alike. All else (the disk, memory, a
# lock, the depth of the stack) is this node's own trouble and ends it: answered "refused", the nodes would differ.
_GUARDED = (
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


SCHEMA_VERSION = 9
_RESTORED = "restored"
_ENTRIES_LATELY = 64  # more than wait for their commit
_CHECKPOINT_ENTRIES = 500  # so that the other nodes' log can be truncated


def open_state(path: Path, *, durable: bool = True) -> Database:
    """The database that a ``StateMachine`` works on; see ``Database`` for ``durable`` and errors."""
    return Database(path, sql.text("schema.sql"), SCHEMA_VERSION, durable=durable)


def mark_restored(path: Path) -> None:
    """Write into a state that it was restored from a backup; the first entry applied to it takes the mark away.

    Without a write-ahead log, and none stays beside the file: all of the state is in it afterwards.
    """
    with closing(apsw.Connection(str(path))) as connection:
        connection.pragma("locking_mode", "EXCLUSIVE")  # before the first access: no -shm file
        connection.pragma("synchronous", "FULL")
        if connection.pragma("journal_mode", "DELETE") != "delete":
            raise StateDamaged(f"{path} stays in WAL mode; somebody else has it open")
        connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, 1)", (_RESTORED,))


class LastEntry(msgspec.Struct, frozen=True, array_like=True):
    """The newest entry in the state, as the state knows it: by that the node finds it again in the log.

    ``before`` is the digest of the state before that entry, also where the entry itself carries another one.
    """

    nonce: bytes = b""
    before: bytes = b""


class StateMachine:
    """Applies entries to a database, in order, each in its own transaction.

    ``apply`` leaves the transaction open; ``commit`` makes it durable. The applied index, the term and the rolling
    digest are written in the same transaction as the effects.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tables = Tables(database.writer)
        self._changes_before = 0
        meta = dict(database.writer.execute("SELECT name, value FROM meta"))
        self.applied: int = meta.get("applied", 0)
        self.term: int = meta.get("term", 0)
        self.digest: bytes = meta.get("digest", b"")
        self.last = msgspec.msgpack.decode(meta["last"], type=LastEntry) if "last" in meta else LastEntry()
        self.newest_ms: int = meta.get("newest_ms", 0)  # the latest time that an entry was stamped with
        self.committed = self.applied
        self._came: deque[tuple[int, frozenset[tuple[str, int, str]]]] = deque(maxlen=_ENTRIES_LATELY)
        self.durable = self.applied if database.is_durable else 0
        self.is_restored: bool = _RESTORED in meta

    @property
    def identity(self) -> BeginLog | None:
        """The identity of the state; None while it is empty."""
        return self.tables.identity

    def apply(self, entry: Entry, *, is_overruled: bool = False) -> tuple[list[Result], Effects]:
        """Execute the entry's commands.

        A command that breaks our own handling is answered ``internal`` and changes nothing; the others go on.

        Args:
            entry: the next one.
            is_overruled: its writer is the odd one out; this state takes the entry nevertheless.

        Raises:
            LogFault: it is not the next one.
            StateDiffers: it was written for another state than this one. Nothing was changed.
            UnknownCommand: it is of a newer format.
        """
        if entry.index != self.applied + 1:
            raise LogFault(f"entry {entry.index} does not follow {self.applied}")
        if entry.before != self.digest and not is_overruled:
            raise StateDiffers(
                f"entry {entry.index} was written for a state with digest {entry.before.hex() or 'of an empty one'};"
                f" this state, at entry {self.applied}, has {self.digest.hex() or 'none, it is empty'}"
            )
        self.tables.found.clear()
        self._changes_before = self.database.writer.total_changes()
        self.database.begin()
        self.database.writer.execute("SAVEPOINT entry")
        try:
            effects = Effects()
            results = effects.results
            for command in entry.commands:
                results.append(apply_command(self.tables, effects, entry, command))
        except _GUARDED:
            self._undo("entry")
            effects = Effects()
            results = effects.results
            for command in entry.commands:
                results.append(self._apply_guarded(effects, entry, command))
        self._finish(entry, results)
        return results, effects

    def _apply_guarded(self, effects: Effects, entry: Entry, command: AnyCommand) -> Result:
        """One command in a savepoint of its own: slow, and only used once a command of the entry has failed."""
        writer = self.database.writer
        tables = self.tables
        writer.execute("SAVEPOINT command")
        try:
            mine = Effects(results=effects.results)
            result = apply_command(tables, mine, entry, command)
            tables.flush()
        except _GUARDED:
            self._undo("command")
            writer.execute("RELEASE command")
            return Refused("internal")
        writer.execute("RELEASE command")
        effects.due += mine.due
        effects.aborted += mine.aborted
        effects.destinations += mine.destinations
        effects.tenants += mine.tenants
        effects.lost += mine.lost
        effects.ended += mine.ended
        effects.schedules_changed |= mine.schedules_changed
        effects.mode_changed |= mine.mode_changed
        effects.topology_changed |= mine.topology_changed
        return result

    def _undo(self, savepoint: str) -> None:
        self.database.writer.execute(f"ROLLBACK TO {savepoint}")
        self.tables.reload()

    def _finish(self, entry: Entry, results: list[Result]) -> None:
        tables = self.tables
        tables.flush()
        self.applied = entry.index
        if tables.came:
            self._came.append((entry.index, frozenset(tables.came)))
            tables.came.clear()
        self.last = LastEntry(entry.nonce, self.digest)
        # What the statements met, too: a row that is missing or another one than elsewhere shows when it is touched.
        met = (tables.found, self.database.writer.total_changes() - self._changes_before)
        figures = (results, tables.counters, tables.sums)
        digest = hashlib.blake2b(self.digest, digest_size=16)
        digest.update(_encode((entry.index, entry.term, entry.nonce, figures, met)))
        self.digest = digest.digest()
        tables.run("put_meta", "applied", self.applied)
        if self.term != entry.term:
            self.term = entry.term
            tables.run("put_meta", "term", self.term)
        tables.run("put_meta", "digest", self.digest)
        tables.run("put_meta", "last", _encode(self.last))
        if entry.time_ms > self.newest_ms:
            self.newest_ms = entry.time_ms
            tables.run("put_meta", "newest_ms", self.newest_ms)
        if self.is_restored:
            tables.run("delete_meta", _RESTORED)
            self.is_restored = False
        self.database.writer.execute("RELEASE entry")

    def came_after(self, index: int, tenant: str, kind: int, name: str) -> bool:
        """Did a job or schedule come to count here by an entry after this one?

        Readers do not see it before that entry is committed.
        """
        return any(at > index and (tenant, kind, name) in names for at, names in self._came)

    def commit(self) -> None:
        """End the applied entry's transaction, and checkpoint now and then. Blocking.

        With a durable database the entry is durable then; else ``durable`` says up to where the entries are.
        """
        database = self.database
        database.commit()
        self.committed = self.applied
        if database.is_durable:
            self.durable = self.applied
        wants = database.wants_checkpoint or self.applied - self.durable >= _CHECKPOINT_ENTRIES
        if wants:
            self.make_durable()

    def make_durable(self) -> None:
        """Checkpoint, so that everything applied is durable, unless a reader is in the way. Blocking.

        Never while an entry's transaction is open.
        """
        if self.database.checkpoint():
            self.durable = self.applied
