"""Every replicated log keeps the same promises; one suite over all implementations. To add one, write its harness."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from hookline.clock import SystemClock
from hookline.errors import Compacted, EntryDamaged, EntryTooLarge, Fenced
from hookline.node.database import Database
from hookline.node.etcd.client import EtcdAddress, EtcdClient
from hookline.node.etcd.fence import Fence
from hookline.node.etcd.keys import Keys
from hookline.node.replicated_log.etcd import EtcdLog
from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.replicated_log.local import LocalLog
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import open_state
from hookline.protocol import commands as c
from hookline.protocol.codec import Entry
from hookline.protocol.limits import ENTRY_BYTES_MAX
from tests.etcd_members import EtcdMembers
from tests.etcd_parts import charter, elect
from tests.node_parts import OTHER_OWNER, OWNER, create, entry, job_spec, outcome


class Harness(Protocol):
    """An implementation, with what a test needs to know of it."""

    log: ReplicatedLog
    keeps_newest: bool  # truncation leaves the newest entry, whatever it is asked for

    async def settle(self) -> None:
        """Make what was appended durable."""

    async def reopen(self) -> None:
        """The process ends here and another one starts: ``log`` is a new object on the same log."""

    async def close(self) -> None:
        """End."""


class MemoryHarness:
    """Durable as long as the object lives."""

    keeps_newest = False

    def __init__(self, _path: Path) -> None:
        self.log: ReplicatedLog = MemoryLog()

    async def settle(self) -> None:
        pass

    async def reopen(self) -> None:
        pass

    async def close(self) -> None:
        pass


class LocalHarness:
    """An entry is durable when the transaction that the state machine adds its effects to is committed."""

    keeps_newest = False

    def __init__(self, path: Path) -> None:
        self._path = path / "state.db"
        self._open()

    def _open(self) -> None:
        self.database: Database = open_state(self._path, durable=False)
        self.log: ReplicatedLog = LocalLog(self.database)

    async def settle(self) -> None:
        if self.database.writer.in_transaction:
            self.database.commit()

    async def reopen(self) -> None:
        self.database.close()
        self._open()

    async def close(self) -> None:
        self.database.close()


class ElectedLog(EtcdLog):
    """Wins an election when it takes over, with the term that the test names."""

    def __init__(self, client: EtcdClient, keys: Keys, fence: Fence) -> None:
        super().__init__(client, keys, fence, SystemClock())
        self.parts = client, keys, fence

    async def take_over(self, term: int) -> None:
        await charter(*self.parts[:2])
        await elect(*self.parts, term)
        await super().take_over(term)


class EtcdHarness:
    """Real etcd; an entry is durable when its append returns."""

    keeps_newest = True

    def __init__(self, members: EtcdMembers, keys: Keys) -> None:
        self._client = EtcdClient(EtcdAddress(members.endpoints))
        self._keys = keys
        self._fence = Fence(SystemClock())
        self.log: ReplicatedLog = ElectedLog(self._client, keys, self._fence)

    async def settle(self) -> None:
        pass

    async def reopen(self) -> None:
        """The lead is still this node's; a real process would have to win it again."""
        self.log = ElectedLog(self._client, self._keys, self._fence)

    async def close(self) -> None:
        await self._client.close()


