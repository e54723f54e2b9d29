"""Applying the commands that change schedules and make their jobs."""

from hookline.node.state_machine.apply_elsewhere import refusal_of
from hookline.node.state_machine.apply_jobs import insert_job
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.rows import KnownJob, KnownSchedule, TickingSchedule
from hookline.node.state_machine.sums import SCHEDULES, row_sum
from hookline.node.state_machine.tables import Tables
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
from hookline.protocol.jobs import State, decode_work, encode_work
from hookline.protocol.moves import SCHEDULE

_OPEN = (State.PENDING, State.RUNNING)


def put_schedule(tables: Tables, effects: Effects, time_ms: int, command: PutSchedule) -> Result:
    """Create a schedule, or replace one that is still at the revision the caller read."""
    effects.schedules_changed = True
    tenant, work = command.work.tenant, encode_work(command.work)
    known = tables.row(KnownSchedule, "schedule_by_id", tenant, command.id)
    values = (command.spec, work, command.next_tick_ms, command.skip_overlap, command.paused)
    if known is None:
        if command.revision != 0:
            return Refused("schedule_not_found")
        if (refused := refusal_of(tables, tenant, SCHEDULE, command.id, time_ms)) is not None:
            return refused
        seq: int = tables.value("insert_schedule", tenant, command.id, *values, time_ms)
        tables.summed_row(SCHEDULES, "schedule_row", seq, 1)
        return Created(seq, command.id, deduplicated=False)
    if command.revision == 0:
        same = (known.spec, known.work) == (command.spec, work)
        return Created(known.seq, command.id, deduplicated=True) if same else Refused("schedule_exists")
    if command.revision != known.revision:
        return Refused("conflict")
    tables.summed_row(SCHEDULES, "schedule_row", known.seq, -1)
    tables.run("update_schedule", known.seq, *values)
    tables.summed_row(SCHEDULES, "schedule_row", known.seq, 1)
    return Changed(1)


def delete_schedule(tables: Tables, effects: Effects, command: DeleteSchedule) -> Result:
    """Remove a schedule."""
    effects.schedules_changed = True
    for row in tables.rows("delete_schedule", command.tenant, command.id):
        tables.summed(SCHEDULES, -row_sum(*row))
        return Changed(1)
    return Refused("schedule_not_found")


def record_ticks(tables: Tables, effects: Effects, time_ms: int, command: RecordTicks) -> Result:
    """Make the jobs of the ticks, once: a schedule that moved on, changed or was paused meanwhile is left alone."""
    effects.schedules_changed = True
    schedule = tables.row(TickingSchedule, "schedule_for_ticks", command.schedule)
    if schedule is None:
        return Refused("schedule_not_found")
    next_tick_ms = NO_TICK if schedule.next_tick_ms is None else schedule.next_tick_ms
    if schedule.revision != command.revision or next_tick_ms != command.expected_ms or schedule.paused:
        return Refused("conflict")
    work = decode_work(schedule.work)
    made, skipped, last_job = 0, command.skipped, schedule.last_job
    for _instant_ms, run_at_ms, job_id in command.ticks:
        if tables.row(KnownJob, "job_by_id", job_id, work.tenant) is not None:
            continue  # the tick was made before the wall clock went back, or someone chose its id: it has its job
        if schedule.skip_overlap and is_open(tables, last_job):
            skipped += 1
            continue
        last_job = insert_job(tables, effects, time_ms, CreateJob(job_id, run_at_ms, work), schedule=schedule.seq)
        made += 1
    last_tick_ms = command.ticks[-1][0] if command.ticks else None
    _move(tables, schedule.seq, command.next_tick_ms, last_tick_ms, last_job, made, skipped)
    return Changed(made)


def _move(tables: Tables, schedule: int, *values: object) -> None:
    tables.summed_row(SCHEDULES, "schedule_row", schedule, -1)
    tables.run("move_schedule", schedule, *values)
    tables.summed_row(SCHEDULES, "schedule_row", schedule, 1)


def run_schedule(tables: Tables, effects: Effects, time_ms: int, command: RunSchedule) -> Result:
    """Make one job now; the ticks go on as they were."""
    known = tables.row(KnownSchedule, "schedule_by_id", command.tenant, command.id)
    schedule = None if known is None else tables.row(TickingSchedule, "schedule_for_ticks", known.seq)
    if schedule is None:
        return Refused("schedule_not_found")
    new = CreateJob(command.job_id, command.due_ms, decode_work(schedule.work))
    job = insert_job(tables, effects, time_ms, new, schedule=schedule.seq)
    _move(tables, schedule.seq, schedule.next_tick_ms, None, job, 1, 0)
    return Created(job, command.job_id, deduplicated=False)


def is_open(tables: Tables, job: int | None) -> bool:
    """Is the job of that number there, and not finished?"""
    return job is not None and tables.value("state_of", job) in _OPEN
