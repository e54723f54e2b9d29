"""The routes of a node, and how every request is answered: with its reply, or with a problem. No business logic."""

from collections.abc import Awaitable, Callable
from functools import partial

import apsw
from starlette.applications import Starlette

from hookline.errors import Overloaded, StateDamaged
from hookline.http_api import docs_page
from hookline.http_api.endpoint import Answer, application
from hookline.http_api.exchange import Reply, Request
from hookline.node.api import (
    batches,
    bulk,
    clocks,
    cluster,
    deletes,
    destinations,
    jobs,
    outcomes,
    schedules,
    settings_import,
    snapshots,
    topology,
)
from hookline.node.api.context import Api
from hookline.node.api.deadline import within_deadline
from hookline.node.api.forwarding import Forwarder
from hookline.node.api.services import Services

Handler = Callable[[Api, Request], Awaitable[Reply]]

# Calls before things with an id, so that /jobs/batch is not taken for a job.
ROUTES: dict[str, dict[str, Handler]] = {
    "/jobs": {"POST": jobs.create_job, "GET": jobs.list_jobs},
    "/jobs/batch": {"POST": batches.create_batch},
    "/jobs/retry": {"POST": bulk.retry_jobs},
    "/jobs/cancel": {"POST": bulk.cancel_jobs},
    "/jobs/{id}": {"GET": jobs.get_job, "PATCH": jobs.update_job, "DELETE": deletes.delete_job},
    "/jobs/{id}/payload": {"DELETE": deletes.delete_payload},
    "/jobs/{id}/attempts": {"GET": jobs.list_attempts},
    "/jobs/{id}/cancel": {"POST": jobs.cancel_job},
    "/jobs/{id}/retry": {"POST": jobs.retry_job},
    "/jobs/{id}/run": {"POST": jobs.run_job},
    "/schedules": {"POST": schedules.create_schedule, "GET": schedules.list_schedules},
    "/schedules/preview": {"GET": schedules.preview},
    "/schedules/{id}": {
        "GET": schedules.get_schedule,
        "PATCH": schedules.update_schedule,
        "DELETE": schedules.delete_schedule,
    },
    "/schedules/{id}/pause": {"POST": schedules.pause_schedule},
    "/schedules/{id}/resume": {"POST": schedules.resume_schedule},
    "/schedules/{id}/run": {"POST": schedules.run_schedule},
    "/destinations": {"GET": destinations.list_destinations},
    "/destinations/{host:text}": {
        "GET": destinations.get_destination,
        "PUT": destinations.put_destination,
        "DELETE": destinations.delete_destination,
    },
    "/cluster": {"GET": cluster.get_cluster},
    "/cluster/handover": {"POST": cluster.handover},
    "/cluster/clock": {"POST": clocks.trust_clock},
    "/health": {"GET": cluster.get_health},
    "/livez": {"GET": cluster.get_livez},
    "/readyz": {"GET": cluster.get_readyz},
    "/metrics": {"GET": cluster.get_metrics},
    "/internal/clock": {"GET": clocks.read_clock},
    "/internal/topology": {"GET": topology.get_topology, "PUT": topology.put_topology},
    "/internal/absence": {"POST": topology.tell_absence},
    "/internal/destinations": {"GET": settings_import.get_settings, "PUT": settings_import.put_settings},
    "/internal/outcomes": {"POST": outcomes.take_outcomes},
    "/internal/position": {"GET": cluster.get_position},
    "/internal/snapshot": {"GET": snapshots.get_snapshot},
    "/internal/snapshot/{name}": {"GET": snapshots.read_snapshot},
}
# Answered by every node for itself; all else is the leader's to answer.
OWN_PATHS = frozenset(
    {
        "/cluster",
        "/cluster/clock",
        "/health",
        "/livez",
        "/readyz",
        "/metrics",
        "/internal/position",
        "/internal/clock",
        "/internal/snapshot",
        "/internal/snapshot/{name}",
    }
)
# They bring the epochs together, so the caller's may differ; or they check it themselves.
ANY_EPOCH_PATHS = frozenset({"/internal/topology", "/internal/destinations"})


def create_app(services: Services) -> Starlette:
    """The ASGI application of a node. ``app.state.identity`` holds the headers that every answer carries."""
    api = Api(services)
    forwarder = Forwarder(services.role)
    identity = [
        (b"hookline-cluster", services.config.cluster.encode()),
        (b"hookline-node", services.config.node.encode()),
    ]
    routes: dict[str, dict[str, Answer]] = {
        path: {
            method: _answering(api, _at_epoch(handler, path), None if path in OWN_PATHS else forwarder)
            for method, handler in handlers.items()
        }
        for path, handlers in ROUTES.items()
    }
    routes |= docs_page.routes("node")
    return application(routes, identity, lambda code: services.metrics.rejections.labels(code).inc())


def _at_epoch(handler: Handler, path: str) -> Handler:
    """``handler``, for callers who mean this cluster and whose topology is ours."""
    if path in OWN_PATHS | ANY_EPOCH_PATHS:

        def checked_name(api: Api, request: Request) -> Awaitable[Reply]:
            api.ownership.check_cluster(request)
            return handler(api, request)

        return checked_name

    def checked(api: Api, request: Request) -> Awaitable[Reply]:
        api.ownership.check_cluster(request)
        api.ownership.check_epoch(request)
        return handler(api, request)

    return checked


def _answering(api: Api, handler: Handler, forwarder: Forwarder | None) -> Answer:
    """By this node if it leads, or if any may answer (``forwarder`` is None); else by the leader."""
    handler = _watching(handler)
    if forwarder is None:
        return partial(handler, api)

    async def answer(request: Request) -> Reply:
        if api.services.is_overloaded():
            raise Overloaded(retry_after_s=1)
        is_read = request.scope["method"] in ("GET", "HEAD")
        if is_read and b"consistency=" in request.scope["query_string"] and request.wants_local():
            return await _local(api, handler, request)
        return await within_deadline(request, lambda: forwarder.answer(request, lambda: handler(api, request)))

    return answer


def _watching(handler: Handler) -> Handler:
    """``handler``; a state that it finds damaged ends the node."""

    async def watched(api: Api, request: Request) -> Reply:
        try:
            return await handler(api, request)
        except StateDamaged as error:
            api.services.on_damage(error)
            raise
        except apsw.CorruptError as error:
            damage = StateDamaged(f"the state cannot be read: {error}")
            api.services.on_damage(damage)
            raise damage from error

    return watched


async def _local(api: Api, handler: Handler, request: Request) -> Reply:
    """From this node's own state, which may be behind; the answer says at which index it is."""
    applied = api.services.replica.applied
    reply = await handler(api, request)
    reply.headers = [*reply.headers, (b"hookline-applied", b"%d" % applied)]
    return reply
