"""``POST /jobs``: what a request asks for, and what it is answered once the log has it."""

from dataclasses import dataclass

from hookline.http_api import strict_json
from hookline.http_api.messages import ApiRequest, HeaderPair, Reply, answer
from hookline.http_api.preferences import APPLIED_MINIMAL, wants_minimal
from hookline.node.api.elsewhere import gone_since, refusal_of_create
from hookline.node.api.job_requests import NewJob
from hookline.node.api.jobs_api import JobsApi
from hookline.protocol import http
from hookline.protocol.commands import Created, Refused, Result
from hookline.protocol.ids import check_key
from hookline.telemetry.tracing.spans import context_of_work, note


@dataclass(frozen=True, slots=True)
class Wish:
    """A create that was understood: the job, and whether its id and state will do as the answer."""

    new: NewJob
    key: str | None
    is_minimal: bool


async def create_job(api: JobsApi, request: ApiRequest) -> Reply:
    """``POST /jobs``."""
    clock = api.clock
    started_ms = clock.boot_ms()
    wish = await understood(api, request)
    results = await api.create(request, wish.new.command, is_shown=not wish.is_minimal)
    reply = await answered(api, wish, results[0], results.time_ms)
    api.observe_create((clock.boot_ms() - started_ms) / 1000)
    return reply


async def understood(api: JobsApi, request: ApiRequest) -> Wish:
    """Read the request. Raises what is wrong with it."""
    body = await request.body()
    strict_json.check_utf8(body)
    key = request.header(b"idempotency-key")
    if key is not None:
        check_key(key)
    trace = context_of_work(request.headers)
    new = api.requests.create(body, api.now_ms(), tenant=request.caller.tenant, key=key, trace=trace)
    note("messaging.message.id", new.command.id)
    return Wish(new, key, wants_minimal(request))


async def answered(api: JobsApi, wish: Wish, result: Result, time_ms: int) -> Reply:
    """The answer to a result of the log, from an entry stamped ``time_ms``. Raises the error that it stands for."""
    if isinstance(result, Refused):
        raise refusal_of_create(api.reads, wish.new.command, result)
    assert isinstance(result, Created)
    if wish.is_minimal:
        return _brief(api, wish, result)
    if not result.deduplicated:
        return answer(201, api.job_views.job(wish.new.row(time_ms)), [_location(result.id)])
    tenant = wish.new.command.work.tenant
    row = api.reads.job(tenant, result.id)
    if row is None:
        raise gone_since(api.reads, tenant, result.id)
    await api.look_at([row])
    return answer(200, api.job_views.job(row, deduplicated=True), [_location(result.id)])


def _brief(api: JobsApi, wish: Wish, result: Created) -> Reply:
    headers = [_location(result.id), APPLIED_MINIMAL]
    if not result.deduplicated:
        return answer(201, http.BriefJob(result.id, "pending"), headers)
    tenant = wish.new.command.work.tenant
    known = known_job(api, tenant, result.id)
    if known is None:
        raise gone_since(api.reads, tenant, result.id)
    return answer(200, known, headers)


def known_job(api: JobsApi, tenant: str, job_id: str) -> http.BriefJob | None:
    """A job that was there before, as ``Prefer: return=minimal`` has it."""
    state = api.reads.state(tenant, job_id)
    if state is None:
        return None
    return http.BriefJob(job_id, state.label, deduplicated=True)  # type: ignore[arg-type]


def _location(job_id: str) -> HeaderPair:
    return b"location", b"/jobs/" + job_id.encode()
