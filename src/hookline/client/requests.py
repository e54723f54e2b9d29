"""Every call of the API as a value, and the reading of its reply. Pure: the two clients only carry bytes.

A ``Request`` knows the type of its reply and whether it may be sent twice, so a client needs nothing else to
send it, try again and return a typed value.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar, cast
from urllib.parse import urlencode

import msgspec

from hookline import errors
from hookline.client.fields import JobItem, Length, ScheduledJob, Time, time_text, to_json
from hookline.client.headers import check_headers
from hookline.client.json_values import encode_json
from hookline.client.replies import parse_reply, surely_refused
from hookline.clock import Clock
from hookline.protocol import http, http_audit, http_keys, http_logs, http_tenants
from hookline.protocol.api_keys import KeyScope
from hookline.protocol.calls import CALLS, Call
from hookline.protocol.ids import check_id, mint_id
from hookline.protocol.modes import Mode
from hookline.telemetry.log_events import LogArea, LogLevel

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

JSON = "application/json"
FALLBACK = "Hookline-Fallback"  # "allow": a proxy may give the job to another cluster than its home, if that is down
PAGE_SIZE = 1_000
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
FINISHED = frozenset({"succeeded", "dead", "cancelled", "unknown"})


@dataclass(frozen=True, slots=True)
class Request(Generic[R_co]):
    """One call: ``path`` with its query, ``body`` as JSON or none.

    Attributes:
        reply: the type of a 2xx answer's body.
        is_repeatable: it may be sent again when an earlier try may have been accepted.
        accepts: statuses beside 2xx whose body is the reply too.
        may_fall_back: another cluster may take it when its home surely did not; see ``after``.
        gone_code: with this code it has done what it should, if an earlier try may have been accepted.
        is_ambiguous: an earlier try may have been accepted.
    """

    method: str
    path: str
    reply: type[R_co]
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    is_repeatable: bool = True
    accepts: tuple[int, ...] = ()
    may_fall_back: bool = False
    gone_code: str = ""
    is_ambiguous: bool = False

    def giving(self: "Request[Any]", reply: type[T]) -> "Request[T]":
        """The same call, whose answer is read as another type: the SDK's own has the same fields."""
        return replace(self, reply=reply)

    def parse(self, status: int, headers: Mapping[str, str], body: bytes, url: str = "the service") -> R_co:
        """The value of the answer of the service at ``url``; see ``parse_reply``.

        What an earlier try has deleted is not there any more: that is not an error of the call.
        """
        try:
            return parse_reply(status, headers, body, self.reply, url=url, accepts=self.accepts)
        except errors.NotFound as error:
            if not self.is_ambiguous or error.code != self.gone_code:
                raise
            return cast("R_co", None)

    def after(self, error: errors.HooklineError) -> Self:
        """The next try after one that ended in ``error``.

        Only a call of which no try can have been accepted may leave a home that is down; and once it may have, an
        unclear answer ends it, since the next try could find the home back and be accepted a second time.
        """
        if not surely_refused(error):
            return replace(self, may_fall_back=False, is_ambiguous=True)
        if self.may_fall_back and isinstance(error, errors.ClusterUnavailable):
            return replace(self, may_fall_back=False, is_repeatable=False, headers=self.headers | {FALLBACK: "allow"})
        return self


# --- jobs -----------------------------------------------------------------------------------------------------


def create_job(url: str, fields: Mapping[str, Any], clock: Clock) -> Request[http.Job]:
    """``POST /jobs``. Without an id or key of the caller's, one key is minted here and used for every try.

    Nobody looks for the job by that key later, so it may leave a home that is down.
    """
    named = dict(fields)
    key = named.pop("idempotency_key", None)
    is_unnamed = key is None and named.get("id") is None
    if is_unnamed:
        key = f"sdk-{clock.token(16).hex()}"
    headers = _trace(named.pop("traceparent", None)) | ({} if key is None else {"Idempotency-Key": key})
    check_headers(headers, "headers")
    request = calling("createJob", http.Job, body={"url": url} | to_json(named), headers=headers)
    return replace(request, may_fall_back=is_unnamed)


def create_jobs(
    jobs: Sequence[JobItem | http.JobRequest], clock: Clock, *, traceparent: str | None = None
) -> Request[http.BatchResponse]:
    """``POST /jobs/batch``. Items without an id get one here, so that the batch can be sent again as a whole."""
    items = []
    for job in jobs:
        named = job if isinstance(job, Mapping) else msgspec.structs.asdict(job)
        item = to_json({name: value for name, value in named.items() if value is not msgspec.UNSET})
        if item.get("id") is None:
            item["id"] = _fresh_id(clock)
        items.append(item)
    return calling("createBatch", http.BatchResponse, body={"jobs": items}, headers=_trace(traceparent))


