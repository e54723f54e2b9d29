"""Every way a backup can be wrong: the file that was given is named, with what is wrong and what to do."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec
import pytest

from hookline.cli import app
from hookline.node.state_machine.machine import SCHEMA_VERSION, StateMachine, open_state
from hookline.node.storage import snapshots
from hookline.node.storage.snapshots import Snapshots
from tests.node_parts import ManualClock, apply, create

Output = pytest.CaptureFixture[str]
Harm = Callable[[Path, Path], object]  # (the backup, another one)


def _make(directory: Path, jobs: int) -> None:
    database = open_state(directory / "state.db", durable=False)
    machine = StateMachine(database)
    for number in range(jobs):
        apply(machine, create(f"j{number}"))
    kept = Snapshots(database, directory / "snapshots", ManualClock())
    info = kept.make()
    kept.close()
    database.close()
    (directory / "snapshots" / f"{info.name}.db").rename(directory / "b.db")
    (directory / "snapshots" / f"{info.name}.json").rename(directory / "b.db.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the backups ``one`` and ``two``."""
    top = tmp_path_factory.mktemp("backups")
    for name, jobs in (("one", 3), ("two", 5)):
        (top / name).mkdir()
        _make(top / name, jobs)
    return top


def _description(file: Path) -> Path:
    return file.with_name(file.name + ".json")


def _flip(at: int) -> Harm:
    def flip(file: Path, _other: Path) -> None:
        data = bytearray(file.read_bytes())
        data[at] ^= 1
        file.write_bytes(data)

    return flip


def _described(**fields: Any) -> Harm:
    def describe(file: Path, _other: Path) -> None:
        description = _description(file)
        description.write_text(json.dumps(json.loads(description.read_bytes()) | fields))

    return describe


def _rewritten(file: Path, data: bytes) -> None:
    """Its description fits, so that only its content can show what is wrong."""
    file.write_bytes(data)
    _described(size=len(data), sha256=snapshots.sha256_of(file))(file, file)


def _row_taken(file: Path, _other: Path) -> None:
    with apsw.Connection(str(file)) as connection:
        connection.execute("DELETE FROM specs WHERE seq = 1")
    connection.close()
    _rewritten(file, file.read_bytes())


def _as_directory(file: Path, _other: Path) -> None:
    file.unlink()
    file.mkdir()


class Wrong(NamedTuple):
    """A harm to a backup, and the code and the words that tell of it."""

    harm: Harm
    code: str
    said: str


AGAIN = "copy it again from where"
WRONG = {
    "truncated": Wrong(lambda file, _: os.truncate(file, 100), "backup_damaged", "{file} has 100 bytes; "),
    "cut off late": Wrong(lambda file, _: os.truncate(file, 9_000), "backup_damaged", "{file} has 9000 bytes; "),
    "empty": Wrong(lambda file, _: os.truncate(file, 0), "backup_damaged", "{file} is empty; "),
    "first byte": Wrong(_flip(0), "backup_damaged", "{file} is not as it was written: its checksum does not match"),
    "a byte": Wrong(_flip(5_000), "backup_damaged", "{file} is not as it was written: its checksum does not match"),
    "last byte": Wrong(_flip(-1), "backup_damaged", "{file} is not as it was written: its checksum does not match"),
    "longer": Wrong(lambda file, _: file.write_bytes(file.read_bytes() + b"x"), "backup_damaged", "{file} has "),
    "not SQLite": Wrong(lambda file, _: _rewritten(file, b"no database"), "backup_damaged", "{file} holds no sound"),
    "a lost row": Wrong(_row_taken, "backup_damaged", "{file} holds no sound state (job j0 has lost what it"),
    "a directory": Wrong(_as_directory, "invalid_config", "{file} is a directory; give the file that"),
    "no file": Wrong(lambda file, _: file.unlink(), "invalid_config", "there is no file {file}"),
    "no description": Wrong(
        lambda file, _: _description(file).unlink(), "backup_damaged", "{file}.json is missing: hookline backup wrote"
    ),
    "a directory for it": Wrong(
        lambda file, other: _as_directory(_description(file), other),
        "backup_damaged",
        "{file}.json is missing",
    ),
    "an empty description": Wrong(
        lambda file, _: os.truncate(_description(file), 0), "backup_damaged", "{file}.json does not say what {file} has"
    ),
    "not JSON": Wrong(
        lambda file, _: _description(file).write_bytes(b"\xff{"), "backup_damaged", "{file}.json does not say what"
    ),
    "other JSON": Wrong(
        lambda file, _: _description(file).write_text("[]"), "backup_damaged", "{file}.json does not say what"
    ),
    "another's": Wrong(
        lambda file, other: shutil.copy(_description(other), _description(file)),
        "backup_damaged",
        "{file}.json belongs to another backup: it describes entry 5 of term 1, and {file} holds entry 3",
    ),
    "newer": Wrong(
        _described(version=SCHEMA_VERSION + 1),
        "backup_of_other_release",
        f"{{file}} holds a state with schema {SCHEMA_VERSION + 1}, and this release knows schema {SCHEMA_VERSION}",
    ),
}


