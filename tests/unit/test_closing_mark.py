"""The mark beside a state that was closed in order, and what is checked at a start with and without it."""

import asyncio
from pathlib import Path

import pytest

from hookline.clock import SystemClock
from hookline.errors import ShuttingDown, StateDamaged
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.storage.closing_mark import CLOSING_MARK_FILE, leave_mark, take_mark
from hookline.node.storage.scrub import Scrub
from tests.node_parts import apply, create, job_spec


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Closed, with some jobs."""
    path = tmp_path / "state.db"
    database = open_state(path)
    apply(StateMachine(database), *(create(f"j{n}", job_spec(body=b"x" * 500)) for n in range(200)))
    database.close()
    return path


def test_a_file_that_is_as_it_was_closed_is_known_once(state: Path) -> None:
    leave_mark(state)
    assert take_mark(state)
    assert not take_mark(state)


@pytest.mark.parametrize("at", [0, 5_000, -1])
def test_a_byte_that_was_changed_is_noticed(state: Path, at: int) -> None:
    leave_mark(state)
    content = bytearray(state.read_bytes())
    content[at] ^= 1
    state.write_bytes(content)
    assert not take_mark(state)


def test_a_file_that_is_shorter_longer_or_gone_is_noticed(state: Path) -> None:
    content = state.read_bytes()
    for other in (content[:-1], content + b"\0", b"", None):
        state.write_bytes(content)
        leave_mark(state)
        state.unlink() if other is None else state.write_bytes(other)
        assert not take_mark(state)


def test_beside_a_write_ahead_log_a_mark_says_nothing(state: Path) -> None:
    leave_mark(state)
    log = state.with_name(f"{state.name}-wal")
    log.write_bytes(b"")
    assert not take_mark(state)
    leave_mark(state)
    assert not (state.parent / CLOSING_MARK_FILE).exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"size": 1}', b"[]"])
def test_a_mark_that_cannot_be_read_is_none(state: Path, content: bytes) -> None:
    (state.parent / CLOSING_MARK_FILE).write_bytes(content)
    assert not take_mark(state)
    assert not (state.parent / CLOSING_MARK_FILE).exists()


def _spoil(state: Path) -> None:
    """Make an index name rows that are not there: the rows themselves stay as they were written."""
    database = open_state(state)
    writer = database.writer
    writer.execute("PRAGMA writable_schema = ON")
    ((root,),) = writer.execute("SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL LIMIT 1")
    database.close()
    content = bytearray(state.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\xa5" * 4096
    state.write_bytes(content)


def _read_through(state: Path, *, is_structure_checked: bool) -> None:
    database = open_state(state)
    scrub = Scrub(database, SystemClock(), is_structure_checked=is_structure_checked)
    try:
        asyncio.run(scrub.start())
    finally:
        scrub.close()
        database.close()


def test_a_structure_that_was_not_checked_at_the_start_is_checked_beside_the_work(state: Path) -> None:
    _read_through(state, is_structure_checked=False)
    _spoil(state)
    _read_through(state, is_structure_checked=True)  # its part is done: only the rows are read
    with pytest.raises(StateDamaged):
        _read_through(state, is_structure_checked=False)


def test_a_check_that_is_under_way_ends_when_the_node_stops(state: Path) -> None:
    database = open_state(state)
    scrub = Scrub(database, SystemClock(), is_structure_checked=False)
    scrub.interrupt()
    try:
        with pytest.raises(ShuttingDown):
            asyncio.run(scrub.start())
    finally:
        scrub.close()
        database.close()
