"""The database file: durable commits, checkpoints, and a damaged or newer file is refused."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from hookline.errors import StateDamaged
from hookline.node.database import Database

SCHEMA = "CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB); CREATE INDEX by_v ON t (v);"


def opened(path: Path, *, version: int = 1, durable: bool = True) -> Database:
    return Database(path / "test.db", SCHEMA, version, durable=durable)


def put(database: Database, key: int, size: int = 10) -> None:
    database.begin()
    database.writer.execute("INSERT INTO t VALUES (?, zeroblob(?))", (key, size))
    database.commit()
    if database.wants_checkpoint:
        assert database.checkpoint()


def count(connection: apsw.Connection) -> int:
    rows: list[tuple[Any, ...]] = connection.execute("SELECT count(*) FROM t").fetchall()
    return int(rows[0][0])


@pytest.mark.parametrize(("durable", "synchronous"), [(True, 2), (False, 1)])
def test_commits_are_synced_fully_unless_another_log_has_the_entries(
    tmp_path: Path, durable: bool, synchronous: int
) -> None:
    database = opened(tmp_path, durable=durable)
    assert database.writer.pragma("journal_mode") == "wal"
    assert database.writer.pragma("synchronous") == synchronous
    database.close()


def test_the_reader_sees_commits_and_nothing_else_and_cannot_write(tmp_path: Path) -> None:
    database = opened(tmp_path)
    database.begin()
    database.writer.execute("INSERT INTO t VALUES (1, NULL)")
    assert count(database.reader) == 0
    database.commit()
    assert count(database.reader) == 1
    with pytest.raises(apsw.ReadOnlyError):
        database.reader.execute("DELETE FROM t")
    database.close()


def test_what_is_rolled_back_or_never_committed_is_gone(tmp_path: Path) -> None:
    database = opened(tmp_path)
    put(database, 1)
    database.begin()
    database.begin()  # the log has begun it already: the same transaction
    database.writer.execute("INSERT INTO t VALUES (2, NULL)")
    database.rollback()
    database.rollback()
    assert count(database.writer) == 1
    database.begin()
    database.writer.execute("INSERT INTO t VALUES (3, NULL)")
    database.close()
    again = opened(tmp_path)
    assert count(again.writer) == 1
    again.close()


def test_the_write_ahead_log_is_moved_into_the_file_before_it_grows_large(tmp_path: Path) -> None:
    database = opened(tmp_path, durable=False)
    for key in range(60):
        put(database, key, size=1024 * 1024)
    wal = (tmp_path / "test.db-wal").stat().st_size
    assert wal < 24 * 1024 * 1024, "60 MiB were written"
    assert (tmp_path / "test.db").stat().st_size > 30 * 1024 * 1024
    database.close()


def test_no_checkpoint_runs_before_it_is_worth_it(tmp_path: Path) -> None:
    database = opened(tmp_path, durable=False)
    before = (tmp_path / "test.db").stat().st_size
    for key in range(5):
        put(database, key, size=1024 * 1024)  # twice, in table and index; SQLite would at 4 MiB, within the commit
    assert (tmp_path / "test.db").stat().st_size == before
    database.close()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    database = opened(tmp_path, version=2)
    put(database, 1)
    database.close()
    with pytest.raises(StateDamaged, match="schema 2, this release knows 1; upgrade me"):
        opened(tmp_path, version=1)
    again = opened(tmp_path, version=2)
    assert count(again.writer) == 1
    again.close()


@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to look at" * 100, b"SQLite format 3\0" + bytes(5000)]
)
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test.db").write_bytes(content)
    with pytest.raises(StateDamaged, match=r"test\.db"):
        opened(tmp_path)


def filled(tmp_path: Path) -> Path:
    database = opened(tmp_path)
    database.begin()
    database.writer.executemany("INSERT INTO t VALUES (?, randomblob(200))", [(key,) for key in range(2_000)])
    database.commit()
    database.close()
    return tmp_path / "test.db"


def test_a_sound_file_passes_the_check(tmp_path: Path) -> None:
    filled(tmp_path)
    database = opened(tmp_path)
    database.quick_check()
    database.close()


@pytest.mark.parametrize("page", [2, 3, 10, 60])
def test_a_page_of_rubbish_is_found_by_the_check(tmp_path: Path, page: int) -> None:
    path = filled(tmp_path)
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    database = opened(tmp_path)
    with pytest.raises(StateDamaged):
        database.quick_check()
    database.close()


def test_a_truncated_file_is_found(tmp_path: Path) -> None:
    path = filled(tmp_path)
    path.write_bytes(path.read_bytes()[: 20 * 4096])
    with pytest.raises(StateDamaged):  # noqa: PT012 - at opening or at the check, both are in time
        database = opened(tmp_path)
        try:
            database.quick_check()
        finally:
            database.close()
