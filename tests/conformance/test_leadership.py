"""Every leadership keeps the same promises; one suite over all implementations."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from hookline.errors import DataDirectoryInUse
from hookline.node.leadership.interface import Leadership
from hookline.node.leadership.local import LocalLeadership
from hookline.node.leadership.memory import MemoryLeadership
from tests.etcd_parts import EtcdNode, etcd_node


class Harness(Protocol):
    """Makes leaderships of one place, for one process and for the one after it."""

    def first(self) -> Leadership: ...

    def restarted(self, *, last_term: int) -> Leadership:
        """The process after the one that led in ``last_term``."""


class MemoryHarness:
    def __init__(self) -> None:
        self._memory = MemoryLeadership()

    def first(self) -> Leadership:
        return self._memory

    def restarted(self, *, last_term: int) -> Leadership:
        return self._memory


class LocalHarness:
    def __init__(self, path: Path) -> None:
        self._path = path

    def first(self) -> Leadership:
        return LocalLeadership(self._path)

    def restarted(self, *, last_term: int) -> Leadership:
        leadership = LocalLeadership(self._path)
        leadership.continue_after(last_term)
        return leadership


class EtcdHarness:
    """Each process has a client and a fence of its own."""

    def __init__(self, nodes: list[EtcdNode]) -> None:
        self._nodes = nodes

    def first(self) -> Leadership:
        return self._nodes[0].leadership

    def restarted(self, *, last_term: int) -> Leadership:
        return self._nodes[1].leadership


@pytest.fixture(params=["memory", "local", "etcd"])
async def on(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    async with AsyncExitStack() as stack:
        match request.param:
            case "memory":
                yield MemoryHarness()
            case "local":
                yield LocalHarness(tmp_path)
            case _:
                endpoints, keys = request.getfixturevalue("etcd").endpoints, request.getfixturevalue("keys")
                nodes = [await stack.enter_async_context(etcd_node("n1", keys, endpoints)) for _ in range(2)]
                yield EtcdHarness(nodes)


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
    assert again.dead_owners() == (), "who gave the lead up may still be at work"
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
    assert await holder.acquire() == 1  # taken already: not refused by itself
    await holder.release()
    assert await other.acquire() == 1
    await other.release()


async def test_an_abandoned_lock_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("left behind")
    leadership = LocalLeadership(tmp_path)
    assert await leadership.acquire() == 1
    await leadership.release()
