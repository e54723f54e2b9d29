"""The ASGI application of the dashboard: finds the page, lets in whoever may see it, and turns failures into pages."""

from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as BrowserRequest
from starlette.responses import Response
from starlette.routing import Route

from hookline.dashboard.answers import secured, see_other
from hookline.dashboard.assets import ASSETS
from hookline.dashboard.history import ChartHistory
from hookline.dashboard.live import Streams
from hookline.dashboard.pages import (
    bulk,
    destinations,
    edit,
    job,
    jobs,
    making,
    oidc,
    overview,
    schedules,
    sign_in,
    topology,
)
from hookline.dashboard.sessions import Seals
from hookline.dashboard.settings import DashboardMode, DashboardSettings
from hookline.dashboard.visits import Desk, MenuEntry, PageRow, SignInNeeded, Visit, refusal_page
from hookline.errors import Forbidden, HooklineError, Internal, MethodNotAllowed, RouteNotFound
from hookline.http_api.endpoint import AsgiApp
from hookline.http_api.messages import AsgiReceive, AsgiScope, AsgiSend
from hookline.http_api.page_host import NO_ROUTES, PageHost, Routes
from hookline.telemetry.area_log import log_of

if TYPE_CHECKING:
    from hookline.dashboard.oidc.settings import OidcSettings

PREFIX = "/dashboard"
_FOR_GOOD = "public, max-age=31536000, immutable"
_MENU = (
    MenuEntry(PREFIX, "Overview", "◉"),
    MenuEntry(f"{PREFIX}/jobs", "Jobs", "≡"),
    MenuEntry(f"{PREFIX}/dead", "Dead jobs", "✕"),
    MenuEntry(f"{PREFIX}/schedules", "Schedules", "◷"),
    MenuEntry(f"{PREFIX}/destinations", "Destinations", "→"),
    MenuEntry(f"{PREFIX}/clusters", "Clusters", "⬡"),
    MenuEntry(f"{PREFIX}/new", "New", "+", "write"),
)
_PAGES: tuple[PageRow, ...] = (
    *sign_in.PAGES,
    *oidc.PAGES,
    *overview.PAGES,
    *jobs.PAGES,
    *job.PAGES,
    *edit.PAGES,
    *bulk.PAGES,
    *schedules.PAGES,
    *destinations.PAGES,
    *topology.PAGES,
    *making.PAGES,
)

_log = log_of("dashboard")


def dashboard_routes(mode: DashboardMode, oidc_settings: "OidcSettings | None" = None) -> Routes:
    """The routes to start a node or a proxy with."""
    if mode == "off":
        return NO_ROUTES
    return {PREFIX: partial(dashboard_app, DashboardSettings(mode == "read-only", oidc=oidc_settings))}


def dashboard_app(settings: DashboardSettings, host: PageHost) -> AsgiApp:
    """The application, for the process that serves it."""
    seals = Seals(host.root_keys, host.clock.token)
    provider = None if settings.oidc is None else oidc.provider_sign_in(settings.oidc, seals, host)
    desk = Desk(host, settings, seals, _MENU, Streams(settings.streams_max), ChartHistory(), provider)
    by_path: dict[str, dict[str, PageRow]] = {}
    for row in _PAGES:
        by_path.setdefault(row.path, {})[row.method] = row
    routes = [
        Route(PREFIX + path, partial(_answered, desk, rows), methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        for path, rows in by_path.items()
    ]
    routes.append(Route(PREFIX + "/assets/{version}/{name}", partial(_asset, host), methods=["GET", "HEAD"]))
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    app.router.default = _unknown(desk)
    return app


async def _asset(host: PageHost, request: BrowserRequest) -> Response:
    asset = ASSETS.get(request.path_params["name"])
    if asset is None:
        return secured(Response(status_code=404), host.identity)
    is_current = asset.version == request.path_params["version"]
    headers = {"cache-control": _FOR_GOOD if is_current else "no-store"}
    return secured(Response(asset.body, headers=headers, media_type=asset.media_type), host.identity)


async def _answered(desk: Desk, rows: dict[str, PageRow], request: BrowserRequest) -> Response:
    visit = Visit(request, desk)
    row = rows.get("GET" if request.method == "HEAD" else request.method)
    response = await _guarded(visit, row)
    return secured(response, desk.host.identity, visit.cookies)


async def _guarded(visit: Visit, row: PageRow | None) -> Response:
    try:
        if row is None:
            raise MethodNotAllowed
        if row.scope is not None:
            await visit.admit()
            if not visit.may(row.scope):
                raise _lacking(visit, row)
        return await row.handler(visit)
    except SignInNeeded:
        return see_other(sign_in.path_for(visit))
    except HooklineError as error:
        return refusal_page(visit, error)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody hears it
    except Exception:  # noqa: BLE001 - the last place to catch it: the reader gets a page, the log the reason
        _log.exception("page_crashed", path=visit.request.url.path, method=visit.request.method)
        return refusal_page(visit, Internal())


def _lacking(visit: Visit, row: PageRow) -> Forbidden:
    if visit.desk.settings.is_read_only:
        return Forbidden("this dashboard is read-only: it changes nothing")
    return Forbidden(f"the key lacks the scope {row.scope}")


def _unknown(desk: Desk) -> AsgiApp:
    async def answer(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        visit = Visit(BrowserRequest(scope, receive), desk)
        page = refusal_page(visit, RouteNotFound("There is no such page."))
        await secured(page, desk.host.identity, visit.cookies)(scope, receive, send)

    return answer
