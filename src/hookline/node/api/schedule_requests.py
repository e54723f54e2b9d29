"""From the bytes of a schedule request to what is stored. Pure."""

from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from hookline.errors import HooklineError, InvalidId, InvalidTime
from hookline.http_api import strict_json
from hookline.node.api.job_requests import JobRequests
from hookline.node.state_machine.read_rows import ScheduleRow
from hookline.protocol import http
from hookline.protocol.commands import PutSchedule, RecordTicks
from hookline.protocol.cron import Cron, parse_cron
from hookline.protocol.due_ticks import DueSchedule, record_due
from hookline.protocol.durations import parse_duration, parse_time
from hookline.protocol.ids import check_id
from hookline.protocol.jobs import JobSpec, Work
from hookline.protocol.limits import DELAY_MS_MAX
from hookline.protocol.settings import ScheduleSpec, encode
from hookline.protocol.ticks import first_tick

RESERVED_IDS = frozenset({"preview"})  # GET /schedules/preview is a call

_requests = msgspec.json.Decoder(http.ScheduleRequest)
_changes = msgspec.json.Decoder(http.ScheduleChanges)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A schedule that was understood; ``id`` None: to be minted."""

    id: str | None
    spec: ScheduleSpec
    job: JobSpec
    secret: str | None
    paused: bool


@dataclass(frozen=True, slots=True)
class ScheduleUpdate:
    """The changes that a request asks for; fields that are None stay.

    ``keeps_secret``: the job names no secret, not even null. It is never shown, so whoever sends back what they saw,
    with a change, does not name it.
    """

    changes: http.ScheduleChanges
    job: JobSpec | None
    keeps_secret: bool


def read_schedule(body: bytes, requests: JobRequests) -> NewSchedule:
    """Read a request to create a schedule. Raises InvalidRequest and its kinds."""
    request = strict_json.decode(_requests, body)
    fields = strict_json.unique_fields(body)
    if "catch_up" in fields:
        strict_json.unique_fields(fields["catch_up"])
    if request.id in RESERVED_IDS:
        raise InvalidId(f"the id {request.id!r} is reserved", field="id")
    parse_cron(request.cron, request.timezone)
    spec = ScheduleSpec(
        cron=request.cron,
        timezone=request.timezone,
        catch_up=request.catch_up.policy,
        window_ms=parse_duration(request.catch_up.window, field="catch_up.window"),
        skip_overlap=request.overlap == "skip",
        jitter_ms=parse_duration(request.jitter, field="jitter"),
        start_ms=_time(request.start_at, "start_at"),
        end_ms=_time(request.end_at, "end_at"),
    )
    _check_span(spec)
    return NewSchedule(
        id=None if request.id is UNSET else check_id(request.id),
        spec=spec,
        job=requests.template(request.job),
        secret=secret_of(request.job),
        paused=request.paused,
    )


def read_changes(body: bytes, requests: JobRequests) -> ScheduleUpdate:
    """Read a request to change a schedule. Raises InvalidRequest and its kinds."""
    changes = strict_json.decode(_changes, body)
    fields = strict_json.unique_fields(body)
    if changes.catch_up is not UNSET:
        strict_json.unique_fields(fields["catch_up"])
    if changes.job is UNSET:
        return ScheduleUpdate(changes, None, keeps_secret=True)
    job = requests.template(changes.job)
    return ScheduleUpdate(changes, job, keeps_secret="secret" not in strict_json.unique_fields(changes.job))


def changed_spec(changes: http.ScheduleChanges, old: ScheduleSpec) -> ScheduleSpec:
    """``old`` with the changes made. Raises InvalidCron, InvalidTimezone, InvalidTime."""
    policy, window_ms = old.catch_up, old.window_ms
    if changes.catch_up is not UNSET:
        policy = changes.catch_up.policy
        window_ms = parse_duration(changes.catch_up.window, field="catch_up.window")
    spec = ScheduleSpec(
        cron=_or(changes.cron, old.cron),
        timezone=_or(changes.timezone, old.timezone),
        catch_up=policy,
        window_ms=window_ms,
        skip_overlap=old.skip_overlap if changes.overlap is UNSET else changes.overlap == "skip",
        jitter_ms=old.jitter_ms if changes.jitter is UNSET else parse_duration(changes.jitter, field="jitter"),
        start_ms=old.start_ms if changes.start_at is UNSET else _time(changes.start_at, "start_at"),
        end_ms=old.end_ms if changes.end_at is UNSET else _time(changes.end_at, "end_at"),
    )
    parse_cron(spec.cron, spec.timezone)
    _check_span(spec)
    return spec


def next_tick(spec: ScheduleSpec, now_ms: int) -> int | None:
    """The first tick after ``now_ms``."""
    return first_tick(Cron(spec.cron, spec.timezone), now_ms, spec.start_ms, spec.end_ms)


def due_ticks(row: ScheduleRow, now_ms: int, shard: int) -> RecordTicks | None:
    """Makes the command for the ticks that a schedule still owes at ``now_ms``; a change after it must not lose them.

    None: it owes none, is paused, or cannot be read any more. Of a backlog it is what one decision takes.
    """
    if row.paused or row.next_tick_ms is None or row.next_tick_ms > now_ms:
        return None
    try:
        due = DueSchedule(row.seq, row.id, row.revision, row.spec, row.next_tick_ms, row.tenant)
        return record_due(due, now_ms, shard)
    except HooklineError:  # a zone that a later tzdata dropped; the change may be what mends it
        return None


def same_calendar(one: ScheduleSpec, other: ScheduleSpec) -> bool:
    """Whether both tick at the same instants."""
    return (one.cron, one.timezone, one.start_ms, one.end_ms) == (
        other.cron,
        other.timezone,
        other.start_ms,
        other.end_ms,
    )


def put_command(
    schedule_id: str, revision: int, spec: ScheduleSpec, work: Work, next_tick_ms: int | None, *, paused: bool
) -> PutSchedule:
    """The command that stores a schedule; ``KEEP_TICK`` leaves its next tick as it is."""
    return PutSchedule(
        id=schedule_id,
        revision=revision,
        spec=encode(spec),
        work=work,
        next_tick_ms=next_tick_ms,
        skip_overlap=spec.skip_overlap,
        paused=paused,
    )


def secret_of(job: msgspec.Raw) -> str | None:
    """The secret in a schedule's job, as it was sent."""
    found = msgspec.json.decode(job, type=_SecretOnly).secret
    return None if found is UNSET else found


class _SecretOnly(msgspec.Struct):
    secret: str | UnsetType | None = UNSET


def _or(given: T | UnsetType, old: T) -> T:
    return old if given is UNSET else given


def _time(text: str | None, field: str) -> int | None:
    return None if text is None else parse_time(text, field=field)


def _check_span(spec: ScheduleSpec) -> None:
    if spec.start_ms is not None and spec.end_ms is not None and spec.end_ms < spec.start_ms:
        raise InvalidTime("end_at is before start_at", field="end_at")
    if spec.window_ms < 1:
        raise InvalidTime("catch_up.window must be at least 1 ms", field="catch_up.window")
    if spec.jitter_ms > DELAY_MS_MAX // 10:
        raise InvalidTime("jitter may be at most one year", field="jitter")
