"""Reads for a leader that moves jobs and schedules to other clusters. Every query is bounded."""

from typing import Any

import apsw
from msgspec.structs import replace

from hookline.node.state_machine import sql
from hookline.node.state_machine.contents import check_row
from hookline.node.state_machine.records import read_record
from hookline.protocol.jobs import AttemptRecord, JobRecord
from hookline.protocol.moves import ScheduleRecord

_HISTORY_BYTES_MAX = 128 * 1024  # of what is told of a job's attempts: it has to fit into an entry beside its payload
_ATTEMPT_BYTES = 160


class JobSign(sql.Row, frozen=True):
    """A job as far as it says where it belongs, and whether it changed since."""

    seq: int
    tenant: str
    id: str
    state: int
    due_ms: int
    revision: int
    attempts: int
    size: int
    kept_until_ms: int


class ScheduleSign(sql.Row, frozen=True):
    """The same of a schedule; ``waits``: one job of it at most may be open, and its newest is."""

    seq: int
    tenant: str
    id: str
    revision: int
    ticks: int
    next_tick_ms: int | None
    waits: int


class KeySign(sql.Row, frozen=True):
    """An idempotency key, and its number in the table."""

    number: int
    key: str
    tenant: str
    expires_ms: int


class KeyElsewhere(sql.Row, frozen=True):
    """An idempotency key whose job is at another cluster."""

    tenant: str
    name: str
    shard: int
    until_ms: int


STATEMENTS = sql.load(
    "move_reads.sql",
    {
        "JobSign": sql.columns(JobSign),
        "ScheduleSign": sql.columns(
            ScheduleSign, "s", ticks="s.made + s.skipped", waits="s.skip_overlap AND coalesce(j.state IN (0, 1), 0)"
        ),
        "ScheduleRecord": sql.columns(ScheduleRecord),
        "KeySign": sql.columns(KeySign, number="rowid"),
        "KeyElsewhere": sql.columns(KeyElsewhere),
    },
)


class MoveReads:
    """Reads on the node's reading connection."""

    def __init__(self, reader: apsw.Connection) -> None:
        self._reader = reader

    def _rows(self, name: str, *values: object) -> list[tuple[Any, ...]]:
        return self._reader.execute(STATEMENTS[name], values).fetchall()

    def jobs(self, after: int, limit: int) -> list[JobSign]:
        """Jobs in all states, by their number, those after ``after``."""
        return [JobSign(*row) for row in self._rows("jobs_after", after, limit)]

    def schedules(self, after: int, limit: int) -> list[ScheduleSign]:
        """Schedules by their number, those after ``after``."""
        return [ScheduleSign(*row) for row in self._rows("schedules_after", after, limit)]

    def keys(self, after: int, limit: int) -> list[KeySign]:
        """Idempotency keys in the order they were kept, those after ``after``."""
        return [KeySign(*row) for row in self._rows("keys_after", after, limit)]

    def keys_elsewhere(self, after: tuple[str, str], limit: int) -> list[KeyElsewhere]:
        """Idempotency keys whose jobs are at other clusters, by (tenant, key), those after ``after``."""
        return [KeyElsewhere(*row) for row in self._rows("keys_elsewhere_after", *after, limit)]

    def has_old_names(self, now_ms: int) -> tuple[bool, bool]:
        """Are there names of what moved away, and of what nobody can ask for any more?"""
        ((moved, old),) = self._rows("has_elsewhere", 1, now_ms)
        return bool(moved), bool(old)

    def record(self, seq: int) -> JobRecord | None:
        """A whole job, to be taken by another state. Raises StateDamaged when it is not as it was written."""
        found = read_record(self._reader, seq)
        if found is None:
            return None
        record = found.record
        if not found.is_sound:
            check_row(seq, record.work.tenant, record.id, record.work.spec, record.fingerprint, -1)
        return replace(record, claim=None, history=_told(record.history))

    def schedule_record(self, seq: int) -> ScheduleRecord | None:
        """A whole schedule."""
        for row in self._rows("schedule_record", seq):
            fields = dict(zip(ScheduleRecord.__struct_fields__, row, strict=True))
            fields |= {name: bool(fields[name]) for name in ("skip_overlap", "paused")}
            return ScheduleRecord(**fields)
        return None


def _told(history: tuple[AttemptRecord, ...]) -> tuple[AttemptRecord, ...]:
    """The newest attempts, with what was answered to the newest of them, as far as there is room."""
    told: list[AttemptRecord] = []
    answers, size = 0, 0
    for attempt in reversed(history):
        size += _ATTEMPT_BYTES + 4 * len(attempt.error or "")
        if size > _HISTORY_BYTES_MAX:
            break
        answers += len(attempt.response_body) + sum(len(name) + len(text) for name, text in attempt.response_headers)
        fits = size + answers <= _HISTORY_BYTES_MAX
        told.append(attempt if fits else replace(attempt, response_headers=(), response_body=b""))
    return tuple(reversed(told))