@pytest.fixture(params=["memory", "local", "etcd"])
async def on(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    harness: Harness
    match request.param:
        case "memory":
            harness = MemoryHarness(tmp_path)
        case "local":
            harness = LocalHarness(tmp_path)
        case _:
            harness = EtcdHarness(request.getfixturevalue("etcd"), request.getfixturevalue("keys"))
    yield harness
    await harness.close()


async def fill(on: Harness, upto: int, *, term: int = 1, start: int = 1) -> list[Entry]:
    """Append entries ``start`` to ``upto`` and make them durable."""
    entries = [entry(index, [create(f"j{index}")], term=term) for index in range(start, upto + 1)]
    for written in entries:
        assert await on.log.append(written) == written.index
        await on.settle()
    return entries


async def test_a_new_log_is_empty(on: Harness) -> None:
    assert await on.log.last_index() == 0
    assert await on.log.read_from(1) == []


async def test_nothing_can_be_appended_before_a_term_took_over(on: Harness) -> None:
    with pytest.raises(Fenced):
        await on.log.append(entry(1))
    assert await on.log.last_index() == 0


async def test_entries_are_consecutive_from_one_and_come_back_equal(on: Harness) -> None:
    await on.log.take_over(1)
    spec = job_spec(body=bytes(range(256)) * 40, headers=(("x", "ü"),), labels=("a=1", "ünï"))
    first = entry(1, [create("a", spec, key="k", key_expires_ms=2**40, fingerprint=b"\0\xff", chosen=True)])
    second = entry(
        2, [outcome(1, 1, body=b"\0" * 100), c.ClaimJobs(((1, 2**45),), 3, OWNER), c.BeginTerm(OWNER, (OTHER_OWNER,))]
    )
    third = entry(3, [])
    for written in (first, second, third):
        assert await on.log.append(written) == written.index
        await on.settle()
    assert await on.log.read_from(1) == [first, second, third]
    assert await on.log.last_index() == 3


@pytest.mark.parametrize("index", [0, 1, 2, 4, 5])
async def test_an_entry_that_is_not_the_next_one_is_fenced(on: Harness, index: int) -> None:
    await on.log.take_over(1)
    entries = await fill(on, 2)
    with pytest.raises(Fenced):
        await on.log.append(entry(index, [create("other")]))
    await on.settle()
    assert await on.log.read_from(1) == entries
    assert await on.log.last_index() == 2


@pytest.mark.parametrize("term", [4, 6])
async def test_only_the_term_that_took_over_can_append(on: Harness, term: int) -> None:
    await on.log.take_over(5)
    with pytest.raises(Fenced):
        await on.log.append(entry(1, term=term))
    await on.settle()
    assert await on.log.last_index() == 0


async def test_a_newer_term_fences_the_older_one(on: Harness) -> None:
    await on.log.take_over(1)
    await fill(on, 2)
    await on.log.take_over(2)
    with pytest.raises(Fenced):
        await on.log.append(entry(3, term=1))
    await fill(on, 3, term=2, start=3)
    assert [written.term for written in await on.log.read_from(1)] == [1, 1, 2]


@pytest.mark.parametrize("term", [1, 3, 4])
async def test_a_term_must_be_newer_than_all_the_log_has_seen(on: Harness, term: int) -> None:
    await on.log.take_over(4)
    with pytest.raises(Fenced):
        await on.log.take_over(term)
    await fill(on, 1, term=4)


async def test_reading_is_limited_and_the_tail_is_empty(on: Harness) -> None:
    await on.log.take_over(1)
    entries = await fill(on, 5)
    assert await on.log.read_from(2, limit=3) == entries[1:4]
    assert await on.log.read_from(5) == entries[4:]
    assert await on.log.read_from(6) == []


async def test_what_is_truncated_is_compacted_and_the_rest_stays(on: Harness) -> None:
    await on.log.take_over(1)
    entries = await fill(on, 5)
    await on.log.truncate(3)
    await on.settle()
    for index in (1, 3):
        with pytest.raises(Compacted):
            await on.log.read_from(index)
    assert await on.log.read_from(4) == entries[3:]
    await on.log.truncate(2)  # nothing left there
    assert await on.log.read_from(4) == entries[3:]


async def test_a_log_truncated_to_its_end_goes_on_counting(on: Harness) -> None:
    await on.log.take_over(1)
    await fill(on, 3)
    await on.log.truncate(99)
    await on.settle()
    assert await on.log.last_index() == 3
    with pytest.raises(Compacted):
        await on.log.read_from(2 if on.keeps_newest else 3)
    assert await on.log.read_from(4) == []
    (fourth,) = await fill(on, 4, start=4)
    assert await on.log.read_from(4) == [fourth]


async def test_an_entry_over_the_limit_writes_nothing(on: Harness) -> None:
    await on.log.take_over(1)
    with pytest.raises(EntryTooLarge):
        await on.log.append(entry(1, [create("a", job_spec(body=bytes(ENTRY_BYTES_MAX)))]))
    await on.settle()
    assert await on.log.last_index() == 0
    assert await on.log.read_from(1) == []
    await fill(on, 1)


async def test_the_largest_entry_fits(on: Harness) -> None:
    await on.log.take_over(1)
    largest = entry(1, [create("a", job_spec(body=bytes(ENTRY_BYTES_MAX - 500)))])
    await on.log.append(largest)
    await on.settle()
    assert await on.log.read_from(1) == [largest]


async def test_a_reopened_log_goes_on_with_its_term_and_entries(on: Harness) -> None:
    await on.log.take_over(3)
    entries = await fill(on, 2, term=3)
    await on.reopen()
    assert await on.log.last_index() == 2
    assert await on.log.read_from(1) == entries
    with pytest.raises(Fenced):
        await on.log.take_over(3)
    await fill(on, 3, term=3, start=3)
    await on.log.take_over(4)
    with pytest.raises(Fenced):
        await on.log.append(entry(4, term=3))


async def test_a_fence_survives_reopening(on: Harness) -> None:
    await on.log.take_over(3)
    await on.reopen()
    with pytest.raises(Fenced):
        await on.log.append(entry(1, term=2))


# --- the local log only ----------------------------------------------------------------------------------------


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalHarness]:
    harness = LocalHarness(tmp_path)
    yield harness
    with contextlib.suppress(Exception):
        await harness.close()


async def test_an_uncommitted_append_is_gone_after_reopening(local: LocalHarness) -> None:
    await local.log.take_over(1)
    await fill(local, 1)
    await local.log.append(entry(2, [create("lost")]))
    await local.reopen()
    assert await local.log.last_index() == 1
    assert len(await local.log.read_from(1)) == 1
    await fill(local, 2, start=2)


async def test_an_uncommitted_append_is_not_seen_by_readers(local: LocalHarness) -> None:
    await local.log.take_over(1)
    await local.log.append(entry(1))
    count = "SELECT count(*) FROM log_entries"
    assert local.database.reader.execute(count).fetchall() == [(0,)]
    await local.settle()
    assert local.database.reader.execute(count).fetchall() == [(1,)]


async def test_the_local_log_keeps_only_the_newest_entries(tmp_path: Path) -> None:
    database = open_state(tmp_path / "state.db", durable=False)
    log = LocalLog(database, keep=3)
    await log.take_over(1)
    for index in range(1, 8):
        await log.append(entry(index))
        database.commit()
    assert [kept.index for kept in await log.read_from(5)] == [5, 6, 7]
    with pytest.raises(Compacted):
        await log.read_from(4)
    database.close()


async def test_a_damaged_entry_is_noticed(local: LocalHarness) -> None:
    await local.log.take_over(1)
    await fill(local, 2)
    stored: list[tuple[Any, ...]] = local.database.writer.execute(
        "SELECT entry FROM log_entries WHERE idx = 2"
    ).fetchall()
    damaged = bytearray(stored[0][0])
    damaged[20] ^= 1
    local.database.writer.execute("UPDATE log_entries SET entry = ? WHERE idx = 2", (bytes(damaged),))
    assert len(await local.log.read_from(1, limit=1)) == 1
    with pytest.raises(EntryDamaged):
        await local.log.read_from(1)
