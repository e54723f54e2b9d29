"""Leading a cluster of several nodes: a record in etcd, changed only by compare-and-swap; no lease is trusted.

A follower that has seen neither the leader record nor its beat change for the election timeout, by its own boot
clock, swaps itself in with the next term. It may do so earlier on a hint (the leader released, its process is gone):
a hint that is wrong costs an election, never safety, since the old leader's appends then fail.
"""

import asyncio
from collections.abc import Callable

from hookline.clock import Clock
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import transactions
from hookline.node.etcd.client import EtcdClient, EtcdRefused, EtcdUnclear
from hookline.node.etcd.fence import ELECTION_TIMEOUT_MS, Fence
from hookline.node.etcd.keys import Keys, prefix_end
from hookline.node.etcd.transactions import LeaderRecord
from hookline.node.etcd.wakeups import Wakeups
from hookline.telemetry.area_log import log_of

_TRY_S = 0.5
_POLL_S = 0.1
_STAND_BACK_MS = 500  # enough for another to see it; longer, and hand-overs in a row leave nobody who stands
_LOST_POLL_S = 0.1

_log = log_of("leadership")


class EtcdLeadership:
    """This node's view of who leads, and its own attempts to.

    Args:
        node, url, owner: what the record says when this node leads; ``owner`` names its process in claims.
        leader_is_gone: asked about the present leader's url: is it proven that its process is dead?
        wakeups: say when the leader record changes, so that a hand-over takes milliseconds; else a poll has to do.
            They are told of each beat that is seen.
        may_stand: asked before each campaign, with the ms for which nobody has led.
    """

    def __init__(
        self,
        client: EtcdClient,
        keys: Keys,
        fence: Fence,
        clock: Clock,
        *,
        node: str,
        url: str,
        owner: str,
        leader_is_gone: Callable[[str], bool],
        wakeups: Wakeups | None = None,
        may_stand: Callable[[float], bool] = lambda _waited_ms: True,
    ) -> None:
        self._client = client
        self._keys = keys
        self._fence = fence
        self._clock = clock
        self._node = node
        self._url = url
        self._owner = owner
        self._leader_is_gone = leader_is_gone
        self._may_stand = may_stand
        self._wakeups = wakeups or Wakeups(client, keys)
        self._dead_owners: tuple[str, ...] = ()
        self._stand_back_until_ms = 0.0
        self._term_floor = 0
        self.is_standing = False  # somebody waits in ``acquire``, and looks
        self.leader: LeaderRecord | None = None  # as last seen; a hint

    def continue_after(self, term: int) -> None:
        """Terms go on after ``term``, the newest in the state: a restored one may be ahead of an empty etcd."""
        self._term_floor = term

    async def acquire(self) -> int:
        """Wait until this node has won an election; returns its term."""
        self.is_standing = True
        try:
            return await self._stand()
        finally:
            self.is_standing = False

    async def _stand(self) -> int:
        seen: tuple[int, int] | None = None
        changed_ms = self._clock.boot_ms()
        timeout_ms = self._jittered()
        while True:
            found = await self.look()
            if found is not None:
                leader_revision, beat_revision = found
                if found != seen:
                    seen, changed_ms, timeout_ms = found, self._clock.boot_ms(), self._jittered()
                is_free = self.leader is None or not self.leader.url
                if is_free and self._clock.boot_ms() < self._stand_back_until_ms:
                    is_free, changed_ms = False, self._clock.boot_ms()  # we gave it up so that another takes it
                is_gone = not is_free and self.leader is not None and self._leader_is_gone(self.leader.url)
                waited_ms = self._clock.boot_ms() - changed_ms
                if (is_free or is_gone or waited_ms >= timeout_ms) and self._may_stand(waited_ms):
                    self._dead_owners = (self.leader.owner,) if is_gone and self.leader is not None else ()
                    if (term := await self._campaign(leader_revision, beat_revision)) is not None:
                        return term
                    seen = None
            await self._wakeups.leader_changed(_POLL_S)

    def _jittered(self) -> float:
        return ELECTION_TIMEOUT_MS * (1 + 0.2 * self._clock.random())

    async def look(self) -> tuple[int, int] | None:
        """(revision of the leader record, of the beat), 0 for what is absent; None when etcd does not answer."""
        request = rpc.RangeRequest(
            key=self._keys.beat,
            range_end=prefix_end(self._keys.leader),
            serializable=True,  # what one member knows: a late view costs a campaign that fails, never safety
        )
        try:
            kvs = {kv.key: kv for kv in (await self._client.range(request, _TRY_S)).kvs}
        except (EtcdUnclear, EtcdRefused):
            self._client.rotate()
            return None
        leader, beat = kvs.get(self._keys.leader), kvs.get(self._keys.beat)
        self.leader = transactions.decode_leader(leader.value) if leader else None
        seen = (leader.mod_revision if leader else 0, beat.mod_revision if beat else 0)
        self._wakeups.beat_seen(seen[1])
        return seen

    async def _campaign(self, leader_revision: int, beat_revision: int) -> int | None:
        term = max(self.leader.term if self.leader else 0, self._term_floor) + 1
        record = LeaderRecord(self._node, self._url, term, self._clock.token(8).hex(), self._owner)
        request = transactions.campaign(self._keys, record, leader_revision, beat_revision)
        first_asked_ms = self._clock.boot_ms()
        while True:
            asked_ms = self._clock.boot_ms()
            try:
                response = await self._client.txn(request, _TRY_S)
            except (EtcdUnclear, EtcdRefused):
                self._client.rotate()
                await asyncio.sleep(_POLL_S)
                continue
            if response.succeeded:
                revision = response.header.revision
            else:
                found = transactions.found_in(response)
                if found is None or transactions.decode_leader(found.value) != record:
                    return None
                # An earlier try had been written; the others' patience began then, not with this try.
                revision, asked_ms = found.mod_revision, first_asked_ms
            self.leader = record
            self._fence.hold(revision, term, asked_ms)
            return term

    def is_valid(self) -> bool:
        return self._fence.is_valid()

    def valid_until_ms(self) -> float:
        return self._fence.valid_until_ms()

    async def lost(self) -> None:
        while self._fence.revision is not None:  # noqa: ASYNC110 - the renewal's thread learns it
            await asyncio.sleep(_LOST_POLL_S)

    def dead_owners(self) -> tuple[str, ...]:
        return self._dead_owners

    async def release(self) -> None:
        """Give the lead up, once; when the answer is lost the others wait for the election timeout."""
        revision = self._fence.revision
        if revision is None:
            return
        record = LeaderRecord(self._node, "", self._fence.term, self._clock.token(8).hex())
        self._fence.lose()
        self._stand_back_until_ms = self._clock.boot_ms() + _STAND_BACK_MS
        try:
            await self._client.txn(transactions.release(self._keys, record, revision), _TRY_S)
        except (EtcdUnclear, EtcdRefused) as error:
            _log.warning("release_unclear", error=error.detail)
