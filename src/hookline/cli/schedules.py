"""``hookline schedules …``: calendars that make jobs."""

from typing import Any

from cyclopts import App

from hookline.cli import inputs, render
from hookline.cli.job_options import NO_JOB_OPTIONS, JobOptions
from hookline.cli.listing import DEFAULT_LISTING, ListOutput
from hookline.cli.output import confirm, print_done, print_json, show_whole, stdout, usage_error
from hookline.cli.parameters import AnyText, Flag, Yes
from hookline.cli.service import DEFAULT_SERVICE, Service
from hookline.client import requests
from hookline.clock import SystemClock
from hookline.protocol import http

app = App(name="schedules", help="Make, look at and change schedules.")


@app.command
def create(
    cron: AnyText,
    url: AnyText,
    /,
    *,
    id: AnyText | None = None,
    timezone: str | None = None,
    catch_up: str | None = None,
    catch_up_window: str | None = None,
    overlap: str | None = None,
    jitter: str | None = None,
    start_at: str | None = None,
    end_at: str | None = None,
    paused: Flag = False,
    job: JobOptions = NO_JOB_OPTIONS,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Make a schedule: one job at each tick.

    For example: hookline schedules create "0 9 * * mon-fri" https://shop.example.com/report --timezone Europe/Berlin

    Args:
        cron: Five fields, such as "0 9 * * mon-fri".
        url: What each job calls.
        id: The schedule's id, if it shall be yours.
        timezone: IANA zone of the cron fields, such as Europe/Berlin; UTC if not given.
        catch_up: What happens to missed ticks: skip, coalesce or all.
        catch_up_window: Missed ticks older than this are skipped, such as 24h.
        overlap: allow, or skip a tick while the job before is not finished.
        jitter: Spread the jobs over this time after their tick.
        start_at: No ticks before this time, RFC 3339.
        end_at: No ticks after this time, RFC 3339.
        paused: Make it paused.
        job: What each job is.
        service: Where Hookline is.
    """
    options = _calendar(timezone, catch_up, catch_up_window, overlap, jitter, start_at, end_at)
    with service.calls() as calls:
        made = calls.send(
            requests.create_schedule(
                cron,
                {"url": url} | job.fields(),
                options | inputs.given(id=id, paused=paused or None),
                calls.clock,
            )
        )
    _show(made, service)


@app.command
def update(
    schedule_id: AnyText,
    /,
    *,
    cron: AnyText | None = None,
    to: str | None = None,
    timezone: str | None = None,
    catch_up: str | None = None,
    catch_up_window: str | None = None,
    overlap: str | None = None,
    jitter: str | None = None,
    start_at: str | None = None,
    end_at: str | None = None,
    job: JobOptions = NO_JOB_OPTIONS,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Change a schedule. Its job is replaced as a whole, but its secret, so --to goes with the job's other options.

    Args:
        schedule_id: The schedule's id.
        cron: Five fields.
        to: What each job calls.
        timezone: IANA zone of the cron fields.
        catch_up: skip, coalesce or all.
        catch_up_window: Missed ticks older than this are skipped.
        overlap: allow or skip.
        jitter: Spread the jobs over this time after their tick.
        start_at: No ticks before this time.
        end_at: No ticks after this time.
        job: What each job is.
        service: Where Hookline is.
    """
    job_fields = job.fields()
    if job_fields and to is None:
        raise usage_error("The job is replaced as a whole: give its --to too.")
    changes = _calendar(timezone, catch_up, catch_up_window, overlap, jitter, start_at, end_at)
    changes |= inputs.given(cron=cron, job=None if to is None else {"url": to} | job_fields)
    if not changes:
        raise usage_error("Nothing to change was given.")
    with service.calls() as calls:
        _show(calls.send(requests.update_schedule(schedule_id, changes)), service)


@app.command(name="list")
def list_(*, listing: ListOutput = DEFAULT_LISTING, service: Service = DEFAULT_SERVICE) -> None:
    """List all schedules.

    Args:
        listing: How to print them.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        found = list(calls.items(lambda cursor: requests.list_schedules(cursor=cursor)))
    listing.print(found, render.schedule_table(found, SystemClock().wall_ms()), service)


@app.command
def get(schedule_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Show one schedule.

    Args:
        schedule_id: The schedule's id.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        _show(calls.send(requests.get_schedule(schedule_id)), service)


@app.command
def preview(
    cron: AnyText,
    /,
    *,
    timezone: str | None = None,
    count: int = 10,
    start: str | None = None,
    service: Service = DEFAULT_SERVICE,
) -> None:
    """Show the next ticks of a cron expression, without making a schedule.

    Args:
        cron: Five fields, such as "0 9 * * mon-fri".
        timezone: IANA zone; UTC if not given.
        count: How many ticks.
        start: Ticks after this time, RFC 3339; now if not given.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        ticks = calls.send(requests.preview_schedule(cron, timezone=timezone, count=count, start=start)).ticks
    if service.json:
        print_json({"ticks": ticks})
    else:
        stdout().print("\n".join(ticks) or "no ticks")


@app.command
def pause(schedule_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Stop making jobs until it is resumed.

    Args:
        schedule_id: The schedule's id.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        _show(calls.send(requests.pause_schedule(schedule_id)), service)


@app.command
def resume(schedule_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Go on after a pause.

    Args:
        schedule_id: The schedule's id.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        _show(calls.send(requests.resume_schedule(schedule_id)), service)


@app.command(name="run")
def run_now(schedule_id: AnyText, /, *, service: Service = DEFAULT_SERVICE) -> None:
    """Make one job now, beside the ticks.

    Args:
        schedule_id: The schedule's id.
        service: Where Hookline is.
    """
    with service.calls() as calls:
        made = calls.send(requests.run_schedule(schedule_id))
    if service.json:
        print_json(made)
    else:
        show_whole(render.job_facts(made))


@app.command
def delete(
    schedule_id: AnyText,
    /,
    *,
    yes: Yes = False,
    service: Service = DEFAULT_SERVICE,
) -> int:
    """Delete a schedule; jobs it has made stay.

    Args:
        schedule_id: The schedule's id.
        yes: Do not ask.
        service: Where Hookline is.
    """
    if not confirm(f"Delete the schedule {schedule_id}?", yes=yes):
        return 1
    with service.calls() as calls:
        calls.send(requests.delete_schedule(schedule_id))
    print_done("deleted", schedule_id, as_json=service.json)
    return 0


def _calendar(
    timezone: str | None,
    catch_up: str | None,
    window: str | None,
    overlap: str | None,
    jitter: str | None,
    start_at: str | None,
    end_at: str | None,
) -> Any:
    return inputs.given(
        timezone=timezone,
        catch_up=inputs.given(policy=catch_up, window=window) or None,
        overlap=overlap,
        jitter=None if jitter is None else inputs.duration_or_seconds(jitter),
        start_at=start_at,
        end_at=end_at,
    )


def _show(schedule: http.Schedule, service: Service) -> None:
    if service.json:
        print_json(schedule)
    else:
        show_whole(render.schedule_facts(schedule))
