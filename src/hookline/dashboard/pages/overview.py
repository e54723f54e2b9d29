"""The first page: is all well, and what to do next."""

from starlette.responses import Response

from hookline.dashboard.visits import PageRow, Visit


async def _show(visit: Visit) -> Response:
    health = await visit.client.health()
    newest = await visit.client.list_jobs_page(limit=1)
    return visit.page("overview.html", health=health, is_empty=not newest.data, missing=newest.incomplete)


PAGES = (PageRow("GET", "", "read", _show),)
