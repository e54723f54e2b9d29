"""The calls about schedules."""

import asyncio
from itertools import islice

import msgspec

from hookline.errors import Conflict, Internal, InvalidCron, InvalidTime, ScheduleNotFound
from hookline.http_api import strict_json
from hookline.http_api.cursors import decode_cursor, encode_cursor
from hookline.http_api.messages import ApiRequest, Reply, answer, page_limit, scope_of
from hookline.node.api import schedule_requests as requests
from hookline.node.api.context import Api, id_of, refusal
from hookline.node.api.elsewhere import place_of
from hookline.node.api.job_fields import unmasked
from hookline.node.api.views import page_reply, schedule_view, views_of
from hookline.node.state_machine.read_rows import ScheduleRow
from hookline.protocol import http
from hookline.protocol.commands import KEEP_TICK, Created, DeleteSchedule, RecordTicks, Refused, RunSchedule
from hookline.protocol.cron import format_tick, parse_cron
from hookline.protocol.durations import parse_time
from hookline.protocol.jobs import Work, in_one_order
from hookline.protocol.limits import PREVIEW_TICKS_MAX
from hookline.protocol.moves import SCHEDULE
from hookline.protocol.settings import ScheduleSpec

_REVISION_TRIES = 5
_PREVIEW_DEFAULT = 10
_PREVIEW_BETWEEN_YIELDS = 50
_SCOPE = "schedules"


async def create_schedule(api: Api, request: ApiRequest) -> Reply:
    """``POST /schedules``."""
    body = await request.body()
    strict_json.check_utf8(body)
    tenant = request.caller.tenant
    new = requests.read_schedule(body, api.requests)
    now_ms = api.now_ms()
    schedule_id = new.id if new.id is not None else api.requests.mint_id(now_ms)
    job = new.job
    known = api.reads.schedule(tenant, schedule_id)
    job = unmasked(job, None if known is None else known.job_spec)
    if known is not None and new.secret is not None:
        # A secret is sealed differently each time; sealed as before, the same request is recognised as the same.
        sealed = known.job_spec.sealed_secret
        if api.requests.is_sealed_as(sealed, new.secret):
            job = msgspec.structs.replace(job, sealed_secret=sealed)
    # So is a payload: what is the same stays as it is stored.
    is_known = known is not None and in_one_order(job) == in_one_order(known.job_spec)
    work = known.work if known is not None and is_known else api.requests.content.work_of(job, tenant)
    next_tick_ms = requests.next_tick(new.spec, now_ms)
    if next_tick_ms is None and known is None:
        raise InvalidTime("the schedule would never tick: end_at is before its first tick", field="end_at")
    command = requests.put_command(schedule_id, 0, new.spec, work, next_tick_ms, paused=new.paused)
    api.ownership.check_home(request, new.id)
    (result,) = await api.propose(command)
    if isinstance(result, Refused):
        raise place_of(api.reads, tenant, SCHEDULE, schedule_id) or refusal(result)
    assert isinstance(result, Created)
    view = schedule_view(_found(api, tenant, schedule_id), deduplicated=result.deduplicated)
    location = [(b"location", b"/schedules/" + schedule_id.encode())]
    return answer(200 if result.deduplicated else 201, view, location)


async def list_schedules(api: Api, request: ApiRequest) -> Reply:
    """``GET /schedules``, by id."""
    query = request.query("limit", "cursor")
    limit, scope = page_limit(query), scope_of(_SCOPE, request)
    cursor = query.get("cursor")
    after = "" if cursor is None else decode_cursor(cursor, scope)
    async with api.pages:
        rows, has_more = await api.reads.schedules(request.caller.tenant, after, limit)
        next_cursor = encode_cursor(rows[-1].id, scope) if has_more else None
        page = http.SchedulePage(await views_of(rows, schedule_view), next_cursor)
        return page_reply(request, page, scope, [row.id for row in rows])


async def get_schedule(api: Api, request: ApiRequest) -> Reply:
    """``GET /schedules/{id}``."""
    request.query()
    return answer(200, schedule_view(_found(api, request.caller.tenant, id_of(request))))


async def update_schedule(api: Api, request: ApiRequest) -> Reply:
    """``PATCH /schedules/{id}``."""
    body = await request.body()
    strict_json.check_utf8(body)
    tenant = request.caller.tenant
    update = requests.read_changes(body, api.requests)
    for _ in range(_REVISION_TRIES):
        row = _found(api, tenant, id_of(request))
        spec = requests.changed_spec(update.changes, row.spec)
        job = row.job_spec if update.job is None else unmasked(update.job, row.job_spec)
        if update.keeps_secret:
            job = msgspec.structs.replace(job, sealed_secret=row.job_spec.sealed_secret)
        if (spec, job) == (row.spec, row.job_spec):
            return answer(200, schedule_view(row))
        kept = requests.same_calendar(spec, row.spec)
        now_ms = api.now_ms()
        due = None if kept else requests.due_ticks(row, now_ms, api.config.shard)
        next_tick_ms = KEEP_TICK if kept else requests.next_tick(spec, now_ms)
        work = row.work if job == row.job_spec else api.requests.content.work_of(job, tenant)
        if await _put(api, row, spec, work, next_tick_ms, paused=row.paused, due=due, now_ms=now_ms):
            return answer(200, schedule_view(_found(api, tenant, row.id)))
    raise Conflict("the schedule is being changed by others; try again")


