"""Applying the commands that move jobs and schedules between clusters; ``docs/explanation/moving.md`` has the steps."""

from msgspec.structs import astuple

from hookline.errors import BatchUnknown, Misdirected
from hookline.node.state_machine.apply_deletes import forget
from hookline.node.state_machine.apply_schedules import is_open
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.records import insert_record
from hookline.node.state_machine.rows import KnownJob, KnownSchedule, MovingJob, MovingSchedule, StoredKey
from hookline.node.state_machine.sums import ELSEWHERE, KEYS, SCHEDULES, row_sum
from hookline.node.state_machine.tables import Tables
from hookline.protocol.commands import (
    ActivateBatch,
    Changed,
    EndDeparture,
    EndMove,
    ForgetPointer,
    GiveAway,
    GivenAway,
    JobGuard,
    PurgeElsewhere,
    Refused,
    Result,
    ScheduleGuard,
    TakeBatch,
)
from hookline.protocol.jobs import JobRecord
from hookline.protocol.moves import (
    JOB,
    KEY,
    SCHEDULE,
    Departure,
    Pointer,
    ScheduleRecord,
    decode_batch,
    decode_departure,
    encode_departure,
)

_WHILE_IT_CHANGES = 0


def take_batch(tables: Tables, command: TakeBatch) -> Result:
    """Keep it, inert; one that counts already is not kept again."""
    kept = tables.arrivals.get(command.source)
    if kept is not None and command.number <= kept.counted:
        return Changed(0)
    tables.keep_arrival(command.source, command.number, command.batch)
    return Changed(1)


def give_away(tables: Tables, time_ms: int, command: GiveAway) -> Result:
    """Take them out, and note where they are. A batch goes after the one before has come to count."""
    before = tables.departure(command.shard)
    if before is not None and (before.departure is not None or command.number <= before.number):
        return Refused(Misdirected.code)
    jobs = tuple(at for at, guard in enumerate(command.jobs) if _give_away_job(tables, command.shard, guard))
    schedules = tuple(
        at for at, guard in enumerate(command.schedules) if _give_away_schedule(tables, command.shard, guard)
    )
    departure = encode_departure(Departure(command.number, command.batch, jobs, schedules, time_ms))
    tables.keep_departure(command.shard, command.number, departure, jobs=len(jobs), schedules=len(schedules))
    return GivenAway(jobs, schedules)


def _give_away_job(tables: Tables, shard: int, guard: JobGuard) -> bool:
    job = tables.row(MovingJob, "job_to_move", *guard)
    if job is None:
        return False
    seq = guard[0]
    for key in tables.all(StoredKey, "keys_to_move", seq) if job.kept_until_ms else ():
        tables.summed(KEYS, -row_sum(*astuple(key)))
        forget_elsewhere(tables, key.tenant, KEY, key.key)
        _note(tables, Pointer(KEY, key.tenant, key.key, shard, key.expires_ms), moved=True)
    forget(tables, seq, job.size)
    _note(tables, Pointer(JOB, job.tenant, job.id, shard, _WHILE_IT_CHANGES), moved=True)
    return True


def _give_away_schedule(tables: Tables, shard: int, guard: ScheduleGuard) -> bool:
    """One that skips a tick while its newest job is open stays until that has ended: nobody else knows of it."""
    schedule = tables.row(MovingSchedule, "schedule_to_move", *guard)
    if schedule is None or (schedule.skip_overlap and is_open(tables, schedule.last_job)):
        return False
    tables.summed_row(SCHEDULES, "schedule_row", guard[0], -1)
    tables.run("drop_schedule", guard[0])
    _note(tables, Pointer(SCHEDULE, schedule.tenant, schedule.id, shard, _WHILE_IT_CHANGES), moved=True)
    return True


def _note(tables: Tables, there: Pointer, *, moved: bool) -> None:
    """A name that is known to be elsewhere is not noted twice: what is here is nowhere else."""
    tables.run("put_elsewhere", there.tenant, there.kind, there.name, there.shard, moved, there.until_ms)
    tables.summed(ELSEWHERE, 1)


