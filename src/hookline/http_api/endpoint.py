"""One path of an HTTP API: picks the handler by method, and turns whatever it raises into an answer."""

from collections.abc import Awaitable, Callable

import structlog
from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.routing import Route

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
from hookline.http_api.exchange import Disconnected, HeaderPair, Receive, Reply, Request, Scope, Send
from hookline.http_api.fate import Fate, begin
from hookline.http_api.problems import problem_reply

Answer = Callable[[Request], Awaitable[Reply]]

_log = structlog.get_logger()


class _TextConvertor(StringConvertor):
    """All that is left of a path. Starlette's own ``path`` stops at a line break, which then is an unknown call."""

    regex = "(?s:.*)"


register_url_convertor("text", _TextConvertor())


class Endpoint:
    """What answers one path.

    Args:
        handlers: by method; None: there is no such path.
        identity: the headers that every answer carries.
        refused: told the code of each problem that is answered.
    """

    def __init__(
        self, handlers: dict[str, Answer] | None, identity: list[HeaderPair], refused: Callable[[str], None]
    ) -> None:
        self._handlers = handlers
        self._identity = identity
        self._refused = refused
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
        fate = begin()
        try:
            if self._handlers is None:
                raise RouteNotFound
            handler = self._handlers.get(scope["method"])
            if handler is None:
                return self._refuse(MethodNotAllowed(), [(b"allow", self._allow)])
            return await handler(Request(scope, receive))
        except Disconnected:
            raise
        except HooklineError as error:
            if not isinstance(error, NodeFault):
                return self._refuse(error)
            _log.error("request_failed", path=scope["path"], code=error.code, detail=error.detail)
            return self._refuse(_failure(error, fate))
        except Exception as error:  # noqa: BLE001 - the last place to catch it: the caller gets an answer, the log the reason
            _log.exception("request_crashed", path=scope["path"], method=scope["method"])
            return self._refuse(_failure(error, fate))

    def _refuse(self, error: HooklineError, headers: list[HeaderPair] | None = None) -> Reply:
        self._refused(error.code)
        return problem_reply(error, headers)


def _failure(error: Exception, fate: Fate) -> HooklineError:
    """What the caller is told of a fault of ours: above all, whether it can be sure that nothing was accepted."""
    if fate.is_open:
        return DeadlineExceeded(
            "the node failed while it worked on the request, which may or may not have been accepted; repeat it with "
            "the same id or key"
        )
    if (isinstance(error, LogFault) and not isinstance(error, EntryTooLarge)) or disk_trouble(error) is not None:
        return Unavailable("the node is failing; the request was not accepted")
    return Internal()


def application(
    routes: dict[str, dict[str, Answer]], identity: list[HeaderPair], refused: Callable[[str], None]
) -> Starlette:
    """The ASGI application of these routes: path to method to handler.

    Paths may hold Starlette's parameters, and ``{name:text}`` for all that is left.

    ``app.state.identity`` holds the headers that every answer carries, for the server's own answers.
    """
    app = Starlette(routes=[Route(path, Endpoint(handlers, identity, refused)) for path, handlers in routes.items()])
    app.router.redirect_slashes = False
    app.router.default = Endpoint(None, identity, refused)
    # Endpoints answer every error themselves; Starlette's own error handling would only cost time around them.
    app.middleware_stack = app.router
    app.state.identity = identity
    return app
