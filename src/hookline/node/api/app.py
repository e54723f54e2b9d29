"""The routes of a node, and how every request is answered: with its reply, or with a problem. No business logic."""

from collections.abc import Awaitable, Callable

import structlog
from starlette.applications import Starlette
from starlette.routing import Route

from hookline.errors import HooklineError, Internal, MethodNotAllowed, NodeFault, Overloaded, RouteNotFound
from hookline.node.api import batches, bulk, cluster, destinations, docs_page, jobs, outcomes, schedules, snapshots
from hookline.node.api.context import Api
from hookline.node.api.exchange import Disconnected, HeaderPair, Receive, Reply, Request, Scope, Send
from hookline.node.api.forwarding import Forwarder
from hookline.node.api.problems import problem_reply
from hookline.node.api.services import Services

Handler = Callable[[Api, Request], Awaitable[Reply]]

# Calls before things with an id, so that /jobs/batch is not taken for a job.
ROUTES: dict[str, dict[str, Handler]] = {
    "/jobs": {"POST": jobs.create_job, "GET": jobs.list_jobs},
    "/jobs/batch": {"POST": batches.create_batch},
    "/jobs/retry": {"POST": bulk.retry_jobs},
    "/jobs/cancel": {"POST": bulk.cancel_jobs},
    "/jobs/{id}": {"GET": jobs.get_job, "PATCH": jobs.update_job},
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
    "/destinations/{host:path}": {"GET": destinations.get_destination, "PUT": destinations.put_destination},
    "/cluster": {"GET": cluster.get_cluster},
    "/cluster/handover": {"POST": cluster.handover},
    "/health": {"GET": cluster.get_health},
    "/metrics": {"GET": cluster.get_metrics},
    "/openapi.json": {"GET": docs_page.get_openapi},
    "/docs": {"GET": docs_page.get_docs},
    "/internal/outcomes": {"POST": outcomes.take_outcomes},
    "/internal/snapshot": {"GET": snapshots.get_snapshot},
    "/internal/snapshot/{name}": {"GET": snapshots.read_snapshot},
}
# Answered by every node for itself; all else is the leader's to answer.
OWN_PATHS = frozenset(
    {
        "/cluster",
        "/health",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/internal/snapshot",
        "/internal/snapshot/{name}",
    }
)

_log = structlog.get_logger()


def create_app(services: Services) -> Starlette:
    """The ASGI application of a node. ``app.state.identity`` holds the headers that every answer carries."""
    api = Api(services)
    forwarder = Forwarder(services.role)
    app = Starlette(
        routes=[
            Route(path, Endpoint(api, handlers, None if path in OWN_PATHS else forwarder))
            for path, handlers in ROUTES.items()
        ]
    )
    app.router.redirect_slashes = False
    app.router.default = Endpoint(api, None, None)
    # Endpoints answer every error themselves; Starlette's own error handling would only cost time around them.
    app.middleware_stack = app.router
    app.state.identity = identity_headers(services)
    return app


def identity_headers(services: Services) -> list[HeaderPair]:
    """Who answers."""
    config = services.config
    return [(b"hookline-cluster", config.cluster.encode()), (b"hookline-node", config.node.encode())]


class Endpoint:
    """One path: picks the handler by method and turns whatever it raises into an answer.

    Args:
        api: handed to the handlers.
        handlers: by method; None: there is no such path.
        forwarder: to the leader, when this node does not lead; None: this node answers for itself.
    """

    def __init__(self, api: Api, handlers: dict[str, Handler] | None, forwarder: Forwarder | None) -> None:
        self._api = api
        self._forwarder = forwarder
        self._handlers = handlers
        self._identity = identity_headers(api.services)
        if handlers is not None and "GET" in handlers:
            self._handlers = handlers | {"HEAD": handlers["GET"]}
        self._allow = ", ".join(sorted(self._handlers or ())).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            reply = await self._reply(scope, receive)
        except Disconnected:
            return
        await reply.send(send, self._identity)

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        try:
            if self._handlers is None:
                raise RouteNotFound
            handler = self._handlers.get(scope["method"])
            if handler is None:
                return self._refuse(MethodNotAllowed(), [(b"allow", self._allow)])
            return await self._answer(handler, Request(scope, receive))
        except Disconnected:
            raise
        except NodeFault as error:
            _log.error("request_failed", path=scope["path"], code=error.code, detail=error.detail)
            return self._refuse(Internal("the node had to stop; whether the request was accepted is not known"))
        except HooklineError as error:
            return self._refuse(error)
        except Exception:  # noqa: BLE001 - the last place to catch it: the caller gets an answer, the log the reason
            _log.exception("request_crashed", path=scope["path"], method=scope["method"])
            return self._refuse(Internal())

    async def _answer(self, handler: Handler, request: Request) -> Reply:
        """By this node if it leads, or if anybody may answer; else by the leader."""
        if self._forwarder is None:
            return await handler(self._api, request)
        if self._api.services.is_overloaded():
            raise Overloaded(retry_after_s=1)
        is_read = request.scope["method"] in ("GET", "HEAD")
        if is_read and b"consistency=" in request.scope["query_string"] and request.wants_local():
            return await self._local(handler, request)
        return await self._forwarder.answer(request, lambda: handler(self._api, request))

    async def _local(self, handler: Handler, request: Request) -> Reply:
        """From this node's own state, which may be behind; the answer says at which index it is."""
        applied = self._api.services.replica.applied
        reply = await handler(self._api, request)
        reply.headers = [*reply.headers, (b"hookline-applied", b"%d" % applied)]
        return reply

    def _refuse(self, error: HooklineError, headers: list[HeaderPair] | None = None) -> Reply:
        self._api.services.metrics.rejections.labels(error.code).inc()
        return problem_reply(error, headers)
