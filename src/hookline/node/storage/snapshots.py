"""Copies of a node's state: made while it works, checked by the receiver, installed so that a crash does no harm.

A snapshot is two files in one directory: ``<name>.db``, a SQLite file as of one log index, and ``<name>.json``, its
``SnapshotInfo``. The ``.db`` gets its name last, so one that has it is complete, and it never changes after that: its
name holds its checksum, and a reader may go on after a break.
"""

import asyncio
import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import apsw
import msgspec

from hookline.clock import Clock
from hookline.disk_errors import disk_trouble
from hookline.errors import NotEnoughSpace, NotFound, ShuttingDown, StateDamaged
from hookline.node.database import Database, only_read, quick_check
from hookline.node.state_machine.contents import check_contents
from hookline.node.state_machine.machine import SCHEMA_VERSION
from hookline.node.state_machine.tables import read_identity
from hookline.telemetry.area_log import log_of

STATE_FILE = "state.db"
_INCOMING_FILE = "state.db.install"  # being there, it has been verified and is to become the state
_ASIDE = ".replaced-"  # and the index of a state that another one took the place of; behind the name of either
_KEPT = 2
_PAGES_PER_STEP = 1_000  # about 4 MiB, so that a shutdown need not wait for the whole copy
_SPACE_FACTOR = 1.2  # for what the node writes meanwhile
_SPACE_FLOOR = 4 * 2**20
BYTES_PER_S = 50 * 2**20

_log = log_of("storage")


class SnapshotInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a snapshot.

    Attributes:
        name: of its file, without suffix; another one for another content.
        index, term, digest: of the last log entry in it; the digest in hex.
        size, sha256: of the file, in bytes and hex.
        version: of the schema.
        created_ms: wall clock, when it was made.
        cluster_id, generation, cluster, shard: whose state it is; empty and 0 for one that nothing was written to.
    """

    name: str
    index: int
    term: int
    digest: str
    size: int
    sha256: str
    version: int
    created_ms: int
    cluster_id: str = ""
    generation: int = 0
    cluster: str = ""
    shard: int = 0


decode_info = msgspec.json.Decoder(SnapshotInfo).decode


@dataclass(frozen=True, slots=True)
class StatePosition:
    """The position of a state: its newest entry, the version of its schema, and its identity."""

    index: int
    term: int
    digest: str
    version: int
    cluster_id: str
    generation: int
    cluster: str
    shard: int


class Snapshots:
    """The snapshots of one node.

    Args:
        database: whose state is copied; the copy has its own connection and blocks neither readers nor the writer.
        directory: where they are kept; made when missing. What an earlier run left half done there is removed.
        clock: says when they were made.
        bytes_per_s: for all who read them together.
    """

    def __init__(self, database: Database, directory: Path, clock: Clock, *, bytes_per_s: int = BYTES_PER_S) -> None:
        self._database = database
        self._directory = directory
        self._clock = clock
        self._making: asyncio.Future[SnapshotInfo] | None = None
        self._is_stopping = False
        self._bytes_per_ms = bytes_per_s / 1_000
        self._next_ms = 0.0  # on the boot clock: when the next bytes may go
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshot")
        directory.mkdir(parents=True, exist_ok=True)
        self._remove_all_but(self._all())

    async def create(self) -> SnapshotInfo:
        """Make one of the present state; who asks while one is being made gets that one.

        Raises:
            NotEnoughSpace: nothing was written.
            StateDamaged: the state cannot be read.
            ShuttingDown: ``stop`` was called meanwhile.
        """
        if self._making is None:
            self._making = asyncio.get_running_loop().run_in_executor(self._thread, self.make)
            self._making.add_done_callback(self._made)
        return await asyncio.shield(self._making)

    def _made(self, making: asyncio.Future[SnapshotInfo]) -> None:
        self._making = None
        if not making.cancelled() and (error := making.exception()) is not None:
            _log.warning("snapshot_failed", error=str(error))

    async def fresh(self, *, max_age_ms: int, at_least: int = 0) -> SnapshotInfo:
        """The newest if it is no older than ``max_age_ms`` and has entry ``at_least``, else a new one. See ``create``.

        What is asked for while one is being made may be newer than that one; it is the caller's to ask again.
        """
        newest = self.newest()
        if newest is not None and newest.index >= at_least:
            age_ms = self._clock.wall_ms() - newest.created_ms
            if 0 <= age_ms <= max_age_ms:
                return newest
        return await self.create()

    def newest(self) -> SnapshotInfo | None:
        """The newest that is there."""
        found = self._all()
        return found[-1] if found else None

    def open(self, name: str) -> tuple[BinaryIO, SnapshotInfo]:
        """The file, to be closed by the caller, and what it holds. It stays readable when it is replaced meanwhile.

        Raises:
            NotFound: there is none of that name, or no more.
        """
        for info in self._all():
            if info.name == name:
                with suppress(FileNotFoundError):
                    return (self._directory / f"{name}.db").open("rb"), info
        raise NotFound("there is no such snapshot, or no more; ask for the newest")

    async def take_turn(self, size: int) -> None:
        """Wait until ``size`` bytes may be sent, so that handing out snapshots leaves the network to the jobs."""
        now_ms = self._clock.boot_ms()
        start_ms = max(self._next_ms, now_ms)
        self._next_ms = start_ms + size / self._bytes_per_ms
        await asyncio.sleep((start_ms - now_ms) / 1_000)

    def stop(self) -> None:
        """Make no more; one that is being made is given up."""
        self._is_stopping = True

    @property
    def is_stopping(self) -> bool:
        """Is one that is being made to be given up? Looked at between two steps of the copy."""
        return self._is_stopping

    def close(self) -> None:
        """Stop making one and end the thread."""
        self.stop()
        self._thread.shutdown()

    # --- in the thread -------------------------------------------------------------------------------------------

    def make(self) -> SnapshotInfo:
        """As ``create``, in the thread that calls."""
        require_space(self._directory, space_for(_size_on_disk(self._database.path)))
        partial = self._directory / "making.partial"
        partial.unlink(missing_ok=True)
        try:
            self._copy(partial)
            _sync(partial)
            info = describe(partial, self._clock.wall_ms())
            _write_synced(self._directory / f"{info.name}.json", msgspec.json.encode(info))
            partial.rename(self._directory / f"{info.name}.db")
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise StateDamaged(f"{self._database.path} cannot be copied: {error}") from error
        except (apsw.Error, OSError) as error:
            trouble = disk_trouble(error)
            if trouble is None:
                raise
            raise NotEnoughSpace(f"no copy of the state: the disk of {self._directory} {trouble} ({error})") from error
        finally:
            partial.unlink(missing_ok=True)
        _sync(self._directory)
        self._remove_all_but(self._all()[-_KEPT:])
        _log.info("snapshot_made", index=info.index, size=info.size)
        return info

    def _copy(self, to: Path) -> None:
        source = apsw.Connection(str(self._database.path), flags=apsw.SQLITE_OPEN_READONLY)
        with closing(source), closing(apsw.Connection(str(to))) as target:
            target.pragma("journal_mode", "OFF")  # a copy that is not finished is thrown away
            target.pragma("synchronous", "OFF")
            source.set_busy_timeout(5_000)
            # One read transaction around all steps: what is committed meanwhile is not in the copy, and SQLite does
            # not begin it anew.
            source.execute("BEGIN")
            source.execute("SELECT value FROM meta LIMIT 1").fetchall()
            with target.backup("main", source, "main") as backup:
                while not backup.done:
                    if self.is_stopping:
                        raise ShuttingDown("the node is shutting down; no snapshot was made")
                    backup.step(_PAGES_PER_STEP)

    def _all(self) -> list[SnapshotInfo]:
        """The snapshots that are there, oldest first."""
        found = []
        for file in self._directory.glob("*.db"):
            with suppress(OSError, msgspec.MsgspecError):
                found.append(decode_info(file.with_suffix(".json").read_bytes()))
        return sorted(found, key=lambda info: (info.index, info.created_ms))

    def _remove_all_but(self, kept: list[SnapshotInfo]) -> None:
        names = {info.name for info in kept}
        for file in self._directory.iterdir():
            if file.name.split(".", 1)[0] not in names:
                file.unlink(missing_ok=True)


def space_for(size: int, *, have: int = 0) -> int:
    """The free bytes that a copy of a state of ``size`` bytes needs, of which ``have`` are written already."""
    return int(size * _SPACE_FACTOR) + _SPACE_FLOOR - have


def require_space(directory: Path, needed: int) -> None:
    """Raise NotEnoughSpace unless the directory's disk has so many bytes free."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise NotEnoughSpace(
            f"the disk of {directory} has {free / 2**20:.1f} MiB free, {needed / 2**20:.1f} MiB are needed for a copy "
            "of the state; make room",
            free_bytes=free,
            needed_bytes=needed,
        )


def verify(path: Path, info: SnapshotInfo) -> None:
    """Raise StateDamaged unless the file is exactly, and soundly, what ``info`` says. Blocking; writes nothing."""
    if (size := path.stat().st_size) != info.size:
        raise StateDamaged(f"{path} has {size} bytes, not {info.size}")
    if sha256_of(path) != info.sha256:
        raise StateDamaged(f"the checksum of {path} does not match; it was damaged or changed")
    verify_content(path, info)


def verify_content(path: Path, info: SnapshotInfo) -> None:
    """As ``verify``, of a file that was written to since: its structure and its position in the log."""
    try:
        with only_read(path, is_whole=True) as connection:
            quick_check(connection, path)
            found = _position(connection)
            if found.version == SCHEMA_VERSION:
                check_contents(connection)
    except apsw.Error as error:
        raise StateDamaged(f"{path} is not a database: {error}") from error
    if found != _described(info):
        raise StateDamaged(f"{path} holds entry {found.index} of term {found.term}, not what its description says")


