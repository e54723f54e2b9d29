"""``hookline jobs …``: make, look at and change jobs."""

import sys
from itertools import islice

from cyclopts import App

from hookline.cli import render
from hookline.cli.filter_options import ALL_JOBS, FilterOptions
from hookline.cli.listing import DEFAULT_LISTING, ListOutput
from hookline.cli.output import confirm, print_done, print_json, show_whole, usage_error, warn_incomplete, warn_moving
from hookline.cli.parameters import AnyText, Yes
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.clock import SystemClock
from hookline.protocol import http
from hookline.protocol.limits import PAGE_MAX

app = App(name="jobs", help="Make, look at and change jobs.")
# As in ``app``: imported when they are used, with what they need.
for _name, _place in (
    ("create", "making:create"),
    ("retry", "making:retry"),
    ("update", "making:update"),
    ("watch", "watching:watch"),
    ("replay", "replay:replay"),
    ("retry-all", "bulk:retry_all"),
    ("cancel-all", "bulk:cancel_all"),
    ("import", "importing:import_jobs"),
    ("export", "exporting:export_jobs"),
):
    app.command(f"hookline.cli.{_place}", name=_name)


@app.command
def get(job_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Show one job.

    Args:
        job_id: The job's id.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        show(calls.send(requests.get_job(job_id)), service)


@app.command(name="list")
def list_(
    *,
    limit: int = 50,
    jobs: FilterOptions = ALL_JOBS,
    listing: ListOutput = DEFAULT_LISTING,
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
    with service.calls() as calls:
        if 0 < limit <= PAGE_MAX:
            page = calls.send(requests.list_jobs(jobs.fields(), limit=limit, cursor=None))
            found = page.data
            warn_incomplete(page.incomplete)
            warn_moving(page.moving)
        else:
            pages = calls.items(lambda cursor: requests.list_jobs(jobs.fields(), cursor=cursor))
            found = list(islice(pages, limit or None))
    listing.print(found, render.job_table(found, SystemClock().wall_ms()), service)


@app.command
def attempts(job_id: AnyText, /, *, listing: ListOutput = DEFAULT_LISTING, service: Service = DEFAULT_SERVICE) -> None:
    """Show every attempt of a job and what was answered.

    Args:
        job_id: The job's id.
        listing: How to print them.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        made = calls.send(requests.attempts(job_id)).data
    listing.print(made, render.attempt_table(made), service)


@app.command
def cancel(job_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Cancel a job that is not finished.

    Args:
        job_id: The job's id.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        show(calls.send(requests.cancel_job(job_id)), service)


@app.command(name="run")
def run_now(job_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Run a pending job now instead of at its time.

    Args:
        job_id: The job's id.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        show(calls.send(requests.run_job(job_id)), service)


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
    with service.calls() as calls:
        calls.send(requests.delete_job(job_id))
    print_done("deleted", job_id, as_json=service.json)
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
    with service.calls() as calls:
        show(calls.send(requests.delete_payload(job_id)), service)
    return 0


def show(job: http.Job, service: Service) -> None:
    """Print one job."""
    if service.json:
        print_json(job)
    else:
        show_whole(render.job_facts(job))
