"""A look into a state that no node has open changes nothing around it."""

from pathlib import Path

import pytest

from hookline.cli import app
from hookline.errors import DataDirectoryInUse
from hookline.node.leadership.local import LocalLeadership
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.storage import kept_state
from hookline.node.storage.snapshots import read_position
from tests.node_parts import apply, create


def files(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_a_look_leaves_no_file_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    database = open_state(path)
    apply(StateMachine(database), create("j1"))
    database.close()
    before = files(tmp_path)
    assert list(before) == ["state.db"]
    assert kept_state.summary(path).counters["pending"] == 1
    assert [job.record.id for job in kept_state.open_jobs(path)] == ["j1"]
    assert read_position(path).index == 1
    assert files(tmp_path) == before


@pytest.mark.parametrize("has_log", [True, False])
def test_of_a_node_that_was_killed_the_log_counts_too(tmp_path: Path, *, has_log: bool) -> None:
    running, killed = tmp_path / "running", tmp_path / "killed"
    running.mkdir()
    killed.mkdir()
    database = open_state(running / "state.db")
    machine = StateMachine(database)
    apply(machine, create("j1"))
    machine.make_durable()
    apply(machine, create("j2"))
    for name in ("state.db", "state.db-wal")[: 2 if has_log else 1]:
        (killed / name).write_bytes((running / name).read_bytes())
    database.close()
    assert len(list(kept_state.open_jobs(killed / "state.db"))) == (2 if has_log else 1)


def test_while_a_node_runs_the_states_that_it_kept_aside_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = open_state(tmp_path / "state.db")
    apply(StateMachine(database), create("j1"))
    database.close()
    node = LocalLeadership(tmp_path)
    node.lock()
    try:
        with pytest.raises(DataDirectoryInUse):
            app.app(["state", "show", str(tmp_path)], result_action="return_value")
        (tmp_path / "state.db.replaced-1").write_bytes((tmp_path / "state.db").read_bytes())
        app.app(["state", "show", str(tmp_path)], result_action="return_value")
    finally:
        node.unlock()
    said = capsys.readouterr()
    assert "state.db.replaced-1" in said.out
    assert "a node runs in" in said.err
    assert said.out.count("file ") == 1
