"""Maps each call to the proxy's handler for it, and bounds requests under way. No business logic."""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.applications import Starlette

from hookline.errors import AllClustersUnavailable, Overloaded
from hookline.http_api import docs_page
from hookline.http_api.callers import admit_as_client
from hookline.http_api.endpoint import Handler, Served, application, bound
from hookline.http_api.log_levels import change_log_levels, get_log_levels
from hookline.http_api.messages import ApiRequest, Reply
from hookline.http_api.page_host import NO_ROUTES, PageHost, Routes, add_pages
from hookline.protocol.calls import Call, calls_of
from hookline.proxy.api import batches, bulk, clusters, creating, finding, fleet_settings, keys, lists, moves, topology
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.passing import call_of, reply_of

ProxyHandler = Callable[[ProxyApi, ApiRequest], Awaitable[Reply]]


async def _preview(api: ProxyApi, request: ApiRequest) -> Reply:
    return reply_of(await api.to_any(call_of(request), api.deadline_ms(request)))


async def _get_log_levels(_api: ProxyApi, request: ApiRequest) -> Reply:
    return await get_log_levels(request)


async def _change_log_levels(_api: ProxyApi, request: ApiRequest) -> Reply:
    return await change_log_levels(request)


async def _get_openapi(_api: ProxyApi, request: ApiRequest) -> Reply:
    return await docs_page.get_openapi(request, "proxy")


async def _get_docs(_api: ProxyApi, request: ApiRequest) -> Reply:
    return await docs_page.get_docs(request, "proxy")


HANDLERS = bound(
    "proxy",
    {call.name: finding.on_home for call in calls_of("proxy") if call.at_proxy == "home"}
    | {
        "createJob": creating.create_job,
        "createBatch": batches.create_batch,
        "listJobs": lists.list_jobs,
        "retryJobs": bulk.on_all,
        "cancelJobs": bulk.on_all,
        "createSchedule": creating.create_schedule,
        "listSchedules": lists.list_schedules,
        "previewSchedule": _preview,
        "listDestinations": lists.list_destinations,
        "getDestination": fleet_settings.get_destination,
        "putDestination": fleet_settings.put_destination,
        "deleteDestination": fleet_settings.delete_settings,
        "listClusters": clusters.list_clusters,
        "getOneCluster": clusters.get_one,
        "changeOneCluster": clusters.change_one,
        "handOneOver": clusters.hand_one_over,
        "getTopology": topology.get_topology,
        "putTopology": topology.put_topology,
        "getTopologyStatus": moves.get_status,
        "planTopology": moves.plan_topology,
        "pauseMove": moves.pause_move,
        "resumeMove": moves.resume_move,
        "abortMove": moves.abort_move,
        "balanceTopology": moves.balance,
        "getRoute": topology.get_route,
        "getCluster": clusters.get_only,
        "changeCluster": clusters.change_only,
        "handover": clusters.hand_only_over,
        "createKey": keys.create_key,
        "listKeys": keys.list_keys,
        "getOwnKey": keys.get_own,
        "getKey": keys.get_key,
        "rotateKey": keys.rotate_key,
        "revokeKey": keys.revoke_key,
        "listAudit": lists.list_audit,
        "listTenants": lists.list_tenants,
        "getTenant": fleet_settings.get_tenant,
        "putTenant": fleet_settings.put_tenant,
        "deleteTenant": fleet_settings.delete_settings,
        "getHealth": clusters.get_health,
        "getLivez": clusters.get_livez,
        "getReadyz": clusters.get_readyz,
        "getMetrics": clusters.get_metrics,
        "getLogLevels": _get_log_levels,
        "changeLogLevels": _change_log_levels,
        "getOpenapi": _get_openapi,
        "getDocs": _get_docs,
    },
)
IDENTITY = [(b"hookline-proxy", b"1")]


def create_app(api: ProxyApi, routes: Routes = NO_ROUTES) -> Starlette:
    """The ASGI application of a proxy. ``app.state.identity`` holds the headers of the answers that are its own.

    Args:
        api: what handlers work with.
        routes: pages to serve beside the API.
    """
    served = [Served(call, _answering(api, call)) for call in calls_of("proxy")]
    app = application(
        served, admit_as_client, api.guard, IDENTITY, lambda code: api.metrics.rejections.labels(code).inc()
    )
    host = PageHost(
        app=app,
        server="proxy",
        guard=api.guard,
        root_keys=api.config.root_keys,
        clock=api.clock,
        identity=IDENTITY,
        is_secure=api.config.tls.is_server,
        is_stopping=lambda: api.is_leaving,
    )
    add_pages(app, routes, host)
    return app


def _answering(api: ProxyApi, call: Call) -> Handler:
    """The proxy's own answers also come when there are too many requests: they cost nothing, and tell why."""
    handler = HANDLERS[call.name]
    return partial(handler, api) if call.at_proxy == "self" else partial(_bounded, api, handler)


async def _bounded(api: ProxyApi, handler: ProxyHandler, request: ApiRequest) -> Reply:
    if (why := api.health.why_locked_out) is not None:
        raise AllClustersUnavailable(why, retry_after_s=1)
    if api.in_flight >= api.config.requests_max:
        raise Overloaded("the proxy has too many requests under way; this one was not accepted", retry_after_s=1)
    api.in_flight += 1
    api.asked_ms = api.clock.boot_ms()
    try:
        return await handler(api, request)
    finally:
        api.in_flight -= 1
