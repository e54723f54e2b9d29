"""A restore is killed at every event on the disk; after the next one the state is all of one backup."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from hookline.cli import app
from hookline.errors import RestoreBrokenOff
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.storage import restoring, snapshots
from hookline.node.storage.snapshots import SnapshotInfo, Snapshots
from tests.node_parts import ManualClock, apply, create, job_spec

_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.copyfile", "shutil.rmtree"}


class Backups:
    """Of one cluster: the first, and later ones that are smaller, of the same size, and larger."""

    def __init__(self, directory: Path) -> None:
        self.files: dict[str, Path] = {}
        self.infos: dict[str, SnapshotInfo] = {}
        for name, jobs, body, more in (
            ("first", 20, 2_000, 0),
            ("equal", 20, 2_000, 3),
            ("larger", 60, 2_000, 0),
            ("smaller", 1, 10, 0),
        ):
            database = open_state(directory / f"{name}-state.db", durable=False)
            machine = StateMachine(database)
            for number in range(jobs):
                apply(machine, create(f"j{number}", job_spec(body=bytes(body))))
            for _ in range(more):
                apply(machine)
            kept = Snapshots(database, directory / f"{name}-snapshots", ManualClock())
            info = kept.make()
            kept.close()
            database.close()
            path = directory / f"{name}.db"
            (directory / f"{name}-snapshots" / f"{info.name}.db").rename(path)
            path.with_name(f"{name}.db.json").write_bytes(msgspec.json.encode(info))
            self.files[name], self.infos[name] = path, info
        assert self.infos["equal"].size == self.infos["first"].size
        assert self.infos["smaller"].size < self.infos["first"].size < self.infos["larger"].size


@pytest.fixture(scope="module")
def backups(tmp_path_factory: pytest.TempPathFactory) -> Backups:
    return Backups(tmp_path_factory.mktemp("backups"))


class _Kill:
    """Ends the process with SIGKILL before the event of that number."""

    def __init__(self, at: int) -> None:
        self._left = at

    def event(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, directory: str) -> None:
        def audit(name: str, arguments: tuple[Any, ...]) -> None:
            if name in _EVENTS and any(directory in str(argument) for argument in arguments):
                self.event()

        sys.addaudithook(audit)
        kill = self

        class File(apsw.VFSFile):
            def xWrite(self, data: bytes, offset: int) -> None:
                kill.event()
                super().xWrite(data, offset)

            def xSync(self, flags: int) -> None:
                kill.event()
                super().xSync(flags)

            def xTruncate(self, size: int) -> None:
                kill.event()
                super().xTruncate(size)

        class Vfs(apsw.VFS):
            def __init__(self) -> None:
                super().__init__("killing", base="unix", makedefault=True)

            def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
                kill.event()
                return File("unix", name, flags)

            def xDelete(self, name: str, sync: bool) -> None:
                kill.event()
                super().xDelete(name, sync)

        self._vfs = Vfs()


def in_a_process(act: Callable[[], int]) -> int:
    """Its exit code; minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            code = act()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def restored(file: Path, data: Path, *, killed_at: int = 0) -> int:
    """As ``hookline restore`` in a process of its own; its exit code."""

    def act() -> int:
        if killed_at:
            _Kill(killed_at).watch(str(data))
        return app.run(["restore", "--from", str(file), "--data-dir", str(data)])

    return in_a_process(act)


def assert_state_is(data: Path, info: SnapshotInfo) -> None:
    """All of that backup, whole, and marked as restored."""
    snapshots.finish_install(data)
    assert not (data / "state.db-wal").exists()
    snapshots.verify_content(data / "state.db", info)
    database = open_state(data / "state.db")
    machine = StateMachine(database)
    assert (machine.applied, machine.digest.hex(), machine.is_restored) == (info.index, info.digest, True)
    jobs = database.reader.execute("SELECT count(*) FROM jobs").fetchall()[0][0]
    assert machine.tables.counters["pending"] == jobs
    assert database.reader.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


@pytest.mark.parametrize("later", ["first", "equal", "larger", "smaller"])
def test_a_restore_killed_anywhere_does_no_harm_to_the_next(backups: Backups, tmp_path: Path, later: str) -> None:
    killed_at, refused, broken_off = 0, 0, 0
    while True:
        killed_at += 1
        data = tmp_path / f"data-{killed_at}"
        data.mkdir()
        code = restored(backups.files["first"], data, killed_at=killed_at)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        if snapshots.holds_state(data):
            restoring.refuse_half_restored(data)
        elif {file.name for file in data.iterdir()} - {"lock"}:
            broken_off += 1
            with pytest.raises(RestoreBrokenOff, match="run it again"):
                restoring.refuse_half_restored(data)
        if restored(backups.files[later], data) == 0:
            assert_state_is(data, backups.infos[later])
            assert sorted(file.name for file in data.iterdir()) == ["lock", "state.db"]
        else:
            refused += 1
            assert_state_is(data, backups.infos["first"])
    assert_state_is(data, backups.infos["first"])
    assert broken_off > 10
    assert refused > 0
    assert killed_at > 20


@pytest.mark.parametrize("name", ["restoring.partial", "restoring.partial-wal", "restoring.partial-shm"])
def test_what_an_earlier_release_left_is_removed_first(backups: Backups, tmp_path: Path, name: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_bytes(b"half")
    with pytest.raises(RestoreBrokenOff, match=name):
        restoring.refuse_half_restored(data)
    assert restored(backups.files["equal"], data) == 0
    assert_state_is(data, backups.infos["equal"])
    assert sorted(file.name for file in data.iterdir()) == ["lock", "state.db"]


def test_no_node_starts_on_a_half_restore(backups: Backups, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    assert restored(backups.files["first"], data, killed_at=12) == -signal.SIGKILL
    assert in_a_process(lambda: app.run(["up", "--data-dir", str(data), "--port", "0"])) == 1
    assert not snapshots.holds_state(data)


def test_a_full_disk_or_an_interrupt_leaves_the_sign(
    backups: Backups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setattr(restoring, "mark_restored", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restoring.restore(backups.files["first"], backups.infos["first"], data)
    assert [list(file.iterdir()) for file in data.iterdir()] == [[]], "the copy is gone, the sign is not"
    with pytest.raises(RestoreBrokenOff):
        restoring.refuse_half_restored(data)
    monkeypatch.undo()
    restoring.restore(backups.files["first"], backups.infos["first"], data)
    assert_state_is(data, backups.infos["first"])
