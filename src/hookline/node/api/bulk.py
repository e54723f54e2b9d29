"""``POST /jobs/retry`` and ``/jobs/cancel``: many jobs by filter, or with ``dry_run`` only counting them."""

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from hookline.errors import InvalidRequest, TooManyRequests, Unavailable
from hookline.http_api import strict_json
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.node.api import job_fields
from hookline.node.api.audit import current_note
from hookline.node.api.context import Api
from hookline.node.api.job_fields import job_filter, state_of
from hookline.node.state_machine.matching import Match
from hookline.node.state_machine.read_rows import JobRow
from hookline.protocol import http
from hookline.protocol.audit import of_filter
from hookline.protocol.codec import split
from hookline.protocol.commands import AnyCommand, CancelJobs, Changed, RedriveJobs, UpdateJob
from hookline.protocol.jobs import FINISHED, PAYLOAD_REMOVED, State
from hookline.protocol.limits import BULK_JOBS_MAX, BULK_LIMIT_MAX

_SAMPLE = 10
_ROWS_AT_ONCE = 50
_OPEN = (State.PENDING, State.RUNNING)
_bulks = msgspec.json.Decoder(http.BulkRequest)


async def retry_jobs(api: Api, request: ApiRequest) -> Reply:
    """``POST /jobs/retry``: finished jobs again; without a state in the filter, the dead ones."""
    bulk = await _bulk(api, request)
    states = (State.DEAD,) if bulk.filter.state is None else (state_of(bulk.filter.state),)
    if not FINISHED.issuperset(states):
        raise InvalidRequest("only finished jobs can be retried", field="filter.state")
    changes = bulk.overrides or http.JobChanges()
    now_ms = api.now_ms()
    due_ms = job_fields.due_of(changes.run_at, changes.delay, now_ms)
    due_ms = now_ms if due_ms is None else due_ms
    found, more = await _find(api, request.caller.tenant, bulk, states)
    if bulk.dry_run:
        return _answer(bulk, found, 0, more)
    changed, is_cut = await count_changed(_retry(api, request.caller.tenant, found, changes, due_ms))
    return _answer(bulk, found, changed, more or is_cut)


async def cancel_jobs(api: Api, request: ApiRequest) -> Reply:
    """``POST /jobs/cancel``: pending and running jobs; a state in the filter picks one of the two."""
    bulk = await _bulk(api, request)
    states = _OPEN if bulk.filter.state is None else (state_of(bulk.filter.state),)
    if not set(_OPEN).issuperset(states):
        raise InvalidRequest("only pending and running jobs can be cancelled", field="filter.state")
    if bulk.overrides is not None:
        raise InvalidRequest("overrides go with retry, not with cancel", field="overrides")
    found, more = await _find(api, request.caller.tenant, bulk, states)
    if bulk.dry_run:
        return _answer(bulk, found, 0, more)
    changed, is_cut = await count_changed(_cancel(api, found))
    return _answer(bulk, found, changed, more or is_cut)


async def count_changed(counts: AsyncIterator[int]) -> tuple[int, bool]:
    """How many jobs were changed, and whether it stopped early. What is changed stays changed, so it is not a refusal.

    Raises:
        QueueFull, TenantLimit, Unavailable: nothing was changed.
    """
    changed = 0
    try:
        async for count in counts:
            changed += count
    except (TooManyRequests, Unavailable):
        if not changed:
            raise
        return changed, True
    return changed, False


async def _bulk(api: Api, request: ApiRequest) -> http.BulkRequest:
    body = await request.body()
    strict_json.check_utf8(body)
    bulk = strict_json.decode(_bulks, body)
    fields = strict_json.unique_fields(body)
    if "filter" in fields:
        strict_json.unique_fields(fields["filter"])
    overrides: Iterable[str] = ()
    if bulk.overrides is not None:
        api.requests.changes(fields["overrides"])
        overrides = strict_json.unique_fields(fields["overrides"])
    _tell_audit(bulk, overrides)
    if not 1 <= bulk.limit <= BULK_LIMIT_MAX:
        raise InvalidRequest(f"limit must be from 1 to {BULK_LIMIT_MAX}", field="limit")
    return bulk


def _tell_audit(bulk: http.BulkRequest, overrides: Iterable[str]) -> None:
    noting = current_note()
    if noting is None:
        return
    if bulk.dry_run:
        noting.drop()
    chosen = msgspec.to_builtins(bulk.filter)
    noting.about(of_filter(((name, value) for name, value in chosen.items() if value is not None), overrides))


async def _find(api: Api, tenant: str, bulk: http.BulkRequest, states: Sequence[State]) -> tuple[list[Match], bool]:
    """Up to ``limit`` matches, and whether there are more. Looks at all jobs if it must, letting others run between."""
    wanted = job_filter(bulk.filter)
    found: list[Match] = []
    for state in states:
        before = None
        while True:
            if len(found) > bulk.limit:
                return found[: bulk.limit], True
            left = bulk.limit + 1 - len(found)
            page = await api.reads.find(tenant, msgspec.structs.replace(wanted, state=state), before, left)
            found += [match for match in page.matches if match.size != PAYLOAD_REMOVED]  # never sent again
            before = page.next_before
            if before is None:
                break
    return found[: bulk.limit], len(found) > bulk.limit


async def _cancel(api: Api, found: list[Match]) -> AsyncIterator[int]:
    for start in range(0, len(found), BULK_JOBS_MAX):
        seqs = tuple(match.seq for match in found[start : start + BULK_JOBS_MAX])
        (result,) = await api.propose(CancelJobs(seqs))
        yield _count(result)


async def _retry(
    api: Api, tenant: str, found: list[Match], changes: http.JobChanges, due_ms: int
) -> AsyncIterator[int]:
    has_overrides = changes != http.JobChanges(run_at=changes.run_at, delay=changes.delay)
    for start in range(0, len(found), BULK_JOBS_MAX):
        part = found[start : start + BULK_JOBS_MAX]
        with api.services.admission.reserve(tenant, len(part), sum(match.size for match in part)):
            if has_overrides:
                async for count in _retry_changed(api, [match.seq for match in part], changes, due_ms):
                    yield count
            else:
                (result,) = await api.propose(RedriveJobs(tuple(match.seq for match in part), due_ms))
                yield _count(result)


async def _retry_changed(api: Api, seqs: list[int], changes: http.JobChanges, due_ms: int) -> AsyncIterator[int]:
    """Retry with overrides: each job gets its new spec in the entry that makes it pending again."""
    for start in range(0, len(seqs), _ROWS_AT_ONCE):
        rows = await api.reads.jobs(seqs[start : start + _ROWS_AT_ONCE])
        rows = [row for row in rows if row.state in FINISHED and not row.is_payload_removed]
        for updates in split([_update(api, row, changes, due_ms) for row in rows]):
            retry: AnyCommand = RedriveJobs(tuple(update.seq for update in updates), due_ms)
            results = await api.propose(retry, *updates)
            yield _count(results[0])


def _update(api: Api, row: JobRow, changes: http.JobChanges, due_ms: int) -> UpdateJob:
    work = api.requests.content.work_of(api.requests.changed(changes, row.spec), row.tenant)
    return UpdateJob(row.seq, row.revision, due_ms, work)


def _count(result: object) -> int:
    return result.count if isinstance(result, Changed) else 0


def _answer(bulk: http.BulkRequest, found: list[Match], changed: int, more: bool) -> Reply:
    sample = [match.id for match in found[:_SAMPLE]]
    return answer(200, http.BulkResponse(len(found), changed, bulk.dry_run, more, sample))
