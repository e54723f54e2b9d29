"""The routes of a proxy, and the bound on requests under way. No business logic."""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.applications import Starlette

from hookline.errors import Overloaded
from hookline.http_api import docs_page
from hookline.http_api.endpoint import Answer, application
from hookline.http_api.exchange import Reply, Request
from hookline.proxy.api import batches, bulk, clusters, destinations, lists, topology
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.api.creating import create
from hookline.proxy.api.finding import change, read, set_to
from hookline.proxy.api.passing import Incoming, call_of, reply_of

Handler = Callable[[ProxyApi, Incoming], Awaitable[Reply]]
OwnHandler = Callable[[ProxyApi, Request], Awaitable[Reply]]


async def preview(api: ProxyApi, request: Incoming) -> Reply:
    """``GET /schedules/preview``: any cluster knows."""
    return reply_of(await api.to_any(call_of(request), api.deadline_ms(request)))


# Calls before things with an id, so that /jobs/batch is not taken for a job.
ROUTES: dict[str, dict[str, Handler]] = {
    "/jobs": {"POST": partial(create, kind="job"), "GET": lists.list_jobs},
    "/jobs/batch": {"POST": batches.create_batch},
    "/jobs/retry": {"POST": bulk.retry_jobs},
    "/jobs/cancel": {"POST": bulk.cancel_jobs},
    "/jobs/{id}": {"GET": read, "PATCH": change, "DELETE": change},
    "/jobs/{id}/payload": {"DELETE": set_to},
    "/jobs/{id}/attempts": {"GET": read},
    "/jobs/{id}/cancel": {"POST": set_to},
    "/jobs/{id}/retry": {"POST": change},
    "/jobs/{id}/run": {"POST": change},
    "/schedules": {"POST": partial(create, kind="schedule"), "GET": lists.list_schedules},
    "/schedules/preview": {"GET": preview},
    "/schedules/{id}": {"GET": read, "PATCH": change, "DELETE": change},
    "/schedules/{id}/pause": {"POST": set_to},
    "/schedules/{id}/resume": {"POST": set_to},
    "/schedules/{id}/run": {"POST": change},
    "/destinations": {"GET": lists.list_destinations},
    "/destinations/{host:text}": {
        "GET": destinations.get_destination,
        "PUT": destinations.put_destination,
        "DELETE": destinations.delete_destination,
    },
    "/cluster": {"GET": clusters.get_only},
    "/cluster/handover": {"POST": clusters.hand_only_over},
    "/clusters": {"GET": clusters.list_clusters},
    "/clusters/{name}": {"GET": clusters.get_one},
    "/clusters/{name}/handover": {"POST": clusters.hand_one_over},
    "/topology": {"GET": topology.get_topology, "PUT": topology.put_topology},
    "/topology/route": {"GET": topology.get_route},
}
# Answered also when there are too many requests: they cost nothing, and tell why.
OWN_ROUTES: dict[str, dict[str, OwnHandler]] = {
    "/health": {"GET": clusters.get_health},
    "/livez": {"GET": clusters.get_livez},
    "/readyz": {"GET": clusters.get_readyz},
    "/metrics": {"GET": clusters.get_metrics},
}
IDENTITY = [(b"hookline-proxy", b"1")]


def create_app(api: ProxyApi) -> Starlette:
    """The ASGI application of a proxy. ``app.state.identity`` holds the headers of the answers that are its own."""
    routes: dict[str, dict[str, Answer]] = {
        path: {method: _bounded(api, handler) for method, handler in handlers.items()}
        for path, handlers in ROUTES.items()
    }
    routes |= {
        path: {method: partial(handler, api) for method, handler in handlers.items()}
        for path, handlers in OWN_ROUTES.items()
    }
    routes |= docs_page.routes("proxy")
    return application(routes, IDENTITY, lambda code: api.metrics.rejections.labels(code).inc())


def _bounded(api: ProxyApi, handler: Handler) -> Answer:
    async def answer(request: Request) -> Reply:
        if api.in_flight >= api.config.requests_max:
            raise Overloaded("the proxy has too many requests under way; this one was not accepted", retry_after_s=1)
        api.in_flight += 1
        api.asked_ms = api.clock.boot_ms()
        try:
            return await handler(api, Incoming(request))
        finally:
            api.in_flight -= 1

    return answer