def forget_pointer(tables: Tables, command: ForgetPointer) -> Result:
    """Forget who kept something, if that is not there any more. Of what moved there that cluster has the word."""
    if tables.value("pointer", command.tenant, command.kind, command.name) != command.shard:
        return Changed(0)
    forget_elsewhere(tables, command.tenant, command.kind, command.name)
    return Changed(1)


def forget_elsewhere(tables: Tables, tenant: str, kind: int, name: str) -> None:
    """It is here, or nowhere."""
    if tables.sums[ELSEWHERE]:
        tables.count(ELSEWHERE, "delete_elsewhere", tenant, kind, name, sign=-1)


def activate_batch(tables: Tables, effects: Effects, command: ActivateBatch) -> Result:
    """Make what the old home gave up count here, once; what it did not give up is forgotten."""
    kept = tables.arrivals.get(command.source)
    if kept is not None and command.number <= kept.counted:
        return Changed(0)
    if kept is None or kept.batch is None or kept.number != command.number:
        return Refused(BatchUnknown.code)
    batch = decode_batch(kept.batch)
    for at in command.schedules:
        _take_schedule(tables, effects, batch.schedules[at])
    for at in command.jobs:
        _take_job(tables, effects, batch.jobs[at])
    for pointer in batch.pointers:
        _take_pointer(tables, pointer)
    tables.keep_arrival(command.source, command.number, None)
    return Changed(len(command.jobs) + len(command.schedules))


def _take_job(tables: Tables, effects: Effects, record: JobRecord) -> None:
    tenant = record.work.tenant
    if tables.row(KnownJob, "job_by_id", record.id, tenant) is not None:
        return  # somebody let it be made here as well, by a fallback: it is one job under one name
    for key in record.keys:
        for row in tables.rows("stored_key", key.key, tenant):
            tables.summed(KEYS, -row_sum(*row))
        forget_elsewhere(tables, tenant, KEY, key.key)
    forget_elsewhere(tables, tenant, JOB, record.id)
    insert_record(tables, effects, tables.take_arrivals_seq(record.created_ms), record)
    tables.came.add((tenant, JOB, record.id))


def _take_schedule(tables: Tables, effects: Effects, record: ScheduleRecord) -> None:
    effects.schedules_changed = True
    if tables.row(KnownSchedule, "schedule_by_id", record.tenant, record.id) is not None:
        return
    forget_elsewhere(tables, record.tenant, SCHEDULE, record.id)
    seq = tables.value("take_schedule", *astuple(record))
    tables.summed_row(SCHEDULES, "schedule_row", seq, 1)
    tables.came.add((record.tenant, SCHEDULE, record.id))


def _take_pointer(tables: Tables, pointer: Pointer) -> None:
    """Unless what it names is here by now."""
    if pointer.kind == JOB and tables.row(KnownJob, "job_by_id", pointer.name, pointer.tenant) is not None:
        return
    if pointer.kind == KEY and tables.rows("stored_key", pointer.name, pointer.tenant):
        return
    forget_elsewhere(tables, pointer.tenant, pointer.kind, pointer.name)
    _note(tables, pointer, moved=False)


def end_departure(tables: Tables, command: EndDeparture) -> Result:
    """The batch counts at its new home."""
    kept = tables.departure(command.shard)
    if kept is None or kept.number != command.number or kept.departure is None:
        return Changed(0)
    departure = decode_departure(kept.departure)
    tables.keep_departure(command.shard, command.number, None)
    tables.keep_frozen(command.frozen_ms if departure.jobs or departure.schedules else 0)
    return Changed(1)


def end_move(tables: Tables, command: EndMove) -> Result:
    """Note that all has moved that had to."""
    topology = tables.topology
    if topology is None or topology.epoch != command.epoch:
        return Refused(Misdirected.code)
    tables.keep_moved(command.epoch if command.is_done else 0, has_left=command.has_left)
    return Changed(1)


def purge_elsewhere(tables: Tables, command: PurgeElsewhere) -> Result:
    """Forget the oldest."""
    count = tables.changed("purge_elsewhere", command.before_ms, command.moved, command.limit)
    tables.summed(ELSEWHERE, -count)
    return Changed(count)
