"""The SDK for asyncio: a thin shell over ``requests`` (what is sent and read) and ``transport`` (how)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from itertools import count
from typing import Any, Self, Unpack

import httpx2

from hookline.client import fields, requests
from hookline.client.connections import Connecting, Verify
from hookline.client.retrying import Retrying, check_wait, poll_s
from hookline.client.transport import AwaitingTransport, service_url
from hookline.clock import Clock, SystemClock
from hookline.protocol import http
from hookline.protocol.topology import Topology


class AsyncClient:
    """Talks to a node or a proxy; belongs to one event loop. Close it, or use it in an ``async with``.

    Args:
        base_url: where Hookline listens; HOOKLINE_URL when None, else a node on this machine.
        timeout: seconds for each try of a call, from looking up the name to the last byte of the answer.
        retries: how often a call is tried again, if that is safe.
        headers: sent with every call, such as the token of a gateway.
        verify: a file of certificates to trust, or an ``ssl.SSLContext``; what the system trusts when True.
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
        timeout: float = 10.0,
        retries: int = 3,
        headers: Mapping[str, str] | None = None,
        verify: Verify = True,
        proxy: str | None = None,
        http_client: httpx2.AsyncClient | Callable[[], httpx2.AsyncClient] | None = None,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock or SystemClock()
        self._sleep = sleep
        connecting = Connecting(
            url=service_url(base_url), headers=headers or {}, verify=verify, proxy=proxy, http_client=http_client
        )
        self._transport = AwaitingTransport(connecting, Retrying(retries, timeout, self._clock), sleep)
        self._send = self._transport.send

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._transport.close()

    async def create_job(self, url: str, **job: Unpack[fields.JobFields]) -> http.Job:
        """Accept a job: an HTTP call to make now, after ``delay`` or at ``run_at``. Trying again never makes two."""
        return await self._send(requests.create_job(url, job, self._clock))

    async def create_jobs(self, jobs: Sequence[fields.JobItem | http.JobRequest]) -> list[http.BatchResult]:
        """Accept up to 1,000 jobs in one call; each result belongs to the job at the same place."""
        return (await self._send(requests.create_jobs(jobs, self._clock))).results

    async def get_job(self, job_id: str) -> http.Job:
        return await self._send(requests.get_job(job_id))

    def list_jobs(self, **filters: Unpack[fields.FilterFields]) -> AsyncIterator[http.Job]:
        """All jobs that match, newest first, fetched page by page."""
        return self._transport.items(lambda cursor: requests.list_jobs(filters, cursor=cursor))

    async def list_jobs_page(
        self, *, limit: int | None = None, cursor: str | None = None, **filters: Unpack[fields.FilterFields]
    ) -> http.JobPage:
        return await self._send(requests.list_jobs(filters, limit=limit, cursor=cursor))

    async def attempts(self, job_id: str) -> list[http.Attempt]:
        return (await self._send(requests.attempts(job_id))).data

    async def update_job(self, job_id: str, **changes: Unpack[fields.JobUpdateFields]) -> http.Job:
        return await self._send(requests.update_job(job_id, changes))

    async def cancel_job(self, job_id: str) -> http.Job:
        return await self._send(requests.cancel_job(job_id))

    async def retry_job(self, job_id: str, **overrides: Unpack[fields.JobUpdateFields]) -> http.Job:
        return await self._send(requests.retry_job(job_id, overrides))

    async def run_job(self, job_id: str) -> http.Job:
        return await self._send(requests.run_job(job_id))

    async def wait_for_job(self, job_id: str, timeout: float = 60.0) -> http.Job:
        """The job once it is finished, whatever its state then; ``DeadlineExceeded`` after ``timeout`` seconds."""
        deadline_ms = self._clock.boot_ms() + timeout * 1_000
        for polls in count():
            job = await self.get_job(job_id)
            if job.state in requests.FINISHED:
                return job
            await self._sleep(check_wait(job, poll_s(polls), (deadline_ms - self._clock.boot_ms()) / 1_000))
        raise AssertionError("count() does not end")

    async def retry_jobs(
        self,
        *,
        dry_run: bool = False,
        limit: int | None = None,
        overrides: fields.JobUpdateFields | None = None,
        **filters: Unpack[fields.FilterFields],
    ) -> http.BulkResponse:
        return await self._send(requests.retry_jobs(filters, dry_run=dry_run, limit=limit, overrides=overrides or {}))

    async def cancel_jobs(
        self, *, dry_run: bool = False, limit: int | None = None, **filters: Unpack[fields.FilterFields]
    ) -> http.BulkResponse:
        return await self._send(requests.cancel_jobs(filters, dry_run=dry_run, limit=limit))

    async def create_schedule(
        self, cron: str, job: fields.JobItem | Mapping[str, Any], **options: Unpack[fields.ScheduleFields]
    ) -> http.Schedule:
        """A job at each tick of ``cron``, in ``timezone`` (UTC if not given)."""
        return await self._send(requests.create_schedule(cron, job, options, self._clock))

    async def get_schedule(self, schedule_id: str) -> http.Schedule:
        return await self._send(requests.get_schedule(schedule_id))

    def list_schedules(self) -> AsyncIterator[http.Schedule]:
        """All schedules, fetched page by page."""
        return self._transport.items(lambda cursor: requests.list_schedules(cursor=cursor))

    async def update_schedule(self, schedule_id: str, **changes: Unpack[fields.ScheduleUpdateFields]) -> http.Schedule:
        return await self._send(requests.update_schedule(schedule_id, changes))

    async def delete_schedule(self, schedule_id: str) -> None:
        await self._send(requests.delete_schedule(schedule_id))

    async def pause_schedule(self, schedule_id: str) -> http.Schedule:
        return await self._send(requests.pause_schedule(schedule_id))

    async def resume_schedule(self, schedule_id: str) -> http.Schedule:
        return await self._send(requests.resume_schedule(schedule_id))

    async def run_schedule(self, schedule_id: str) -> http.Job:
        """Make one job of the schedule now, beside its ticks."""
        return await self._send(requests.run_schedule(schedule_id))

    async def preview_schedule(
        self, cron: str, *, timezone: str | None = None, count: int | None = None, start: fields.Time | None = None
    ) -> list[str]:
        """The next ticks, RFC 3339 with the zone's offset."""
        return (await self._send(requests.preview_schedule(cron, timezone=timezone, count=count, start=start))).ticks

    def destinations(self) -> AsyncIterator[http.Destination]:
        """All destinations that jobs or settings name, fetched page by page."""
        return self._transport.items(lambda cursor: requests.list_destinations(cursor=cursor))

    async def get_destination(self, host: str) -> http.Destination:
        return await self._send(requests.get_destination(host))

    async def put_destination(self, host: str, **settings: Unpack[fields.DestinationFields]) -> http.Destination:
        return await self._send(requests.put_destination(host, settings))

    async def cluster(self, name: str | None = None) -> http.Cluster:
        """The cluster of a node; at a proxy the only one, or the one of that name."""
        return await self._send(requests.cluster(name))

    async def clusters(self) -> http.ClusterList:
        """All clusters behind a proxy."""
        return await self._send(requests.clusters())

    async def topology(self) -> Topology:
        """Which clusters there are and how ids are spread over them, as a proxy knows it."""
        return await self._send(requests.topology())

    async def apply_topology(self, topology: Topology, *, force: bool = False) -> http.TopologyApplied:
        """Give a proxy and all clusters a newer topology; ``EpochTaken`` if another has that epoch.

        ``force`` takes it as it is, though a change is open or ids move without ``previous``: ids may be made twice.
        """
        return await self._send(requests.apply_topology(topology, force=force))

    async def route(self, job_id: str) -> http.Route:
        """Where a proxy looks for that id, and why."""
        return await self._send(requests.route(job_id))

    async def trust_clock(self) -> http.ClockView:
        """Say that the clock of the node's machine is right; ``Conflict`` if most of the cluster's clocks disagree."""
        return await self._send(requests.trust_clock())

    async def health(self) -> http.Health:
        return await self._send(requests.health())
