"""The checks that a call meets at the node before a handler runs, for calls whose requests are at a front."""

from hookline.errors import HooklineError, NodeFault, NotLeader
from hookline.http_api.callers import CLIENT, ApiCaller
from hookline.http_api.endpoint import failure_of
from hookline.http_api.forwarded_headers import FALLBACK
from hookline.http_api.messages import ApiRequest, HeaderPair
from hookline.http_api.problems import problem_reply
from hookline.node.api.context import Api
from hookline.node.api.door import Door
from hookline.node.front.messages import GivenAnswer, NotByYou
from hookline.protocol.calls import CALLS, Call
from hookline.telemetry.area_log import log_of

_ALLOW: list[HeaderPair] = [(FALLBACK, b"allow")]
_log = log_of("api")


class FrontDoor:
    """One for each front."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._door = Door(api)
        self._plain = {name: _request(call, CLIENT) for name, call in CALLS.items()}

    @property
    def term(self) -> int:
        """In which this node leads; 0: it does not."""
        services = self._api.services
        return services.replica.term if services.role.is_leading() else 0

    def admitted(self, call: str, caller: ApiCaller | None, *, is_fallback: bool = False) -> ApiRequest:
        """The call, as far as checks look at it. Raises as they do, in their order."""
        if caller is None and not is_fallback:
            request = self._plain[call]
        else:
            request = _request(CALLS[call], caller or CLIENT, _ALLOW if is_fallback else [])
        if caller is not None and self._api.services.guard is not None:
            self._api.services.guard.note_use(caller)
        self._door.check_load()
        if not self._api.services.role.is_leading():
            raise NotLeader
        self._door.check_caller(request)
        return request

    def refusal(self, number: int, error: BaseException, *, is_open: bool) -> GivenAnswer | NotByYou:
        """Tells the front why not; ``is_open``: the log may have the jobs.

        Where it surely has none, and this node is not the one to answer or is in trouble, the call is relayed: the
        node's own way knows what to do.
        """
        if isinstance(error, NotLeader):
            return NotByYou(number, 0)
        if not isinstance(error, HooklineError) or isinstance(error, NodeFault):
            _log.error("request_failed", call_from="front", error=repr(error))
            if not is_open:
                return NotByYou(number, self.term)
            assert isinstance(error, Exception), error
            error = failure_of(error, is_open=True)
        self._api.count_refusal(error.code)
        reply = problem_reply(error)
        return GivenAnswer(number, reply.status, reply.body, reply.content_type, list(reply.headers))


def _request(call: Call, caller: ApiCaller, headers: list[HeaderPair] | None = None) -> ApiRequest:
    return ApiRequest({}, _no_body, call, caller, headers or [])


async def _no_body() -> None:
    raise AssertionError("the body of a call that a front answers stays there")
