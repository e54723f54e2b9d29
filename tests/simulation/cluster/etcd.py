"""An etcd that misbehaves as 3.4.23 does, and the client of one node to it: the methods of ``EtcdClient``."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NoReturn, TypeVar

from hookline.errors import LogFault
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd.client import EtcdFull, EtcdRefused, EtcdUnclear
from hookline.node.etcd.keys import Keys, prefix_end
from hookline.node.etcd.transactions import LeaderRecord, decode_leader
from hookline.protocol.codec import Entry, decode_entry
from tests.simulation.cluster.loop import PROCESS, outside
from tests.simulation.cluster.store import Store
from tests.simulation.history import History

T = TypeVar("T")
_COMMIT_S = 0.002  # a transaction goes through a majority
_HELD_MAX = 20
QUOTA_BYTES = 1_000_000
CUTS = ("gone", "gone", "held", "deaf")


class SimulatedEtcd:
    """One for a cluster: the store, and what is wrong with it.

    Attributes:
        is_away: nobody gets an answer.
        has_no_leader: everything is refused.
        is_full: puts are refused.
        file_bytes: the size of its database.
        cut_off: the nodes that get no answer, and what becomes of their requests: "gone", "held" until the node is
            connected again, or executed (the node is "deaf").
        leader: the leader record as it is.
    """

    def __init__(self, history: History, keys: Keys, seed: int) -> None:
        self.history = history
        self.random = random.Random(f"etcd {seed}")
        self.store = Store(self._changed)
        self.is_away = self.has_no_leader = self.is_full = False
        self.file_bytes = 0
        self.cut_off: dict[str, str] = {}
        self._held: dict[str, list[Callable[[], object]]] = {}
        self.leader: LeaderRecord | None = None
        self.wrong: list[str] = []
        self.released_s: dict[int, float] = {}  # by term: when its leader handed over
        self.authors: dict[int, str] = {}
        self.watchers: dict[asyncio.Queue[rpc.WatchResponse | None], str] = {}
        self.author = ""
        self._keys = keys
        choose = self.random.choice
        self.stale = choose((0.0, 0.0, 0.05, 0.3))
        self.lossy = choose((0.0, 0.0, 0.03, 0.15))
        self.slow = choose((0.0, 0.0, 0.05, 0.2))
        self.deaf = choose((0.0, 0.0, 0.1, 1.0))

    def heal(self) -> None:
        """Nothing is wrong from now on."""
        self.is_away = self.has_no_leader = self.is_full = False
        self.file_bytes = 0
        for node in list(self.cut_off):
            self.reach(node)
        self.stale = self.lossy = self.slow = self.deaf = 0.0

    def cut_of(self, node: str) -> str | None:
        """The fate of a node's requests; None: they are answered."""
        return self.cut_off.get(node, "gone" if self.is_away else None)

    def hold(self, node: str, execute: Callable[[], object]) -> None:
        """Keep a request of a node that is cut off."""
        held = self._held.setdefault(node, [])
        if len(held) < _HELD_MAX:
            held.append(execute)

    def is_reached_by(self, node: str) -> bool:
        """The node gets answers."""
        return node not in self.cut_off and not self.is_away

    def reach(self, node: str) -> None:
        """Connect a node again; what was held arrives, however old it is."""
        if self.cut_off.pop(node, None) is not None:
            for execute in self._held.pop(node, ()):
                outside(self.random.choice((0.001, 0.001, 1.0)) * self.random.random(), lambda it=execute: _try(it))  # type: ignore[misc]

    def kind_of(self, request: rpc.TxnRequest) -> str | None:
        """ "append", "campaign", or None for what does neither."""
        keys = self._keys
        puts = [op.request_put.key for op in request.success if op.HasField("request_put")]
        if any(key.startswith(keys.log) for key in puts):
            return "append"
        return "campaign" if keys.leader in puts and keys.beat in puts else None

    def sent(self, execute: Callable[[], T]) -> Callable[[], T]:
        """A request is on its way; returns what it does when it arrives."""
        return execute

    def first_index(self) -> int:
        """Of the log's entries; 1 when there are none."""
        keys = self._keys
        request = rpc.RangeRequest(key=keys.log, range_end=prefix_end(keys.log), limit=1, keys_only=True)
        kvs = self.store.range(request).kvs
        return keys.index_of(kvs[0].key) if kvs else 1

    def break_watches(self, node: str | None = None) -> None:
        """End the streams of a node, or all."""
        for queue, owner in list(self.watchers.items()):
            if node in (owner, None):
                outside(0, lambda queue=queue: queue.put_nowait(None))  # type: ignore[misc]

    def txn(self, request: rpc.TxnRequest, author: str) -> rpc.TxnResponse:
        """Execute a transaction. Raises EtcdFull."""
        if self.is_full and any(op.HasField("request_put") for op in (*request.success, *request.failure)):
            raise EtcdFull("etcdserver: mvcc: database space exceeded")
        self.author = author
        return self.store.txn(request)

    def range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        """Read; sometimes what a member that lags behind knows."""
        if self.stale and self.random.random() < self.stale:
            return self.store.range(request, max(1, self.store.revision - self.random.randint(1, 60)))
        return self.store.range(request)

    # --- what is seen of it from outside -------------------------------------------------------------------------

    def _changed(self, key: bytes, value: bytes, revision: int) -> None:
        if key.startswith(self._keys.log):
            self._entry(key, value)
        elif key == self._keys.leader:
            self.leader = decode_leader(value)
            self.history.note(f"the leader is {self.leader.node} of term {self.leader.term}, url {self.leader.url}")
            if not self.leader.url:
                self.released_s[self.leader.term] = asyncio.get_running_loop().time()
        if key in (self._keys.leader, self._keys.beat):
            event = rpc.Event(kv=rpc.KeyValue(key=key, value=value, mod_revision=revision))
            response = rpc.WatchResponse(events=[event])
            for queue, node in self.watchers.items():
                if self.cut_of(node) is not None or (self.deaf and self.random.random() < self.deaf):
                    continue
                delay_s = self.random.random() if self.slow and self.random.random() < self.slow else 0.001
                outside(delay_s, lambda queue=queue: queue.put_nowait(response))  # type: ignore[misc]

    def _entry(self, key: bytes, value: bytes) -> None:
        entry, entries = decode_entry(value), self.history.entries
        names = " ".join(type(command).__name__ for command in entry.commands[:6])
        stamp = self.history.note(f"log {entry.index} term {entry.term} by {self.author}: {names}")
        last = entries[-1][1] if entries else None
        if entry.index != (last.index if last else 0) + 1 or self._keys.index_of(key) != entry.index:
            self.wrong.append(f"entry {entry.index} was written in place {self._keys.index_of(key)} (at {stamp})")
            return
        if last is not None and entry.term < last.term:
            self.wrong.append(f"term {entry.term} appended after term {last.term} (at {stamp})")
        if self.leader is None or self.leader.term != entry.term or not self.leader.url:
            self.wrong.append(f"term {entry.term} appended while the leader is {self.leader} (at {stamp})")
        if self.authors.setdefault(entry.term, self.author) != self.author:
            self.wrong.append(f"{self.author} appended in term {entry.term} of {self.authors[entry.term]}")
        entries.append((stamp, entry))
        self.wrote(stamp, entry)

    def wrote(self, stamp: int, entry: Entry) -> None:
        """An entry came into the log."""


