"""Snapshots: consistent while the writer goes on, checked, and installed so that every crash leaves a sound state."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec
import pytest

from hookline.errors import NotEnoughSpace, NotFound, ShuttingDown, StateDamaged
from hookline.node.state_machine.machine import SCHEMA_VERSION, StateMachine, open_state
from hookline.node.storage import snapshots
from hookline.node.storage.snapshots import SnapshotInfo, Snapshots
from tests.node_parts import ManualClock, apply, create


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[StateMachine]:
    (tmp_path / "node").mkdir()
    database = open_state(tmp_path / "node" / "state.db", durable=False)
    yield StateMachine(database)
    database.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def kept(machine: StateMachine, tmp_path: Path, clock: ManualClock) -> Iterator[Snapshots]:
    found = Snapshots(machine.database, tmp_path / "snapshots", clock)
    yield found
    found.close()


def files(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def file_of(tmp_path: Path, info: SnapshotInfo) -> Path:
    return tmp_path / "snapshots" / f"{info.name}.db"


async def test_a_snapshot_holds_the_state_of_one_index(
    machine: StateMachine, kept: Snapshots, tmp_path: Path, clock: ManualClock
) -> None:
    apply(machine, create("a"))
    apply(machine, create("b"))
    info = await kept.create()
    assert (info.index, info.term, info.digest) == (machine.applied, machine.term, machine.digest.hex())
    assert (info.created_ms, info.version) == (clock.wall_ms(), SCHEMA_VERSION)
    assert info == kept.newest()
    apply(machine, create("c"))
    path = file_of(tmp_path, info)
    snapshots.verify(path, info)
    assert files(path.parent) == [f"{info.name}.db", f"{info.name}.json"], "checking leaves nothing beside it"
    copy = tmp_path / "copy.db"
    shutil.copy(path, copy)
    opened = open_state(copy)
    assert opened.writer.execute("SELECT id FROM jobs ORDER BY seq").fetchall() == [("a",), ("b",)]
    again = StateMachine(opened)
    apply(again, create("c"))
    assert again.digest == machine.digest, "it goes on exactly as the original did"
    opened.close()


async def test_what_is_committed_meanwhile_is_not_in_it(
    machine: StateMachine, kept: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "_PAGES_PER_STEP", 1)
    apply(machine, *(create(f"before-{number}") for number in range(200)))
    made = 0
    async with asyncio.TaskGroup() as tasks:
        making = tasks.create_task(kept.create())
        while not making.done():
            apply(machine, create(f"meanwhile-{made}"))
            if made % 10 == 0:
                machine.database.checkpoint()
            made += 1
            await asyncio.sleep(0)
    info = making.result()
    assert made > 1, "the writer went on"
    snapshots.verify(file_of(tmp_path, info), info)
    connection = apsw.Connection(f"{file_of(tmp_path, info).as_uri()}?immutable=1", flags=0x41)
    jobs = connection.execute("SELECT count(*) FROM jobs").fetchall()[0][0]
    connection.close()
    assert jobs == 200 + info.index - 1, "all of each entry up to the index, nothing after it"


def test_a_busy_writer_does_not_make_the_copy_begin_anew(
    machine: StateMachine, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "_PAGES_PER_STEP", 1)
    apply(machine, *(create(f"before-{number}") for number in range(100)))

    class Busy(Snapshots):
        @property
        def is_stopping(self) -> bool:
            if machine.applied < 10:
                apply(machine, create(f"meanwhile-{machine.applied}"))
            return False

    busy = Busy(machine.database, tmp_path / "snapshots", clock)
    info = busy.make()
    busy.close()
    assert machine.applied == 10, "there were commits between the steps"
    assert info.index == 1, "the copy is of the moment it began"
    snapshots.verify(file_of(tmp_path, info), info)


async def test_all_readers_together_are_limited(
    machine: StateMachine, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    limited = Snapshots(machine.database, tmp_path / "limited", clock, bytes_per_s=1_000)
    for size in (500, 250, 1):
        await limited.take_turn(size)
    clock.advance(10_000)
    await limited.take_turn(1_000)
    limited.close()
    assert waits == [0, 0.5, 0.75, 0]


async def test_who_asks_meanwhile_gets_the_same_one(machine: StateMachine, kept: Snapshots) -> None:
    apply(machine, create("a"))
    first, second = await asyncio.gather(kept.create(), kept.create())
    assert first is second


async def test_the_newest_two_are_kept_and_readers_keep_theirs(
    machine: StateMachine, kept: Snapshots, tmp_path: Path
) -> None:
    infos = []
    for name in "abc":
        apply(machine, create(name))
        infos.append(await kept.create())
        if name == "a":
            file, _ = kept.open(infos[0].name)
    assert files(tmp_path / "snapshots") == sorted(
        f"{info.name}{suffix}" for info in infos[1:] for suffix in (".db", ".json")
    )
    with file:
        assert len(file.read()) == infos[0].size
    with pytest.raises(NotFound):
        kept.open(infos[0].name)
    with pytest.raises(NotFound):
        kept.open("../node/state")


async def test_a_fresh_one_is_used_again(machine: StateMachine, kept: Snapshots, clock: ManualClock) -> None:
    apply(machine, create("a"))
    first = await kept.fresh(max_age_ms=1_000)
    apply(machine, create("b"))
    clock.advance(1_000)
    assert await kept.fresh(max_age_ms=1_000) == first
    second = await kept.fresh(max_age_ms=1_000, at_least=2)
    assert second.index == 2, "the old one lacks an entry that is needed"
    clock.advance(1_001)
    apply(machine, create("c"))
    assert (await kept.fresh(max_age_ms=1_000)).index == 3


async def test_leftovers_are_removed_at_the_start(
    machine: StateMachine, kept: Snapshots, tmp_path: Path, clock: ManualClock
) -> None:
    info = await kept.create()
    directory = tmp_path / "snapshots"
    for name in ("making.partial", "000000000009-ab.json", "000000000009-cd.db", "making.partial-journal"):
        (directory / name).write_bytes(b"half")
    again = Snapshots(machine.database, directory, clock)
    assert again.newest() == info
    assert files(directory) == [f"{info.name}.db", f"{info.name}.json"]
    again.close()


async def test_without_room_nothing_is_written(
    kept: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(NotEnoughSpace, match=r"snapshots has 0\.0 MiB free, 4\.\d MiB are needed"):
        await kept.create()
    assert files(tmp_path / "snapshots") == []
    monkeypatch.undo()
    assert (await kept.create()).index == 0, "and it works once there is room"


async def test_a_small_state_needs_little_room(
    machine: StateMachine, kept: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(machine, create("a"))
    usage = shutil.disk_usage(tmp_path)._replace(free=5 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    assert (await kept.create()).index == 1


def test_the_room_that_a_copy_needs_grows_with_the_state_and_shrinks_with_what_is_there() -> None:
    mib = 2**20
    assert snapshots.space_for(0) == 4 * mib
    assert snapshots.space_for(1_000 * mib) == 1_204 * mib
    assert snapshots.space_for(1_000 * mib, have=900 * mib) == 304 * mib


async def test_a_shutdown_does_not_wait_for_the_whole_copy(
    machine: StateMachine, kept: Snapshots, tmp_path: Path
) -> None:
    kept.stop()
    with pytest.raises(ShuttingDown):
        await kept.create()
    assert files(tmp_path / "snapshots") == []


@pytest.mark.parametrize("where", ["first", "middle", "last", "cut", "grown"])
async def test_one_wrong_bit_is_noticed(machine: StateMachine, kept: Snapshots, tmp_path: Path, where: str) -> None:
    apply(machine, create("a"))
    info = await kept.create()
    path = file_of(tmp_path, info)
    data = bytearray(path.read_bytes())
    if where == "cut":
        del data[-1]
    elif where == "grown":
        data += b"\0"
    else:
        data[{"first": 0, "middle": len(data) // 2, "last": -1}[where]] ^= 1
    path.write_bytes(data)
    with pytest.raises(StateDamaged):
        snapshots.verify(path, info)


@pytest.mark.parametrize(
    "wrong", [{"index": 7}, {"term": 9}, {"digest": "00"}, {"version": 1}, {"cluster_id": "0" * 32}]
)
async def test_a_description_of_something_else_is_noticed(
    machine: StateMachine, kept: Snapshots, tmp_path: Path, wrong: dict[str, object]
) -> None:
    apply(machine, create("a"))
    info = await kept.create()
    with pytest.raises(StateDamaged, match="not what its description says"):
        snapshots.verify(file_of(tmp_path, info), msgspec.structs.replace(info, **wrong))


async def test_a_damaged_state_is_not_handed_on(machine: StateMachine, kept: Snapshots, tmp_path: Path) -> None:
    """The structure shows the damage; the checksum cannot, since it was made afterwards."""
    apply(machine, *(create(f"{number}") for number in range(300)))
    machine.database.checkpoint()
    info = await kept.create()
    path = file_of(tmp_path, info)
    data = bytearray(path.read_bytes())
    data[8 * 4096 : 8 * 4096 + 64] = b"\xff" * 64
    path.write_bytes(data)
    damaged = msgspec.structs.replace(info, sha256=snapshots.sha256_of(path))
    with pytest.raises(StateDamaged):
        snapshots.verify(path, damaged)


class Crash(Exception):
    """The process ends here."""


def old_and_new(tmp_path: Path) -> tuple[Path, Path]:
    """A data directory whose newest entry is only in the write-ahead log, and a snapshot with another content."""
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    database = open_state(data / "state.db", durable=False)
    apply(StateMachine(database), create("old"))
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(data / f"state.db{suffix}", tmp_path / f"kept{suffix}")
    database.close()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"kept{suffix}").rename(data / f"state.db{suffix}")
    database = open_state(tmp_path / "other.db", durable=False)
    other = StateMachine(database)
    apply(other, create("new-1"))
    apply(other, create("new-2"))
    database.close()
    return data, tmp_path / "other.db"


def jobs_in(data: Path) -> list[str]:
    snapshots.finish_install(data)
    database = open_state(data / "state.db")
    database.quick_check()
    database.close()
    return jobs_of(data / "state.db")


def jobs_of(state: Path) -> list[str]:
    connection = apsw.Connection(str(state))
    found = [row[0] for row in connection.execute("SELECT id FROM jobs ORDER BY seq")]
    connection.close()
    return found


def test_an_installed_snapshot_is_the_state_and_the_old_log_does_not_come_back(tmp_path: Path) -> None:
    data, new = old_and_new(tmp_path)
    snapshots.install(data, new)
    assert files(data) == ["state.db"]
    assert jobs_in(data) == ["new-1", "new-2"]
    assert not snapshots.finish_install(data)


@pytest.mark.parametrize("keeps", [False, True], ids=["replaced", "kept aside"])
@pytest.mark.parametrize("step", range(7))
def test_a_crash_while_installing_leaves_the_old_state_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, keeps: bool
) -> None:
    data, new = old_and_new(tmp_path)
    calls = 0

    def crashing(real: object) -> object:
        def call(*arguments: object, **named: object) -> object:
            nonlocal calls
            if calls == step:
                raise Crash
            calls += 1
            return real(*arguments, **named)  # type: ignore[operator]

        return call

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", crashing(Path.rename))
        patched.setattr(Path, "unlink", crashing(Path.unlink))
        patched.setattr(os, "fsync", crashing(os.fsync))
        with pytest.raises(Crash):
            snapshots.install(data, new, keeps=keeps)
    expected = ["old"] if step < 2 else ["new-1", "new-2"]
    assert jobs_in(data) == expected
    if keeps and step >= 2:
        (kept,) = snapshots.kept_aside(data)
        assert jobs_of(kept) == ["old"]


def test_a_state_that_is_kept_aside_is_whole_and_never_overwritten(tmp_path: Path) -> None:
    """With its write-ahead log: what is only in there belongs to it."""
    names = []
    for _ in range(3):
        data, new = old_and_new(tmp_path)
        kept = snapshots.install(data, new, keeps=True)
        assert kept is not None
        names.append(kept.name)
        assert jobs_of(kept) == ["old"]
        assert jobs_in(data) == ["new-1", "new-2"]
        for file in data.glob("state.db*"):
            if "replaced" not in file.name:
                file.unlink()
    assert names == ["state.db.replaced-1", "state.db.replaced-1-2", "state.db.replaced-1-3"]
    assert [file.name for file in snapshots.kept_aside(data)] == names


def test_a_state_that_cannot_be_read_is_kept_aside_too(tmp_path: Path) -> None:
    data, new = old_and_new(tmp_path)
    (data / "state.db-wal").unlink()
    (data / "state.db").write_bytes(b"not a database at all" * 400)
    kept = snapshots.install(data, new, keeps=True)
    assert kept is not None
    assert kept.name == "state.db.replaced-unknown"
    assert kept.read_bytes().startswith(b"not a database")


def test_there_is_nothing_to_keep_where_nothing_was(tmp_path: Path) -> None:
    _, new = old_and_new(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert snapshots.install(empty, new, keeps=True) is None
    assert jobs_in(empty) == ["new-1", "new-2"]
    assert not snapshots.kept_aside(empty)


def test_a_directory_that_holds_state_is_known(tmp_path: Path) -> None:
    assert not snapshots.holds_state(tmp_path)
    (tmp_path / "secret.key").touch()
    assert not snapshots.holds_state(tmp_path)
    (tmp_path / "state.db.install").touch()
    assert snapshots.holds_state(tmp_path)
