"""One path of an HTTP API: says who calls what, and turns whatever the handler raises into an answer."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import Route, Router

from hookline.disk_errors import disk_trouble
from hookline.errors import (
    DeadlineExceeded,
    EntryTooLarge,
    HooklineError,
    Internal,
    LogFault,
    MethodNotAllowed,
    NodeFault,
    RouteNotFound,
    Unavailable,
)
from hookline.http_api.callers import Admit
from hookline.http_api.fate import Fate, begin
from hookline.http_api.guard import Guard
from hookline.http_api.messages import ApiRequest, AsgiReceive, AsgiScope, AsgiSend, Disconnected, HeaderPair, Reply
from hookline.http_api.problems import problem_reply
from hookline.http_api.request_ids import request_ids
from hookline.http_api.traced import answered, begin_answer
from hookline.protocol.calls import Call, Server, calls_of
from hookline.telemetry.area_log import log_of
from hookline.telemetry.tracing.spans import tracer

Handler = Callable[[ApiRequest], Awaitable[Reply]]
AsgiApp = Callable[[AsgiScope, AsgiReceive, AsgiSend], Awaitable[None]]
H = TypeVar("H")

_log = log_of("api")


class _TextConvertor(StringConvertor):
    """All that is left of a path. Starlette's own ``path`` stops at a line break, which then is an unknown call."""

    regex = "(?s:.*)"


register_url_convertor("text", _TextConvertor())


class Served(NamedTuple):
    """A call as a server answers it."""

    call: Call
    handler: Handler


def bound(server: Server, handlers: Mapping[str, H]) -> Mapping[str, H]:
    """The handlers of a server, by the names of its calls. Raises LookupError unless each call has one, and only they.

    Bind at import: a server with a hole does not start.
    """
    names = {call.name for call in calls_of(server)}
    if lacking := sorted(names - handlers.keys()):
        raise LookupError(f"these calls of a {server} have no handler: {', '.join(lacking)}")
    if unknown := sorted(handlers.keys() - names):
        raise LookupError(f"these are not calls of a {server}: {', '.join(unknown)}")
    return handlers


class Endpoint:
    """Answers one path.

    Args:
        served: by method; None: there is no such path.
        admit: says who calls.
        guard: asks for a key; None: nobody needs one.
        identity: the headers that every answer carries.
        refused: told the code of each problem that is answered.
    """

    def __init__(
        self,
        served: dict[str, Served] | None,
        admit: Admit,
        guard: Guard | None,
        identity: list[HeaderPair],
        refused: Callable[[str], None],
    ) -> None:
        self._served = served
        self._admit = admit
        self._guard = guard
        self._identity = identity
        self._refused = refused
        if served is not None and "GET" in served:
            self._served = served | {"HEAD": served["GET"]}
        self._allow = ", ".join(sorted(self._served or ())).encode()

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        span = None if tracer() is None else begin_answer(self._call(scope), scope)
        reply = self._reply(scope, receive)
        try:
            told = await (reply if span is None else answered(span, reply))
        except Disconnected:
            return
        await told.send(send, self._identity)

    def _call(self, scope: AsgiScope) -> Call | None:
        served = None if self._served is None else self._served.get(scope["method"])
        return None if served is None else served.call

    async def _reply(self, scope: AsgiScope, receive: AsgiReceive) -> Reply:
        fate = begin()
        try:
            if self._served is None:
                raise RouteNotFound
            served = self._served.get(scope["method"])
            if served is None:
                return self._refuse(MethodNotAllowed(), [(b"allow", self._allow)])
            caller, headers = self._admit(served.call, scope)
            if self._guard is not None:
                caller = await self._guard.admitted(served.call, caller, headers, scope.get("client"))
            request = ApiRequest(scope, receive, served.call, caller.acting(), headers)
            if caller.is_proven:
                await request.whole_body()  # it is the one that was proven, or this is as far as it gets
            return await served.handler(request)
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the last place to catch it: the caller gets an answer, the log the reason
            return self._refuse(refusal_of(error, scope, fate))

    def _refuse(self, error: HooklineError, headers: list[HeaderPair] | None = None) -> Reply:
        self._refused(error.code)
        return problem_reply(error, headers)


