"""The log of a cluster: one etcd key for each entry, written by fenced transactions only.

An append whose answer is lost is sent again, the identical transaction, until an answer comes. That is safe because
it writes only into an empty slot and only for the leader it names; and only then is it known what happened.
"""

import asyncio

from hookline.clock import Clock
from hookline.errors import Compacted, EntryTooLarge, Fenced, LogFault
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.client import EtcdClient, EtcdRefused, EtcdTooLarge, EtcdUnclear
from hookline.node.etcd.fence import Fence
from hookline.node.etcd.keys import Keys, prefix_end
from hookline.node.etcd.wakeups import Wakeups
from hookline.protocol.codec import Entry, decode_entry, encode_entry
from hookline.protocol.limits import ENTRIES_READ_MAX

_TRY_S = 0.7  # one try; a member that is paused costs this much before the next one is asked
_PAUSE_S = 0.03
_ENTRY_OVERHEAD_BYTES = 400  # of keys and numbers, in etcd's database


class EtcdLog:
    """The entries of one cluster.

    Args:
        client: to etcd.
        keys: of the cluster.
        fence: what this node holds of the lead.
        clock: for the time that a successful append extends the lead by.
        wakeups: wake who follows the log.

    Attributes:
        appended_bytes: what was written to etcd, the beat beside each entry included.
    """

    def __init__(
        self, client: EtcdClient, keys: Keys, fence: Fence, clock: Clock, wakeups: Wakeups | None = None
    ) -> None:
        self._client = client
        self._keys = keys
        self._fence = fence
        self._clock = clock
        self._wakeups = wakeups or Wakeups(client, keys)
        self.appended_bytes = 0
        self._begins = False  # the log is empty, and begins behind this node's state

    async def append(self, entry: Entry) -> int:
        revision = self._fence.revision
        if revision is None or entry.term != self._fence.term:
            raise Fenced(f"this node does not lead in term {entry.term}")
        if entry.index < 1:
            raise Fenced(f"index {entry.index} is before the first one")
        key, data = self._keys.entry(entry.index), encode_entry(entry)
        request = transactions.append(self._keys, entry.index, data, revision, entry.term, begins=self._begins)
        self.appended_bytes += len(data) + _ENTRY_OVERHEAD_BYTES
        is_unclear = False
        while True:
            asked_ms = self._clock.boot_ms()
            try:
                response = await self._client.txn(request, _TRY_S)
            except (EtcdUnclear, EtcdRefused) as error:
                if isinstance(error, EtcdTooLarge) and not is_unclear:
                    raise EntryTooLarge(error.detail) from None
                # Refused tries (no space, no leader) had no effect, but an earlier, unclear one may have: go on asking.
                is_unclear = is_unclear or isinstance(error, EtcdUnclear)
                self._client.rotate()
                await asyncio.sleep(_PAUSE_S)
                continue
            if response.succeeded:
                self._fence.confirmed(asked_ms)
                self._fence.newest = entry.index
                self._begins = False
                return entry.index
            found = transactions.found_in(response)
            if found is not None and found.key == key and found.value == data:
                self._fence.newest = entry.index
                self._begins = False
                return entry.index  # an earlier try had been written
            self._fence.lose()
            if found is not None and found.key != key and is_unclear:
                raise LogFault(f"entry {entry.index} was truncated before it was known whether it is this one")
            raise Fenced(f"entry {entry.index} of term {entry.term} was refused: another leader owns the log")

    async def read_from(self, index: int, limit: int = ENTRIES_READ_MAX) -> list[Entry]:
        request = rpc.RangeRequest(
            key=self._keys.entry(index),
            range_end=prefix_end(self._keys.log),
            limit=limit,
            # A follower may see the log late, never wrong: so it asks one member, and spares the others a round.
            serializable=self._fence.revision is None,
        )
        kvs = (await self._read(request)).kvs
        if kvs and (first := self._keys.index_of(kvs[0].key)) != index:
            raise Compacted(f"entry {index} was truncated; the first is {first}")
        return [decode_entry(kv.value) for kv in kvs]

    async def last_index(self) -> int:
        request = rpc.RangeRequest(
            key=self._keys.log,
            range_end=prefix_end(self._keys.log),
            limit=1,
            keys_only=True,
            sort_order=rpc.RangeRequest.DESCEND,
            sort_target=rpc.RangeRequest.KEY,
        )
        kvs = (await self._read(request)).kvs
        return self._keys.index_of(kvs[0].key) if kvs else 0

    async def _read(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        """A leader asks until it is answered, as with an append; a follower has nothing to lose by an error."""
        leads = self._fence.revision is not None
        while True:
            try:
                return await self._client.range(request, _TRY_S)
            except (EtcdUnclear, EtcdRefused):
                self._client.rotate()
                if not leads:
                    raise
            await asyncio.sleep(_PAUSE_S)
            if self._fence.revision is None:
                raise Fenced("the lead was lost while the log was read")

    async def truncate(self, upto: int, *, leaderless_at: int | None = None) -> None:
        """Forget entries up to ``upto`` (never the newest), and have etcd forget their old revisions too.

        ``leaderless_at``: by a node that does not lead, while the leader record still has this revision.
        """
        revision = self._fence.revision if leaderless_at is None else leaderless_at
        upto = min(upto, await self.last_index() - 1)
        if revision is None or upto < 1:
            return
        response = await self._client.txn(transactions.truncate(self._keys, upto, revision), _TRY_S)
        if not response.succeeded:
            if leaderless_at is None:
                self._fence.lose()
            raise Fenced("the log was not truncated: another leader owns it")
        await self._client.compact(response.header.revision, _TRY_S)

    async def take_over(self, term: int) -> None:
        """The election has fenced older terms already; this checks that it was ours."""
        if self._fence.revision is None or self._fence.term != term:
            raise Fenced(f"this node does not lead in term {term}")
        self._begins = False

    def begin_after(self, index: int) -> None:
        self._begins = True  # the transaction compares that the log is empty

    async def wait_for_change(self, timeout_s: float) -> None:
        await self._wakeups.log_changed(timeout_s)
