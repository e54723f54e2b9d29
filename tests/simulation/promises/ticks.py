"""Checks the ticks of schedules. Another cron library works them out from the log of their changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from croniter import croniter

from hookline.protocol.limits import LATE_MS
from hookline.protocol.settings import ScheduleSpec
from hookline.protocol.ticks import tick_job_id
from tests.simulation.history import NEVER, History, Serving
from tests.simulation.promises.facts import Facts
from tests.simulation.replay import CalendarChange, Replay


@dataclass(frozen=True, slots=True)
class Period:
    """A calendar was in force. Before ``sure_from_ms`` a tick may have been computed just before."""

    spec: ScheduleSpec
    from_at: int
    from_ms: int
    until_at: int
    until_ms: int


def every_tick_makes_one_job(facts: Facts) -> Iterator[str]:
    """And none is made that is no tick."""
    history, found, shard, slack_ms = facts.history, facts.found, facts.shard, facts.slack_ms
    made_by_schedule: dict[int | None, set[str]] = {}
    for job, row in found.jobs.items():
        made_by_schedule.setdefault(row["schedule"], set()).add(job)
    by_hand = {call.answer.id for call in history.calls if call.kind == "run_schedule" and call.is_ok}
    ticks: dict[str, tuple[str, int]] = {}
    latest_ms = max((entry.time_ms for _, entry in history.entries), default=0)
    for schedule, changes in found.calendars.items():
        for period in periods(changes):
            # The wall clock may have gone back within the period: its end does not say how late it once was, and its
            # beginning not how early.
            back_ms = sum(by_ms for at, by_ms in history.steps_back if period.from_at < at < period.until_at)
            instants = list(_instants(period, latest_ms, slack_ms + back_ms))
            for instant_ms in instants:
                ticks[tick_job_id(schedule, instant_ms, shard)] = (schedule, instant_ms)
            yield from _missing(history, found, schedule, period, instants, shard)
    unsure = any(call.kind == "run_schedule" and call.outcome == "unknown" for call in history.calls)
    for schedule_seq, jobs in made_by_schedule.items():
        for job in sorted(jobs - ticks.keys() - by_hand) if schedule_seq is not None and not unsure else ():
            yield f"{job} was made by a schedule, but at no tick of it"
    yield from _overlaps(history, found, ticks)
    for job, (schedule, instant_ms) in ticks.items():
        made = found.jobs.get(job)
        if made is not None and not history.about(job, "update", "run", "retry"):
            late_ms = made["run_at_ms"] - instant_ms
            if not 0 <= late_ms <= 5_000:
                yield f"{schedule} made a job for {_text(made['run_at_ms'])} at its tick {_text(instant_ms)}"


def _overlaps(history: History, found: Replay, ticks: dict[str, tuple[str, int]]) -> Iterator[str]:
    """Find ticks that made a job while the one before was unfinished, though their schedule skips overlaps.

    A job made by hand takes the place of the one before, so schedules with such jobs are left out.
    """
    jobs: dict[str, list[str]] = {}
    back_ms = sum(by_ms for _, by_ms in history.steps_back)
    for job, (schedule, _) in sorted(ticks.items(), key=lambda item: found.jobs.get(item[0], {"seq": 0})["seq"]):
        if job in found.jobs:
            jobs.setdefault(schedule, []).append(job)
    for schedule, made in jobs.items():
        if history.about(schedule, "run_schedule"):
            continue
        if all(change.spec is None or change.spec.skip_overlap for change in found.calendars[schedule]):
            for before, after in pairwise(made):
                finished_ms = found.jobs[before]["finished_ms"] or NEVER
                was_retried = found.jobs[before]["attempts_before"] or history.about(before, "retry")
                if found.jobs[after]["created_ms"] + back_ms < finished_ms and not was_retried:
                    yield f"{schedule} made {after} while {before} was unfinished"


def periods(changes: list[CalendarChange]) -> Iterator[Period]:
    """When the schedule ticked, and by which calendar. A change of its job alone begins nothing new."""
    distinct = [
        change
        for before, change in zip([None, *changes[:-1]], changes, strict=True)
        if before is None or (before.spec, before.is_paused) != (change.spec, change.is_paused)
    ]
    for change, following in zip(distinct, [*distinct[1:], None], strict=True):
        if change.spec is not None and not change.is_paused:
            until_at, until_ms = (NEVER, NEVER) if following is None else (following.at, following.time_ms)
            yield Period(change.spec, change.at, change.time_ms, until_at, until_ms)


def _instants(period: Period, latest_ms: int, slack_ms: int) -> Iterator[int]:
    # A call reads the clock a little before its entry is stamped, so the first tick may be a little older.
    start = datetime.fromtimestamp((period.from_ms - slack_ms) / 1_000, UTC)
    for instant in _calendar(period.spec, start):
        instant_ms = int(instant.timestamp() * 1_000)
        if instant_ms > latest_ms:
            return
        yield instant_ms


def _calendar(spec: ScheduleSpec, start: datetime) -> Iterator[datetime]:
    """The ticks of a calendar after a start.

    All zones with whole hours agree on a calendar that leaves the hour open. One with a fixed hour ticks once a day.
    A day without that hour has its tick when the hour would have begun. A day with two such hours has it in the first.
    """
    minute, hour, *_ = spec.cron.split()
    if hour == "*":
        yield from croniter(spec.cron, start, ret_type=datetime)
        return
    assert minute == "0", "only full hours are worked out here"
    day = start.astimezone(ZoneInfo(spec.timezone)).replace(hour=int(hour), minute=0, second=0, microsecond=0, fold=0)
    while True:
        instant = day.astimezone(UTC)
        if instant > start:
            yield instant
        day += timedelta(days=1)


def _missing(
    history: History, found: Replay, schedule: str, period: Period, instants: list[int], shard: int
) -> Iterator[str]:
    for instant_ms in instants:
        if instant_ms <= period.from_ms or tick_job_id(schedule, instant_ms, shard) in found.jobs:
            continue
        seen_at_ms = _surely_seen(history, instant_ms, period)
        if seen_at_ms is None:
            continue
        on_time = seen_at_ms <= instant_ms + LATE_MS
        latest_ms = seen_at_ms + sum(by_ms for _, by_ms in history.steps_back)
        if period.spec.skip_overlap and _another_was_open(found, schedule, instant_ms, latest_ms):
            continue
        if on_time or period.spec.catch_up == "all" or _is_last_missed(period, instants, instant_ms, seen_at_ms):
            yield f"{schedule} ({period.spec.cron}, {period.spec.catch_up}) made no job at {_text(instant_ms)}"


def _surely_seen(history: History, instant_ms: int, period: Period) -> int | None:
    """When at the latest a serving node had looked at this tick; None if it may not have, or nobody can say when."""
    for part in history.serving:
        if part.until_at <= period.from_at or part.from_at >= period.until_at:
            continue
        end_ms = _end_ms(part, period)
        seen_at_ms = max(part.from_ms, instant_ms) + part.sure_after_ms
        if seen_at_ms < end_ms:
            return seen_at_ms
        makes_all = period.spec.catch_up == "all" and not period.spec.skip_overlap
        if end_ms > instant_ms + LATE_MS and not makes_all:
            return None  # it may have passed the tick over as too late, before the wall clock went back
    return None


def _end_ms(part: Serving, period: Period) -> int:
    """The wall clock when the part or the period was over, whichever came first."""
    return part.until_ms if part.until_at < period.until_at else period.until_ms


def _is_last_missed(period: Period, instants: list[int], instant_ms: int, seen_at_ms: int) -> bool:
    return period.spec.catch_up == "coalesce" and not any(instant_ms < other <= seen_at_ms for other in instants)


def _another_was_open(found: Replay, schedule: str, instant_ms: int, latest_ms: int) -> bool:
    """Some job of the schedule was unfinished at some time from this tick until it was looked at."""
    number = found.schedule_numbers[schedule]
    jobs = [row for row in found.jobs.values() if row["schedule"] == number and row["created_ms"] <= latest_ms]
    return any((row["finished_ms"] or NEVER) >= instant_ms for row in jobs)


def _text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1_000, UTC).strftime("%H:%M:%S.%f")[:-3]
