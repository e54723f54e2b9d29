"""Reads for a leader from the committed state, to dispatch and for its duties. Every query is bounded."""

from array import array
from collections.abc import Iterable
from typing import Any, NamedTuple

import apsw

from hookline.node.state_machine import sql
from hookline.node.state_machine.contents import check_row
from hookline.protocol.claims import ClaimRef
from hookline.protocol.due_ticks import DueSchedule
from hookline.protocol.jobs import JobSpec, decode_spec
from hookline.protocol.settings import DestinationSettings, ScheduleSpec, decode_destination, decode_schedule


class ClaimedRow(sql.Row, frozen=True):
    """A job that was claimed, as it is stored."""

    seq: int
    tenant: str
    id: str
    lane: int
    created_ms: int
    run_at_ms: int
    attempts_before: int
    budget_from_ms: int
    spec: bytes
    fingerprint: bytes
    sum: int


class ClaimedJob(NamedTuple):
    """The part of a job that its attempt needs, and so does the decision after it."""

    id: str
    run_at_ms: int
    attempts_before: int
    budget_from_ms: int
    lane: int
    spec: JobSpec
    created_ms: int = 0


class ActiveSchedule(NamedTuple):
    """A schedule that is not paused; ``next_tick_ms`` None: it has no more ticks."""

    seq: int
    revision: int
    spec: ScheduleSpec
    next_tick_ms: int | None


class NamedJob(sql.Row, frozen=True):
    """A job, and whom it calls."""

    seq: int
    id: str
    tenant: str
    destination: str


class ConfiguredRow(sql.Row, frozen=True):
    """A destination as it is stored."""

    id: int
    settings: bytes | None


class Configured(NamedTuple):
    """A destination with what is set for it."""

    number: int
    settings: DestinationSettings


STATEMENTS = sql.load(
    "leader_reads.sql",
    {
        "ClaimedRow": sql.columns(ClaimedRow, "j", **sql.SPEC),
        "ClaimRef": sql.columns(ClaimRef, attempt="attempts"),
        "NamedJob": sql.columns(NamedJob, "j", destination="d.name"),
        "DueSchedule": sql.columns(DueSchedule),
        "ActiveSchedule": sql.columns(ActiveSchedule),
        "ConfiguredRow": sql.columns(ConfiguredRow),
    },
)


class LeaderReads:
    """Reads on the node's reading connection."""

    def __init__(self, reader: apsw.Connection) -> None:
        self._cursor = reader.cursor()

    def _rows(self, name: str, *values: object) -> list[tuple[Any, ...]]:
        return self._cursor.execute(STATEMENTS[name], values).fetchall()

    def _number(self, name: str, *values: object) -> int | None:
        ((number,),) = self._rows(name, *values)
        return number if isinstance(number, int) else None

    def lanes(self) -> list[int]:
        """All lanes with a pending job."""
        return [lane for (lane,) in self._rows("lanes")]

    def lane_rows(self, lane: int, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
        """The (due_ms, seq) that follow ``after`` in a lane."""
        return [(due_ms, seq) for due_ms, seq in self._rows("lane_rows", lane, *after, limit)]

    def claimed(self, seqs: Iterable[int]) -> dict[int, ClaimedJob]:
        """Jobs that were just claimed, by their number. Raises StateDamaged when a spec is not as it was written."""
        numbers = array("q", seqs)
        if not numbers:  # an empty array has no address that SQLite would take
            return {}
        found = {}
        for row in self._rows("claimed", apsw.carray(numbers)):
            job = ClaimedRow(*row)
            check_row(job.seq, job.tenant, job.id, job.spec, job.fingerprint, job.sum)
            spec = decode_spec(job.spec)
            figures = (job.run_at_ms, job.attempts_before, job.budget_from_ms, job.lane)
            found[job.seq] = ClaimedJob(job.id, *figures, spec, job.created_ms)
        return found

    def open_claims(self, seqs: Iterable[int]) -> set[ClaimRef]:
        """Of these jobs the claims that are open."""
        numbers = array("q", seqs)
        return {ClaimRef(*row) for row in self._rows("open_claims", apsw.carray(numbers))} if numbers else set()

    def claims_of(self, owner: str, before_term: int) -> list[tuple[ClaimRef, int]]:
        """The open claims that a process has of terms before this one, each with its term."""
        rows = self._rows("claims_of", owner, before_term)
        return [(ClaimRef(seq, attempt), term) for seq, attempt, term in rows]

    def claim_owners(self) -> list[str]:
        """The processes that have open claims."""
        return [owner for (owner,) in self._rows("claim_owners")]

    def named(self, seqs: Iterable[int]) -> dict[int, NamedJob]:
        """Jobs by their number."""
        numbers = array("q", seqs)
        if not numbers:
            return {}
        jobs = [NamedJob(*row) for row in self._rows("named", apsw.carray(numbers))]
        return {job.seq: job for job in jobs}

    def due_schedules(self, now_ms: int, limit: int) -> list[DueSchedule]:
        """Schedules whose next tick is not after ``now_ms``, earliest first."""
        rows = [DueSchedule(*row) for row in self._rows("due_schedules", now_ms, limit)]
        return [row._replace(spec=decode_schedule(row.spec)) for row in rows]  # type: ignore[arg-type] # still bytes

    def active_schedules(self, after: int, limit: int) -> list[ActiveSchedule]:
        """Schedules that are not paused, by number, those after ``after``."""
        rows = [ActiveSchedule(*row) for row in self._rows("active_schedules", after, limit)]
        return [row._replace(spec=decode_schedule(row.spec)) for row in rows]  # type: ignore[arg-type] # still bytes

    def next_tick_ms(self) -> int | None:
        """The earliest tick of all schedules."""
        return self._number("next_tick")

    def oldest_finished_ms(self, *, dead: bool) -> int | None:
        """The time at which the first job finished, of the dead ones or of all others."""
        return self._number("oldest_finished", int(dead))

    def oldest_key_ms(self) -> int | None:
        """The time at which the first idempotency key expires."""
        return self._number("oldest_key")

    def oldest_audit_ms(self) -> int | None:
        """The time of the oldest row of the audit log."""
        return self._number("oldest_audit")

    def audit_rows(self) -> int:
        """How many rows the audit log has: their numbers have no gap."""
        return self._number("audit_rows") or 0

    def destinations(self) -> list[Configured]:
        """The destinations that have settings."""
        return [_configured(row) for row in self._rows("destinations")]

    def destination(self, number: int) -> Configured | None:
        """One destination."""
        rows = self._rows("destination", number)
        return _configured(rows[0]) if rows else None

    def destination_number(self, tenant: str, name: str) -> int | None:
        """The number that the lanes of a tenant's destination have; None: nobody named it yet."""
        rows = self._rows("destination_number", tenant, name)
        return rows[0][0] if rows else None

    def first_claim_to_end_ms(self, term: int, owner: str) -> int | None:
        """The earliest deadline of the open claims but those that ``owner`` has of ``term``."""
        ((deadline_ms,),) = self._rows("first_claim_to_end", term, owner)
        return deadline_ms if isinstance(deadline_ms, int) else None


def _configured(row: tuple[Any, ...]) -> Configured:
    stored = ConfiguredRow(*row)
    return Configured(stored.id, decode_destination(stored.settings))
