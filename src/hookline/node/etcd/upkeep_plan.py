"""Plans how to keep etcd from filling up: which entries go, who is defragmented, what is disarmed. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hookline.protocol.limits import LOG_BYTES_MAX, LOG_ENTRIES_MAX

LOG_SHARE_OF_QUOTA = 0.4  # the log takes at most this much, so that pressure stays below what refuses new jobs
ENTRIES_PER_STEP = 10_000  # one deletion of more would hold up appends
PRESSURE_HIGH = 0.5  # from here on every step makes as much room as it can; new jobs are refused from 0.7 on
AT_REST_MS = 60_000  # so long what could be made durable, truncated or compacted may wait while there is room
_ENTRIES_WORTH_IT = 100
_SHARE_WORTH_IT = 0.05  # of the quota


@dataclass(frozen=True, slots=True)
class MemberSize:
    """One etcd member's database.

    Attributes:
        endpoint: its number in the client's list.
        member_id: its id in alarms.
        file_bytes: what counts against the quota.
        used_bytes: without the pages that are free for reuse.
    """

    endpoint: int
    member_id: int
    file_bytes: int
    used_bytes: int
    leads: bool


@dataclass(frozen=True, slots=True)
class LogSize:
    """The log in etcd: indices of its first and newest entry, and the bytes it takes at most."""

    first: int
    last: int
    bytes: int

    @property
    def entries(self) -> int:
        return self.last - self.first + 1


def truncate_upto(log: LogSize, durable: Mapping[str, int], own: str, quota_bytes: int, *, all_known: bool) -> int:
    """The index up to which entries may go now; less than ``log.first`` when none may.

    Every node pins what it does not have durably, but nobody more than the caps; and this node's own durable index
    bounds even those, since an entry that is durable nowhere else must stay.

    Args:
        log: what is in etcd now.
        durable: each node's durable index; without this node's nothing is truncated.
        own: this node's name.
        quota_bytes: of an etcd member.
        all_known: every node's index is in ``durable``; while it is not, only the caps truncate.
    """
    if own not in durable or log.entries < 1:
        return 0
    pinned = min(durable.values()) if all_known else 0
    forced = max(log.last - LOG_ENTRIES_MAX, log.last - _entries_that_fit(log, quota_bytes))
    upto = min(max(pinned, forced), durable[own], log.last - 1)
    return min(upto, log.first + ENTRIES_PER_STEP - 1)


def is_due(pressure: float, since_ms: float) -> bool:
    """Is it time to do what makes a little room, ``since_ms`` after the last time?

    That is: to make durable what is not, since the log is kept until it is; to delete a few entries; to have etcd
    forget the revisions of beats and statuses.
    """
    return pressure > PRESSURE_HIGH or since_ms >= AT_REST_MS


def is_worth_truncating(log: LogSize, upto: int, quota_bytes: int, *, is_due: bool) -> bool:
    """Deleting the entries up to ``upto`` is worth a transaction: they are many or large, or it is time."""
    count = upto - log.first + 1
    if count < 1:
        return False
    is_large = log.bytes * count >= quota_bytes * _SHARE_WORTH_IT * log.entries
    return is_due or is_large or count >= _ENTRIES_WORTH_IT


def _entries_that_fit(log: LogSize, quota_bytes: int) -> int:
    cap_bytes = min(LOG_BYTES_MAX, int(quota_bytes * LOG_SHARE_OF_QUOTA))
    return log.entries if log.bytes <= cap_bytes else log.entries * cap_bytes // log.bytes


def pressure(members: Iterable[MemberSize], quota_bytes: int, *, is_full: bool) -> float:
    """0 to 1: how full the fullest member is; 1 while etcd takes no writes."""
    fullest = max((member.used_bytes for member in members), default=0) / quota_bytes
    return 1.0 if is_full else min(fullest, 1.0)


def to_defragment(members: Sequence[MemberSize], quota_bytes: int, *, is_full: bool) -> list[MemberSize]:
    """Lists the members to be rewritten, one after the other: etcd's leader last, since it holds up all writes."""

    def is_worth_it(member: MemberSize) -> bool:
        if is_full:
            return member.file_bytes > quota_bytes * 0.5
        mostly_free = member.file_bytes > quota_bytes * 0.5 and member.used_bytes < member.file_bytes * 0.5
        nearly_full = member.file_bytes > quota_bytes * 0.8 and member.used_bytes < member.file_bytes * 0.75
        return mostly_free or nearly_full

    return sorted(filter(is_worth_it, members), key=lambda member: member.leads)


def to_disarm(full: Iterable[int], members: Iterable[MemberSize], quota_bytes: int) -> list[int]:
    """Of the members with a NOSPACE alarm, the ids of those that have room again.

    Little is enough: while the alarm is on nobody can be elected, and only a leader can truncate.
    """
    roomy = {member.member_id for member in members if member.file_bytes < quota_bytes * 0.98}
    return [member_id for member_id in full if member_id in roomy]
