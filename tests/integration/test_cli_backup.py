"""``hookline backup`` of a running node and ``hookline restore`` of what it wrote."""

import errno
import json
import os
from pathlib import Path

import pytest

from hookline.cli import app
from hookline.node.leadership.local import LocalLeadership
from hookline.node.state_machine.machine import open_state
from hookline.node.storage import snapshot_fetch
from tests.integration.node_under_test import NodeUnderTest
from tests.scripted_server import Answer, scripted_server

Output = pytest.CaptureFixture[str]


@pytest.fixture
def saved(node: NodeUnderTest, tmp_path: Path, capsys: Output) -> Path:
    """A backup of a node with one job."""
    node.create(id="kept")
    out = tmp_path / "backup.db"
    assert app.run(["backup", "--url", f"http://127.0.0.1:{node.port}", "--out", str(out)]) == 0
    capsys.readouterr()
    return out


def restored(source: Path, data_dir: Path) -> int:
    return app.run(["restore", "--from", str(source), "--data-dir", str(data_dir)])


def test_a_backup_comes_back(node: NodeUnderTest, tmp_path: Path, capsys: Output) -> None:
    node.create(id="a")
    out, data = tmp_path / "b.db", tmp_path / "new" / "n1"
    assert app.run(["backup", "--url", f"http://127.0.0.1:{node.port}", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["file"] == str(out)
    assert said["index"] == node.replica.applied
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b.db", "b.db.json", "node"]
    node.create(id="b")
    assert restored(out, data) == 0
    err = capsys.readouterr().err
    assert "jobs that were running are due again" in err
    database = open_state(data / "state.db")
    assert database.reader.execute("SELECT id FROM jobs").fetchall() == [("a",)]
    database.close()


def test_an_existing_file_is_not_overwritten(saved: Path, node: NodeUnderTest, capsys: Output) -> None:
    before = saved.read_bytes()
    assert app.run(["backup", "--url", f"http://127.0.0.1:{node.port}", "--out", str(saved)]) == 1
    assert "exists; choose another name" in capsys.readouterr().err
    assert saved.read_bytes() == before


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path, capsys: Output) -> None:
    assert app.run(["backup", "--url", "http://127.0.0.1:9", "--out", str(tmp_path / "b.db")]) == 1
    assert "snapshot_unavailable" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_password_in_the_url_of_a_backup_is_not_shown(node: NodeUnderTest, tmp_path: Path, capsys: Output) -> None:
    with_password = f"http://user:geheim@127.0.0.1:{node.port}"
    for url in ("http://user:geheim@127.0.0.1:9", "http://user:geheim@[::1", "user:geheim@127.0.0.1", with_password):
        app.run(["backup", "--url", url, "--out", str(tmp_path / "b.db")])
        shown = capsys.readouterr()
        assert "geheim" not in shown.out + shown.err


def test_a_directory_with_state_is_refused(saved: Path, node: NodeUnderTest, tmp_path: Path, capsys: Output) -> None:
    data = tmp_path / "new"
    assert restored(saved, data) == 0
    capsys.readouterr()
    assert restored(saved, data) == 1
    assert "holds state already" in capsys.readouterr().err


def test_a_directory_in_use_is_refused(saved: Path, tmp_path: Path, capsys: Output) -> None:
    data = tmp_path / "new"
    data.mkdir()
    LocalLeadership(data).lock()
    assert restored(saved, data) == 1
    assert "data_directory_in_use" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("", "{out} is a directory; name a file in it"),
        ("file/b.db", "the directory {out.parent} does not exist"),
        ("none/b.db", "the directory {out.parent} does not exist"),
        ("b.db", "it gives no copy of its state; ask a node, not a proxy"),
    ],
)
def test_where_a_backup_cannot_go_or_come_from_is_said(tmp_path: Path, capsys: Output, out: str, said: str) -> None:
    (tmp_path / "file").touch()
    with scripted_server() as proxy:
        proxy.answers = [Answer(404, {"code": "route_not_found"})]
        assert app.run(["backup", "--url", proxy.url, "--out", str(tmp_path / out), "--json"]) == 1
    shown = capsys.readouterr()
    detail = json.loads(shown.out)["detail"]
    assert said.format(out=tmp_path / out) in detail
    assert detail in shown.err
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_backup_onto_a_full_disk_names_that_disk(
    node: NodeUnderTest, tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(snapshot_fetch, "_write", full)
    out = tmp_path / "b.db"
    assert app.run(["backup", "--url", f"http://127.0.0.1:{node.port}", "--out", str(out)]) == 1
    assert f"the disk of {tmp_path} is full" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["node"]
