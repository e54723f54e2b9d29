"""From rows of the state to the shapes that users see."""

import asyncio
import base64
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw

from hookline.http_api.cursors import encode_cursor
from hookline.http_api.messages import ApiRequest, Reply, answer
from hookline.node.api.receiver_access import shown_access
from hookline.node.api.services import Services
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.read_rows import DestinationRow, JobRow, LastAttemptRow, ScheduleRow
from hookline.node.vault import missing_keys
from hookline.protocol import http, http_tenants
from hookline.protocol.durations import format_duration, format_time
from hookline.protocol.http_audit import AuditPage
from hookline.protocol.jobs import AttemptRecord, JobSpec, Outcome, State, in_force
from hookline.protocol.redaction import (
    MASK,
    PAYLOAD,
    RESPONSE_BODY,
    hidden_values,
    is_hidden,
    masked,
    without_echoes,
)
from hookline.protocol.retries import given_retry, retry_view
from hookline.protocol.settings import DestinationSettings

_OUTCOMES: dict[int, Any] = {outcome.value: outcome.label for outcome in Outcome}
_SETTINGS_CACHED_MAX = 10_000
_VIEWS_BETWEEN_YIELDS = 20

Page = http.JobPage | http.SchedulePage | http.DestinationPage | AuditPage | http_tenants.TenantPage
StoredRow = TypeVar("StoredRow")
View = TypeVar("View")


class Pending(NamedTuple):
    """The part of a pending job that says why it waits. ``sealed_content``: if the key for it is missing."""

    tenant: str
    destination: str
    due_ms: int
    attempts: int
    sealed_secret: bytes | None = None
    sealed_content: bytes = b""


def pending_of(row: JobRow) -> Pending:
    """Of a job that is pending."""
    spec = row.spec
    return Pending(row.tenant, spec.destination, row.due_ms, row.attempts, spec.sealed_secret, spec.sealed_content)


class JobViews(ABC):
    """Builds views of jobs.

    Args:
        signs_all: the node signs what has no secret of its own.
    """

    def __init__(self, *, signs_all: bool) -> None:
        self._signs_all = signs_all

    @abstractmethod
    def settings(self, tenant: str, destination: str) -> DestinationSettings:
        """The settings that are in force for a destination."""

    @abstractmethod
    def waiting_for(self, of: Pending) -> http.WaitingFor:
        """The reason why a pending job waits."""

    def job(self, row: JobRow, *, payload: bool = True, deduplicated: bool = False) -> http.Job:
        """A job; ``payload`` only where one job is shown."""
        spec = row.spec
        is_pending = row.state is State.PENDING
        return http.Job(
            id=row.id,
            url=spec.url,
            method=spec.method,
            state=row.state.label,  # type: ignore[arg-type]
            run_at=format_time(row.run_at_ms),
            created_at=format_time(row.created_ms),
            finished_at=_time(row.finished_ms),
            attempts_made=row.attempts,
            next_attempt_at=format_time(row.due_ms) if is_pending else None,
            waiting_for=self.waiting_for(pending_of(row)) if is_pending else None,
            last_attempt=_last_attempt(row.last_attempt),
            labels=labels_view(spec),
            guarantee=guarantee_view(spec),
            priority=spec.priority,
            destination=spec.destination,
            headers=masked(spec.headers, spec.redact),
            redact=list(spec.redact),
            timeout=_timeout(spec.timeout_ms),
            retry=retry_view(in_force(spec.retry, self.settings(row.tenant, spec.destination).retry)),
            signed=self.is_signed(row.tenant, spec),
            schedule=row.schedule,
            payload=_payload(spec) if payload else UNSET,
            body_base64=_base64(spec) if payload else UNSET,
            deduplicated=True if deduplicated else UNSET,
            payload_removed=row.is_payload_removed,
            tenant=row.tenant or UNSET,
        )

    def is_signed(self, tenant: str, spec: JobSpec) -> bool:
        """Whether its requests will carry a signature."""
        if self._signs_all or spec.sealed_secret is not None:
            return True
        return bool(self.settings(tenant, spec.destination).sealed_secrets)