async def delete_schedule(api: Api, request: ApiRequest) -> Reply:
    """``DELETE /schedules/{id}``; jobs it made stay."""
    (result,) = await api.propose(DeleteSchedule(request.caller.tenant, id_of(request)))
    if isinstance(result, Refused):
        raise refusal(result)
    return Reply(204)


async def pause_schedule(api: Api, request: ApiRequest) -> Reply:
    """``POST /schedules/{id}/pause``."""
    return await _set_paused(api, request, paused=True)


async def resume_schedule(api: Api, request: ApiRequest) -> Reply:
    """``POST /schedules/{id}/resume``: goes on with the next tick after now."""
    return await _set_paused(api, request, paused=False)


async def run_schedule(api: Api, request: ApiRequest) -> Reply:
    """``POST /schedules/{id}/run``: one job now, beside the ticks."""
    await request.no_body()
    tenant = request.caller.tenant
    row = _found(api, tenant, id_of(request))
    now_ms = api.now_ms()
    with api.services.admission.reserve(tenant, 1, len(row.job_spec.body), creates=1):
        (result,) = await api.propose(RunSchedule(tenant, row.id, api.requests.mint_id(now_ms), now_ms))
    if isinstance(result, Refused):
        raise refusal(result)
    assert isinstance(result, Created)
    job = api.reads.job(tenant, result.id)
    if job is None:
        raise Internal
    return answer(201, api.views.job(job), [(b"location", b"/jobs/" + result.id.encode())])


async def preview(api: Api, request: ApiRequest) -> Reply:
    """``GET /schedules/preview``: the next ticks of an expression, nothing is stored."""
    query = request.query("cron", "timezone", "count", "from")
    count = page_limit(query, _PREVIEW_DEFAULT, PREVIEW_TICKS_MAX, "count")
    if "cron" not in query:
        raise InvalidCron("the query parameter cron is missing", field="cron")
    timezone = query.get("timezone", "UTC")
    cron = parse_cron(query["cron"], timezone)
    after_ms = parse_time(query["from"], field="from") - 1 if "from" in query else api.now_ms()
    ticks: list[str] = []
    for tick in islice(cron.ticks_after(after_ms), count):
        ticks.append(format_tick(tick, timezone))
        if len(ticks) % _PREVIEW_BETWEEN_YIELDS == 0:
            await asyncio.sleep(0)
    return answer(200, http.Preview(ticks))


async def _set_paused(api: Api, request: ApiRequest, *, paused: bool) -> Reply:
    await request.no_body()
    tenant = request.caller.tenant
    for _ in range(_REVISION_TRIES):
        row = _found(api, tenant, id_of(request))
        if row.paused == paused:
            return answer(200, schedule_view(row))
        now_ms = api.now_ms()
        due = requests.due_ticks(row, now_ms, api.config.shard)
        next_tick_ms = KEEP_TICK if paused else requests.next_tick(row.spec, now_ms)
        if await _put(api, row, row.spec, row.work, next_tick_ms, paused=paused, due=due, now_ms=now_ms):
            return answer(200, schedule_view(_found(api, tenant, row.id)))
    raise Conflict("the schedule is being changed by others; try again")


async def _put(
    api: Api,
    row: ScheduleRow,
    spec: ScheduleSpec,
    work: Work,
    next_tick_ms: int | None,
    *,
    paused: bool,
    due: RecordTicks | None,
    now_ms: int,
) -> bool:
    """Store it, if it is still as it was read; the ticks that are due by the old rule are made first.

    The leader may have made them meanwhile: then ``due`` is refused, and nothing is made twice. A backlog that needs
    more than one decision is made up for one decision at a time, and the schedule read again.
    """
    if due is not None and due.next_tick_ms is not None and due.next_tick_ms <= now_ms:
        await api.propose(due)
        return False
    command = requests.put_command(row.id, row.revision, spec, work, next_tick_ms, paused=paused)
    # In one entry if they fit into one: nothing comes between the old rule's last tick and the new rule.
    *_, result = await api.propose_all([command] if due is None else [due, command])
    if isinstance(result, Refused) and result.code != Conflict.code:
        raise refusal(result)
    return not isinstance(result, Refused)


def _found(api: Api, tenant: str, schedule_id: str) -> ScheduleRow:
    row = api.reads.schedule(tenant, schedule_id)
    if row is None:
        raise ScheduleNotFound
    return row