def in_brief(batch: Request[http.BatchResponse]) -> Request[http.BriefResponse]:
    """The batch, answered with ids and states. A service that does not know that wish says more."""
    return replace(batch.giving(http.BriefResponse), headers=batch.headers | {"Prefer": "return=minimal"})


def get_job(job_id: str) -> Request[http.Job]:
    """``GET /jobs/{id}``."""
    return calling("getJob", http.Job, check_id(job_id))


def list_jobs(
    filters: Mapping[str, Any], *, limit: int | None = PAGE_SIZE, cursor: str | None
) -> Request[http.JobPage]:
    """``GET /jobs``, one page."""
    return calling("listJobs", http.JobPage, query=_filter(filters) | {"limit": limit, "cursor": cursor})


def attempts(job_id: str) -> Request[http.AttemptList]:
    """``GET /jobs/{id}/attempts``."""
    return calling("listAttempts", http.AttemptList, check_id(job_id))


def update_job(job_id: str, fields: Mapping[str, Any]) -> Request[http.Job]:
    """``PATCH /jobs/{id}``."""
    return calling("updateJob", http.Job, check_id(job_id), body=to_json(fields))


def cancel_job(job_id: str) -> Request[http.Job]:
    """``POST /jobs/{id}/cancel``."""
    return calling("cancelJob", http.Job, check_id(job_id))


def retry_job(job_id: str, overrides: Mapping[str, Any]) -> Request[http.Job]:
    """``POST /jobs/{id}/retry``. Not idempotent: the first may have run and ended when the second arrives."""
    return calling("retryJob", http.Job, check_id(job_id), body=to_json(overrides))


def run_job(job_id: str) -> Request[http.Job]:
    """``POST /jobs/{id}/run``: due now. Not idempotent, as it would also end the wait before a retry."""
    return calling("runJob", http.Job, check_id(job_id))


def delete_job(job_id: str) -> Request[None]:
    """``DELETE /jobs/{id}``."""
    return calling("deleteJob", type(None), check_id(job_id))


def delete_payload(job_id: str) -> Request[http.Job]:
    """``DELETE /jobs/{id}/payload``."""
    return calling("deletePayload", http.Job, check_id(job_id))


def retry_jobs(
    filters: Mapping[str, Any], *, dry_run: bool, limit: int | None, overrides: Mapping[str, Any]
) -> Request[http.BulkResponse]:
    """``POST /jobs/retry``."""
    body = _bulk(filters, dry_run, limit) | ({"overrides": to_json(overrides)} if overrides else {})
    return calling("retryJobs", http.BulkResponse, body=body, is_dry_run=dry_run)


def cancel_jobs(filters: Mapping[str, Any], *, dry_run: bool, limit: int | None) -> Request[http.BulkResponse]:
    """``POST /jobs/cancel``."""
    return calling("cancelJobs", http.BulkResponse, body=_bulk(filters, dry_run, limit))


# --- schedules ------------------------------------------------------------------------------------------------


def create_schedule(cron: str, job: ScheduledJob, fields: Mapping[str, Any], clock: Clock) -> Request[http.Schedule]:
    """``POST /schedules``. Without an id, one is minted here, so that the call can be sent again."""
    body = {"cron": cron, "job": to_json(job)} | to_json(fields)
    if body.get("id") is None:
        body["id"] = _fresh_id(clock)
    return calling("createSchedule", http.Schedule, body=body)


def get_schedule(schedule_id: str) -> Request[http.Schedule]:
    """``GET /schedules/{id}``."""
    return calling("getSchedule", http.Schedule, check_id(schedule_id))


def list_schedules(*, limit: int | None = PAGE_SIZE, cursor: str | None) -> Request[http.SchedulePage]:
    """``GET /schedules``, one page."""
    return calling("listSchedules", http.SchedulePage, query={"limit": limit, "cursor": cursor})


def update_schedule(schedule_id: str, fields: Mapping[str, Any]) -> Request[http.Schedule]:
    """``PATCH /schedules/{id}``."""
    return calling("updateSchedule", http.Schedule, check_id(schedule_id), body=to_json(fields))


def delete_schedule(schedule_id: str) -> Request[None]:
    """``DELETE /schedules/{id}``."""
    return calling("deleteSchedule", type(None), check_id(schedule_id))