class Views(JobViews):
    """Those of a node; knows the destinations' settings, without asking the database for each job."""

    def __init__(self, services: Services) -> None:
        super().__init__(signs_all=services.config.signing_secret is not None)
        self._services = services
        self._settings_known: dict[tuple[str, str], DestinationSettings] = {}
        services.replica.listen(self._forget_destinations, this_term=False)

    def destination(self, row: DestinationRow) -> http.Destination:
        """A destination: its settings, and what is going on there."""
        settings = row.settings
        status = self._services.delivery.destination_status(row.tenant, row.name)
        rate = None
        if settings.rate_limit is not None:
            rate = http.Rate(settings.rate_limit, format_duration(settings.rate_per_ms))
        auth, tls = shown_access(self._services.vault, settings.sealed_access)
        return http.Destination(
            host=row.name,
            concurrency=settings.concurrency,
            rate=rate,
            paused=settings.paused,
            breaker=http.Breaker(status.breaker, _time(status.breaker_until_ms)),  # type: ignore[arg-type]
            running=status.running,
            waiting=status.waiting,
            secrets=len(settings.sealed_secrets),
            retry=None if settings.retry is None else given_retry(settings.retry),
            auth=auth,
            tls=tls,
            tenant=row.tenant or UNSET,
            recent=status.recent or UNSET,
        )

    def settings(self, tenant: str, destination: str) -> DestinationSettings:
        known = self._settings_known.get((tenant, destination))
        if known is None:
            row = self._services.reads.destination(tenant, destination)
            known = DestinationSettings() if row is None else row.settings
            if len(self._settings_known) >= _SETTINGS_CACHED_MAX:
                self._settings_known.clear()
            self._settings_known[tenant, destination] = known
        return known

    def _forget_destinations(self, effects: Effects) -> None:
        for changed in effects.destinations:
            self._settings_known.pop((changed.tenant, changed.name), None)

    def waiting_for(self, of: Pending) -> http.WaitingFor:
        own = of.sealed_secret
        sealed = self.settings(of.tenant, of.destination).sealed_secrets if own is None else (own,)
        access = self.settings(of.tenant, of.destination).sealed_access
        what = (
            ("its secret", sealed),
            ("what it is to send", (of.sealed_content,) if of.sealed_content else ()),
            ("the access to its destination", (access,) if access else ()),
        )
        for name, seals in what:
            if seals and (missing := missing_keys(seals, self._services.vault)):
                keys = ", ".join(sorted(missing))
                return http.WaitingFor("key", f"{name} is sealed with key {keys}, which this node does not have")
        why = self._services.delivery.why_waiting(of.tenant, of.destination, of.due_ms, of.attempts)
        reason, detail, until_ms = why
        return http.WaitingFor(reason, detail, _time(until_ms))  # type: ignore[arg-type]


def attempt_view(row: AttemptRecord, spec: JobSpec) -> http.Attempt:
    """An attempt in full; what it answered with is shown without what ``spec`` hides, the job as it is now."""
    hidden = hidden_values(spec.headers, spec.redact).values()
    headers: dict[str, str] = {}
    for name, value in row.response_headers:
        shown = MASK if is_hidden(name, spec.redact) else without_echoes(value, hidden)
        headers[name] = f"{headers[name]}, {shown}" if name in headers else shown
    is_hidden_body = RESPONSE_BODY in spec.redact and row.status is not None
    body = MASK if is_hidden_body else without_echoes(row.response_body.decode("utf-8", "replace"), hidden)
    return http.Attempt(
        number=row.number,
        outcome=_OUTCOMES[row.outcome],
        status=row.status,
        error=row.error,
        started_at=format_time(row.started_ms),
        duration_ms=row.duration_ms,
        node=row.node,
        term=row.term,
        response_headers=headers,
        response_body=body,
    )


