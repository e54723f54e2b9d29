"""A look into a state that no node has open changes nothing around it."""

from pathlib import Path

import pytest

from hookline.node import kept_state
from hookline.node.snapshots import read_position
from hookline.node.state_machine.machine import StateMachine, open_state
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
    assert [job.id for job in kept_state.open_jobs(path)] == ["j1"]
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