@pytest.fixture
def one(made: Path, tmp_path: Path) -> Path:
    """A copy of the backup ``one``."""
    shutil.copytree(made / "one", tmp_path / "kept", ignore=shutil.ignore_patterns("state.db*", "snapshots"))
    return tmp_path / "kept" / "b.db"


def restored(file: Path, data: Path, capsys: Output) -> dict[str, Any]:
    """Runs a restore that must fail: it prints one document, and a sentence for people with the same words."""
    assert app.run(["restore", "--from", str(file), "--data-dir", str(data), "--json"]) == 1
    shown = capsys.readouterr()
    problem: dict[str, Any] = json.loads(shown.out)
    assert problem["detail"] in shown.err
    return problem


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_backup_is_said_of_it(
    made: Path, one: Path, tmp_path: Path, capsys: Output, name: str
) -> None:
    wrong = WRONG[name]
    wrong.harm(one, made / "two" / "b.db")
    kept = sorted(one.parent.iterdir())
    problem = restored(one, tmp_path / "new", capsys)
    assert problem["code"] == wrong.code
    assert wrong.said.format(file=one) in problem["detail"]
    assert "new" not in problem["detail"].replace(str(tmp_path), "")
    assert not (tmp_path / "new").exists(), "nothing was made"
    assert sorted(one.parent.iterdir()) == kept, "and nothing beside it"


def test_the_description_is_not_taken_for_the_backup(one: Path, tmp_path: Path, capsys: Output) -> None:
    assert restored(_description(one), tmp_path / "new", capsys)["detail"].endswith(f"give the backup itself, {one}")


def test_a_log_beside_a_backup_is_not_played_onto_it(one: Path, tmp_path: Path) -> None:
    one.with_name("b.db-wal").write_bytes(b"of something else")
    assert app.run(["restore", "--from", str(one), "--data-dir", str(tmp_path / "new")]) == 0
    assert one.with_name("b.db-wal").read_bytes() == b"of something else"


@pytest.mark.parametrize("which", ["b.db", "b.db.json"])
def test_a_file_that_may_not_be_read_is_named(
    one: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    real = Path.open

    def opened(file: Path, *arguments: Any, **named: Any) -> Any:
        if file.name == which:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        return real(file, *arguments, **named)

    monkeypatch.setattr(Path, "open", opened)
    problem = restored(one, tmp_path / "new", capsys)
    assert problem["detail"] == f"{one.with_name(which)} cannot be read: Permission denied"


def test_a_backup_on_a_failing_disk_is_not_blamed_on_the_new_one(
    one: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_file: Path) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(snapshots, "sha256_of", failing)
    problem = restored(one, tmp_path / "new", capsys)
    assert (problem["code"], problem["detail"].split(";")[0]) == (
        "backup_damaged",
        f"{one} cannot be read to its end: Input/output error",
    )


def test_a_full_disk_is_the_one_of_the_new_node(
    one: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "new"
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    problem = restored(one, data, capsys)
    assert (problem["code"], problem["detail"].split(" has ")[0]) == ("not_enough_space", f"the disk of {data}")
    monkeypatch.undo()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    problem = restored(one, data, capsys)
    assert problem["code"] == "disk_fault"
    assert f"the disk of {data} is full" in problem["detail"]
    assert not list(data.rglob("*.db")), "no copy stays"


def test_a_disk_that_changes_what_is_written_is_blamed_and_not_the_backup(
    one: Path, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.copyfile

    def changed(source: Path, copy: Path) -> None:
        real(source, copy)
        _flip(-1)(copy, copy)

    monkeypatch.setattr(shutil, "copyfile", changed)
    problem = restored(one, tmp_path / "new", capsys)
    assert problem["code"] == "disk_fault"
    assert problem["detail"].startswith(f"{one} is sound, and its copy in {tmp_path / 'new'} is not")


@pytest.mark.parametrize("place", ["file", "file/inside"])
def test_a_data_directory_that_cannot_be_made_is_named(one: Path, tmp_path: Path, capsys: Output, place: str) -> None:
    (tmp_path / "file").touch()
    assert str(tmp_path / place) in restored(one, tmp_path / place, capsys)["detail"]


def test_a_description_of_a_later_release_may_say_more(one: Path, tmp_path: Path) -> None:
    _described(more="than this one knows")(one, one)
    assert app.run(["restore", "--from", str(one), "--data-dir", str(tmp_path / "new")]) == 0
    assert msgspec.json.decode(_description(one).read_bytes())["more"]
