"""Leadership in etcd shows more than others: silence, beats, hints, validity, a busy loop, an etcd that is away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd.fence import ELECTION_TIMEOUT_MS, RENEWAL_MS, VALIDITY_MARGIN_MS, Fence
from hookline.node.etcd.keys import Keys
from hookline.node.leadership import etcd as module
from tests.etcd_members import EtcdMembers
from tests.etcd_parts import EtcdNode, etcd_node, until
from tests.faulty_proxy import FaultyProxy
from tests.node_parts import ManualClock

LONGEST_MS = round(ELECTION_TIMEOUT_MS * 1.2)  # with all of the jitter


@pytest.fixture
async def leader(etcd: EtcdMembers, keys: Keys) -> AsyncIterator[EtcdNode]:
    """Leads in term 1 and is silent from then on."""
    async with etcd_node("n1", keys, etcd.endpoints) as node:
        assert await node.leadership.acquire() == 1
        yield node


@pytest.fixture
async def follower(etcd: EtcdMembers, keys: Keys) -> AsyncIterator[EtcdNode]:
    """On a clock that the test moves."""
    async with etcd_node("n2", keys, etcd.endpoints, clock=ManualClock()) as node:
        yield node


def clock_of(node: EtcdNode) -> ManualClock:
    assert isinstance(node.clock, ManualClock)
    return node.clock


# --- elections ------------------------------------------------------------------------------------------------


async def test_silence_of_the_election_timeout_lets_another_node_lead(leader: EtcdNode, follower: EtcdNode) -> None:
    async with asyncio.TaskGroup() as tasks:
        acquiring = tasks.create_task(follower.leadership.acquire())
        await follower.looked()
        clock_of(follower).advance(ELECTION_TIMEOUT_MS - 1)
        await follower.looked()
        assert not acquiring.done()
        clock_of(follower).advance(LONGEST_MS - ELECTION_TIMEOUT_MS + 1)
    assert acquiring.result() == 2
    assert follower.leadership.dead_owners() == (), "silence proves nothing"
    assert follower.leadership.is_valid()
    assert not await leader.beat()


async def test_beats_keep_the_others_waiting(leader: EtcdNode, follower: EtcdNode) -> None:
    async with asyncio.TaskGroup() as tasks:
        acquiring = tasks.create_task(follower.leadership.acquire())
        for _ in range(4):
            assert await leader.beat()
            await follower.looked()
            clock_of(follower).advance(ELECTION_TIMEOUT_MS - 1)
            await follower.looked()
        for index in range(1, 5):
            await leader.append(index)
            await follower.looked()
            clock_of(follower).advance(ELECTION_TIMEOUT_MS - 1)
            await follower.looked()
        assert not acquiring.done()
        acquiring.cancel()


@pytest.mark.parametrize("sign", ["beat", "append"])
async def test_a_sign_of_life_that_the_follower_has_not_seen_defeats_its_campaign(
    leader: EtcdNode, follower: EtcdNode, sign: str
) -> None:
    found = await follower.leadership.look()
    assert found
    await (leader.beat() if sign == "beat" else leader.append(1))
    assert await follower.leadership._campaign(*found) is None
    assert follower.fence.revision is None
    assert await leader.beat()


async def test_a_campaign_against_a_leader_that_changed_since_fails(
    leader: EtcdNode, follower: EtcdNode, etcd: EtcdMembers
) -> None:
    found = await follower.leadership.look()
    assert found
    async with etcd_node("n3", leader.keys, etcd.endpoints) as third:
        third.gone.add(leader.url)
        assert await third.leadership.acquire() == 2
        latest = await follower.leadership.look()
        assert latest
        assert await follower.leadership._campaign(found[0], latest[1]) is None
        assert await third.beat()


async def test_of_many_that_campaign_at_once_one_wins(etcd: EtcdMembers, keys: Keys) -> None:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(etcd_node(f"n{n}", keys, etcd.endpoints)) for n in range(5)]
        found = [await node.leadership.look() for node in nodes]
        assert found == [(0, 0)] * 5
        terms = await asyncio.gather(*(node.leadership._campaign(0, 0) for node in nodes))
        assert sorted(term for term in terms if term) == [1]


async def test_a_leader_that_is_proven_dead_is_followed_at_once(leader: EtcdNode, follower: EtcdNode) -> None:
    follower.gone.add(leader.url)
    assert await follower.leadership.acquire() == 2
    assert follower.leadership.dead_owners() == (f"{leader.name}/there/1",)


async def test_a_released_lead_is_taken_at_once_and_its_leader_not_taken_to_be_dead(
    leader: EtcdNode, follower: EtcdNode
) -> None:
    await leader.leadership.release()
    assert not leader.leadership.is_valid()
    assert await follower.leadership.acquire() == 2
    assert follower.leadership.dead_owners() == ()


async def test_the_watch_tells_of_a_release(
    leader: EtcdNode, follower: EtcdNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL_S", 300)
    async with follower.watching(), asyncio.TaskGroup() as tasks:
        acquiring = tasks.create_task(follower.leadership.acquire())
        await until(lambda: follower.leadership.looks >= 1)
        await asyncio.sleep(0.05)  # busy with nothing: it waits for the hint
        assert not acquiring.done()
        await leader.leadership.release()
        async with asyncio.timeout(60):
            assert await acquiring == 2


async def test_an_old_leader_notices_with_its_next_beat(leader: EtcdNode, follower: EtcdNode) -> None:
    follower.gone.add(leader.url)
    async with leader.renewing():
        assert await follower.leadership.acquire() == 2
        await until(lambda: leader.fence.revision is None)
    assert not leader.leadership.is_valid()


# --- ambiguous answers ----------------------------------------------------------------------------------------


async def test_a_campaign_whose_answer_is_lost_is_won_once_and_valid_from_its_first_try(
    etcd: EtcdMembers, keys: Keys
) -> None:
    """The others count from the write itself: validity from a later try would outlast their patience."""
    with FaultyProxy(etcd.members[0].url.removeprefix("http://")) as proxy:
        async with etcd_node("n1", keys, (proxy.url, etcd.endpoints[1])) as node:
            found = await node.leadership.look()
            assert found
            proxy.answers_to_lose, proxy.lose_by_reset = 1, False
            assert await node.leadership._campaign(*found) == 1
            assert proxy.answers_to_lose == 0
            assert node.clock.boot_ms() - node.fence.confirmed_ms > 400  # the first try, which timed out, counts
            assert await node.beat()


async def test_a_campaign_that_never_arrived_is_valid_from_the_try_that_won(etcd: EtcdMembers, keys: Keys) -> None:
    """Also then the first try counts: it is not known that it had no effect. The next beat makes it valid."""
    with FaultyProxy(etcd.members[0].url.removeprefix("http://")) as proxy:
        async with etcd_node("n1", keys, (proxy.url,)) as node:
            found = await node.leadership.look()
            assert found
            proxy.requests_to_cut = 1
            assert await node.leadership._campaign(*found) == 1
            await node.append(1)
            assert node.leadership.is_valid()


# --- validity -------------------------------------------------------------------------------------------------


def test_validity_is_the_election_timeout_less_a_margin_from_before_the_question() -> None:
    clock = ManualClock()
    fence = Fence(clock)
    assert not fence.is_valid()
    asked_ms = clock.boot_ms()
    clock.advance(200)  # the answer took that long
    fence.hold(7, 1, asked_ms)
    clock.advance(ELECTION_TIMEOUT_MS - VALIDITY_MARGIN_MS - 201)
    assert fence.is_valid()
    clock.advance(1)
    assert not fence.is_valid()
    fence.confirmed(clock.boot_ms())
    assert fence.is_valid()
    clock.step_ms(3_600_000)  # somebody sets the wall clock: no matter
    assert fence.is_valid()
    fence.confirmed(asked_ms)  # a late answer to an early question shortens nothing
    assert fence.is_valid()
    fence.lose()
    assert not fence.is_valid()


async def test_validity_runs_out_before_others_may_lead_when_etcd_is_away(etcd: EtcdMembers, keys: Keys) -> None:
    with FaultyProxy(etcd.members[0].url.removeprefix("http://")) as proxy:
        async with etcd_node("n1", keys, (proxy.url,)) as node, node.renewing():
            await node.leadership.acquire()
            await until(lambda: node.fence.confirmed_ms > 0)
            proxy.is_black_hole = True
            asked_ms = node.clock.boot_ms()
            while node.leadership.is_valid():
                assert asked_ms - node.fence.confirmed_ms < ELECTION_TIMEOUT_MS
                await asyncio.sleep(0.005)
                asked_ms = node.clock.boot_ms()
            assert node.fence.revision is not None  # nobody else leads: it may go on when etcd is back
            proxy.is_black_hole = False
            proxy.reset_connections()
            await until(node.leadership.is_valid)


async def test_a_busy_loop_does_not_cost_the_lead(leader: EtcdNode) -> None:
    async with leader.renewing():
        await until(leader.leadership.is_valid)
        before = leader.fence.confirmed_ms
        while leader.fence.confirmed_ms - before <= 2_000:
            time.sleep(0.05)  # noqa: ASYNC251 - the point: nothing runs on the loop
        assert leader.leadership.is_valid()


async def test_beats_do_not_share_a_connection_with_anything(etcd: EtcdMembers, keys: Keys) -> None:
    """A follower that reads 50 MB on the same connection would hold them up."""
    with FaultyProxy(etcd.members[0].url.removeprefix("http://")) as proxy:
        async with etcd_node("n1", keys, (proxy.url,)) as node:
            await node.leadership.acquire()
            assert proxy.connections == 1
            async with node.renewing():
                asked_ms = node.fence.confirmed_ms
                await until(lambda: node.fence.confirmed_ms > asked_ms)
                assert proxy.connections == 2


async def test_a_leader_that_appends_does_not_beat_besides(leader: EtcdNode) -> None:
    began_ms, ended_ms = [leader.fence.confirmed_ms], []
    async with leader.renewing():
        for index in range(1, 60):
            began_ms.append(leader.clock.boot_ms())
            await leader.append(index)
            ended_ms.append(leader.clock.boot_ms())
            await asyncio.sleep(0.01)
    ended_ms.append(leader.clock.boot_ms())
    beat = (await leader.client.range(rpc.RangeRequest(key=leader.keys.beat), 5)).kvs[0]
    stood_still = sum((to - since) // RENEWAL_MS for since, to in zip(began_ms, ended_ms, strict=True))
    assert beat.version - 60 <= stood_still  # the election and 59 entries; more beats when the machine stood still


async def test_beats_move_on_from_a_paused_member(leader: EtcdNode, etcd: EtcdMembers) -> None:
    follower = (await asyncio.to_thread(etcd.followers))[0]
    endpoints = (follower.url, *(url for url in etcd.endpoints if url != follower.url))
    async with etcd_node("n1", leader.keys, endpoints) as node:
        node.gone.add(leader.url)
        await node.leadership.acquire()
        async with node.renewing():
            await until(lambda: node.clock.boot_ms() - node.fence.confirmed_ms < 50)
            follower.pause()
            paused_ms = node.clock.boot_ms()
            await until(lambda: node.fence.confirmed_ms > paused_ms)
            follower.resume()
            assert node.fence.revision is not None
