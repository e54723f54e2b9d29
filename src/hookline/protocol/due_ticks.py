"""From a schedule whose tick has come to the command that makes its jobs. Pure.

The leader asks when a tick comes; the API before it changes a schedule that still owes one.
"""

from typing import NamedTuple

from hookline.protocol.commands import RecordTicks
from hookline.protocol.cron import parse_cron
from hookline.protocol.jobs import DEFAULT_TENANT
from hookline.protocol.settings import ScheduleSpec
from hookline.protocol.ticks import SchedulePlan, decide_ticks, tick_job_id


class DueSchedule(NamedTuple):
    """A schedule whose tick has come."""

    seq: int
    id: str
    revision: int
    spec: ScheduleSpec
    next_tick_ms: int
    tenant: str = DEFAULT_TENANT


def record_due(schedule: DueSchedule, now_ms: int, shard: int) -> RecordTicks:
    """Make the jobs of the ticks that are due at ``now_ms``, by the schedule's own rule; ``shard`` is for their ids.

    Raises:
        InvalidCron, InvalidTimezone: the rule cannot be read any more.
    """
    spec = schedule.spec
    plan = SchedulePlan(
        schedule_id=schedule.id,
        cron=parse_cron(spec.cron, spec.timezone),
        next_tick_ms=schedule.next_tick_ms,
        catch_up=spec.catch_up,
        window_ms=spec.window_ms,
        jitter_ms=spec.jitter_ms,
        start_ms=spec.start_ms,
        end_ms=spec.end_ms,
    )
    decision = decide_ticks(plan, now_ms)
    return RecordTicks(
        schedule=schedule.seq,
        revision=schedule.revision,
        expected_ms=schedule.next_tick_ms,
        ticks=tuple(
            (tick.instant_ms, tick.run_at_ms, tick_job_id(schedule.id, tick.instant_ms, shard, schedule.tenant))
            for tick in decision.ticks
        ),
        skipped=decision.skipped,
        next_tick_ms=decision.next_tick_ms,
    )
