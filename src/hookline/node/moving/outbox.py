"""Gathers what moves to one cluster into batches that fit into an entry of the log."""

import msgspec

from hookline.node.state_machine.move_reads import JobSign, ScheduleSign
from hookline.protocol.commands import JobGuard, ScheduleGuard
from hookline.protocol.jobs import JobRecord
from hookline.protocol.moves import BATCH_BYTES_MAX, BATCH_ITEMS_MAX, Batch, Pointer, ScheduleRecord, encode_batch
from hookline.protocol.topology import ClusterEntry

_ITEM_BYTES = 400  # of a job without its spec and attempts
_size = msgspec.msgpack.Encoder().encode


class Outbox:
    """One batch at a time.

    Args:
        home: where it goes.
        items_max: of one batch; may change at any time.
    """

    def __init__(self, home: ClusterEntry, items_max: int = BATCH_ITEMS_MAX) -> None:
        self.home = home
        self.items_max = items_max
        self._clear()

    def _clear(self) -> None:
        self._jobs: list[JobRecord] = []
        self._schedules: list[ScheduleRecord] = []
        self._pointers: list[Pointer] = []
        self._job_guards: list[JobGuard] = []
        self._schedule_guards: list[ScheduleGuard] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._jobs) + len(self._schedules) + len(self._pointers)

    @property
    def is_full(self) -> bool:
        """Another item may not fit."""
        return len(self) >= self.items_max or self._bytes >= BATCH_BYTES_MAX

    def fits(self, size: int) -> bool:
        """Would that still go into this batch? The first one always does."""
        return not len(self) or (not self.is_full and self._bytes + size <= BATCH_BYTES_MAX)

    def add_job(self, sign: JobSign, record: JobRecord) -> None:
        """Put a job in, as it was read."""
        self._jobs.append(record)
        self._job_guards.append((sign.seq, sign.state, sign.due_ms, sign.revision, sign.attempts))
        self._bytes += size_of(record)

    def add_schedule(self, sign: ScheduleSign, record: ScheduleRecord) -> None:
        """Put a schedule in, as it was read."""
        self._schedules.append(record)
        self._schedule_guards.append((sign.seq, sign.revision, sign.ticks, sign.next_tick_ms))
        self._bytes += len(record.spec) + len(record.work) + _ITEM_BYTES

    def add_pointer(self, pointer: Pointer) -> None:
        """Put a pointer in."""
        self._pointers.append(pointer)
        self._bytes += 2 * len(pointer.name) + _ITEM_BYTES // 4

    def take(self) -> tuple[bytes, tuple[JobGuard, ...], tuple[ScheduleGuard, ...]]:
        """The batch, encoded, and what its contents were read as; the next one begins."""
        batch = Batch(tuple(self._jobs), tuple(self._schedules), tuple(self._pointers))
        taken = encode_batch(batch), tuple(self._job_guards), tuple(self._schedule_guards)
        self._clear()
        return taken


def size_of(record: JobRecord) -> int:
    """About as many bytes as the record takes."""
    answered = len(_size(record.history)) if record.history else 0
    return len(record.work.spec) + answered + _ITEM_BYTES
