"""Rows of the API's reads, by name: jobs, attempts, schedules and destinations."""

from collections.abc import Callable

import msgspec

from hookline.node.state_machine import sql
from hookline.node.state_machine.contents import check_row
from hookline.node.state_machine.matching import Match
from hookline.node.state_machine.rows import AuditRow
from hookline.protocol.jobs import PAYLOAD_REMOVED, AttemptRecord, JobSpec, State, Work, decode_spec, decode_work
from hookline.protocol.settings import DELETED, DestinationSettings, ScheduleSpec, decode_destination, decode_schedule


class LastAttemptRow(sql.Row, frozen=True):
    """The newest attempt of a job, in short."""

    number: int
    outcome: int
    status: int | None
    error: str | None
    started_ms: int
    duration_ms: int | None


class StoredJob(sql.Row, frozen=True):
    """A job as it is stored; after its columns come those of its last attempt."""

    seq: int
    id: str
    tenant: str
    state: int
    due_ms: int
    run_at_ms: int
    created_ms: int
    finished_ms: int | None
    attempts: int
    size: int
    revision: int
    schedule: str | None
    spec: bytes
    fingerprint: bytes
    sum: int


class JobRow(msgspec.Struct, frozen=True):
    """A job with its spec."""

    seq: int
    id: str
    tenant: str
    state: State
    due_ms: int
    run_at_ms: int
    created_ms: int
    finished_ms: int | None
    attempts: int
    size: int
    revision: int
    schedule: str | None
    spec: JobSpec
    last_attempt: LastAttemptRow | None

    @property
    def is_payload_removed(self) -> bool:
        """Its payload was deleted; it is never sent again."""
        return self.size == PAYLOAD_REMOVED


class ScheduleRow(msgspec.Struct, frozen=True):
    """A schedule with its job; read from columns of the same names. ``work``: as it is stored."""

    seq: int
    tenant: str
    id: str
    revision: int
    spec: ScheduleSpec
    job_spec: JobSpec
    work: Work
    next_tick_ms: int | None
    paused: bool
    created_ms: int
    last_tick_ms: int | None
    last_job: str | None
    made: int
    skipped: int


class StoredDestination(sql.Row, frozen=True):
    """A destination as it is stored."""

    id: int
    tenant: str
    name: str
    settings: bytes | None


class DestinationRow(msgspec.Struct, frozen=True):
    """A destination that a job or a setting named."""

    number: int
    tenant: str
    name: str
    settings: DestinationSettings
    is_deleted: bool = False


class Accepted(sql.Row, frozen=True):
    """When a job or a schedule was accepted."""

    seq: int
    created_ms: int


class Found(msgspec.Struct, frozen=True):
    """Matches, newest first; the next ones have a seq below ``next_before`` (None: there are no more).

    ``searched_ms``: it stopped there before the page was full, at a job of that time.
    """

    matches: list[Match]
    next_before: int | None
    searched_ms: int | None = None


COLUMNS = {
    "StoredJob": sql.columns(StoredJob, "j", schedule="c.id", **sql.SPEC),
    "LastAttemptRow": sql.columns(LastAttemptRow, "a"),
    "AttemptRecord": sql.columns(AttemptRecord),
    "Match": sql.columns(Match, "j"),
    "ScheduleRow": sql.columns(ScheduleRow, "c", job_spec="c.work", last_job="j.id"),
    "StoredDestination": sql.columns(StoredDestination, "d"),
    "Accepted": sql.columns(Accepted),
    "AuditRow": sql.columns(AuditRow),
}
"""The columns that stand for each type in the statements."""

_JOB_COLUMNS = len(StoredJob.__struct_fields__)


def parted(row: sql.Values) -> tuple[StoredJob, LastAttemptRow | None]:
    """A row of a job, and that of its last attempt, which follows it."""
    last = row[_JOB_COLUMNS:]
    return StoredJob(*row[:_JOB_COLUMNS]), None if last[0] is None else LastAttemptRow(*last)


def job_row(job: StoredJob, last: LastAttemptRow | None, opened: Callable[[JobSpec], JobSpec]) -> JobRow:
    """The job. Raises StateDamaged when its spec is not as it was written."""
    check_row(job.seq, job.tenant, job.id, job.spec, job.fingerprint, job.sum)
    return JobRow(
        seq=job.seq,
        id=job.id,
        tenant=job.tenant,
        state=State(job.state),
        due_ms=job.due_ms,
        run_at_ms=job.run_at_ms,
        created_ms=job.created_ms,
        finished_ms=job.finished_ms,
        attempts=job.attempts,
        size=job.size,
        revision=job.revision,
        schedule=job.schedule,
        spec=opened(decode_spec(job.spec)),
        last_attempt=last,
    )


def schedule_row(row: sql.Values, opened: Callable[[JobSpec], JobSpec]) -> ScheduleRow:
    """The schedule that a row stands for."""
    stored = dict(zip(ScheduleRow.__struct_fields__, row, strict=True))
    stored["spec"] = decode_schedule(stored["spec"])
    stored["work"] = decode_work(stored["work"])
    stored["job_spec"] = opened(decode_spec(stored["work"].spec))
    stored["paused"] = bool(stored["paused"])
    return ScheduleRow(**stored)


def destination_row(row: sql.Values) -> DestinationRow:
    """The destination that a row stands for."""
    stored = StoredDestination(*row)
    settings = decode_destination(stored.settings)
    return DestinationRow(stored.id, stored.tenant, stored.name, settings, stored.settings == DELETED)
