"""Whole jobs: how one is put into a state, new or from another state, and how one is read out of it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import apsw
import msgspec
from msgspec.structs import astuple

from hookline.node.state_machine import sql
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.rows import WholeJob, WholeJobSpec
from hookline.node.state_machine.sums import ATTEMPTS, JOBS, KEYS, LABELS, job_sum, row_sum
from hookline.node.state_machine.tables import Tables
from hookline.protocol.jobs import (
    AttemptRecord,
    ClaimRecord,
    JobRecord,
    KeyRecord,
    State,
    Work,
    decode_spec,
    label_texts,
    lane_of,
    lane_parts,
)

_STATEMENTS = sql.load(
    "records.sql",
    {
        "WholeJob": sql.columns(WholeJob, "j"),
        "WholeJobSpec": sql.columns(WholeJobSpec, destination="d.name", schedule_id="c.id", **sql.SPEC),
        "KeyRecord": sql.columns(KeyRecord),
        "AttemptRecord": sql.columns(AttemptRecord),
    },
)
_JOB_COLUMNS = len(WholeJob.__struct_fields__)
_Pairs = tuple[tuple[str, str], ...]


class FoundRecord(NamedTuple):
    """A job as it was read; ``is_sound``: what it is to send is what was written."""

    record: JobRecord
    is_sound: bool


def insert_new(
    tables: Tables,
    seq: int,
    work: Work,
    *,
    job_id: str,
    due_ms: int,
    created_ms: int,
    fingerprint: bytes,
    kept_until_ms: int,
    schedule: int | None,
) -> int:
    """Put a new job, which is pending, into all tables but those of keys and attempts; returns its lane."""
    tenant, size = work.tenant, work.size
    lane = lane_of(tables.destination_id(tenant, work.destination), work.priority, retry=False)
    figures = (work.at_most_once, size, work.timeout_ms, kept_until_ms, schedule)
    tables.run("insert_job", seq, job_id, tenant, lane, due_ms, created_ms, *figures)
    total = job_sum(seq, tenant, job_id, work.spec, fingerprint)
    tables.run("insert_spec", seq, work.spec, fingerprint, total)
    tables.summed(JOBS, total)
    for label in work.labels:
        tables.count(LABELS, "insert_label", tenant, label, seq)
    tables.moved(tenant, None, State.PENDING, size)
    return lane


def insert_attempt(tables: Tables, seq: int, *values: object, headers: _Pairs = (), body: bytes = b"") -> None:
    """Keep an attempt, unless one of its number is there. ``values``: as in ``AttemptRecord``, up to its term."""
    encoded = msgspec.msgpack.encode(headers) if headers else None
    tables.count(ATTEMPTS, "insert_attempt", seq, *values, encoded, body or None)


def insert_key(tables: Tables, tenant: str, seq: int, key: KeyRecord) -> None:
    """Name a job by a key that names none."""
    values = (key.key, tenant, seq, key.fingerprint, key.expires_ms)
    tables.run("put_key", *values)
    tables.summed(KEYS, row_sum(*values))


def insert_record(tables: Tables, effects: Effects, seq: int, record: JobRecord) -> None:
    """Put a whole job into a state that knows neither its id nor its keys, under a number that is free."""
    work, claim = record.work, record.claim
    insert_new(
        tables,
        seq,
        work,
        job_id=record.id,
        due_ms=record.due_ms,
        created_ms=record.created_ms,
        fingerprint=record.fingerprint,
        kept_until_ms=record.kept_until_ms,
        schedule=_schedule_number(tables, record),
    )
    held = (None, None, None) if claim is None else (claim.term, claim.deadline_ms, claim.owner)
    times = (record.run_at_ms, record.budget_from_ms, record.finished_ms, record.claimed_ms)
    counts = (record.attempts, record.attempts_before, record.lost, record.revision)
    lane: int = tables.value("restore_job", seq, record.state, record.is_retry, *times, *counts, *held)
    tables.moved(work.tenant, State.PENDING, State(record.state), work.size)
    for key in record.keys:
        insert_key(tables, work.tenant, seq, key)
    for attempt in record.history:
        *values, headers, body = astuple(attempt)
        insert_attempt(tables, seq, *values, headers=headers, body=body)
    if record.state == State.PENDING:
        effects.due.append((lane, record.due_ms, seq))


def _schedule_number(tables: Tables, record: JobRecord) -> int | None:
    if record.schedule is None:
        return None
    number: int | None = tables.value("schedule_number", record.work.tenant, record.schedule)
    return number


def read_record(connection: apsw.Connection, seq: int, *, with_history: bool = True) -> FoundRecord | None:
    """The job of that number; without its attempts where they do not matter. None: there is none."""
    for row in _rows(connection, "whole_job", seq):
        job, rest = WholeJob(*row[:_JOB_COLUMNS]), WholeJobSpec(*row[_JOB_COLUMNS:])
        # Nothing is looked for that cannot be there: of most jobs that move there is neither.
        keys = tuple(KeyRecord(*key) for key in _rows(connection, "keys_of", seq)) if job.kept_until_ms else ()
        has_history = with_history and job.attempts
        history = tuple(map(attempt_of, _rows(connection, "history", seq))) if has_history else ()
        is_sound = rest.sum == job_sum(seq, job.tenant, job.id, rest.spec, rest.fingerprint)
        return FoundRecord(_record(job, rest, keys, history), is_sound)
    return None


def _rows(connection: apsw.Connection, name: str, *values: object) -> list[tuple[Any, ...]]:
    return connection.execute(_STATEMENTS[name], values).fetchall()


def _record(
    job: WholeJob, rest: WholeJobSpec, keys: tuple[KeyRecord, ...], history: tuple[AttemptRecord, ...]
) -> JobRecord:
    _, priority, is_retry = lane_parts(job.lane)
    claim = None
    if job.claim_term is not None and job.claim_deadline_ms is not None and job.claim_owner is not None:
        claim = ClaimRecord(job.claim_term, job.claim_deadline_ms, job.claim_owner)
    return JobRecord(
        id=job.id,
        work=Work(
            tenant=job.tenant,
            destination=rest.destination,
            priority=priority,
            at_most_once=bool(job.at_most_once),
            size=job.size,
            timeout_ms=job.timeout_ms,
            labels=tuple(label_texts(decode_spec(rest.spec).labels)),
            spec=rest.spec,
        ),
        state=job.state,
        due_ms=job.due_ms,
        run_at_ms=job.run_at_ms,
        created_ms=job.created_ms,
        budget_from_ms=job.budget_from_ms,
        finished_ms=job.finished_ms,
        is_retry=is_retry,
        attempts=job.attempts,
        attempts_before=job.attempts_before,
        lost=job.lost,
        claimed_ms=job.claimed_ms,
        claim=claim,
        revision=job.revision,
        fingerprint=rest.fingerprint,
        kept_until_ms=job.kept_until_ms,
        keys=keys,
        schedule=rest.schedule_id,
        history=history,
    )


def attempt_of(row: tuple[Any, ...]) -> AttemptRecord:
    """The attempt that a row stands for."""
    stored = dict(zip(AttemptRecord.__struct_fields__, row, strict=True))
    headers = stored["response_headers"]
    stored["response_headers"] = msgspec.msgpack.decode(headers, type=_Pairs) if headers else ()
    stored["response_body"] = stored["response_body"] or b""
    return AttemptRecord(**stored)


def open_jobs(connection: apsw.Connection) -> Iterator[FoundRecord]:
    """The jobs that are not finished, oldest first, without their attempts."""
    for (seq,) in connection.execute(_STATEMENTS["open_jobs"]):
        found = read_record(connection, seq, with_history=False)
        if found is not None:
            yield found
