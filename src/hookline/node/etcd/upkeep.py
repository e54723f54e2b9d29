"""Keeps etcd from filling up, and helps it out when it is full.

The leader truncates the log and compacts; when nobody can lead because etcd is full, any node makes space: first in
ways that change no data, then by truncating what it has durably itself. Decisions are in ``upkeep_plan``; this carries
them out.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from hookline.clock import Clock
from hookline.errors import LogFault
from hookline.node.etcd import rpc_pb2 as rpc
from hookline.node.etcd import upkeep_plan as plan
from hookline.node.etcd.client import EtcdClient
from hookline.node.etcd.fence import Fence
from hookline.node.etcd.keys import Keys, prefix_end
from hookline.node.etcd.upkeep_plan import LogSize, MemberSize
from hookline.telemetry.area_log import log_of

STEP_S = 2.0
_TRY_S = 1.0
_COMPACT_S = 10.0
_DEFRAGMENT_S = 60.0
_SETTLED_MS = 10_000  # so long must all be well before what the nodes say of themselves is taken to be complete
_DEFRAGMENT_EVERY_MS = 60_000
_LEADERLESS_MS = 10_000  # so long a node that does not lead leaves a full etcd to the leader

_log = log_of("etcd")


class Truncates(Protocol):
    """The log, as upkeep sees it.

    Attributes:
        appended_bytes: what this node has written to etcd through it, ever.
    """

    appended_bytes: int

    async def truncate(self, upto: int, *, leaderless_at: int | None = None) -> None:
        """Forget the entries up to ``upto`` and compact. Raises Fenced, EtcdUnclear, EtcdRefused.

        ``leaderless_at``: this node does not lead; the leader record's revision, which must not have changed.
        """


class Keeps(Protocol):
    """The state of this node, as upkeep sees it."""

    async def make_durable(self) -> None:
        """Bring the durable index up to the applied one, if nothing is in the way."""


class EtcdUpkeep:
    """Call ``step`` every ``STEP_S``, on every node.

    Args:
        node: this node's name.
        quota_bytes: etcd's ``--quota-backend-bytes``.

    Attributes:
        is_full: etcd takes no writes.
        members: those that answered when it looked last.
    """

    def __init__(
        self,
        client: EtcdClient,
        keys: Keys,
        fence: Fence,
        log: Truncates,
        clock: Clock,
        *,
        node: str,
        quota_bytes: int,
    ) -> None:
        self._client = client
        self._keys = keys
        self._fence = fence
        self._log = log
        self._clock = clock
        self._node = node
        self._quota_bytes = quota_bytes
        self._well_since_ms = self._full_since_ms = clock.boot_ms()
        self._durable_ms = self._truncated_ms = self._compacted_ms = self._defragmented_ms = float("-inf")
        self._looked_pressure = 0.0
        self._looked_bytes = 0
        self._in_vain = 0  # times in a row that nothing could be reclaimed
        self.is_full = False
        self.members: Sequence[MemberSize] = ()

    @property
    def pressure(self) -> float:
        """0 to 1, how full the fullest member is; new jobs are refused from 0.7 on.

        As of the last step, and what this node has appended since: a burst fills a small quota between two steps.
        """
        grown = (self._log.appended_bytes - self._looked_bytes) / self._quota_bytes
        return min(1.0, self._looked_pressure + grown)

    async def step(self, durable_by_node: Mapping[str, int]) -> None:
        """Look, and do what is due. An etcd that does not answer is left alone until the next step.

        Args:
            durable_by_node: the durable index of every node of the cluster, this one and those that are away included.

        Raises:
            Fenced: another node leads.
        """
        try:
            members, full = await self._look()
            if self.is_full:
                await self._make_room(members, full, durable_by_node)
            elif self._fence.revision is not None:
                await self._truncate(members, durable_by_node)
                await self._defragment(plan.to_defragment(members, self._quota_bytes, is_full=False), members)
        except LogFault as error:
            self._well_since_ms = self._clock.boot_ms()
            if error.code == "fenced":
                raise
            if not error.is_outage:
                _log.warning("etcd_upkeep_failed", error=error.detail)

    async def keep_durable(self, state: Keeps) -> None:
        """Call it before each ``step``: entries stay in etcd until their effects are durable, also when none comes."""
        now_ms = self._clock.boot_ms()
        if plan.is_due(self.pressure, now_ms - self._durable_ms):
            self._durable_ms = now_ms
            await state.make_durable()

    async def _look(self) -> tuple[list[MemberSize], list[int]]:
        """The sizes of the members that answer, and the ids of those that are full."""
        appended_bytes = self._log.appended_bytes
        statuses = await self._client.statuses(_TRY_S)
        alarms = (await self._client.alarms(rpc.AlarmRequest(), _TRY_S)).alarms
        now_ms = self._clock.boot_ms()
        full = [alarm.memberID for alarm in alarms if alarm.alarm == rpc.NOSPACE]
        if full and not self.is_full:
            self._full_since_ms = now_ms
            _log.error("etcd_is_full", quota_bytes=self._quota_bytes)
        self.is_full = bool(full)
        if full:
            self._well_since_ms = now_ms
        self.members = members = _sizes(statuses)
        if members:
            self._looked_pressure = plan.pressure(members, self._quota_bytes, is_full=self.is_full)
            self._looked_bytes = appended_bytes
        return members, full

    async def _truncate(self, members: Sequence[MemberSize], durable: Mapping[str, int]) -> None:
        now_ms = self._clock.boot_ms()
        size, revision = await self._log_size(members)
        all_known = now_ms - self._well_since_ms >= _SETTLED_MS
        upto = plan.truncate_upto(size, durable, self._node, self._quota_bytes, all_known=all_known)
        is_due = plan.is_due(self.pressure, now_ms - self._truncated_ms)
        if plan.is_worth_truncating(size, upto, self._quota_bytes, is_due=is_due):
            await self._log.truncate(upto)
            self._truncated_ms = self._compacted_ms = now_ms
        elif plan.is_due(self.pressure, now_ms - self._compacted_ms):
            await self._client.compact(revision, _COMPACT_S)
            self._compacted_ms = now_ms

    async def _log_size(self, members: Sequence[MemberSize]) -> tuple[LogSize, int]:
        """And etcd's revision."""
        request = rpc.RangeRequest(key=self._keys.log, range_end=prefix_end(self._keys.log), limit=1, keys_only=True)
        answer = await self._client.range(request, _TRY_S)
        # Of a range with a limit, etcd counts all.
        first = self._keys.index_of(answer.kvs[0].key) if answer.kvs else 1
        used_bytes = max((member.used_bytes for member in members), default=0)
        return LogSize(first, first + answer.count - 1, used_bytes), answer.header.revision

    async def _make_room(self, members: Sequence[MemberSize], full: Sequence[int], durable: Mapping[str, int]) -> None:
        leads = self._fence.revision is not None
        if leads:
            await self._truncate(members, durable)
        elif self._clock.boot_ms() - self._full_since_ms < _LEADERLESS_MS:
            return
        if await self._reclaim(members, full):
            self._in_vain = 0
            return
        # A member that was busy has not dropped old revisions yet when it is defragmented; the next time it has.
        self._in_vain += 1
        if not leads and self._in_vain > 1:
            await self._truncate_leaderless(members, durable)

    async def _reclaim(self, members: Sequence[MemberSize], full: Sequence[int]) -> bool:
        """Give free space back and take the alarm off who has room then; whether anybody has."""
        revision = (await self._client.range(rpc.RangeRequest(key=self._keys.leader), _TRY_S)).header.revision
        await self._client.compact(revision, _COMPACT_S, physical=True)
        await self._defragment(plan.to_defragment(members, self._quota_bytes, is_full=True), members)
        roomy = plan.to_disarm(full, _sizes(await self._client.statuses(_TRY_S)), self._quota_bytes)
        for member_id in roomy:
            await self._client.alarms(
                rpc.AlarmRequest(action=rpc.AlarmRequest.DEACTIVATE, memberID=member_id, alarm=rpc.NOSPACE), _TRY_S
            )
            _log.info("etcd_has_room_again", member=f"{member_id:x}")
        return bool(roomy)

    async def _truncate_leaderless(self, members: Sequence[MemberSize], durable: Mapping[str, int]) -> None:
        """The log alone fills etcd, so nobody can be elected, and no leader can truncate it. Deleting needs no space.

        What is forgotten is durable on this node, whose snapshot the others install.
        """
        size, _ = await self._log_size(members)
        kvs = (await self._client.range(rpc.RangeRequest(key=self._keys.leader), _TRY_S)).kvs
        upto = plan.truncate_upto(size, durable, self._node, self._quota_bytes, all_known=False)
        if kvs and upto >= size.first:
            _log.warning("log_truncated_without_a_leader", upto=upto)
            await self._log.truncate(upto, leaderless_at=kvs[0].mod_revision)

    async def _defragment(self, chosen: Sequence[MemberSize], members: Sequence[MemberSize]) -> None:
        now_ms = self._clock.boot_ms()
        pause_ms = STEP_S * 1_000 if self.is_full else _DEFRAGMENT_EVERY_MS
        if not chosen or now_ms - self._defragmented_ms < pause_ms:
            return
        for member in chosen:
            _log.info("etcd_defragment", endpoint=member.endpoint, file_bytes=member.file_bytes)
            await self._client.defragment(member.endpoint, _DEFRAGMENT_S)
        self._defragmented_ms = self._clock.boot_ms()


def _sizes(statuses: Sequence[rpc.StatusResponse | None]) -> list[MemberSize]:
    found = []
    for endpoint, status in enumerate(statuses):
        if status is not None:
            own = status.header.member_id
            found.append(MemberSize(endpoint, own, status.dbSize, status.dbSizeInUse, status.leader == own))
    return found