def pause_schedule(schedule_id: str) -> Request[http.Schedule]:
    """``POST /schedules/{id}/pause``."""
    return calling("pauseSchedule", http.Schedule, check_id(schedule_id))


def resume_schedule(schedule_id: str) -> Request[http.Schedule]:
    """``POST /schedules/{id}/resume``."""
    return calling("resumeSchedule", http.Schedule, check_id(schedule_id))


def run_schedule(schedule_id: str) -> Request[http.Job]:
    """``POST /schedules/{id}/run``: one job now. Not idempotent: each call makes one."""
    return calling("runSchedule", http.Job, check_id(schedule_id))


def list_ticks(
    schedule_id: str, *, start: Time | None, limit: int | None = PAGE_SIZE, cursor: str | None
) -> Request[http.PastTicks]:
    """``GET /schedules/{id}/ticks``, one page."""
    begin = None if start is None else time_text(start, field="start")
    query = {"from": begin, "limit": limit, "cursor": cursor}
    return calling("listTicks", http.PastTicks, check_id(schedule_id), query=query)


def preview_schedule(
    cron: str, *, timezone: str | None, count: int | None, start: Time | None
) -> Request[http.Preview]:
    """``GET /schedules/preview``."""
    begin = None if start is None else time_text(start, field="start")
    query = {"cron": cron, "timezone": timezone, "count": count, "from": begin}
    return calling("previewSchedule", http.Preview, query=query)


# --- destinations, clusters -----------------------------------------------------------------------------------


def list_destinations(*, limit: int | None = PAGE_SIZE, cursor: str | None) -> Request[http.DestinationPage]:
    """``GET /destinations``, one page."""
    return calling("listDestinations", http.DestinationPage, query={"limit": limit, "cursor": cursor})


def get_destination(host: str) -> Request[http.Destination]:
    """``GET /destinations/{host}``."""
    return calling("getDestination", http.Destination, host)


def put_destination(host: str, fields: Mapping[str, Any]) -> Request[http.Destination]:
    """``PUT /destinations/{host}``."""
    return calling("putDestination", http.Destination, host, body=to_json(fields))


def delete_destination(host: str) -> Request[None]:
    """``DELETE /destinations/{host}``."""
    return calling("deleteDestination", type(None), host)


def create_key(
    name: str, scopes: Sequence[KeyScope], *, tenant: str | None, expires: Length | None
) -> Request[http_keys.NewKey]:
    """``POST /keys``. Never sent twice: each time makes another key."""
    fields: dict[str, Any] = {"name": name, "scopes": list(scopes)}
    fields |= {} if tenant is None else {"tenant": tenant}
    fields |= {} if expires is None else {"expires": expires}
    return calling("createKey", http_keys.NewKey, body=to_json(fields))


def list_keys(*, limit: int | None = PAGE_SIZE, cursor: str | None) -> Request[http_keys.KeyPage]:
    """``GET /keys``, one page."""
    return calling("listKeys", http_keys.KeyPage, query={"limit": limit, "cursor": cursor})


def own_key() -> Request[http_keys.OwnKey]:
    """``GET /keys/self``."""
    return calling("getOwnKey", http_keys.OwnKey)


def get_key(key_id: str) -> Request[http_keys.KeyView]:
    """``GET /keys/{id}``."""
    return calling("getKey", http_keys.KeyView, check_id(key_id))


def rotate_key(key_id: str, *, overlap: Length) -> Request[http_keys.NewKey]:
    """``POST /keys/{id}/rotate``. Never sent twice: each time makes another text."""
    return calling("rotateKey", http_keys.NewKey, check_id(key_id), body=to_json({"overlap": overlap}))


def list_audit(
    *, action: str | None, actor: str | None, after: Time | None, limit: int | None = PAGE_SIZE, cursor: str | None
) -> Request[http_audit.AuditPage]:
    """``GET /audit``, one page."""
    query = {
        "action": action,
        "actor": actor,
        "after": None if after is None else time_text(after, field="after"),
        "limit": limit,
        "cursor": cursor,
    }
    return calling("listAudit", http_audit.AuditPage, query=query)


def revoke_key(key_id: str) -> Request[None]:
    """``DELETE /keys/{id}``."""
    return calling("revokeKey", type(None), check_id(key_id))


def list_tenants(*, limit: int | None = PAGE_SIZE, cursor: str | None) -> Request[http_tenants.TenantPage]:
    """``GET /tenants``, one page."""
    return calling("listTenants", http_tenants.TenantPage, query={"limit": limit, "cursor": cursor})