class SimulatedClient:
    """One node's connections to it.

    Args:
        point: passed before and after the node appends or campaigns.
    """

    def __init__(self, etcd: SimulatedEtcd, node: str, point: Callable[[str], Awaitable[None]]) -> None:
        self._etcd = etcd
        self._node = node
        self._point = point

    def rotate(self) -> None:
        """All members are one here."""

    async def close(self) -> None:
        """Nothing to close."""

    async def txn(self, request: rpc.TxnRequest, timeout_s: float) -> rpc.TxnResponse:
        process = PROCESS.get()
        author = process.name if process else self._node
        kind = self._etcd.kind_of(request)
        if kind is not None:
            await self._point(f"before_{kind}")
        response = await self._ask(lambda: self._etcd.txn(request, author), timeout_s, _COMMIT_S)
        if kind is not None and response.succeeded:
            await self._point(f"{kind}ed")
        return response

    async def range(self, request: rpc.RangeRequest, timeout_s: float) -> rpc.RangeResponse:
        return await self._ask(lambda: self._etcd.range(request), timeout_s, 0.0)

    async def compact(self, revision: int, timeout_s: float, *, physical: bool = False) -> None:
        await self._ask(lambda: self._etcd.store.compact(revision), timeout_s, _COMMIT_S)

    async def alarms(self, request: rpc.AlarmRequest, timeout_s: float) -> rpc.AlarmResponse:
        return await self._ask(lambda: self._alarms(request), timeout_s, 0.0)

    def _alarms(self, request: rpc.AlarmRequest) -> rpc.AlarmResponse:
        if request.action == rpc.AlarmRequest.DEACTIVATE:
            self._etcd.is_full = False
        full = [rpc.AlarmMember(memberID=1, alarm=rpc.NOSPACE)] if self._etcd.is_full else []
        return rpc.AlarmResponse(alarms=full)

    async def statuses(self, timeout_s: float) -> list[rpc.StatusResponse | None]:
        try:
            return [await self._ask(self._status, timeout_s, 0.0)]
        except (EtcdUnclear, EtcdRefused):
            return [None]

    def _status(self) -> rpc.StatusResponse:
        size = self._etcd.file_bytes
        return rpc.StatusResponse(header=rpc.ResponseHeader(member_id=1), dbSize=size, dbSizeInUse=size // 2, leader=1)

    async def members(self, _timeout_s: float) -> list[rpc.Member]:
        return [rpc.Member(clientURLs=["http://etcd:2379"])]

    async def defragment(self, _endpoint: int, timeout_s: float) -> None:
        await self._ask(lambda: setattr(self._etcd, "file_bytes", 0), timeout_s, 0.3)

    async def watch(self, key: bytes, range_end: bytes) -> AsyncIterator[rpc.WatchResponse]:
        await self._ask(lambda: None, 1.0, 0.001)
        queue: asyncio.Queue[rpc.WatchResponse | None] = asyncio.Queue()
        self._etcd.watchers[queue] = self._node
        try:
            yield rpc.WatchResponse(created=True)
            while (response := await queue.get()) is not None:
                yield response
        finally:
            self._etcd.watchers.pop(queue, None)
        raise EtcdUnclear("the stream broke")

    async def _ask(self, execute: Callable[[], T], timeout_s: float, takes_s: float) -> T:
        """Send a request and wait for its answer; both may be late or lost."""
        etcd, dice = self._etcd, self._etcd.random
        process = PROCESS.get()
        if process is not None:
            await process.alive()
        execute = etcd.sent(execute)
        if etcd.has_no_leader:
            await asyncio.sleep(0.005)
            raise EtcdRefused("etcdserver: no leader")
        cut = etcd.cut_of(self._node)
        if cut is not None or (etcd.lossy and dice.random() < etcd.lossy):
            await self._lose(execute, timeout_s, cut)
        is_slow = etcd.slow and dice.random() < etcd.slow
        if not (is_slow or takes_s):
            return execute()
        there_s = takes_s + (dice.random() * dice.choice((0.5, 1.5, 4.0)) if is_slow else 0.0)
        back_s = dice.random() * dice.choice((0.5, 0.7)) if is_slow else 0.0
        return await self._exchange(execute, timeout_s, there_s, back_s)

    async def _lose(self, execute: Callable[[], object], timeout_s: float, cut: str | None) -> NoReturn:
        """No answer comes; the request may be executed all the same, even after nobody waits for it any more."""
        dice = self._etcd.random
        if cut == "held":
            self._etcd.hold(self._node, execute)
        elif cut == "deaf" or (cut is None and dice.random() < 0.7):
            outside(dice.choice((0.001, 0.001, 1.0, 3.0)) * dice.random(), lambda: _try(execute))
        await asyncio.sleep(timeout_s if dice.random() < 0.6 else 0.01)
        raise EtcdUnclear("etcd did not answer")

    async def _exchange(self, execute: Callable[[], T], timeout_s: float, there_s: float, back_s: float) -> T:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            found = _try(execute)
            if back_s:
                outside(back_s, lambda: deliver(found))
            else:
                deliver(found)

        def deliver(found: T | LogFault) -> None:
            if answer.done() or self._etcd.cut_of(self._node) is not None:
                return
            if isinstance(found, LogFault):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        outside(there_s, arrive)
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise EtcdUnclear("etcd did not answer in time") from None


def _try(execute: Callable[[], T]) -> T | LogFault:
    try:
        return execute()
    except LogFault as error:
        return error
