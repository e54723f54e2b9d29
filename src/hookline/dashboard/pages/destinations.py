"""Destinations: how each takes its jobs, and the settings that hold it back."""

from typing import Any, Final

from starlette.responses import Response

from hookline.client import requests
from hookline.client.answers import DestinationPage
from hookline.dashboard.rendering import query
from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import DestinationNotFound, HooklineError, InvalidRequest

_PAGE: Final = 100
_EMPTY: Final = {"concurrency": "", "limit": "", "per": ""}


async def _list(visit: Visit) -> Response:
    cursor = visit.asks().get("cursor") or None
    page = await visit.client.send(requests.list_destinations(limit=_PAGE, cursor=cursor).giving(DestinationPage))
    return visit.page("destinations.html", page=page, cursor=cursor or "")


async def _show(visit: Visit) -> Response:
    found = await visit.client.get_destination(_host(visit.asks()))
    rate = found.rate
    form = {
        "concurrency": "" if found.concurrency is None else str(found.concurrency),
        "limit": "" if rate is None else str(rate.limit),
        "per": "" if rate is None else str(rate.per),
    }
    return visit.page("destination.html", one=found, form=form, wrong="")


async def _save(visit: Visit) -> Response:
    sent = await visit.form()
    host = _host(sent)
    try:
        await visit.client.put_destination(host, **settings_in(sent))
    except HooklineError as error:
        found = await visit.client.get_destination(host)
        wrong = f"{error.field}: {error.detail}" if error.field else error.detail
        return visit.page("destination.html", error.http_status, one=found, form=_EMPTY | sent, wrong=wrong)
    return visit.look_at(f"/destination?{query({'host': host, 'done': 'changed'})}")


def settings_in(sent: dict[str, str]) -> Any:
    """The SDK's settings; an empty field returns to the default. Raises InvalidRequest."""
    limit, per = sent.get("limit", "").strip(), sent.get("per", "").strip()
    rate = None if not limit and not per else {"limit": _whole("limit", limit), "per": per or "1s"}
    concurrency = sent.get("concurrency", "").strip()
    return {"concurrency": _whole("concurrency", concurrency) if concurrency else None, "rate": rate}


def _whole(field: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidRequest(f"{field} is a whole number", field=field) from error


async def _pause(visit: Visit) -> Response:
    return await _paused(visit, is_paused=True)


async def _resume(visit: Visit) -> Response:
    return await _paused(visit, is_paused=False)


async def _paused(visit: Visit, *, is_paused: bool) -> Response:
    host = _host(await visit.form())
    await visit.client.put_destination(host, paused=is_paused)
    done = "paused" if is_paused else "resumed"
    return visit.look_at(f"/destination?{query({'host': host, 'done': done})}")


def _host(fields: dict[str, str]) -> str:
    if not fields.get("host"):
        raise DestinationNotFound
    return fields["host"]


PAGES = (
    PageRow("GET", "/destinations", "read", _list),
    PageRow("GET", "/destination", "read", _show),
    PageRow("POST", "/destination", "admin", _save),
    PageRow("POST", "/destination/pause", "admin", _pause),
    PageRow("POST", "/destination/resume", "admin", _resume),
)
