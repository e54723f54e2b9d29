"""The SDK for asyncio: a thin shell over ``requests`` (what is sent and read) and ``transport`` (how)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from hookline.client import fields, requests
from hookline.client.answers import (
    Attempt,
    AttemptList,
    AuditPage,
    AuditView,
    BatchResponse,
    BatchResult,
    BriefResponse,
    BriefResult,
    BulkResponse,
    ClockView,
    Cluster,
    ClusterList,
    Destination,
    DestinationPage,
    Health,
    Job,
    JobPage,
    KeyPage,
    KeyView,
    LogLevels,
    NewKey,
    OwnKey,
    PastTick,
    PastTicks,
    Preview,
    Schedule,
    SchedulePage,
    Tenant,
    TenantPage,
)
from hookline.client.awaiting_transport import AwaitingHttp, AwaitingTransport
from hookline.client.connections import Connecting
from hookline.client.fields import Length
from hookline.client.retrying import RETRIES, Retrying
from hookline.client.topology_calls import AwaitingTopologyCalls
from hookline.client.transport import service_url, with_key, with_tenant
from hookline.client.trust import CertPair, FilePath, Verify, trust_of
from hookline.clock import Clock, SystemClock
from hookline.protocol.api_keys import KeyScope
from hookline.protocol.http import JobRequest
from hookline.protocol.modes import Mode
from hookline.telemetry.log_events import LogArea, LogLevel

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")


class AsyncClient(AwaitingTopologyCalls):
    """Talks to a node or a proxy; belongs to one event loop. Close it, or use it in an ``async with``.

    Args:
        base_url: where Hookline listens; HOOKLINE_URL when None, else a node on this machine.
        api_key: shows who calls; HOOKLINE_API_KEY when None.
        tenant: for whom to act, with an operator's key; HOOKLINE_TENANT when None, else whose the key is.
        timeout: seconds for each try of a call, from looking up the name to the last byte of the answer.
        retries: how often a call is tried again, if that is safe.
        headers: sent with every call, such as the token of a gateway.
        ca_file: the authorities whose certificates are trusted; HOOKLINE_CA_FILE when None, else the system's.
        cert: the files of a certificate and its key, for a service that asks for one; HOOKLINE_CLIENT_CERT and
            HOOKLINE_CLIENT_KEY when None.
        verify: the same as ca_file, or an ``ssl.SSLContext`` of your own, or False to trust anybody.
        proxy: the url of an HTTP proxy to go through; those of the environment are not used.
        http_client: your own ``httpx2.AsyncClient``, or a function that makes one in each process. Your own stays
            open when this client is closed. Its settings hold, but redirects are not followed.
        clock: where ids, keys, jitter and the time come from.
        sleep: waits for that many seconds, without blocking the loop.

    Every method raises the errors of ``hookline.errors``: ``ConnectionFailed`` if the service cannot be reached,
    ``DeadlineExceeded`` if it may or may not have accepted the call, else what it answered.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        tenant: str | None = None,
        timeout: float = 10.0,
        retries: int = RETRIES,
        headers: Mapping[str, str] | None = None,
        ca_file: FilePath | None = None,
        cert: CertPair | None = None,
        verify: Verify = True,
        proxy: str | None = None,
        http_client: "httpx2.AsyncClient | Callable[[], httpx2.AsyncClient] | None" = None,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock or SystemClock()
        connecting = Connecting(
            url=(url := service_url(base_url)),
            headers=with_tenant(with_key(headers, api_key, url), tenant),
            trust=trust_of(verify, ca_file, cert, looks_around=http_client is None and url.startswith("https:")),
            proxy=proxy,
            http_client=http_client,
        )
        retrying = Retrying(retries, timeout, self._clock)
        self._transport = AwaitingTransport(AwaitingHttp(connecting, retrying), retrying, sleep)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; each later call raises ``ClientClosed``."""
        await self._transport.close()

    async def create_job(self, url: str, **job: Unpack[fields.JobFields]) -> Job:
        """Accept a job: an HTTP call to make now, after ``delay`` or at ``run_at``. Trying again never makes two.

        Args:
            url: what to call.
            job: all optional. ``method`` (POST), ``headers``; ``payload``, any JSON value, or ``body``, bytes;
                ``run_at``, an aware datetime or RFC 3339 text, or ``delay``; ``timeout`` of one attempt; ``retry``
                (``max_attempts``, ``initial``, ``factor``, ``max``, ``schedule``, ``budget``); ``guarantee``
                ("at_least_once", "at_most_once"); ``priority`` (-100 to 100); ``labels``; ``secret`` to sign with;
                ``redact``, what is never shown (headers, ``payload``, ``response_body``); ``id`` or
                ``idempotency_key``, by which the same again is the same job; ``traceparent``. Lengths are a timedelta,
                "1h30m" or seconds.

        Raises:
            InvalidRequest: a field is wrong; ``error.field`` names it.
            IdempotencyMismatch: the id or key was used before with another job.
            QueueFull, TenantLimit: a limit is reached; nothing was stored.
        """
        return await self._ask(requests.create_job(url, job, self._clock), Job)

    @overload
    async def create_jobs(
        self,
        jobs: Sequence[fields.JobItem | JobRequest],
        *,
        traceparent: str | None = None,
        minimal: Literal[False] = False,
    ) -> list[BatchResult]: ...

    @overload
    async def create_jobs(
        self, jobs: Sequence[fields.JobItem | JobRequest], *, traceparent: str | None = None, minimal: Literal[True]
    ) -> list[BriefResult]: ...

    async def create_jobs(
        self, jobs: Sequence[fields.JobItem | JobRequest], *, traceparent: str | None = None, minimal: bool = False
    ) -> list[BatchResult] | list[BriefResult]:
        """Accept up to 1,000 jobs in one call; each result belongs to the job at the same place.

        ``minimal``: ids and states will do as results, which costs the service less.
        """
        batch = requests.create_jobs(jobs, self._clock, traceparent=traceparent)
        if minimal:
            return (await self._ask(requests.in_brief(batch), BriefResponse)).results
        return (await self._ask(batch, BatchResponse)).results

    async def get_job(self, job_id: str) -> Job:
        """One job. Raises ``JobNotFound``."""
        return await self._ask(requests.get_job(job_id), Job)

    def list_jobs(self, **filters: Unpack[fields.FilterFields]) -> AsyncIterator[Job]:
        """All jobs that match, newest first, fetched page by page."""
        return self._transport.items(lambda cursor: requests.list_jobs(filters, cursor=cursor).giving(JobPage))

    async def list_jobs_page(
        self, *, limit: int | None = None, cursor: str | None = None, **filters: Unpack[fields.FilterFields]
    ) -> JobPage:
        """One page of the jobs that match, newest first; go on with ``cursor=page.next_cursor``."""
        return await self._ask(requests.list_jobs(filters, limit=limit, cursor=cursor), JobPage)

    async def attempts(self, job_id: str) -> list[Attempt]:
        """Every attempt of a job, oldest first, with what was answered. Raises ``JobNotFound``."""
        return (await self._ask(requests.attempts(job_id), AttemptList)).data

    async def update_job(self, job_id: str, **changes: Unpack[fields.JobUpdateFields]) -> Job:
        """Change a pending job: fields of ``create_job``, and ``url``. Raises ``JobNotPending``, ``JobNotFound``."""
        return await self._ask(requests.update_job(job_id, changes), Job)

    async def cancel_job(self, job_id: str) -> Job:
        """Cancel a job that is not finished. Raises ``JobFinished``, ``JobNotFound``."""
        return await self._ask(requests.cancel_job(job_id), Job)

    async def retry_job(self, job_id: str, **overrides: Unpack[fields.JobUpdateFields]) -> Job:
        """Try a finished job again with fresh attempts, changed by fields as in ``update_job``.

        Raises ``JobNotRetryable``, ``JobNotFound``.
        """
        return await self._ask(requests.retry_job(job_id, overrides), Job)

    async def run_job(self, job_id: str) -> Job:
        """Run a pending job now instead of at its time. Raises ``JobNotPending``, ``JobNotFound``."""
        return await self._ask(requests.run_job(job_id), Job)

    async def delete_job(self, job_id: str) -> None:
        """Delete a job that is not running, with all that is known of it. Raises ``JobRunning``, ``JobNotFound``.

        Its id and idempotency key are free again.
        """
        await self._transport.send(requests.delete_job(job_id))

    async def delete_payload(self, job_id: str) -> Job:
        """Delete what a finished job sent and what was answered; the job stays, and cannot be retried.

        Raises ``JobNotFinished``, ``JobNotFound``.
        """
        return await self._ask(requests.delete_payload(job_id), Job)

    async def wait_for_job(self, job_id: str, timeout: float = 60.0) -> Job:
        """The job once it is finished, whatever its state then; ``DeadlineExceeded`` after ``timeout`` seconds."""
        return await self._transport.finished(requests.get_job(job_id).giving(Job), timeout)

    async def retry_jobs(
        self,
        *,
        dry_run: bool = False,
        limit: int | None = None,
        overrides: fields.JobUpdateFields | None = None,
        **filters: Unpack[fields.FilterFields],
    ) -> BulkResponse:
        """Retry all finished jobs that match, up to ``limit``; ``dry_run`` only counts. If ``more``, call again."""
        return await self._ask(
            requests.retry_jobs(filters, dry_run=dry_run, limit=limit, overrides=overrides or {}), BulkResponse
        )

    async def cancel_jobs(
        self, *, dry_run: bool = False, limit: int | None = None, **filters: Unpack[fields.FilterFields]
    ) -> BulkResponse:
        """Cancel all jobs that match, up to ``limit``; ``dry_run`` only counts. If ``more``, call again."""
        return await self._ask(requests.cancel_jobs(filters, dry_run=dry_run, limit=limit), BulkResponse)

    async def create_schedule(
        self, cron: str, job: fields.ScheduledJob, **options: Unpack[fields.ScheduleFields]
    ) -> Schedule:
        """A job at each tick of ``cron``, in ``timezone`` (UTC if not given).

        Args:
            cron: five fields, such as "*/5 * * * *".
            job: the fields of ``create_job`` with ``url``, without ``run_at`` and ``delay``.
            options: all optional. ``id``, ``timezone``, ``catch_up`` (``policy``, ``window``), ``overlap`` ("allow",
                "skip"), ``jitter``, ``start_at``, ``end_at``, ``paused``.

        Raises:
            InvalidCron, InvalidTimezone, InvalidRequest: a field is wrong; ``error.field`` names it.
            ScheduleExists: another schedule has that id.
        """
        return await self._ask(requests.create_schedule(cron, job, options, self._clock), Schedule)

    async def get_schedule(self, schedule_id: str) -> Schedule:
        """One schedule. Raises ``ScheduleNotFound``."""
        return await self._ask(requests.get_schedule(schedule_id), Schedule)

    def list_schedules(self) -> AsyncIterator[Schedule]:
        """All schedules, fetched page by page."""
        return self._transport.items(lambda cursor: requests.list_schedules(cursor=cursor).giving(SchedulePage))

    async def update_schedule(self, schedule_id: str, **changes: Unpack[fields.ScheduleUpdateFields]) -> Schedule:
        """Change a schedule: the options of ``create_schedule``, ``cron``, and ``job``, replaced as a whole."""
        return await self._ask(requests.update_schedule(schedule_id, changes), Schedule)

    async def delete_schedule(self, schedule_id: str) -> None:
        """Delete a schedule; the jobs it has made stay. Raises ``ScheduleNotFound``."""
        await self._transport.send(requests.delete_schedule(schedule_id))

    async def pause_schedule(self, schedule_id: str) -> Schedule:
        """Make no more jobs until ``resume_schedule``. Raises ``ScheduleNotFound``."""
        return await self._ask(requests.pause_schedule(schedule_id), Schedule)

    async def resume_schedule(self, schedule_id: str) -> Schedule:
        """Make jobs again, from the next tick on. Raises ``ScheduleNotFound``."""
        return await self._ask(requests.resume_schedule(schedule_id), Schedule)

    async def run_schedule(self, schedule_id: str) -> Job:
        """Make one job of the schedule now, beside its ticks."""
        return await self._ask(requests.run_schedule(schedule_id), Job)

    def past_ticks(self, schedule_id: str, *, start: fields.Time | None = None) -> AsyncIterator[PastTick]:
        """The ticks since ``start``, or since the schedule was made, and what became of each; oldest first."""
        return self._transport.items(
            lambda cursor: requests.list_ticks(schedule_id, start=start, cursor=cursor).giving(PastTicks)
        )

    async def preview_schedule(
        self, cron: str, *, timezone: str | None = None, count: int | None = None, start: fields.Time | None = None
    ) -> list[datetime]:
        """The next ticks, with the zone's offset."""
        return (
            await self._ask(requests.preview_schedule(cron, timezone=timezone, count=count, start=start), Preview)
        ).ticks

    def destinations(self) -> AsyncIterator[Destination]:
        """All destinations that jobs or settings name, fetched page by page."""
        return self._transport.items(lambda cursor: requests.list_destinations(cursor=cursor).giving(DestinationPage))

    async def get_destination(self, host: str) -> Destination:
        """Settings and state of a destination, ``scheme://host:port``. Raises ``DestinationNotFound``."""
        return await self._ask(requests.get_destination(host), Destination)

    async def put_destination(self, host: str, **settings: Unpack[fields.DestinationFields]) -> Destination:
        """Set ``concurrency``, ``rate``, ``paused``, ``secrets``, ``retry``, ``auth`` or ``tls`` of a destination.

        What is left out stays; None returns to the default. ``auth`` is ``{"type": "bearer", "token": …}``, or of the
        type "basic" or "oauth2"; ``tls`` holds ``ca``, ``certificate`` and ``key`` in PEM.
        """
        return await self._ask(requests.put_destination(host, settings), Destination)

    async def delete_destination(self, host: str) -> None:
        """Forget the settings of a destination; jobs that a pause held back go. Raises ``DestinationNotFound``."""
        await self._transport.send(requests.delete_destination(host))

    async def create_key(
        self, name: str, scopes: Sequence[KeyScope], *, tenant: str | None = None, expires: Length | None = None
    ) -> NewKey:
        """Make an API key; its ``key`` is shown this once. It holds for ``expires``, or until it is revoked."""
        return await self._ask(requests.create_key(name, scopes, tenant=tenant, expires=expires), NewKey)

    def keys(self) -> AsyncIterator[KeyView]:
        """All API keys but those that were revoked, the oldest first, without their texts."""
        return self._transport.items(lambda cursor: requests.list_keys(cursor=cursor).giving(KeyPage))

    async def own_key(self) -> OwnKey:
        """Name, scopes, tenant and expiry of the key that this client shows."""
        return await self._ask(requests.own_key(), OwnKey)

    async def get_key(self, key_id: str) -> KeyView:
        """An API key without its text. Raises ``KeyNotFound``."""
        return await self._ask(requests.get_key(key_id), KeyView)

    async def rotate_key(self, key_id: str, *, overlap: Length = "24h") -> NewKey:
        """Give an API key a new text; those before hold for ``overlap`` more. Raises ``KeyNotFound``."""
        return await self._ask(requests.rotate_key(key_id, overlap=overlap), NewKey)

    async def revoke_key(self, key_id: str) -> None:
        """Have an API key refused from now on. Raises ``KeyNotFound``."""
        await self._transport.send(requests.revoke_key(key_id))

    def list_audit(
        self, *, action: str | None = None, actor: str | None = None, after: fields.Time | None = None
    ) -> AsyncIterator[AuditView]:
        """The audit log, the newest first. ``action``: a call's name; ``actor``: the id of a key, or ``root``."""
        return self._transport.items(
            lambda cursor: requests.list_audit(action=action, actor=actor, after=after, cursor=cursor).giving(AuditPage)
        )

    def tenants(self) -> AsyncIterator[Tenant]:
        """All tenants that have settings, jobs or keys, by name. Needs an operator's key, as all about tenants."""
        return self._transport.items(lambda cursor: requests.list_tenants(cursor=cursor).giving(TenantPage))

    async def get_tenant(self, name: str) -> Tenant:
        """Limits and weight of a tenant, and what it has. Raises ``TenantNotFound``."""
        return await self._ask(requests.get_tenant(name), Tenant)

    async def put_tenant(self, name: str, **settings: Unpack[fields.TenantFields]) -> Tenant:
        """Set ``pending_jobs``, ``pending_bytes``, ``creates_per_second`` or ``weight`` of a tenant, in each cluster.

        What is left out stays; None takes a limit away.
        """
        return await self._ask(requests.put_tenant(name, settings), Tenant)

    async def delete_tenant(self, name: str) -> None:
        """Take limits and weight back; jobs and keys stay. Raises ``TenantNotFound``."""
        await self._transport.send(requests.delete_tenant(name))

    async def cluster(self, name: str | None = None) -> Cluster:
        """The cluster of a node; at a proxy the only one, or the one of that name."""
        return await self._ask(requests.cluster(name), Cluster)

    async def set_mode(self, mode: Mode, name: str | None = None) -> Cluster:
        """Let the leader's process make the attempts, or those of all nodes (hybrid), or only workers' (workers)."""
        return await self._ask(requests.cluster_mode(mode, name), Cluster)

    async def hand_over(self, name: str | None = None) -> None:
        """Let another node lead; at a proxy name the cluster. Raises ``Conflict`` where there is no other node."""
        await self._transport.send(requests.handover(name))

    async def clusters(self) -> ClusterList:
        """All clusters behind a proxy."""
        return await self._ask(requests.clusters(), ClusterList)

    async def trust_clock(self) -> ClockView:
        """Say that the clock of the node's machine is right; ``Conflict`` if most of the cluster's clocks disagree."""
        return await self._ask(requests.trust_clock(), ClockView)

    async def log_levels(self) -> LogLevels:
        """From which level on each area of the log of this node or proxy is written."""
        return await self._ask(requests.log_levels(), LogLevels)

    async def set_log_levels(
        self, level: LogLevel | None = None, *, levels: Mapping[LogArea, LogLevel] | None = None
    ) -> LogLevels:
        """Change them until the process ends: ``levels`` by area, and ``level`` of all the others."""
        return await self._ask(requests.change_log_levels(level, levels), LogLevels)

    async def health(self) -> Health:
        """Whether the node or proxy is fit to take jobs; also when it is not (``status`` is ``"unavailable"``)."""
        return await self._ask(requests.health(), Health)

    async def _ask(self, request: requests.Request[Any], answer: type[T]) -> T:
        return await self._transport.send(request.giving(answer))
