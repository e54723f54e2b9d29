"""The log of a run, applied once more to an empty database: what was granted, recorded and made, in log order."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol import commands as c
from hookline.protocol.codec import Entry
from hookline.protocol.jobs import State, decode_spec
from hookline.protocol.moves import Batch, decode_batch
from hookline.protocol.settings import ScheduleSpec, decode_destination, decode_schedule
from tests.simulation.history import NEVER, History

_TABLES = (
    "meta",
    "counters",
    "destinations",
    "jobs",
    "specs",
    "labels",
    "attempts",
    "idempotency_keys",
    "schedules",
    "tenants",
    "elsewhere",
    "arrivals",
    "departures",
)


@dataclass(frozen=True, slots=True)
class Grant:
    """A claim that was committed."""

    at: int
    time_ms: int
    term: int
    job: str
    seq: int
    attempt: int
    due_ms: int
    destination: str
    is_paused: bool
    ends_ms: int
    owner: str


@dataclass(slots=True)
class CalendarChange:
    """A schedule was put or deleted (spec None), at a place in the log."""

    at: int
    time_ms: int
    spec: ScheduleSpec | None
    is_paused: bool


@dataclass(slots=True)
class Replay:
    """Filled by ``replay``."""

    digest: bytes = b""
    tables: dict[str, list[Any]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    grants: dict[tuple[str, int], Grant] = field(default_factory=dict)
    outcomes: dict[tuple[str, int], tuple[int, c.RecordOutcome]] = field(default_factory=dict)
    given_up: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)  # claims lost: when, at which time
    lost: list[tuple[int, int]] = field(default_factory=list)  # (when, claims that a new term found open)
    calendars: dict[str, list[CalendarChange]] = field(default_factory=dict)
    schedule_numbers: dict[str, int] = field(default_factory=dict)
    came: set[str] = field(default_factory=set)  # jobs that came from other clusters


def dump(path: Path) -> dict[str, list[Any]]:
    """All rows of a state file."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in _TABLES}
    finally:
        connection.close()


def replay(history: History, directory: Path) -> Replay:
    """Apply the log to a new database in ``directory``."""
    path = directory / "replay.db"
    database = open_state(path, durable=False)
    database.writer.execute("BEGIN")  # one transaction for all: this is a check, not a node
    machine = StateMachine(database)
    found = Replay()
    follower = _Follower(database.writer, found)
    for at, entry in history.entries:
        is_overruled = entry.index >= history.overruled.get(entry.term, NEVER)
        results, _ = machine.apply(entry, is_overruled=is_overruled)
        for command, result in zip(entry.commands, results, strict=True):
            follower.follow(at, entry, command, result)
    found.digest = machine.digest
    database.commit()
    names = [column[1] for column in database.writer.execute("PRAGMA table_info(jobs)")]
    found.jobs = {row[1]: dict(zip(names, row, strict=True)) for row in database.writer.execute("SELECT * FROM jobs")}
    database.close()
    found.tables = dump(path)
    return found


class _Follower:
    """Notes what each command came to. It reads the state only to give numbers their names."""

    def __init__(self, connection: apsw.Connection, found: Replay) -> None:
        self._connection = connection
        self._found = found
        self._paused: set[tuple[str, str]] = set()  # tenants and their destinations
        self._names: dict[int, str] = {}
        self._arriving: dict[str, Batch] = {}  # by source

    def follow(self, at: int, entry: Entry, command: c.AnyCommand, result: c.Result) -> None:
        found = self._found
        match command, result:
            case c.ClaimJobs(), c.Claimed(granted):
                due = dict(command.claims)
                for seq, attempt in granted:
                    self._grant(at, entry, seq, attempt, due[seq], command)
            case c.RecordOutcome(), c.Changed(1):
                found.outcomes.setdefault((self._job(command.seq), command.attempt), (at, command))
            case c.BeginTerm() | c.ExpireClaims() | c.LoseClaims(), c.Changed(count):
                if isinstance(command, c.BeginTerm):
                    found.lost.append((at, count))
                self._note_lost(at, entry.time_ms)
            case c.PutDestination(), _:
                is_paused = decode_destination(command.settings).paused
                (self._paused.add if is_paused else self._paused.discard)((command.tenant, command.name))
            case c.PutSchedule(), c.Created(deduplicated=False) | c.Changed():
                if isinstance(result, c.Created):
                    found.schedule_numbers[command.id] = result.seq
                change = CalendarChange(at, entry.time_ms, decode_schedule(command.spec), command.paused)
                found.calendars.setdefault(command.id, []).append(change)
            case c.DeleteSchedule(), c.Changed():
                found.calendars[command.id].append(CalendarChange(at, entry.time_ms, None, True))
            case _:
                self._follow_move(at, entry, command, result)

    def _follow_move(self, at: int, entry: Entry, command: c.AnyCommand, result: c.Result) -> None:
        match command, result:
            case c.TakeBatch(), c.Changed(1):
                self._arriving[command.source] = decode_batch(command.batch)
            case c.ActivateBatch(), c.Changed(count) if count:
                self._note_arrival(at, entry, command)

    def _note_arrival(self, at: int, entry: Entry, command: c.ActivateBatch) -> None:
        batch, found = self._arriving[command.source], self._found
        found.came |= {batch.jobs[position].id for position in command.jobs}
        for record in (batch.schedules[position] for position in command.schedules):
            change = CalendarChange(at, entry.time_ms, decode_schedule(record.spec), record.paused)
            found.calendars.setdefault(record.id, []).append(change)

    def _grant(self, at: int, entry: Entry, seq: int, attempt: int, due_ms: int, command: c.ClaimJobs) -> None:
        job = self._job(seq)
        found: list[tuple[Any, ...]] = self._connection.execute(
            "SELECT d.tenant, d.name, s.spec FROM jobs j JOIN destinations d ON d.id = j.lane >> 9"
            " JOIN specs s ON s.seq = j.seq WHERE j.seq = ?",
            (seq,),
        ).fetchall()
        ((tenant, destination, spec),) = found
        ends_ms = command.begun_by_ms + decode_spec(spec).timeout_ms
        is_paused = (tenant, destination) in self._paused
        self._found.grants[job, attempt] = Grant(
            at, entry.time_ms, entry.term, job, seq, attempt, due_ms, destination, is_paused, ends_ms, command.owner
        )

    def _note_lost(self, at: int, time_ms: int) -> None:
        """An attempt that no node made is the record of a claim that was given up."""
        given_up: list[tuple[Any, ...]] = self._connection.execute(
            "SELECT seq, number FROM attempts WHERE node = ''"
        ).fetchall()
        for seq, attempt in given_up:
            self._found.given_up.setdefault((self._job(seq), attempt), (at, time_ms))

    def _job(self, seq: int) -> str:
        if seq not in self._names:
            found: list[tuple[Any, ...]] = self._connection.execute(
                "SELECT id FROM jobs WHERE seq = ?", (seq,)
            ).fetchall()
            ((self._names[seq],),) = found
        return self._names[seq]


FINISHED_STATES = (State.SUCCEEDED, State.DEAD, State.CANCELLED, State.UNKNOWN)
