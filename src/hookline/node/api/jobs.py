"""The calls about jobs that are there, and the list of jobs."""

from functools import partial

from hookline.errors import Conflict, JobFinished, JobNotFound, JobNotPending, JobNotRetryable, PayloadRemoved
from hookline.http_api import strict_json
from hookline.http_api.cursors import decode_number, encode_cursor
from hookline.http_api.messages import ApiRequest, Reply, answer, page_limit, scope_of
from hookline.node.api import job_fields
from hookline.node.api.context import Api, id_of, refusal
from hookline.node.api.elsewhere import place_of
from hookline.node.api.jobs_api import JobsApi
from hookline.node.api.views import attempt_view, page_reply, views_of
from hookline.node.state_machine.read_rows import JobRow
from hookline.node.state_machine.reads import PAGE_BYTES_MAX
from hookline.protocol import http
from hookline.protocol.commands import AnyCommand, CancelJobs, Changed, RedriveJobs, Refused, UpdateJob
from hookline.protocol.durations import format_time
from hookline.protocol.jobs import FINISHED, State
from hookline.protocol.moves import JOB

_REVISION_TRIES = 5


def found_job(api: JobsApi, tenant: str, job_id: str) -> JobRow:
    """The job. Raises JobNotFound, or Moved when it is at another cluster."""
    row = api.reads.job(tenant, job_id)
    if row is None:
        raise place_of(api.reads, tenant, JOB, job_id) or JobNotFound
    return row


async def get_job(api: JobsApi, request: ApiRequest) -> Reply:
    """``GET /jobs/{id}``."""
    request.query()
    row = found_job(api, request.caller.tenant, id_of(request))
    await api.look_at([row])
    return answer(200, api.job_views.job(row))


async def list_jobs(api: JobsApi, request: ApiRequest) -> Reply:
    """``GET /jobs``."""
    query = request.query(*http.FILTERS, "limit", "cursor")
    limit = page_limit(query)
    scope = scope_of("jobs " + repr([query.get(name) for name in http.FILTERS]), request)
    cursor = query.get("cursor")
    before = None if cursor is None else decode_number(cursor, scope)
    wanted = job_fields.job_filter(http.Filter(**{name: query.get(name) for name in http.FILTERS}))  # type: ignore[arg-type]
    async with api.pages:
        found = await api.reads.find(request.caller.tenant, wanted, before, limit)
        rows = await api.reads.jobs([match.seq for match in found.matches], PAGE_BYTES_MAX)
        is_cut = rows and rows[-1].seq != found.matches[-1].seq
        next_before = rows[-1].seq if is_cut else found.next_before
        next_cursor = None if next_before is None else encode_cursor(str(next_before), scope)
        searched_to = None if is_cut or found.searched_ms is None else format_time(found.searched_ms)
        await api.look_at(rows)
        page = http.JobPage(
            await views_of(rows, partial(api.job_views.job, payload=False)), next_cursor, searched_to=searched_to
        )
        return page_reply(request, page, scope, [str(row.seq) for row in rows])


async def list_attempts(api: JobsApi, request: ApiRequest) -> Reply:
    """``GET /jobs/{id}/attempts``."""
    request.query()
    job = found_job(api, request.caller.tenant, id_of(request))
    async with api.pages:
        rows = await api.reads.attempts(job.seq)
        return answer(200, http.AttemptList(await views_of(rows, partial(attempt_view, spec=job.spec))))


async def cancel_job(api: Api, request: ApiRequest) -> Reply:
    """``POST /jobs/{id}/cancel``. Cancelling twice is fine."""
    await request.no_body()
    row = found_job(api, request.caller.tenant, id_of(request))
    if row.state not in FINISHED:
        await api.propose(CancelJobs((row.seq,)))
        row = found_job(api, row.tenant, row.id)
    if row.state is not State.CANCELLED:
        raise JobFinished(f"the job is {row.state.label} already")
    return answer(200, api.views.job(row))


async def retry_job(api: Api, request: ApiRequest) -> Reply:
    """``POST /jobs/{id}/retry``: a finished job again, with a fresh budget and whatever the body overrides."""
    changes = await _changes(api, request)
    row = _retryable(api, request.caller.tenant, id_of(request))
    now_ms = api.now_ms()
    due_ms = job_fields.due_of(changes.run_at, changes.delay, now_ms)
    due_ms = now_ms if due_ms is None else due_ms
    spec = api.requests.changed(changes, row.spec)
    commands: list[AnyCommand] = [RedriveJobs((row.seq,), due_ms)]
    if spec != row.spec:
        commands.append(UpdateJob(row.seq, row.revision, due_ms, api.requests.content.work_of(spec, row.tenant)))
    with api.services.admission.reserve(row.tenant, 1, len(spec.body)):
        results = await api.propose(*commands)
    # Another retry may have come first; if the changes reached the job nevertheless, all that was asked for holds.
    if Changed(1) not in results:
        _retryable(api, row.tenant, row.id)
        raise JobNotRetryable
    return answer(200, api.views.job(found_job(api, row.tenant, row.id)))


async def run_job(api: Api, request: ApiRequest) -> Reply:
    """``POST /jobs/{id}/run``: a pending job is due now."""
    await request.no_body()
    return await _change(api, request, http.JobChanges(delay=0), only_sooner=True)


async def update_job(api: Api, request: ApiRequest) -> Reply:
    """``PATCH /jobs/{id}``."""
    changes = await _changes(api, request, empty=False)
    return await _change(api, request, changes)


async def _change(api: Api, request: ApiRequest, changes: http.JobChanges, *, only_sooner: bool = False) -> Reply:
    tenant, job_id = request.caller.tenant, id_of(request)
    for _ in range(_REVISION_TRIES):
        row = found_job(api, tenant, job_id)
        if row.state is not State.PENDING:
            raise JobNotPending(f"the job is {row.state.label}")
        due_ms = job_fields.due_of(changes.run_at, changes.delay, api.now_ms())
        if due_ms is None or (only_sooner and due_ms > row.due_ms):
            due_ms = row.due_ms
        spec = api.requests.changed(changes, row.spec)
        if spec == row.spec and due_ms == row.due_ms:
            return answer(200, api.views.job(row))
        with api.services.admission.reserve(tenant, 0, max(0, len(spec.body) - row.size)):
            work = api.requests.content.work_of(spec, tenant)
            (result,) = await api.propose(UpdateJob(row.seq, row.revision, due_ms, work))
        if not isinstance(result, Refused):
            return answer(200, api.views.job(found_job(api, tenant, job_id)))
        if result.code != Conflict.code:
            raise refusal(result)
    raise Conflict("the job is being changed by others; try again")


async def _changes(api: Api, request: ApiRequest, *, empty: bool = True) -> http.JobChanges:
    body = await request.body()
    strict_json.check_utf8(body)
    return http.JobChanges() if empty and not body.strip() else api.requests.changes(body)


def _retryable(api: Api, tenant: str, job_id: str) -> JobRow:
    row = found_job(api, tenant, job_id)
    if row.state not in FINISHED:
        raise JobNotRetryable(f"the job is {row.state.label}")
    if row.is_payload_removed:
        raise PayloadRemoved
    return row