def batch_job(row: JobRow, *, deduplicated: bool = False) -> http.BatchJob:
    """The short form of a job."""
    spec = row.spec
    return http.BatchJob(
        id=row.id,
        url=spec.url,
        method=spec.method,
        state=row.state.label,  # type: ignore[arg-type]
        run_at=format_time(row.run_at_ms),
        guarantee=guarantee_view(spec),
        deduplicated=deduplicated,
    )


def schedule_view(row: ScheduleRow, *, deduplicated: bool = False) -> http.Schedule:
    """A schedule as users see it."""
    spec = row.spec
    return http.Schedule(
        id=row.id,
        cron=spec.cron,
        timezone=spec.timezone,
        catch_up=http.CatchUp(spec.catch_up, format_duration(spec.window_ms)),
        overlap="skip" if spec.skip_overlap else "allow",
        jitter=format_duration(spec.jitter_ms),
        start_at=_time(spec.start_ms),
        end_at=_time(spec.end_ms),
        paused=row.paused,
        created_at=format_time(row.created_ms),
        next_tick_at=None if row.paused else _time(row.next_tick_ms),
        last_tick_at=_time(row.last_tick_ms),
        last_job_id=row.last_job,
        jobs_made=row.made,
        ticks_skipped=row.skipped,
        job=template_view(row.job_spec),
        deduplicated=True if deduplicated else UNSET,
        tenant=row.tenant or UNSET,
    )


def template_view(spec: JobSpec) -> dict[str, Any]:
    """The job of a schedule, as it could be posted; a secret is never shown."""
    view: dict[str, Any] = {
        "url": spec.url,
        "method": spec.method,
        "headers": masked(spec.headers, spec.redact),
        "redact": list(spec.redact),
        "timeout": format_duration(spec.timeout_ms),
        "guarantee": guarantee_view(spec),
        "priority": spec.priority,
        "labels": labels_view(spec),
    }
    if (retry := given_retry(spec.retry)) is not None:
        view["retry"] = retry
    given = {"payload": _payload(spec), "body_base64": _base64(spec)}
    return view | {name: value for name, value in given.items() if value is not UNSET}


def labels_view(spec: JobSpec) -> http.Labels:
    """Labels in the form they were given."""
    return spec.labels if isinstance(spec.labels, dict) else list(spec.labels)


def guarantee_view(spec: JobSpec) -> http.Guarantee:
    """The name of a guarantee."""
    return "at_most_once" if spec.at_most_once else "at_least_once"


@lru_cache(maxsize=1024)
def _timeout(ms: int) -> str:
    return format_duration(ms)


def _last_attempt(row: LastAttemptRow | None) -> http.LastAttempt | None:
    if row is None:
        return None
    return http.LastAttempt(
        row.number, _OUTCOMES[row.outcome], row.status, row.error, format_time(row.started_ms), row.duration_ms
    )


def _payload(spec: JobSpec) -> Any:
    if PAYLOAD in spec.redact and spec.body:
        return MASK
    return Raw(spec.body) if spec.is_json and not spec.sealed_content else UNSET


def _base64(spec: JobSpec) -> Any:
    is_shown = spec.body and not spec.is_json and PAYLOAD not in spec.redact
    return base64.b64encode(spec.body).decode() if is_shown else UNSET


def _time(ms: int | None) -> str | None:
    return None if ms is None else format_time(ms)


async def views_of(rows: Sequence[StoredRow], view: Callable[[StoredRow], View]) -> list[View]:
    """Turns rows into what users see of them; other work goes on in between."""
    views: list[View] = []
    for start in range(0, len(rows), _VIEWS_BETWEEN_YIELDS):
        views += map(view, rows[start : start + _VIEWS_BETWEEN_YIELDS])
        await asyncio.sleep(0)
    return views


def page_reply(request: ApiRequest, page: Page, scope: str, positions: list[str]) -> Reply:
    """The page; ``positions`` are those of its items, as ``scope``'s cursors hold them.

    A proxy merges pages, so it gets the place of every item.
    """
    if request.caller.epoch is not None:
        cursors = [encode_cursor(position, scope) for position in positions]
        page = msgspec.structs.replace(page, cursors=cursors)
    return answer(200, page)
