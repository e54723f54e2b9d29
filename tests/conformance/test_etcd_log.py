"""The log in etcd shows more than others: ambiguous answers, late transactions, faults of its members."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hookline.errors import Compacted, EntryTooLarge, Fenced, LogFault
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.client import EtcdCompacted, EtcdUnclear
from hookline.node.etcd.keys import Keys, prefix_end
from hookline.protocol.codec import encode_entry
from hookline.protocol.limits import ENTRIES_READ_MAX, PAYLOAD_BYTES_MAX
from tests.etcd_members import EtcdMembers
from tests.etcd_parts import EtcdNode, elect, etcd_node, settled, until
from tests.faulty_proxy import FaultyProxy
from tests.node_parts import create, entry, job_spec


@pytest.fixture
def proxy(etcd: EtcdMembers) -> Iterator[FaultyProxy]:
    """In front of one member."""
    with FaultyProxy(etcd.members[0].url.removeprefix("http://")) as proxy:
        yield proxy


@pytest.fixture
async def node(etcd: EtcdMembers, keys: Keys) -> AsyncIterator[EtcdNode]:
    """Leads in term 1, with all members to talk to."""
    async with etcd_node("n1", keys, etcd.endpoints) as node:
        await elect(node.client, keys, node.fence, 1)
        yield node


@pytest.fixture
async def harmed(proxy: FaultyProxy, keys: Keys) -> AsyncIterator[EtcdNode]:
    """Leads in term 1, through the proxy only."""
    async with etcd_node("n1", keys, (proxy.url,)) as node:
        await elect(node.client, keys, node.fence, 1)
        yield node


@pytest.fixture
async def moving(proxy: FaultyProxy, etcd: EtcdMembers, keys: Keys) -> AsyncIterator[EtcdNode]:
    """Leads in term 1, through the proxy first and then, after a failure, straight to another member."""
    async with etcd_node("n1", keys, (proxy.url, etcd.endpoints[1])) as node:
        await elect(node.client, keys, node.fence, 1)
        yield node


@pytest.fixture
async def other(etcd: EtcdMembers, keys: Keys) -> AsyncIterator[EtcdNode]:
    """Of the same cluster; does not lead yet."""
    async with etcd_node("n2", keys, etcd.endpoints) as node:
        yield node


async def raw_log(node: EtcdNode) -> list[tuple[bytes, int]]:
    """(key, how often it was written) of every entry."""
    request = rpc.RangeRequest(key=node.keys.log, range_end=prefix_end(node.keys.log))
    return [(kv.key, kv.version) for kv in (await node.client.range(request, 5)).kvs]


# --- ambiguous answers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_reset", [True, False], ids=["reset", "silence"])
async def test_an_append_whose_answer_is_lost_is_there_once(
    moving: EtcdNode, proxy: FaultyProxy, by_reset: bool
) -> None:
    await moving.append(1)
    proxy.answers_to_lose, proxy.lose_by_reset = 1, by_reset
    await moving.append(2)
    assert proxy.answers_to_lose == 0
    await moving.append(3)
    assert await raw_log(moving) == [(moving.keys.entry(index), 1) for index in (1, 2, 3)]


async def test_finding_an_earlier_try_does_not_extend_the_lead(harmed: EtcdNode, proxy: FaultyProxy) -> None:
    await harmed.append(1)
    confirmed_ms = harmed.fence.confirmed_ms
    proxy.answers_to_lose = 1
    await harmed.append(2)
    assert harmed.fence.confirmed_ms == confirmed_ms  # the second try wrote no beat that others could have seen


async def test_an_append_that_never_arrived_is_sent_again(harmed: EtcdNode, proxy: FaultyProxy) -> None:
    proxy.requests_to_cut = 2
    await harmed.append(1)
    assert proxy.requests_to_cut == 0
    assert await raw_log(harmed) == [(harmed.keys.entry(1), 1)]


async def test_every_third_answer_lost_and_every_entry_there_once(harmed: EtcdNode, proxy: FaultyProxy) -> None:
    for index in range(1, 31):
        proxy.answers_to_lose = 1 if index % 3 == 0 else 0
        await harmed.append(index)
    assert await raw_log(harmed) == [(harmed.keys.entry(index), 1) for index in range(1, 31)]


async def test_an_unclear_append_that_was_written_counts_even_when_another_leads_by_then(
    moving: EtcdNode, proxy: FaultyProxy, other: EtcdNode
) -> None:
    proxy.answers_to_lose, proxy.lose_by_reset = 1, False
    async with asyncio.TaskGroup() as tasks:
        appending = tasks.create_task(moving.append(1))
        await until(lambda: proxy.answers_to_lose == 0)
        await elect(other.client, other.keys, other.fence, 2)
        await other.append(2)
    assert appending.result() is None
    await fenced(moving, 3)


async def test_an_unclear_append_that_was_not_written_is_fenced(
    harmed: EtcdNode, proxy: FaultyProxy, other: EtcdNode
) -> None:
    await harmed.append(1)
    proxy.requests_to_cut = 10_000
    async with asyncio.TaskGroup() as tasks:
        appending = tasks.create_task(fenced(harmed, 2))
        await until(lambda: proxy.requests_to_cut < 9_999)
        await elect(other.client, other.keys, other.fence, 2)
        proxy.requests_to_cut = 0
    assert appending.done()
    assert harmed.fence.revision is None


async def fenced(node: EtcdNode, index: int) -> None:
    with pytest.raises(Fenced):
        await node.append(index)


async def test_an_unclear_append_whose_slot_was_truncated_is_not_called_refused(
    moving: EtcdNode, proxy: FaultyProxy, other: EtcdNode
) -> None:
    """It may have been written, applied and truncated: "fenced" would let the client send the job elsewhere."""
    proxy.answers_to_lose, proxy.lose_by_reset = 1, False

    async def append() -> None:
        with pytest.raises(LogFault) as caught:
            await moving.append(1)
        assert not isinstance(caught.value, Fenced)
        assert moving.fence.revision is None

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(append())
        await until(lambda: proxy.answers_to_lose == 0)
        await elect(other.client, other.keys, other.fence, 2)
        await other.append(2)
        await other.log.truncate(1)


# --- fencing --------------------------------------------------------------------------------------------------


async def test_a_delayed_transaction_of_an_old_leader_changes_nothing(node: EtcdNode, other: EtcdNode) -> None:
    assert node.fence.revision
    late = transactions.append(node.keys, 1, encode_entry(entry(1)), node.fence.revision, 1)
    late_truncation = transactions.truncate(node.keys, 1, node.fence.revision)
    late_beat = transactions.renew(node.keys, node.fence.revision, node.fence.term, 1)
    await elect(other.client, other.keys, other.fence, 2)
    for request in (late, late_truncation, late_beat):
        assert not (await other.client.txn(request, 5)).succeeded
    assert await raw_log(other) == []
    await other.append(1)
    await other.append(2)
    for request in (late, late_truncation, late_beat):
        assert not (await other.client.txn(request, 5)).succeeded
    assert [found.term for found in await other.log.read_from(1)] == [2, 2]


async def test_two_logs_race_for_a_slot_and_one_gets_it(node: EtcdNode, other: EtcdNode) -> None:
    """Both believe that they lead, with the same revision: the slot itself decides."""
    assert node.fence.revision
    other.fence.hold(node.fence.revision, 1, 0)
    outcomes = await asyncio.gather(
        node.log.append(entry(1, [create("a")])), other.log.append(entry(1, [create("b")])), return_exceptions=True
    )
    assert [type(found) for found in outcomes if not isinstance(found, int)] == [Fenced]
    assert len(await raw_log(node)) == 1


async def test_a_half_open_connection_is_noticed(harmed: EtcdNode, proxy: FaultyProxy) -> None:
    await harmed.append(1)
    proxy.answers_to_lose, proxy.lose_by_reset = 1, False
    await harmed.append(2)  # the only endpoint; its connection stays open and silent


async def test_after_truncation_nothing_is_written_below_the_first_entry(node: EtcdNode) -> None:
    for index in (1, 2, 3):
        await node.append(index)
    revision = node.fence.revision
    assert revision
    await node.log.truncate(2)
    for index in (1, 2):
        await fenced(node, index)
        node.fence.hold(revision, 1, 0)
    assert [found.index for found in await node.log.read_from(3)] == [3]


async def test_the_largest_entries_are_taken_and_as_many_are_read_at_once(node: EtcdNode) -> None:
    await node.log.take_over(1)
    body = random.Random(1).randbytes(PAYLOAD_BYTES_MAX)
    large = job_spec(body=body, headers=tuple((f"x-{n}", "v" * 1_500) for n in range(10)))
    for index in range(1, ENTRIES_READ_MAX + 2):
        await node.log.append(entry(index, [create("a", large)]))
    assert len(await node.log.read_from(1)) == ENTRIES_READ_MAX


async def test_an_etcd_that_takes_small_requests_only_says_so_and_goes_on(tmp_path: Path, keys: Keys) -> None:
    with EtcdMembers(tmp_path / "etcd", 1, "--max-request-bytes=100000") as members:
        async with etcd_node("n1", keys, members.endpoints) as node:
            assert await node.leadership.acquire() == 1
            with pytest.raises(EntryTooLarge, match="--max-request-bytes 1572864"):
                await node.log.append(entry(1, [create("a", job_spec(body=bytes(200_000)))]))
            await node.log.append(entry(1, [create("a")]))
            assert [found.index for found in await node.log.read_from(1)] == [1]


async def test_no_log_begins_at_zero(node: EtcdNode) -> None:
    await node.log.take_over(1)
    await fenced(node, 0)
    assert await raw_log(node) == []


async def test_truncation_keeps_the_newest_and_old_revisions_are_compacted(node: EtcdNode) -> None:
    for index in range(1, 6):
        await node.append(index)
    old = (await node.client.range(rpc.RangeRequest(key=node.keys.beat), 5)).header.revision
    await node.log.truncate(99)
    assert await raw_log(node) == [(node.keys.entry(5), 1)]
    for index in (1, 4):
        with pytest.raises(Compacted):
            await node.log.read_from(index)
    with pytest.raises(EtcdCompacted):
        await node.client.range(rpc.RangeRequest(key=node.keys.beat, revision=old - 1), 5)


async def test_an_old_leader_cannot_truncate(node: EtcdNode, other: EtcdNode) -> None:
    for index in (1, 2):
        await node.append(index)
    await elect(other.client, other.keys, other.fence, 2)
    with pytest.raises(Fenced):
        await node.log.truncate(1)
    assert len(await raw_log(other)) == 2


# --- members fail ---------------------------------------------------------------------------------------------


async def test_appends_go_on_after_the_etcd_leader_is_killed(node: EtcdNode, etcd: EtcdMembers) -> None:
    await node.append(1)
    leader = await asyncio.to_thread(etcd.leader)
    node.client.member = etcd.members.index(leader)  # the worst case: it talks to the one that dies
    await node.append(2)
    leader.kill()
    await node.append(3)
    assert [key for key, _ in await raw_log(node)] == [node.keys.entry(index) for index in (1, 2, 3)]
    await asyncio.to_thread(etcd.revive)


async def test_appends_move_on_from_a_paused_member(node: EtcdNode, etcd: EtcdMembers) -> None:
    await node.append(1)
    follower = (await asyncio.to_thread(etcd.followers))[0]
    node.client.member = etcd.members.index(follower)
    await node.append(2)
    follower.pause()
    started = time.monotonic()
    await node.append(3)
    took_s = time.monotonic() - started  # so another one took it
    follower.resume()
    assert took_s > 0.5, took_s  # one try that times out
    await settled(node)
    assert len(await raw_log(node)) == 3


async def test_a_member_that_failed_for_several_callers_is_left_once(node: EtcdNode, etcd: EtcdMembers) -> None:
    start = node.client.member
    etcd.members[start].kill()

    async def ask() -> None:
        with pytest.raises(LogFault):
            await node.client.range(rpc.RangeRequest(key=b"x"), 1)
        node.client.rotate()

    await asyncio.gather(*(ask() for _ in range(3)))
    assert node.client.member == (start + 1) % 3
    await asyncio.to_thread(etcd.revive)


async def test_a_leader_repeats_a_read_until_it_is_answered(harmed: EtcdNode, proxy: FaultyProxy) -> None:
    """It reads when it takes over, often while etcd elects too; an error would end its process."""
    await harmed.append(1)
    proxy.answers_to_lose = 3
    assert len(await harmed.log.read_from(1)) == 1
    proxy.answers_to_lose = 3
    assert await harmed.log.last_index() == 1
    proxy.requests_to_cut = 3
    assert await harmed.log.last_index() == 1
    assert proxy.answers_to_lose == proxy.requests_to_cut == 0


async def test_a_leader_that_lost_the_lead_stops_repeating_a_read(harmed: EtcdNode, proxy: FaultyProxy) -> None:
    proxy.requests_to_cut = 10_000
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(unclear(harmed))
        await until(lambda: proxy.requests_to_cut < 9_990)
        assert not reading.done()
        harmed.fence.lose()


async def unclear(node: EtcdNode) -> None:
    with pytest.raises(Fenced):
        await node.log.last_index()


async def test_a_follower_is_told_when_a_read_is_not_answered(harmed: EtcdNode, proxy: FaultyProxy) -> None:
    harmed.fence.lose()
    proxy.requests_to_cut = 1
    with pytest.raises(EtcdUnclear):
        await harmed.log.read_from(1)
    await settled(harmed)  # the connection may be just being cut
    assert await harmed.log.read_from(1) == []


# --- wake-ups -------------------------------------------------------------------------------------------------


async def test_a_follower_is_woken_by_an_append(node: EtcdNode, other: EtcdNode) -> None:
    await other.leadership.look()
    await other.log.wait_for_change(5)  # the first look counts as a change
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(other.log.wait_for_change(30))
        await asyncio.sleep(0)
        await other.leadership.look()
        assert not waiting.done()
        await node.append(1)
        await other.leadership.look()
        await waiting
    assert len(await other.log.read_from(1)) == 1


async def test_an_append_while_the_follower_was_busy_wakes_it_at_once(node: EtcdNode, other: EtcdNode) -> None:
    await other.leadership.look()
    await other.log.wait_for_change(5)
    await node.append(1)
    await other.leadership.look()
    await other.leadership.look()
    await asyncio.wait_for(other.log.wait_for_change(300), 60)


async def test_an_append_that_an_idle_beat_hides_wakes_the_follower(node: EtcdNode, other: EtcdNode) -> None:
    assert node.fence.revision
    await other.leadership.look()
    await other.log.wait_for_change(5)
    await node.append(1)
    await node.client.txn(transactions.renew(node.keys, node.fence.revision, node.fence.term, 1), 5)
    await other.leadership.look()
    await asyncio.wait_for(other.log.wait_for_change(300), 60)


async def test_a_follower_that_is_told_nothing_still_looks(other: EtcdNode) -> None:
    await other.log.wait_for_change(0.2)


async def test_a_change_of_the_leader_record_wakes_who_waits_for_it(node: EtcdNode, other: EtcdNode) -> None:
    async with other.watching(), asyncio.timeout(60):
        await other.wakeups.leader_changed(300)  # the stream's opening counts as a change
        await node.client.txn(rpc.TxnRequest(success=[_leader_put(node)]), 5)
        await other.wakeups.leader_changed(300)


def _leader_put(node: EtcdNode) -> rpc.RequestOp:
    return rpc.RequestOp(request_put=rpc.PutRequest(key=node.keys.leader, value=b"{}"))


async def test_a_watch_that_is_cut_is_opened_again(harmed: EtcdNode, proxy: FaultyProxy, other: EtcdNode) -> None:
    async with harmed.watching(), asyncio.timeout(60):
        await harmed.wakeups.leader_changed(300)
        proxy.reset_connections()
        await harmed.wakeups.leader_changed(300)  # it may have missed something
        await until(lambda: harmed.wakeups.is_watching)
        await harmed.wakeups.leader_changed(300)
        await elect(other.client, other.keys, other.fence, 2)
        await harmed.wakeups.leader_changed(300)


async def test_the_log_of_a_restored_state_begins_behind_it(node: EtcdNode) -> None:
    node.log.begin_after(699)
    await node.append(700)
    await node.append(701)
    assert [found.index for found in await node.log.read_from(700)] == [700, 701]


async def test_only_an_empty_log_may_begin_behind_a_state(node: EtcdNode) -> None:
    await node.append(1)
    node.log.begin_after(699)
    with pytest.raises(Fenced):
        await node.append(700)


async def test_an_emptied_log_does_not_begin_behind_a_state_that_was_not_restored(node: EtcdNode) -> None:
    await node.log.take_over(1)
    with pytest.raises(Fenced):
        await node.append(700)
