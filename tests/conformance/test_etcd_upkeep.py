"""Upkeep on a real etcd with a tiny quota: it stays usable under load, and comes back by itself when it was full."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hookline.errors import Compacted, Fenced
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import upkeep as module
from hookline.node.etcd import upkeep_plan
from hookline.node.etcd.client import EtcdFull, EtcdUnclear
from hookline.node.etcd.keys import Keys
from hookline.node.etcd.upkeep import EtcdUpkeep
from tests.etcd_members import EtcdMembers
from tests.etcd_parts import EtcdNode, elect, etcd_node
from tests.node_parts import create, entry, job_spec

QUOTA = 12 * 2**20
_BODY = bytes(100_000)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[EtcdMembers]:
    with EtcdMembers(tmp_path, 3, quota_backend_bytes=QUOTA) as members:
        yield members


@pytest.fixture
async def node(small: EtcdMembers, keys: Keys) -> AsyncIterator[EtcdNode]:
    async with etcd_node("n1", keys, small.endpoints) as node:
        await elect(node.client, keys, node.fence, 1)
        yield node


def upkeep_of(node: EtcdNode, monkeypatch: pytest.MonkeyPatch, quota_bytes: int = QUOTA) -> EtcdUpkeep:
    """Without its patience."""
    monkeypatch.setattr(module, "_SETTLED_MS", 0)
    monkeypatch.setattr(module, "_LEADERLESS_MS", 0)
    return EtcdUpkeep(node.client, node.keys, node.fence, node.log, node.clock, node=node.name, quota_bytes=quota_bytes)


async def append(node: EtcdNode, index: int) -> None:
    await node.log.append(entry(index, [create(f"j{index}", job_spec(body=_BODY))], term=node.fence.term))


async def fill(node: EtcdNode, after: int = 0) -> int:
    """Until etcd is full; the newest index, read: an unclear put may be there though its repetition was refused."""
    index = after
    while True:
        index += 1
        try:
            await node.client.txn(_put(node, index), 5)
        except EtcdFull:
            return await node.log.last_index()
        except EtcdUnclear:
            index -= 1  # the same again


async def step_until_it_has_room(upkeep: EtcdUpkeep, durable: dict[str, int]) -> None:
    """One step does it, unless etcd was too busy for one of its parts."""
    async with asyncio.timeout(60):
        while upkeep.is_full:
            await asyncio.sleep(0.1)
            await upkeep.step(durable)


async def has_first(node: EtcdNode) -> bool:
    """The log still begins with entry 1."""
    return bool((await node.client.range(rpc.RangeRequest(key=node.keys.entry(1)), 5)).kvs)


def _put(node: EtcdNode, index: int) -> rpc.TxnRequest:
    put = rpc.PutRequest(key=node.keys.entry(index), value=_BODY)
    return rpc.TxnRequest(success=[rpc.RequestOp(request_put=put)])


async def test_under_load_with_upkeep_it_never_fills_up(node: EtcdNode, monkeypatch: pytest.MonkeyPatch) -> None:
    upkeep = upkeep_of(node, monkeypatch)
    monkeypatch.setattr(upkeep_plan, "_ENTRIES_WORTH_IT", 10)
    highest = 0.0
    for index in range(1, 401):  # 40 MB through a quota of 12
        await append(node, index)
        if index % 20 == 0:
            await upkeep.step({"n1": index, "n2": index - 5, "n3": index - 10})
            assert not upkeep.is_full
            highest = max(highest, upkeep.pressure)
    assert 0.2 < highest < 1
    assert len(await node.log.read_from(395)) == 6
    with pytest.raises(Compacted):
        await node.log.read_from(300)


async def test_a_full_etcd_takes_appends_again(node: EtcdNode, monkeypatch: pytest.MonkeyPatch) -> None:
    upkeep = upkeep_of(node, monkeypatch)
    last = await fill(node)
    async with asyncio.TaskGroup() as tasks:
        appending = tasks.create_task(append(node, last + 1))
        await asyncio.sleep(0.3)
        assert not appending.done()
        await upkeep.step({"n1": last, "n2": 5})
        assert upkeep.is_full
        assert upkeep.pressure == 1
        await step_until_it_has_room(upkeep, {"n1": last, "n2": 5})
        async with asyncio.timeout(60):
            await appending
    assert upkeep.pressure < 0.7
    assert (await node.client.alarms(rpc.AlarmRequest(), 5)).alarms == []
    assert await node.log.last_index() == last + 1


async def test_without_a_leader_any_node_makes_room(node: EtcdNode, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(60):  # garbage: the same key again and again
        await node.client.txn(_put(node, 1), 5)
    last = await fill(node)
    assert last > 10
    node.fence.lose()
    upkeep = upkeep_of(node, monkeypatch)
    await upkeep.step({"n1": last})
    assert upkeep.is_full
    await step_until_it_has_room(upkeep, {"n1": last})
    assert await has_first(node)


async def test_without_a_leader_and_nothing_to_reclaim_a_node_forgets_what_it_has_itself(
    node: EtcdNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = await fill(node)
    node.fence.lose()
    upkeep = upkeep_of(node, monkeypatch)
    monkeypatch.setattr(module, "STEP_S", 0)
    async with asyncio.timeout(100):
        while await has_first(node):  # on a busy machine a little can be reclaimed, once
            last = await fill(node, last)
            durable = {"n1": last - 1, "n2": 0}
            await upkeep.step(durable)
            await step_until_it_has_room(upkeep, durable)
    with pytest.raises(Compacted):
        await node.log.read_from(1)
    assert await node.log.last_index() == last
    await elect(node.client, node.keys, node.fence, 2)
    await append(node, last + 1)


async def test_what_is_durable_nowhere_is_not_forgotten_to_make_room(
    node: EtcdNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(node)
    node.fence.lose()
    upkeep = upkeep_of(node, monkeypatch)
    for _ in range(3):
        await upkeep.step({"n1": 0, "n2": 0})
    first = rpc.RangeRequest(key=node.keys.entry(1), count_only=True)
    assert (await node.client.range(first, 5)).count == 1


async def test_without_a_leader_nothing_is_forgotten_once_one_is_elected(
    node: EtcdNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(1, 4):
        await append(node, index)
    stale = node.fence.revision
    await elect(node.client, node.keys, node.fence, 2)
    with pytest.raises(Fenced):
        await node.log.truncate(2, leaderless_at=stale)
    assert node.fence.revision is not None
    assert len(await node.log.read_from(1)) == 3


async def test_a_burst_counts_before_the_next_look(node: EtcdNode, monkeypatch: pytest.MonkeyPatch) -> None:
    upkeep = upkeep_of(node, monkeypatch)
    await upkeep.step({"n1": 0})
    assert upkeep.pressure < 0.1
    for index in range(1, 41):
        await append(node, index)
    assert 0.3 < upkeep.pressure < 0.5
    await upkeep.step({"n1": 0})
    assert upkeep.pressure < 0.5, "and it is not counted twice"


async def test_an_old_leader_truncates_nothing(
    node: EtcdNode, small: EtcdMembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(1, 4):
        await append(node, index)
    monkeypatch.setattr(upkeep_plan, "_ENTRIES_WORTH_IT", 1)
    async with etcd_node("n2", node.keys, small.endpoints) as other:
        await elect(other.client, other.keys, other.fence, 2)
        with pytest.raises(Fenced):
            await upkeep_of(node, monkeypatch).step({"n1": 3})
        assert len(await other.log.read_from(1)) == 3


async def test_an_etcd_that_does_not_answer_is_left_alone(
    node: EtcdNode, small: EtcdMembers, monkeypatch: pytest.MonkeyPatch
) -> None:
    upkeep = upkeep_of(node, monkeypatch)
    small.close()
    await upkeep.step({"n1": 0})
    assert not upkeep.is_full