def _described(info: SnapshotInfo) -> StatePosition:
    return StatePosition(
        info.index, info.term, info.digest, info.version, info.cluster_id, info.generation, info.cluster, info.shard
    )


def install(data_dir: Path, path: Path, *, keeps: bool = False) -> Path | None:
    """Make a snapshot that passed ``verify`` the state of a node that does not have its state open.

    Args:
        data_dir: the node's.
        path: is moved, so it must be on the file system of ``data_dir``.
        keeps: the state that is there now is kept beside it, as ``state.db.replaced-<index>``.

    Returns:
        The file that is kept aside.

    After a crash at any point the node has either its old state or, once ``finish_install`` has run, the new one:
    the new file comes to lie beside the old state under a name that says that the decision is made, and whatever
    comes after that is done again at the next start. In between the old write-ahead log goes, for SQLite would play
    it onto the new file.
    """
    _sync(path)
    aside = _name_aside(data_dir) if keeps and (data_dir / STATE_FILE).exists() else ""
    path.rename(data_dir / (_INCOMING_FILE + aside.removeprefix(STATE_FILE)))
    _sync(data_dir)
    finish_install(data_dir)
    return data_dir / aside if aside else None


def finish_install(data_dir: Path) -> bool:
    """Go on with an installation that a crash has interrupted; call it before the state is opened.

    Returns:
        Whether there was one.
    """
    state = data_dir / STATE_FILE
    incoming = next(iter(sorted(data_dir.glob(_INCOMING_FILE + "*"))), None)
    if incoming is None:
        return False
    aside = incoming.name.removeprefix(_INCOMING_FILE)  # empty: the old state goes
    for suffix in ("-wal", "-shm", *([""] if aside else [])):
        part = state.with_name(state.name + suffix)
        if aside and part.exists():
            part.rename(state.with_name(state.name + aside + suffix))
        else:
            part.unlink(missing_ok=True)
    _sync(data_dir)  # or the rename might survive a power cut and the removal not
    incoming.rename(state)
    _sync(data_dir)
    _log.info("snapshot_installed", path=str(state))
    return True


def kept_aside(data_dir: Path) -> list[Path]:
    """The states that were replaced and kept, oldest first."""
    files = [file for file in data_dir.glob(f"{STATE_FILE}{_ASIDE}*") if not file.name.endswith(("-wal", "-shm"))]
    return sorted(files, key=lambda file: file.stat().st_mtime_ns)


def _name_aside(data_dir: Path) -> str:
    """A name for the present state that none has yet."""
    try:
        index = str(read_position(data_dir / STATE_FILE).index)
    except (StateDamaged, apsw.Error):
        index = "unknown"
    names = (f"{STATE_FILE}{_ASIDE}{index}{number}" for number in ("", *(f"-{count}" for count in range(2, 10_000))))
    return next(name for name in names if not any(data_dir.glob(name + "*")))


def read_position(path: Path) -> StatePosition:
    """The position of the state in a file that no node has open. Raises StateDamaged."""
    try:
        with only_read(path) as connection:
            return _position(connection)
    except apsw.Error as error:
        raise StateDamaged(f"{path} cannot be read: {error}") from error


def holds_state(data_dir: Path) -> bool:
    """There is a state in this directory, or one is being installed."""
    return any(data_dir.glob(STATE_FILE + "*"))


def describe(path: Path, created_ms: int) -> SnapshotInfo:
    """Describes a copy of a state that nobody writes to any more."""
    sha256 = sha256_of(path)
    with only_read(path, is_whole=True) as connection:
        found = _position(connection)
    return SnapshotInfo(
        name=f"{found.index:012d}-{sha256[:16]}",
        index=found.index,
        term=found.term,
        digest=found.digest,
        size=path.stat().st_size,
        sha256=sha256,
        version=found.version,
        created_ms=created_ms,
        cluster_id=found.cluster_id,
        generation=found.generation,
        cluster=found.cluster,
        shard=found.shard,
    )


def _position(connection: apsw.Connection) -> StatePosition:
    meta = dict(connection.execute("SELECT name, value FROM meta"))
    digest: bytes = meta.get("digest", b"")
    version: int = connection.pragma("user_version")
    own = read_identity(connection)
    identity = (own.cluster_id, own.generation, own.cluster, own.shard) if own else ("", 0, "", 0)
    return StatePosition(meta.get("applied", 0), meta.get("term", 0), digest.hex(), version, *identity)


def sha256_of(path: Path) -> str:
    """The checksum of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size_on_disk(database: Path) -> int:
    wal = database.with_name(database.name + "-wal")
    return database.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    """Of a file its content, of a directory its names."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
