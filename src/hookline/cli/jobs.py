"""``hookline jobs …``: make, look at and change jobs."""

import sys
from itertools import islice
from typing import Any

from cyclopts import App

from hookline.cli import inputs, render
from hookline.cli.bulk import cancel_all, retry_all
from hookline.cli.exporting import export_jobs
from hookline.cli.importing import import_jobs
from hookline.cli.job_options import ALL_JOBS, NO_JOB_OPTIONS, FilterOptions, JobOptions
from hookline.cli.listing import DEFAULT_LISTING, Listing
from hookline.cli.output import confirm, print_json, show_whole, stderr, stdout, usage_error, warn_incomplete
from hookline.cli.parameters import AnyText, Flag, Seconds, Yes
from hookline.cli.replay import replay
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.cli.watching import watch
from hookline.client.blocking import Client
from hookline.clock import SystemClock
from hookline.protocol import http
from hookline.protocol.limits import PAGE_MAX

app = App(name="jobs", help="Make, look at and change jobs.")
app.command(watch)
app.command(replay)
app.command(retry_all)
app.command(cancel_all)
app.command(import_jobs, name="import")
app.command(export_jobs, name="export")


@app.command
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
    if delay is not None and at is not None:
        raise usage_error("Give --delay or --at, not both.")
    when = inputs.given(delay=None if delay is None else inputs.duration_or_seconds(delay), run_at=at)
    with service.client() as client:
        made = client.create_job(url, **job.fields(), **when, **inputs.given(id=id, idempotency_key=key))
        if wait:
            made = _waited_for(client, made, wait_timeout)
    _show(made, service)
    return int(wait and made.state != "succeeded")


@app.command
def get(job_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Show one job.

    Args:
        job_id: The job's id.
        service: Where Hookline is.
    """
    with service.client() as client:
        _show(client.get_job(job_id), service)


@app.command(name="list")
def list_(
    *,
    limit: int = 50,
    jobs: FilterOptions = ALL_JOBS,
    listing: Listing = DEFAULT_LISTING,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """List jobs, newest first.

    Args:
        limit: How many at most; 0 for all.
        jobs: Which jobs.
        listing: How to print them.
        service: Where Hookline is.
    """
    if not 0 <= limit <= sys.maxsize:
        raise usage_error(f"--limit must be 0 to {sys.maxsize}.")
    with service.client() as client:
        if 0 < limit <= PAGE_MAX:
            page = client.list_jobs_page(limit=limit, **jobs.fields())
            found = page.data
            warn_incomplete(page.incomplete)
        else:
            found = list(islice(client.list_jobs(**jobs.fields()), limit or None))
    listing.print(found, render.job_table(found, SystemClock().wall_ms()), service)


@app.command
def attempts(job_id: AnyText, /, *, listing: Listing = DEFAULT_LISTING, service: Service = DEFAULT_SERVICE) -> None:
    """Show every attempt of a job and what was answered.

    Args:
        job_id: The job's id.
        listing: How to print them.
        service: Where Hookline is.
    """
    with service.client() as client:
        made = client.attempts(job_id)
    listing.print(made, render.attempt_table(made), service)


@app.command
def cancel(job_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Cancel a job that is not finished.

    Args:
        job_id: The job's id.
        service: Where Hookline is.
    """
    with service.client() as client:
        _show(client.cancel_job(job_id), service)


@app.command
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
    with service.client() as client:
        _show(client.retry_job(job_id, **_changes(job, no_secret=no_secret), **inputs.given(url=to)), service)


@app.command(name="run")
def run_now(job_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Run a pending job now instead of at its time.

    Args:
        job_id: The job's id.
        service: Where Hookline is.
    """
    with service.client() as client:
        _show(client.run_job(job_id), service)


@app.command
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
    when = inputs.given(delay=None if delay is None else inputs.duration_or_seconds(delay), run_at=at, url=to)
    changes = _changes(job, no_secret=no_secret) | when
    if not changes:
        raise usage_error("Nothing to change was given.")
    with service.client() as client:
        _show(client.update_job(job_id, **changes), service)


@app.command
def delete(job_id: AnyText, /, *, yes: Yes = False, service: Service = DEFAULT_SERVICE) -> int:
    """Delete a job that is not running, with its payload and attempts; a pending one is never sent.

    Args:
        job_id: The job's id.
        yes: Do not ask.
        service: Where Hookline is.
    """
    if not confirm(f"Delete the job {job_id} and all that is known of it?", yes=yes):
        return 1
    with service.client() as client:
        client.delete_job(job_id)
    if service.json:
        print_json({"deleted": job_id})
    else:
        stdout().print(f"deleted {job_id}")
    return 0


@app.command
def delete_payload(job_id: AnyText, /, *, yes: Yes = False, service: Service = DEFAULT_SERVICE) -> int:
    """Delete what a finished job sent and what was answered; its record stays, and it cannot be retried.

    Args:
        job_id: The job's id.
        yes: Do not ask.
        service: Where Hookline is.
    """
    if not confirm(f"Delete the payload of the job {job_id}, so that it cannot be sent again?", yes=yes):
        return 1
    with service.client() as client:
        _show(client.delete_payload(job_id), service)
    return 0


def _waited_for(client: Client, made: http.Job, timeout_s: float) -> http.Job:
    """The job when it is finished; who gives up waiting is told its id, and that it goes on."""
    try:
        return client.wait_for_job(made.id, timeout_s)
    except KeyboardInterrupt:
        stderr().print(f"Job {made.id} goes on without you: hookline jobs watch {made.id}", soft_wrap=True)
        raise


def _changes(job: JobOptions, *, no_secret: bool) -> Any:
    # The option wins over a secret in the environment, which is meant for new jobs.
    return job.fields() | ({"secret": None} if no_secret else {})


def _show(job: http.Job, service: Service) -> None:
    if service.json:
        print_json(job)
    else:
        show_whole(render.job_facts(job))
