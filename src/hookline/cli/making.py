"""``hookline jobs create``, ``retry`` and ``update``: the commands that say what a job is."""

from typing import TYPE_CHECKING, Any

from hookline.cli import inputs
from hookline.cli.job_options import NO_JOB_OPTIONS, JobOptions
from hookline.cli.jobs import show
from hookline.cli.output import stderr, usage_error
from hookline.cli.parameters import AnyText, Flag, Seconds
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.protocol import http

if TYPE_CHECKING:
    from hookline.cli.calls import Calls


def create(
    url: AnyText,
    /,
    *,
    delay: str | None = None,
    at: str | None = None,
    id: AnyText | None = None,
    key: AnyText | None = None,
    wait: Flag = False,
    wait_timeout: Seconds = 60.0,
    job: JobOptions = NO_JOB_OPTIONS,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Make a job: one HTTP call, now or later.

    For example: hookline jobs create https://shop.example.com/hook --data '{"order": 4711}' --delay 10m

    Or, to see what becomes of it: hookline jobs create http://127.0.0.1:9000/hello --data @order.json --wait

    Args:
        url: What to call.
        delay: Due after this time, such as 90s or 1h30m.
        at: Due at this time, RFC 3339 with a zone, such as 2026-11-24T13:00:00Z.
        id: The job's id, if it shall be yours.
        key: Idempotency key: the same key and job again is the same job.
        wait: Wait until the job is finished; the exit code is 0 only if it succeeded.
        wait_timeout: Seconds to wait at most.
        job: What the job is.
        service: Where Hookline is.
    """
    fields = job.fields() | _when(delay, at) | inputs.given(id=id, idempotency_key=key)
    with service.calls() as calls:
        made = calls.send(requests.create_job(url, fields, calls.clock))
        if wait:
            made = _waited_for(calls, made, wait_timeout)
    show(made, service)
    return int(wait and made.state != "succeeded")


def retry(
    job_id: AnyText,
    /,
    *,
    to: str | None = None,
    no_secret: Flag = False,
    job: JobOptions = NO_JOB_OPTIONS,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Try a finished job again with fresh attempts, changed if you like.

    Args:
        job_id: The job's id.
        to: Call this url instead.
        no_secret: Sign without a secret of the job's own.
        job: What else to change.
        service: Where Hookline is.
    """
    overrides = _changes(job, no_secret=no_secret) | inputs.given(url=to)
    with service.calls() as calls:
        show(calls.send(requests.retry_job(job_id, overrides)), service)


def update(
    job_id: AnyText,
    /,
    *,
    to: str | None = None,
    delay: str | None = None,
    at: str | None = None,
    no_secret: Flag = False,
    job: JobOptions = NO_JOB_OPTIONS,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Change a pending job.

    Args:
        job_id: The job's id.
        to: Call this url instead.
        delay: Due after this time from now.
        at: Due at this time, RFC 3339 with a zone.
        no_secret: Sign without a secret of the job's own.
        job: What else to change.
        service: Where Hookline is.
    """
    changes = _changes(job, no_secret=no_secret) | _when(delay, at) | inputs.given(url=to)
    if not changes:
        raise usage_error("Nothing to change was given.")
    with service.calls() as calls:
        show(calls.send(requests.update_job(job_id, changes)), service)


def _waited_for(calls: "Calls", made: http.Job, timeout_s: float) -> http.Job:
    """The job when it is finished; who gives up waiting is told its id, and that it goes on."""
    try:
        return calls.finished(requests.get_job(made.id), timeout_s)
    except KeyboardInterrupt:
        stderr().print(f"Job {made.id} goes on without you: hookline jobs watch {made.id}", soft_wrap=True)
        raise


def _when(delay: str | None, at: str | None) -> dict[str, Any]:
    """The fields for it; a text that may be a number of seconds is read as one."""
    if delay is not None and at is not None:
        raise usage_error("Give --delay or --at, not both.")
    return inputs.given(delay=None if delay is None else inputs.duration_or_seconds(delay), run_at=at)


def _changes(job: JobOptions, *, no_secret: bool) -> Any:
    # The option wins over a secret in the environment, which is meant for new jobs.
    return job.fields() | ({"secret": None} if no_secret else {})
