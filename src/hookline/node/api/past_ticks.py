"""``GET /schedules/{id}/ticks``: what became of the ticks that are over, by the rule the schedule has now.

A tick's job id follows from its instant, so each tick costs one look-up, however many jobs there are.
"""

import asyncio
from collections.abc import Iterator
from itertools import islice, takewhile

from hookline.errors import ScheduleNotFound
from hookline.http_api.cursors import decode_number, encode_cursor
from hookline.http_api.messages import ApiRequest, Reply, answer, page_limit, scope_of
from hookline.node.api.context import Api, id_of
from hookline.node.state_machine.read_rows import ScheduleRow
from hookline.protocol import http
from hookline.protocol.cron import format_tick, parse_cron
from hookline.protocol.durations import format_time, parse_time
from hookline.protocol.jobs import State
from hookline.protocol.limits import LATE_MS, PREVIEW_TICKS_MAX
from hookline.protocol.moves import JOB
from hookline.protocol.ticks import tick_job_id

_DEFAULT = 100
_BETWEEN_YIELDS = 50


async def list_ticks(api: Api, request: ApiRequest) -> Reply:
    """The ticks from ``from`` on, oldest first, up to the last one that was decided."""
    query = request.query("from", "limit", "cursor")
    limit = page_limit(query, _DEFAULT, PREVIEW_TICKS_MAX)
    row = api.reads.schedule(request.caller.tenant, id_of(request))
    if row is None:
        raise ScheduleNotFound
    scope = scope_of(f"ticks {row.id} {query.get('from')}", request)
    from_ms = parse_time(query["from"], field="from") if "from" in query else row.created_ms
    if "cursor" in query:
        from_ms = decode_number(query["cursor"], scope) + 1
    found: list[http.PastTick] = []
    last_ms = 0
    for instant_ms in islice(_decided(row, from_ms, api.now_ms()), limit + 1):
        if len(found) == limit:
            return answer(200, http.PastTicks(found, encode_cursor(str(last_ms), scope)))
        found.append(_past_tick(api, row, instant_ms))
        last_ms = instant_ms
        if len(found) % _BETWEEN_YIELDS == 0:
            await asyncio.sleep(0)
    return answer(200, http.PastTicks(found, None))


def _decided(row: ScheduleRow, from_ms: int, now_ms: int) -> Iterator[int]:
    """The instants since the schedule was made that are behind it; one that is paused decides nothing more."""
    spec = row.spec
    begin_ms = max(from_ms, row.created_ms, spec.start_ms or 0)
    until_ms = now_ms if row.paused or row.next_tick_ms is None else min(now_ms, row.next_tick_ms - 1)
    until_ms = until_ms if spec.end_ms is None else min(until_ms, spec.end_ms)
    ticks = parse_cron(spec.cron, spec.timezone).ticks_after(begin_ms - 1)
    return takewhile(lambda tick: tick <= until_ms, ticks)


def _past_tick(api: Api, row: ScheduleRow, instant_ms: int) -> http.PastTick:
    at = format_tick(instant_ms, row.spec.timezone)
    job_id = tick_job_id(row.id, instant_ms, api.config.shard, row.tenant)
    made = api.reads.accepted(row.tenant, job_id)
    if made is not None:
        state, created_ms = made
        outcome: http.TickOutcome = "made" if created_ms <= instant_ms + LATE_MS else "caught_up"
        label = State(state).label
        return http.PastTick(at, outcome, job_id, label, format_time(created_ms))  # type: ignore[arg-type]
    config = api.config
    kept_ms = min(config.retention_ms, config.retention_dead_ms)
    is_known = instant_ms > api.now_ms() - kept_ms and api.reads.elsewhere(row.tenant, JOB, job_id) is None
    return http.PastTick(at, "skipped" if is_known else "unknown", None, None, None)
