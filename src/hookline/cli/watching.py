"""``jobs watch``: a table that follows jobs until they are finished."""

import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hookline.cli import render
from hookline.cli.filter_options import ALL_JOBS, FilterOptions
from hookline.cli.output import print_json, rich_stdout, show_whole, stderr, stdout
from hookline.cli.parameters import AnyText, Interval
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.clock import SystemClock
from hookline.protocol.http import Job

if TYPE_CHECKING:
    from hookline.cli.calls import Calls

_SHOWN_MAX = 20


def watch(
    *job_ids: AnyText,
    interval: Annotated[Interval, Parameter(help="Seconds between two looks.")] = 0.5,
    jobs: FilterOptions = ALL_JOBS,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Follow jobs until all of them are finished; the exit code is 0 only if all succeeded.

    Without ids: the newest jobs that match, as long as you like (Ctrl-C ends it). With --json: the jobs as they are
    at the end, or, without ids, now.

    Args:
        job_ids: The ids of the jobs.
        interval: Seconds between two looks.
        jobs: Which jobs, if no ids are given.
        service: Where Hookline is.
    """
    clock = SystemClock()
    with service.calls() as calls:
        found = _look(calls, job_ids, jobs)
        if service.json or not stdout().is_terminal:
            while job_ids and not _finished(found):
                time.sleep(interval)
                found = _look(calls, job_ids, jobs)
            if service.json:
                print_json({"data": found})
            else:
                show_whole(render.job_table(found, clock.wall_ms()))
        else:
            from rich.live import Live

            with Live(render.job_table(found, clock.wall_ms()), console=rich_stdout(), auto_refresh=False) as live:
                while not job_ids or not _finished(found):
                    time.sleep(interval)
                    found = _look(calls, job_ids, jobs)
                    live.update(render.job_table(found, clock.wall_ms()), refresh=True)
    if job_ids and not service.json:
        _say_why(found)
    return int(bool(job_ids) and any(job.state != "succeeded" for job in found))


def _look(calls: "Calls", job_ids: tuple[str, ...], jobs: FilterOptions) -> list[Job]:
    if job_ids:
        return [calls.send(requests.get_job(job_id)) for job_id in job_ids]
    return calls.send(requests.list_jobs(jobs.fields(), limit=_SHOWN_MAX, cursor=None)).data


def _say_why(jobs: list[Job]) -> None:
    """Prints a line for each job that did not succeed."""
    for job in jobs:
        if job.state in ("dead", "unknown"):
            text = f"{job.id} is {job.state} after {render.tries(job)}: {render.last_answer(job)}"
            stderr().print(text, style="yellow", soft_wrap=True)


def _finished(jobs: list[Job]) -> bool:
    return all(job.state in requests.FINISHED for job in jobs)
