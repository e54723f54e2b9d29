"""The page that makes a job or a schedule from a form, and says the same as curl, CLI and Python."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.responses import Response

from hookline.dashboard.recipes import (
    METHODS,
    Recipe,
    cli_recipe,
    curl_recipe,
    job_recipe,
    python_recipe,
    schedule_recipe,
)
from hookline.dashboard.rendering import segment
from hookline.dashboard.ticks import shown_ticks
from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import HooklineError

_TICKS: Final = 5
_EMPTY: Final = {
    "url": "",
    "method": "POST",
    "payload": '{"hello": "world"}',
    "headers": "",
    "labels": "",
    "id": "",
    "delay": "",
    "run_at": "",
    "timeout": "",
    "max_attempts": "",
    "guarantee": "",
    "priority": "",
    "cron": "0 9 * * mon-fri",
    "timezone": "",
    "overlap": "",
    "jitter": "",
    "catch_up": "",
}
_READS: Final[dict[str, Callable[[Mapping[str, str]], Recipe]]] = {"job": job_recipe, "schedule": schedule_recipe}


async def _job(visit: Visit) -> Response:
    return await _form(visit, "job", _EMPTY, "")


async def _schedule(visit: Visit) -> Response:
    return await _form(visit, "schedule", _EMPTY, "")


async def _form(visit: Visit, kind: str, form: dict[str, str], wrong: str, status: int = 200) -> Response:
    values = await _told(visit, kind, form)
    return visit.page("making.html", status, **values, form=form, wrong=wrong, methods=METHODS)


async def _told(visit: Visit, kind: str, form: dict[str, str]) -> dict[str, Any]:
    """The snippets, and the next ticks of a schedule; or why there are none yet."""
    host, scheme = visit.request.headers.get("host", "127.0.0.1"), "https" if visit.is_secure else "http"
    told: dict[str, Any] = {"kind": kind, "snippets": {}, "ticks": [], "unclear": ""}
    try:
        recipe = _READS[kind](form)
        shown = recipe if recipe.url else recipe._replace(url="https://example.com/hook")
        makers = {"curl": curl_recipe, "Command line": cli_recipe, "Python": python_recipe}
        told["snippets"] = {name: make(f"{scheme}://{host}", shown) for name, make in makers.items()}
        if kind == "schedule" and recipe.cron:
            zone = recipe.options.get("timezone")
            told["ticks"] = shown_ticks(await visit.client.preview_schedule(recipe.cron, timezone=zone, count=_TICKS))
    except HooklineError as error:
        told["unclear"] = f"{error.field}: {error.detail}" if error.field else error.detail
    return told


async def _tell(visit: Visit) -> Response:
    form = _EMPTY | await visit.form()
    kind = "schedule" if form.get("kind") == "schedule" else "job"
    return visit.page("making_told.html", **await _told(visit, kind, form))


async def _make_job(visit: Visit) -> Response:
    form = _EMPTY | await visit.form()
    try:
        recipe = job_recipe(form)
        made = await visit.client.create_job(recipe.url, **recipe.fields)
    except HooklineError as error:
        return await _wrong(visit, "job", form, error)
    return visit.look_at(f"/job/{segment(made.id)}?done=made")


async def _make_schedule(visit: Visit) -> Response:
    form = _EMPTY | await visit.form()
    try:
        recipe = schedule_recipe(form)
        job: Any = {"url": recipe.url, **recipe.fields}
        made = await visit.client.create_schedule(recipe.cron, job, **recipe.options)
    except HooklineError as error:
        return await _wrong(visit, "schedule", form, error)
    return visit.look_at(f"/schedule/{segment(made.id)}?done=made")


async def _wrong(visit: Visit, kind: str, form: dict[str, str], error: HooklineError) -> Response:
    wrong = f"{error.field}: {error.detail}" if error.field else error.detail
    return await _form(visit, kind, form, wrong, error.http_status)


PAGES = (
    PageRow("GET", "/new", "write", _job),
    PageRow("POST", "/new", "write", _make_job),
    PageRow("GET", "/new/schedule", "write", _schedule),
    PageRow("POST", "/new/schedule", "write", _make_schedule),
    PageRow("POST", "/new/told", "write", _tell),
)
