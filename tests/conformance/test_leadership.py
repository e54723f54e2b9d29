"""What every leadership promises; one suite over all implementations."""

from pathlib import Path

import pytest

from hookline.errors import DataDirectoryInUse
from hookline.node.leadership.interface import Leadership
from hookline.node.leadership.local import LocalLeadership
from hookline.node.leadership.memory import MemoryLeadership


class Harness:
    """Where leadership lives, seen from one process and from the one after it."""

    def __init__(self, name: str, path: Path) -> None:
        self._path = path if name == "local" else None
        self._memory = MemoryLeadership()

    def first(self) -> Leadership:
        return self._memory if self._path is None else LocalLeadership(self._path)

    def restarted(self, *, last_term: int) -> Leadership:
        """The process after the one that led in ``last_term``."""
        if self._path is None:
            return self._memory
        leadership = LocalLeadership(self._path)
        leadership.continue_after(last_term)
        return leadership


@pytest.fixture(params=["memory", "local"])
def on(request: pytest.FixtureRequest, tmp_path: Path) -> Harness:
    return Harness(request.param, tmp_path)


async def test_terms_grow_from_one(on: Harness) -> None:
    leadership = on.first()
    assert not leadership.is_valid()
    assert await leadership.acquire() == 1
    assert leadership.is_valid()
    await leadership.release()
    assert not leadership.is_valid()
    assert await leadership.acquire() == 2
    await leadership.release()


async def test_terms_go_on_after_a_restart(on: Harness) -> None:
    leadership = on.first()
    term = await leadership.acquire()
    await leadership.release()
    again = on.restarted(last_term=term)
    assert await again.acquire() == term + 1
    assert again.old_leader_is_dead()
    await again.release()


async def test_release_can_be_repeated(on: Harness) -> None:
    leadership = on.first()
    await leadership.acquire()
    await leadership.release()
    await leadership.release()
    assert not leadership.is_valid()


# --- the local lock only ------------------------------------------------------------------------------------------


async def test_a_second_holder_is_refused_with_the_directory_named(tmp_path: Path) -> None:
    holder, other = LocalLeadership(tmp_path), LocalLeadership(tmp_path)
    holder.lock()
    with pytest.raises(DataDirectoryInUse, match=str(tmp_path)):
        await other.acquire()
    assert not other.is_valid()
    assert not other.old_leader_is_dead()
    assert await holder.acquire() == 1  # taken already: not refused by itself
    await holder.release()
    assert await other.acquire() == 1
    await other.release()


async def test_an_abandoned_lock_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("left behind")
    leadership = LocalLeadership(tmp_path)
    assert await leadership.acquire() == 1
    await leadership.release()
