"""The rows that apply reads, by name. The fields of a type are the columns of every statement that answers it."""

from hookline.node.state_machine.sql import SPEC, Row, columns, places
from hookline.protocol.jobs import AttemptRecord


class WholeJob(Row, frozen=True):
    """All columns of a job's row."""

    seq: int
    id: str
    tenant: str
    state: int
    lane: int
    due_ms: int
    run_at_ms: int
    created_ms: int
    budget_from_ms: int
    at_most_once: int
    size: int
    timeout_ms: int
    kept_until_ms: int
    schedule: int | None
    finished_ms: int | None
    attempts: int
    attempts_before: int
    lost: int
    claim_term: int | None
    claim_deadline_ms: int | None
    claimed_ms: int | None
    claim_owner: str | None
    revision: int


class WholeJobSpec(Row, frozen=True):
    """Completes the record of a job beside its row: the spec, the destination, the id of its schedule."""

    spec: bytes
    fingerprint: bytes
    sum: int
    destination: str
    schedule_id: str | None


class KeyRow(Row, frozen=True):
    """An idempotency key, and the id of its job; ``job_id`` None: the job is gone."""

    seq: int
    fingerprint: bytes
    expires_ms: int
    job_id: str | None


class StoredKey(Row, frozen=True):
    """An idempotency key as it is stored: the values that its sum is over."""

    key: str
    tenant: str
    seq: int
    fingerprint: bytes
    expires_ms: int


class KnownJob(Row, frozen=True):
    """Tells a repeat from another job under the same id."""

    seq: int
    fingerprint: bytes


class JobBefore(Row, frozen=True):
    """A job that is about to be changed, with its spec."""

    state: int
    revision: int
    lane: int
    size: int
    id: str
    tenant: str
    spec: bytes
    fingerprint: bytes


class GrantedClaim(Row, frozen=True):
    """A job that was just claimed; ``attempts``: the number of this one."""

    tenant: str
    attempts: int


class FinishedJob(Row, frozen=True):
    """A job whose last attempt just ended."""

    tenant: str
    size: int


class RetriedJob(Row, frozen=True):
    """A job that just became pending again."""

    tenant: str
    lane: int


class CancelledJob(Row, frozen=True):
    """A job that was just cancelled."""

    tenant: str
    size: int
    was_running: int


class RedrivenJob(Row, frozen=True):
    """A finished job that was just made pending again."""

    tenant: str
    lane: int
    size: int


class OpenClaim(Row, frozen=True):
    """A claim without an outcome, and what decides about its job if it is lost. ``attempts``: its own number."""

    seq: int
    tenant: str
    attempts: int
    lane: int
    at_most_once: int
    lost: int
    size: int
    claimed_ms: int
    claim_term: int
    claim_owner: str


class PurgedJob(Row, frozen=True):
    """A job whose row was just taken out."""

    state: int
    tenant: str
    id: str


class PurgedSpec(Row, frozen=True):
    """The spec of a job that is purged."""

    spec: bytes
    fingerprint: bytes


class KnownSchedule(Row, frozen=True):
    """Tells a repeat from another schedule under the same id."""

    seq: int
    revision: int
    spec: bytes
    work: bytes


class TickingSchedule(Row, frozen=True):
    """A schedule that is about to make a job."""

    seq: int
    revision: int
    next_tick_ms: int | None
    paused: int
    skip_overlap: int
    last_job: int | None
    work: bytes


class ApiKeyRow(Row, frozen=True):
    """An API key as it is stored: the values that its sum is over."""

    id: str
    record: bytes
    used_ms: int


class AuditRow(Row, frozen=True):
    """A row of the audit log as it is stored: the values that its sum is over."""

    number: int
    note: str
    time_ms: int
    action: str
    actor: str
    record: bytes


class MovingJob(Row, frozen=True):
    """A job that is as it was read to be moved; ``kept_until_ms`` 0: it never had a key."""

    tenant: str
    id: str
    size: int
    kept_until_ms: int


class MovingSchedule(Row, frozen=True):
    """The same of a schedule; ``last_job``: the number of its newest."""

    tenant: str
    id: str
    skip_overlap: int
    last_job: int | None


COLUMNS = {
    "AttemptRecord": columns(AttemptRecord),
    "attempt_places": places(AttemptRecord),
    "KeyRow": columns(KeyRow, "k", job_id="j.id"),
    "StoredKey": columns(StoredKey),
    "KnownJob": columns(KnownJob, "s"),
    "JobBefore": columns(JobBefore, "j", **SPEC),
    "GrantedClaim": columns(GrantedClaim),
    "FinishedJob": columns(FinishedJob),
    "RetriedJob": columns(RetriedJob),
    "CancelledJob": columns(CancelledJob, was_running="claim_term IS NOT NULL"),
    "RedrivenJob": columns(RedrivenJob),
    "OpenClaim": columns(OpenClaim),
    "PurgedJob": columns(PurgedJob),
    "PurgedSpec": columns(PurgedSpec),
    "KnownSchedule": columns(KnownSchedule),
    "TickingSchedule": columns(TickingSchedule),
    "ApiKeyRow": columns(ApiKeyRow),
    "AuditRow": columns(AuditRow),
    "MovingJob": columns(MovingJob),
    "MovingSchedule": columns(MovingSchedule),
}
"""The columns that stand for each type in the statements."""
