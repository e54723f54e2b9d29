"""The ASGI application of a front: answers the calls that create and read jobs, and relays all others.

So does a call that a front answers itself, whenever anything is out of the ordinary before the node was asked.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.applications import Starlette

from hookline.errors import HooklineError, JobNotFound, NodeFault, Overloaded
from hookline.http_api.callers import Admit, ApiCaller, HeaderPairs
from hookline.http_api.endpoint import AsgiApp, failure_of, routed
from hookline.http_api.fate import begin
from hookline.http_api.guard import Guard
from hookline.http_api.messages import (
    ApiRequest,
    AsgiMessage,
    AsgiReceive,
    AsgiScope,
    AsgiSend,
    Disconnected,
    HeaderPair,
    Reply,
)
from hookline.http_api.problems import problem_reply
from hookline.http_api.request_ids import request_ids
from hookline.http_api.traced import answered, begin_answer
from hookline.node.api import batches, creating, jobs
from hookline.node.api.deadline import within_deadline
from hookline.node.api.jobs_api import JobsApi, ProcessShare
from hookline.node.api.served_calls import identity_of, limited_calls
from hookline.node.front.counted import Counted
from hookline.node.front.front_end import AnsweredByNode, FrontEnd, RelayInstead
from hookline.node.front.jobs_api import FrontJobsApi
from hookline.protocol.calls import Call
from hookline.telemetry.area_log import log_of

JobHandler = Callable[[JobsApi, ApiRequest], Awaitable[Reply]]

NATIVE: Final[dict[str, JobHandler]] = {
    "createJob": creating.create_job,
    "createBatch": batches.create_batch,
    "listJobs": jobs.list_jobs,
    "getJob": jobs.get_job,
    "listAttempts": jobs.list_attempts,
}
"""The calls that a front answers itself, by the handlers of the node."""

_log = log_of("api")


@dataclass(frozen=True, slots=True)
class FrontParts:
    """Holds the parts of a front.

    Attributes:
        guard: knows the keys; None: nobody is asked for one.
        is_overloaded: this process has more to do than it can.
        admit: says who calls.
    """

    share: ProcessShare
    end: FrontEnd
    counted: Counted
    is_overloaded: Callable[[], bool]
    admit: Admit
    guard: Guard | None = None


class Listener:
    """Keeps what was read of a request, so that it can be read once more."""

    def __init__(self, receive: AsgiReceive) -> None:
        self._receive = receive
        self._messages: deque[AsgiMessage] = deque()

    async def __call__(self) -> AsgiMessage:
        message: AsgiMessage = await self._receive()
        self._messages.append(message)
        return message

    async def again(self) -> AsgiMessage:
        """From the beginning, and then what is still to come."""
        return self._messages.popleft() if self._messages else await self._receive()


class FrontEndpoint:
    """Answers one path.

    Args:
        parts: of the front.
        native: by method, the calls that are not relayed.
        identity: the headers that every answer carries.
    """

    def __init__(self, parts: FrontParts, native: dict[str, Call], identity: list[HeaderPair]) -> None:
        self._parts = parts
        self._native = native | ({"HEAD": native["GET"]} if "GET" in native else {})
        self._identity = identity

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        call = self._native.get(scope["method"])
        if call is None:
            await self._parts.end.relay(scope, receive, send)
            return
        heard = Listener(receive)
        try:
            span = begin_answer(call, scope)
            work = self._reply(scope, heard, call)
            reply = await (work if span is None else answered(span, work, not_for=RelayInstead))
        except RelayInstead:
            await self._parts.end.relay(scope, heard.again, send)
        except Disconnected:
            return
        else:
            await reply.send(send, self._identity)

    async def _reply(self, scope: AsgiScope, heard: Listener, call: Call) -> Reply:
        fate = begin()
        if b"consistency=" in scope["query_string"]:
            raise RelayInstead
        caller, headers = self._admitted(scope, call)
        request = ApiRequest(scope, heard, call, caller, headers)
        try:
            if self._parts.is_overloaded():
                raise Overloaded(retry_after_s=1)
            return await within_deadline(partial(self._by_handler, NATIVE[call.name]), request)
        except AnsweredByNode as answered:
            return answered.reply
        except (RelayInstead, Disconnected):
            raise
        except Exception as error:
            if isinstance(error, HooklineError) and not isinstance(error, NodeFault):
                return self._refuse(error)
            if not fate.is_open:  # the node looks at it: perhaps its state is damaged
                ids = request_ids(scope["headers"])
                _log.exception("front_could_not_answer", path=scope["path"], method=scope["method"], **ids)
                raise RelayInstead from error
            ids = request_ids(scope["headers"])
            _log.exception("request_crashed", path=scope["path"], method=scope["method"], **ids)
            return self._refuse(failure_of(error, is_open=True))

    def _admitted(self, scope: AsgiScope, call: Call) -> tuple[ApiCaller, HeaderPairs]:
        """Raises RelayInstead for whoever is to be refused: the node does it, and counts how often."""
        try:
            caller, headers = self._parts.admit(call, scope)
            if (guard := self._parts.guard) is None:
                return caller.acting(), headers
            known = guard.known(caller, scope["headers"])
            if known is None or call.needed_scope not in known.scopes:
                raise RelayInstead
            return known.acting(), headers
        except HooklineError as error:
            raise RelayInstead from error

    async def _by_handler(self, handler: JobHandler, request: ApiRequest) -> Reply:
        parts = self._parts
        api = FrontJobsApi(parts.share, parts.end, request, parts.counted.create_took)
        try:
            reply = await handler(api, request)
        except JobNotFound as error:
            if request.call.is_safe:  # the node knows whether it is on its way here
                raise RelayInstead from error
            raise
        except HooklineError as error:
            if not isinstance(error, NodeFault):
                await api.settle()
            raise
        await api.settle()
        return reply

    def _refuse(self, error: HooklineError) -> Reply:
        self._parts.counted.refused(error.code)
        return problem_reply(error)


def front_app(parts: FrontParts) -> Starlette:
    """The application; ``app.state.identity`` holds the headers that every answer carries."""
    identity = identity_of(parts.share.config)
    native: dict[str, dict[str, Call]] = {}
    for call in limited_calls(parts.share.config):
        methods = native.setdefault(call.path, {})
        if call.name in NATIVE:
            methods[call.method] = call
    endpoints: dict[str, AsgiApp] = {path: FrontEndpoint(parts, methods, identity) for path, methods in native.items()}
    return routed(endpoints, FrontEndpoint(parts, {}, identity), identity)
