"""Schedules: the list, and the page of each, which pauses, resumes, runs, changes and deletes it."""

import json
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import to_builtins
from starlette.responses import Response

from hookline.client import requests
from hookline.client.answers import PastTicks, Schedule, SchedulePage
from hookline.dashboard.calendar import TICKS_SHOWN, calendar_rows, reach_of
from hookline.dashboard.rendering import segment
from hookline.dashboard.ticks import shown_ticks
from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import HooklineError, InvalidJson

_PAGE: Final = 50
_TICKS: Final = 10
_TICK: Final = timedelta(seconds=1)  # none are closer
_JOBS: Final = 20
_PLAIN: Final = ("cron", "timezone", "overlap", "jitter")


def _id(visit: Visit) -> str:
    return str(visit.request.path_params["id"])


async def _list(visit: Visit) -> Response:
    cursor = visit.asks().get("cursor") or None
    page = await visit.client.send(requests.list_schedules(limit=_PAGE, cursor=cursor).giving(SchedulePage))
    return visit.page("schedules.html", page=page, cursor=cursor or "")


async def _show(visit: Visit) -> Response:
    found = await visit.client.get_schedule(_id(visit))
    ticks = await _next_ticks(visit, found)
    jobs = await visit.client.list_jobs_page(limit=_JOBS, schedule=found.id)
    reach = reach_of(visit.now, ticks)
    wanted = requests.list_ticks(found.id, start=reach.start, limit=TICKS_SHOWN, cursor=None)
    past = await visit.client.send(wanted.giving(PastTicks))
    values: dict[str, Any] = {
        "schedule": found,
        "ticks": shown_ticks(ticks),
        "page": jobs,
        "job": _text(found),
        "reach": reach,
        "calendar": calendar_rows(past.data, reach),
        "calendar_is_cut": past.next_cursor is not None,
        "ticks_shown": TICKS_SHOWN,
    }
    return visit.page("schedule.html", **values)


async def _next_ticks(visit: Visit, schedule: Schedule) -> list[datetime]:
    """Those after its start and before its end."""
    first, end = schedule.start_at or visit.now, schedule.end_at
    start = first - _TICK if first > visit.now else None
    ticks = await visit.client.preview_schedule(schedule.cron, timezone=schedule.timezone, count=_TICKS, start=start)
    return [tick for tick in ticks if (start is None or tick >= first) and (end is None or tick <= end)]


def _text(schedule: Schedule) -> str:
    return json.dumps(to_builtins(schedule.job), indent=2, ensure_ascii=False)


def _form_of(schedule: Schedule) -> dict[str, str]:
    return {name: str(getattr(schedule, name)) for name in _PLAIN} | {"job": _text(schedule)}


async def _edit(visit: Visit) -> Response:
    found = await visit.client.get_schedule(_id(visit))
    return visit.page("schedule_edit.html", schedule=found, form=_form_of(found), wrong="")


async def _save(visit: Visit) -> Response:
    sent = await visit.form()
    found = await visit.client.get_schedule(_id(visit))
    before = _form_of(found)
    try:
        changes = _changes(before, sent)
        if changes:
            await visit.client.update_schedule(found.id, **changes)
    except HooklineError as error:
        wrong = f"{error.field}: {error.detail}" if error.field else error.detail
        return visit.page("schedule_edit.html", error.http_status, schedule=found, form=before | sent, wrong=wrong)
    return _back(visit, "changed")


def _changes(before: dict[str, str], sent: dict[str, str]) -> Any:
    """Only what somebody changed; the job is replaced as a whole. Raises InvalidJson."""
    given = {name: sent.get(name, was).replace("\r\n", "\n").strip() for name, was in before.items()}
    changed: dict[str, Any] = {name: text for name, text in given.items() if text != before[name]}
    if "job" in changed:
        try:
            changed["job"] = json.loads(changed["job"])
        except ValueError as error:
            raise InvalidJson(f"this is not JSON: {error}", field="job") from error
        if not isinstance(changed["job"], dict):
            raise InvalidJson("a job is a JSON object with a url", field="job")
    return changed


async def _pause(visit: Visit) -> Response:
    await visit.form()
    await visit.client.pause_schedule(_id(visit))
    return _back(visit, "paused")


async def _resume(visit: Visit) -> Response:
    await visit.form()
    await visit.client.resume_schedule(_id(visit))
    return _back(visit, "resumed")


async def _run(visit: Visit) -> Response:
    await visit.form()
    made = await visit.client.run_schedule(_id(visit))
    return visit.look_at(f"/job/{segment(made.id)}?done=made")


async def _delete(visit: Visit) -> Response:
    await visit.form()
    await visit.client.delete_schedule(_id(visit))
    return visit.look_at("/schedules?done=deleted")


def _back(visit: Visit, done: str) -> Response:
    return visit.look_at(f"/schedule/{segment(_id(visit))}?done={done}")


PAGES = (
    PageRow("GET", "/schedules", "read", _list),
    PageRow("GET", "/schedule/{id}", "read", _show),
    PageRow("GET", "/schedule/{id}/edit", "write", _edit),
    PageRow("POST", "/schedule/{id}/edit", "write", _save),
    PageRow("POST", "/schedule/{id}/pause", "write", _pause),
    PageRow("POST", "/schedule/{id}/resume", "write", _resume),
    PageRow("POST", "/schedule/{id}/run", "write", _run),
    PageRow("POST", "/schedule/{id}/delete", "cancel", _delete),
)