def get_tenant(name: str) -> Request[http_tenants.Tenant]:
    """``GET /tenants/{tenant}``."""
    return calling("getTenant", http_tenants.Tenant, name)


def put_tenant(name: str, fields: Mapping[str, Any]) -> Request[http_tenants.Tenant]:
    """``PUT /tenants/{tenant}``."""
    return calling("putTenant", http_tenants.Tenant, name, body=to_json(fields))


def delete_tenant(name: str) -> Request[None]:
    """``DELETE /tenants/{tenant}``."""
    return calling("deleteTenant", type(None), name)


def cluster(name: str | None) -> Request[http.Cluster]:
    """``GET /cluster``, or at a proxy ``GET /clusters/{name}``."""
    return calling("getCluster", http.Cluster) if name is None else calling("getOneCluster", http.Cluster, name)


def cluster_mode(mode: Mode, name: str | None) -> Request[http.Cluster]:
    """``PATCH /cluster``, or at a proxy ``PATCH /clusters/{name}``."""
    body = msgspec.json.encode(http.ClusterChange(mode))
    if name is None:
        return calling("changeCluster", http.Cluster, body=body)
    return calling("changeOneCluster", http.Cluster, name, body=body)


def handover(name: str | None) -> Request[dict[str, Any]]:
    """``POST /cluster/handover``, or at a proxy ``POST /clusters/{name}/handover``. It is not sent again."""
    if name is None:
        return calling("handover", dict[str, Any])
    return calling("handOneOver", dict[str, Any], name)


def clusters() -> Request[http.ClusterList]:
    """``GET /clusters``, at a proxy."""
    return calling("listClusters", http.ClusterList)


def trust_clock() -> Request[http.ClockView]:
    """``POST /cluster/clock``, at a node."""
    return calling("trustClock", http.ClockView, body=msgspec.json.encode(http.ClockWord(trust=True)))


def log_levels() -> Request[http_logs.LogLevels]:
    """``GET /logs/levels``."""
    return calling("getLogLevels", http_logs.LogLevels)


def change_log_levels(
    level: LogLevel | None = None, levels: Mapping[LogArea, LogLevel] | None = None
) -> Request[http_logs.LogLevels]:
    """``PATCH /logs/levels``."""
    change = http_logs.LogLevelsChange(dict(levels or {}), level)
    return calling("changeLogLevels", http_logs.LogLevels, body=msgspec.json.encode(change))


def health() -> Request[http.Health]:
    """``GET /health``; a node that is not fit says so with 503 and the same body."""
    return replace(calling("getHealth", http.Health), accepts=(503,))


# --- small parts ----------------------------------------------------------------------------------------------


def calling(
    name: str,
    reply: type[T],
    parameter: str = "",
    *,
    query: Mapping[str, object] | None = None,
    body: Mapping[str, Any] | bytes | None = None,
    headers: dict[str, str] | None = None,
    is_dry_run: bool = False,
) -> Request[T]:
    """The call of that name; ``parameter`` is the one in its path. What it creates has an id or key."""
    call = CALLS[name]
    return Request(
        call.method,
        _path(call, parameter, query or {}),
        reply,
        encode_json(body) if isinstance(body, Mapping) else body,
        ({} if body is None else {"Content-Type": JSON}) | (headers or {}),
        call.may_repeat(is_named=True, is_dry_run=is_dry_run),
        gone_code=call.gone_code,
    )


def _path(call: Call, parameter: str, query: Mapping[str, object]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    try:
        path = call.path_of(parameter)
        return f"{path}?{urlencode(given)}" if given else path
    except UnicodeEncodeError as error:
        raise errors.InvalidRequest(f"this cannot be sent: {error.object!r} is not UTF-8 text") from error


def _trace(traceparent: str | None) -> dict[str, str]:
    if traceparent is None:
        return {}
    if not _TRACEPARENT.fullmatch(str(traceparent)):
        raise errors.InvalidHeader(
            "traceparent is not like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 (W3C Trace Context)",
            field="traceparent",
        )
    return {"traceparent": traceparent}


def _bulk(filters: Mapping[str, Any], dry_run: bool, limit: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {"filter": _filter(filters), "dry_run": dry_run}
    return body if limit is None else body | {"limit": limit}


def _filter(filters: Mapping[str, Any]) -> dict[str, Any]:
    return to_json({name: value for name, value in filters.items() if value is not None})


def _fresh_id(clock: Clock) -> str:
    """A UUIDv7 without a shard: to the service an id of the client's own choice, which makes repeats safe."""
    return mint_id(clock.wall_ms(), clock.token(10), 0).removesuffix("-0")
