"""Retrying or cancelling all jobs that a search finds: first how many there are, then, when confirmed, doing it."""

from typing import Final

from starlette.responses import Response

from hookline.client.answers import BulkResponse
from hookline.dashboard.filters import filter_fields, kept
from hookline.dashboard.visits import PageRow, Visit
from hookline.errors import Forbidden, InvalidRequest
from hookline.protocol.api_keys import KeyScope

_SCOPES: Final[dict[str, KeyScope]] = {"retry": "write", "cancel": "cancel"}


async def _count(visit: Visit) -> Response:
    return await _shown(visit, visit.asks(), is_dry=True)


async def _do(visit: Visit) -> Response:
    return await _shown(visit, await visit.form(), is_dry=False)


async def _shown(visit: Visit, asked: dict[str, str], *, is_dry: bool) -> Response:
    action = asked.get("action", "")
    if action not in _SCOPES:
        raise InvalidRequest("the action is retry or cancel", field="action")
    if not visit.may(_SCOPES[action]):
        raise Forbidden(f"the key lacks the scope {_SCOPES[action]}, or the dashboard is read-only")
    found = await _asked(visit, action, asked, is_dry=is_dry)
    return visit.page("bulk.html", action=action, asked=kept(asked), found=found, is_dry=is_dry)


async def _asked(visit: Visit, action: str, asked: dict[str, str], *, is_dry: bool) -> BulkResponse:
    filters = filter_fields(asked, visit.now)
    if action == "retry":
        return await visit.client.retry_jobs(dry_run=is_dry, **filters)
    return await visit.client.cancel_jobs(dry_run=is_dry, **filters)


PAGES = (
    PageRow("GET", "/bulk", "read", _count),
    PageRow("POST", "/bulk", "read", _do),
)