class Paths:
    """Finds the endpoint of a path without parameters at once; Starlette's router tries one route after the other."""

    def __init__(self, endpoints: Mapping[str, AsgiApp], router: Router) -> None:
        self._fixed = {path: endpoint for path, endpoint in endpoints.items() if "{" not in path}
        self._router = router
        self._pages: list[tuple[str, AsgiApp]] = []

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Have the request answered."""
        endpoint = self._fixed.get(scope["path"])
        await (self._other(scope["path"]) if endpoint is None else endpoint)(scope, receive, send)

    def add_pages(self, prefix: str, pages: AsgiApp) -> None:
        """Have them answer at this path and below it."""
        self._fixed[prefix] = pages
        self._pages.append((f"{prefix}/", pages))

    def _other(self, path: str) -> AsgiApp:
        for beginning, pages in self._pages:
            if path.startswith(beginning):
                return pages
        return self._router


def refusal_of(error: Exception, scope: AsgiScope, fate: Fate) -> HooklineError:
    """The error to answer when a handler raised ``error``; a fault of ours is logged.

    Args:
        error: whatever it was.
        scope: of the request.
        fate: of the request.
    """
    if isinstance(error, NodeFault):
        ids = request_ids(scope["headers"])
        _log.error("request_failed", path=scope["path"], code=error.code, detail=error.detail, **ids)
        return failure_of(error, is_open=fate.is_open)
    if isinstance(error, HooklineError):
        return error
    ids = request_ids(scope["headers"])
    _log.error("request_crashed", path=scope["path"], method=scope["method"], exc_info=error, **ids)
    return failure_of(error, is_open=fate.is_open)


def failure_of(error: Exception, *, is_open: bool) -> HooklineError:
    """The answer to a fault of ours: above all, it says whether the caller can be sure that nothing was accepted."""
    if is_open:
        return DeadlineExceeded(
            "the node failed while it worked on the request, which may or may not have been accepted; repeat it with "
            "the same id or key"
        )
    if (isinstance(error, LogFault) and not isinstance(error, EntryTooLarge)) or disk_trouble(error) is not None:
        return Unavailable("the node is failing; the request was not accepted")
    return Internal()


def application(
    served: Iterable[Served],
    admit: Admit,
    guard: Guard | None,
    identity: list[HeaderPair],
    refused: Callable[[str], None],
) -> Starlette:
    """The ASGI application of these calls.

    ``app.state.identity`` holds the headers that every answer carries, for the server's own answers.
    """
    paths: dict[str, dict[str, Served]] = {}
    for one in served:
        paths.setdefault(one.call.path, {})[one.call.method] = one
    endpoints = {path: Endpoint(methods, admit, guard, identity, refused) for path, methods in paths.items()}
    return routed(endpoints, Endpoint(None, admit, guard, identity, refused), identity)


def routed(endpoints: Mapping[str, AsgiApp], other: AsgiApp, identity: list[HeaderPair]) -> Starlette:
    """The ASGI application of these paths, and of all others."""
    app = Starlette(
        routes=[Route(path.replace("{host}", "{host:text}"), endpoints[path]) for path in _in_order(endpoints)]
    )
    app.router.redirect_slashes = False
    app.router.default = other
    # Endpoints answer every error themselves; Starlette's own error handling would only cost time around them.
    app.middleware_stack = Paths(endpoints, app.router)
    app.state.identity = identity
    return app


def _in_order(paths: Iterable[str]) -> list[str]:
    """As they are tried: words before parameters, so that /jobs/batch is not taken for a job; else as they come."""
    things: dict[str, list[str]] = {}
    for path in paths:
        things.setdefault(path.split("/")[1], []).append(path)
    return [path for same in things.values() for path in sorted(same, key=lambda path: "{" in path)]
