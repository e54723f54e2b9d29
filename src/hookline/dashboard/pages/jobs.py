"""The list of jobs, and the search in it; the list of those that are dead is the same with one field filled in."""

from typing import Any

from starlette.responses import Response

from hookline.client.answers import JobPage
from hookline.dashboard.filters import AGES, ASKED, STATES, destination_in, filter_fields, kept
from hookline.dashboard.live import LivePart, Sight, event_stream, mark_of
from hookline.dashboard.rendering import query, segment
from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import InvalidRequest, NotFound

_PAGE = 50


async def _list(visit: Visit) -> Response:
    return await _listed(visit, visit.asks(), "/dashboard/jobs")


async def _dead(visit: Visit) -> Response:
    return await _listed(visit, visit.asks() | {"state": "dead"}, "/dashboard/dead")


async def _listed(visit: Visit, asked: dict[str, str], path: str) -> Response:
    wanted = asked.pop("q", "").strip()
    note = ""
    if wanted:
        if (found := await _found(visit, wanted)) is not None:
            return found
        destination = destination_in(wanted)
        if destination is None:
            note = "No job has that id. A url, such as https://example.com, finds the jobs that call that host."
        else:
            asked["destination"] = destination
    values: dict[str, Any] = {"asked": kept(asked), "wanted": wanted, "note": note, "path": path, "cursor": ""}
    values |= {
        "form": {name: asked.get(name, "") for name in ASKED},
        "states": STATES,
        "ages": AGES,
        "is_dead": path.endswith("/dead"),
    }
    try:
        filters, cursor = filter_fields(asked, visit.now), asked.get("cursor") or None
        page = await visit.client.list_jobs_page(limit=_PAGE, cursor=cursor, **filters)
    except InvalidRequest as error:
        empty = JobPage([], None)
        return visit.page("jobs.html", 400, **values | {"note": error.detail, "page": empty, "live": ""})
    live = f"/dashboard/jobs/stream?{query(kept(asked), seen=mark_of(page), path=path)}"
    values |= {"page": page, "cursor": cursor or "", "live": "" if cursor else live}
    return visit.page("jobs.html", **values)


async def _found(visit: Visit, wanted: str) -> Response | None:
    """Leads to the job of that id, if there is one."""
    try:
        job = await visit.client.get_job(wanted)
    except (NotFound, InvalidRequest):
        return None
    path = f"/job/{segment(job.id)}"
    if visit.is_for_part:
        return Response(headers={"hx-redirect": f"/dashboard{path}"})
    return visit.look_at(path)


async def _stream(visit: Visit) -> Response:
    asked = visit.asks()
    path = "/dashboard/dead" if asked.get("path") == "/dashboard/dead" else "/dashboard/jobs"

    async def look() -> Sight:
        page = await visit.client.list_jobs_page(limit=_PAGE, **filter_fields(asked, visit.now))
        shown = {"page": page, "asked": kept(asked), "path": path, "cursor": "", "is_dead": path.endswith("dead")}
        return mark_of(page), lambda: visit.text("jobs_rows.html", **shown)

    return event_stream(visit, LivePart("part", look, asked.get("seen", "")), pace=2)


PAGES = (
    PageRow("GET", "/jobs", "read", _list),
    PageRow("GET", "/dead", "read", _dead),
    PageRow("GET", "/jobs/stream", "read", _stream),
)
