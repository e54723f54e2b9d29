"""Parts for tests against real etcd: a node's log and leadership in a cluster of its own, and how to reach them."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

from hookline.clock import Clock, SystemClock
from hookline.errors import Fenced, LogFault
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.blocking import BlockingTxn
from hookline.node.etcd.charters import Charters
from hookline.node.etcd.client import EtcdAddress, EtcdClient
from hookline.node.etcd.fence import Fence
from hookline.node.etcd.keys import Keys
from hookline.node.etcd.transactions import LeaderRecord
from hookline.node.etcd.wakeups import Wakeups
from hookline.node.identity import Charter
from hookline.node.leadership.etcd import EtcdLeadership
from hookline.node.leadership.renewal import Renewal, renewing_thread
from hookline.node.replicated_log.etcd import EtcdLog
from tests.etcd_members import EtcdMembers
from tests.node_parts import entry

_TOKENS = SystemClock()
_numbers = count(1)


def fresh_keys() -> Keys:
    """Of a cluster that no other test uses."""
    return Keys(f"t{next(_numbers)}-{_TOKENS.token(6).hex()}")


class CountedLeadership(EtcdLeadership):
    """Counts how often it looked at who leads, so that a test can wait for that."""

    looks = 0

    async def look(self) -> tuple[int, int] | None:
        found = await super().look()
        self.looks += 1
        return found


@dataclass
class EtcdNode:
    """One node's parts, as its composition root wires them."""

    name: str
    address: EtcdAddress
    client: EtcdClient
    keys: Keys
    clock: Clock
    fence: Fence
    wakeups: Wakeups
    log: EtcdLog
    leadership: CountedLeadership
    gone: set[str]

    @property
    def url(self) -> str:
        return f"http://{self.name}"

    async def append(self, index: int) -> None:
        await self.log.append(entry(index, term=self.fence.term))

    async def looked(self) -> None:
        """Until it has looked, from the beginning to the end, and acted on what it saw."""
        seen = self.leadership.looks
        await until(lambda: self.leadership.looks >= seen + 3)

    async def beat(self) -> bool:
        """Show once that this leader lives; False when it is not one."""
        assert self.fence.revision
        return (
            await self.client.txn(transactions.renew(self.keys, self.fence.revision, self.fence.term, 1), 5)
        ).succeeded

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator[Renewal]:
        """Its thread beats."""
        ask = BlockingTxn(self.address)
        renewal = Renewal(self.keys, self.fence, self.clock)
        try:
            with renewing_thread(ask, renewal):
                yield renewal
        finally:
            ask.close()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Its wake-ups come, from now on."""
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.wakeups.run())
            await until(lambda: self.wakeups.is_watching)
            yield
            running.cancel()


def enable_users(members: EtcdMembers) -> None:
    """From now on etcd wants a user: root, whose password is "secret", or "guest", who may nothing, with the same."""
    for path, body in (
        ("user/add", {"name": "root", "password": "secret"}),
        ("user/add", {"name": "guest", "password": "secret"}),
        ("role/add", {"name": "root"}),
        ("user/grant", {"user": "root", "role": "root"}),
        ("enable", {}),
    ):
        _auth(members, path, body)


def disable_users(members: EtcdMembers) -> None:
    """The contrary."""
    token = _auth(members, "authenticate", {"name": "root", "password": "secret"})["token"]
    _auth(members, "disable", {}, token)


def _auth(members: EtcdMembers, path: str, body: dict[str, str], token: str = "") -> dict[str, str]:
    request = urllib.request.Request(
        f"{members.endpoints[0]}/v3/auth/{path}", json.dumps(body).encode(), {"authorization": token} if token else {}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, str] = json.load(answer)
        return found


async def charter(client: EtcdClient, keys: Keys) -> None:
    """Make the cluster a chartered one: its log may be begun."""
    await Charters(client, keys).begin(Charter(cluster_id="c" * 32, cluster="c0", shard=0))


@asynccontextmanager
async def etcd_node(
    name: str,
    keys: Keys,
    endpoints: tuple[str, ...],
    *,
    clock: Clock | None = None,
    is_chartered: bool = True,
    **address: object,
) -> AsyncIterator[EtcdNode]:
    """A node ``name`` of the cluster ``keys``."""
    clock = clock or SystemClock()
    where = EtcdAddress(endpoints, **address)  # type: ignore[arg-type]
    client, fence, gone = EtcdClient(where), Fence(clock), set[str]()
    wakeups = Wakeups(client, keys)
    log = EtcdLog(client, keys, fence, clock, wakeups)
    leadership = CountedLeadership(
        client,
        keys,
        fence,
        clock,
        node=name,
        url=f"http://{name}",
        owner=f"{name}/there/1",
        leader_is_gone=gone.__contains__,
        wakeups=wakeups,
    )
    try:
        if is_chartered:
            await charter(client, keys)
        yield EtcdNode(name, where, client, keys, clock, fence, wakeups, log, leadership, gone)
    finally:
        await client.close()


async def elect(client: EtcdClient, keys: Keys, fence: Fence, term: int) -> None:
    """Make ``fence`` the holder of the lead in ``term``, whoever led before. Raises Fenced when the term is not new."""
    request = rpc.RangeRequest(key=keys.leader)
    kvs = (await client.range(request, 5)).kvs
    if kvs and transactions.decode_leader(kvs[0].value).term >= term:
        raise Fenced(f"term {term} is not new")
    value = transactions.encode_leader(LeaderRecord("test", "http://test", term, _TOKENS.token(8).hex()))
    put = rpc.TxnRequest(success=[rpc.RequestOp(request_put=rpc.PutRequest(key=keys.leader, value=value))])
    answer = await client.txn(put, 5)
    fence.hold(answer.header.revision, term, 0)


async def until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - etcd cannot set an asyncio.Event
            await asyncio.sleep(0.005)


async def settled(node: EtcdNode, timeout_s: float = 60) -> None:
    """Wait until etcd answers this node again after a fault."""
    async with asyncio.timeout(timeout_s):
        while True:
            try:
                await node.client.range(rpc.RangeRequest(key=node.keys.leader), 1)
            except LogFault:
                node.client.rotate()
                await asyncio.sleep(0.05)
            else:
                return
