"""Applying the commands that change schedules and make their jobs."""

import msgspec

from hookline.node.state_machine.apply_jobs import insert_job
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.sums import SCHEDULES, row_sum
from hookline.node.state_machine.tables import Row, Tables
from hookline.protocol.commands import (
    NO_TICK,
    Changed,
    Created,
    CreateJob,
    DeleteSchedule,
    PutSchedule,
    RecordTicks,
    Refused,
    Result,
    RunSchedule,
)
from hookline.protocol.jobs import State

_OPEN = (State.PENDING, State.RUNNING)


def put_schedule(tables: Tables, effects: Effects, time_ms: int, command: PutSchedule) -> Result:
    """Create a schedule, or replace one that is still at the revision the caller read."""
    effects.schedules_changed = True
    known = tables.row("schedule_by_id", command.id)
    labels = msgspec.msgpack.encode(command.job_labels)
    values = (
        command.spec,
        command.job_spec,
        command.job_destination,
        command.job_priority,
        command.job_at_most_once,
        command.job_size,
        command.job_timeout_ms,
        labels,
        command.next_tick_ms,
        command.skip_overlap,
        command.paused,
    )
    if known is None:
        if command.revision != 0:
            return Refused("schedule_not_found")
        row = tables.row("insert_schedule", command.id, *values, time_ms)
        assert row is not None
        tables.summed_row(SCHEDULES, "schedule_row", row[0], 1)
        return Created(row[0], command.id, deduplicated=False)
    seq, revision, spec, job_spec = known
    if command.revision == 0:
        same = (spec, job_spec) == (command.spec, command.job_spec)
        return Created(seq, command.id, deduplicated=True) if same else Refused("schedule_exists")
    if command.revision != revision:
        return Refused("conflict")
    tables.summed_row(SCHEDULES, "schedule_row", seq, -1)
    tables.run("update_schedule", seq, *values)
    tables.summed_row(SCHEDULES, "schedule_row", seq, 1)
    return Changed(1)


def delete_schedule(tables: Tables, effects: Effects, command: DeleteSchedule) -> Result:
    """Remove a schedule."""
    effects.schedules_changed = True
    row = tables.row("delete_schedule", command.id)
    if row is None:
        return Refused("schedule_not_found")
    tables.summed(SCHEDULES, -row_sum(*row))
    return Changed(1)


def record_ticks(tables: Tables, effects: Effects, time_ms: int, command: RecordTicks) -> Result:
    """Make the jobs of the ticks, once: a schedule that moved on, changed or was paused meanwhile is left alone."""
    effects.schedules_changed = True
    row = tables.row("schedule_for_ticks", command.schedule)
    if row is None:
        return Refused("schedule_not_found")
    _, revision, next_tick_ms, paused, skip_overlap, *_, last_job = row
    if (
        revision != command.revision
        or (NO_TICK if next_tick_ms is None else next_tick_ms) != command.expected_ms
        or paused
    ):
        return Refused("conflict")
    made, skipped = 0, command.skipped
    for _instant_ms, run_at_ms, job_id in command.ticks:
        if tables.row("job_by_id", job_id) is not None:
            continue  # the tick was made before the wall clock went back, or someone chose its id: it has its job
        if skip_overlap and _is_open(tables, last_job):
            skipped += 1
            continue
        last_job = _make_job(tables, effects, time_ms, row, command.schedule, job_id, run_at_ms)
        made += 1
    last_tick_ms = command.ticks[-1][0] if command.ticks else None
    _move(tables, command.schedule, command.next_tick_ms, last_tick_ms, last_job, made, skipped)
    return Changed(made)


def _move(tables: Tables, schedule: int, *values: object) -> None:
    tables.summed_row(SCHEDULES, "schedule_row", schedule, -1)
    tables.run("move_schedule", schedule, *values)
    tables.summed_row(SCHEDULES, "schedule_row", schedule, 1)


def run_schedule(tables: Tables, effects: Effects, time_ms: int, command: RunSchedule) -> Result:
    """Make one job now; the ticks go on as they were."""
    known = tables.row("schedule_by_id", command.id)
    if known is None:
        return Refused("schedule_not_found")
    row = tables.row("schedule_for_ticks", known[0])
    assert row is not None
    seq = _make_job(tables, effects, time_ms, row, known[0], command.job_id, command.due_ms)
    _move(tables, known[0], row[2], None, seq, 1, 0)
    return Created(seq, command.job_id, deduplicated=False)


def _is_open(tables: Tables, job: int | None) -> bool:
    state = tables.row("state_of", job) if job is not None else None
    return state is not None and state[0] in _OPEN


def _make_job(
    tables: Tables, effects: Effects, time_ms: int, schedule: Row, schedule_seq: int, job_id: str, due_ms: int
) -> int:
    _, _, _, _, _, spec, destination, priority, at_most_once, size, timeout_ms, labels, _ = schedule
    command = CreateJob(
        id=job_id,
        due_ms=due_ms,
        destination=destination,
        priority=priority,
        at_most_once=bool(at_most_once),
        size=size,
        spec=spec,
        timeout_ms=timeout_ms,
        labels=msgspec.msgpack.decode(labels, type=tuple[str, ...]),
    )
    return insert_job(tables, effects, time_ms, command, schedule=schedule_seq)
