"""``POST /jobs/batch``: up to 1,000 jobs in one call, each accepted or refused on its own."""

import asyncio
from dataclasses import dataclass

import msgspec
from msgspec import Raw

from hookline.errors import BatchTooLarge, HooklineError, Internal, Misdirected, PayloadTooLarge
from hookline.http_api import strict_json
from hookline.http_api.big_batches import BIG_BYTES, big_items
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.http_api.preferences import APPLIED_MINIMAL, wants_minimal
from hookline.node.api.creating import known_job
from hookline.node.api.elsewhere import gone_since, refusal_of_create
from hookline.node.api.jobs_api import JobsApi
from hookline.node.api.views import batch_job
from hookline.protocol import http
from hookline.protocol.commands import Created, CreateJob, Refused, Result
from hookline.protocol.limits import KIB
from hookline.telemetry.tracing.spans import context_of_work, note

_batches = msgspec.json.Decoder(http.BatchRequest)
_lists = msgspec.json.Decoder(list[Raw])
_BYTES_BETWEEN_YIELDS = 512 * KIB
_ITEM_COST_BYTES = 4 * KIB  # what an item costs beside its bytes, in bytes that cost the same


@dataclass(frozen=True, slots=True)
class _New:
    """An item that was understood. Of what it is to send only the command keeps a copy: a batch can be large.

    ``view`` None: its id and state will do.
    """

    command: CreateJob
    view: http.BatchJob | None


async def create_batch(api: JobsApi, request: ApiRequest) -> Reply:
    """``POST /jobs/batch``."""
    if len(await request.body()) <= BIG_BYTES:
        return await _create(api, request)
    async with api.large_batch:
        return await _create(api, request)


async def _create(api: JobsApi, request: ApiRequest) -> Reply:
    clock = api.clock
    started_ms = clock.boot_ms()
    items = await _items(request, api.config.batch_jobs_max)
    if len(items) > api.config.batch_jobs_max:
        raise BatchTooLarge(
            f"the batch has {len(items)} jobs; at most {api.config.batch_jobs_max} are allowed",
            limit=api.config.batch_jobs_max,
        )
    is_minimal = wants_minimal(request)
    read = await _read(api, request, items, is_minimal=is_minimal)
    commands = [item.command for item in read if isinstance(item, _New)]
    note("messaging.batch.message_count", len(commands))
    results = iter(await api.create_each(request, commands))
    answers = [_result(api, item, next(results)) if isinstance(item, _New) else item for item in read]
    api.observe_create((clock.boot_ms() - started_ms) / 1000)
    return answer(200, {"results": answers}, [APPLIED_MINIMAL] if is_minimal else ())


async def _items(request: ApiRequest, most: int) -> list[bytes | Raw]:
    body = await request.body()
    if len(body) <= BIG_BYTES:
        strict_json.check_utf8(body)
        return _small_items(body)
    for _ in strict_json.utf8_steps(body):
        await asyncio.sleep(0)
    request.forget_body()  # the items are copies
    return [*await big_items(body, most)]


def _small_items(body: bytes) -> list[bytes | Raw]:
    if body.lstrip()[:1] == b"[":
        return [*strict_json.decode(_lists, body)]
    batch = strict_json.decode(_batches, body)
    strict_json.unique_fields(body)
    return [*batch.jobs]


async def _read(
    api: JobsApi, request: ApiRequest, items: list[bytes | Raw], *, is_minimal: bool
) -> list[_New | http.BatchResult]:
    """Read all items; the list is empty then, so that not both are held."""
    now_ms, tenant = api.now_ms(), request.caller.tenant
    trace = context_of_work(request.headers)
    read: list[_New | http.BatchResult] = []
    largest, since_yield = api.config.job_bytes_max, 0
    items.reverse()
    while items:
        item = items.pop()
        size = memoryview(item).nbytes
        try:
            if size > largest:
                raise PayloadTooLarge(f"a job of a batch may have at most {largest} bytes", limit=largest)
            new = api.requests.create(item, now_ms, tenant=tenant, trace=trace)
            read.append(_New(new.command, None if is_minimal else batch_job(new.row(now_ms))))
        except HooklineError as error:
            read.append(_error(error))  # not the error itself: its traceback holds the item
        since_yield += size + _ITEM_COST_BYTES
        if since_yield > _BYTES_BETWEEN_YIELDS:
            since_yield = 0
            await asyncio.sleep(0)
    return read


def _result(api: JobsApi, item: _New, result: Result | Misdirected) -> http.BatchResult | http.BriefResult:
    if isinstance(result, Misdirected):
        return _error(result)
    if not isinstance(result, Created):
        if isinstance(result, Refused):
            return _error(refusal_of_create(api.reads, item.command, result))
        return _error(Internal())
    if item.view is None:
        return _brief(api, item, result)
    if not result.deduplicated:
        return http.BatchResult(201, item.view)
    tenant = item.command.work.tenant
    row = api.reads.job(tenant, result.id)
    if row is None:
        return _error(gone_since(api.reads, tenant, result.id))
    return http.BatchResult(200, batch_job(row, deduplicated=True))


def _brief(api: JobsApi, item: _New, result: Created) -> http.BatchResult | http.BriefResult:
    if not result.deduplicated:
        return http.BriefResult(201, http.BriefJob(result.id, "pending"))
    tenant = item.command.work.tenant
    known = known_job(api, tenant, result.id)
    return _error(gone_since(api.reads, tenant, result.id)) if known is None else http.BriefResult(200, known)


def _error(error: HooklineError) -> http.BatchResult:
    return http.BatchResult(error.http_status, error=error.to_problem())
