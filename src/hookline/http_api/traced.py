"""The span of a request that a server answers.

Source of the names: https://opentelemetry.io/docs/specs/semconv/http/
"""

from collections.abc import Coroutine, Iterable
from typing import Any

from hookline.http_api.messages import AsgiScope, HeaderPair, Reply
from hookline.protocol.calls import Call
from hookline.telemetry.tracing.context import context_in
from hookline.telemetry.tracing.spans import Span, enter, error_of, leave, tracer

_FAILED = 500  # from this status on the fault is the server's
_UNTRACED_SCOPES = ("open", "internal")
_IN_PROCESS = "hookline.in_process"  # an ASGI extension of ours: it is not a request from outside
_JOB = "/jobs/{id}"
_ID_CHARS_MAX = 200


def begin_answer(call: Call | None, scope: AsgiScope) -> Span | None:
    """The span of a request; None: traces are off, or the request has none.

    Probes have none, nor have calls of our own processes that are nobody's request, nor what pages ask in this process.
    """
    if call is None or tracer() is None or call.scope in _UNTRACED_SCOPES or call.at_proxy == "self":
        return None
    if _IN_PROCESS in scope.get("extensions", ()):
        return None
    span = span_of(call, scope["headers"])
    # Only an id of a job is noted of the path: what stands for a host may be a whole url, with a password in it.
    if span is not None and span.is_recorded and call.path.startswith(_JOB):
        span.put("messaging.message.id", str(scope.get("path_params", {}).get("id", ""))[:_ID_CHARS_MAX])
    return span


def span_of(call: Call, headers: Iterable[HeaderPair]) -> Span | None:
    """The span of a call with these headers; None: traces are off."""
    if (own := tracer()) is None:
        return None
    span = own.begin(f"{call.method} {call.path}", "server", context_in(headers))
    if span.is_recorded:
        span.put("http.request.method", call.method)
        span.put("http.route", call.path)
    return span


async def answered(span: Span, work: Coroutine[Any, Any, Reply], *, not_for: type[Exception] | None = None) -> Reply:
    """The reply, for which the work is done within the span. An error ``not_for`` it leaves no span."""
    token = enter(span)
    try:
        reply = await work
    except BaseException as error:
        if not_for is None or not isinstance(error, not_for):
            span.end(error_of(error))
        raise
    finally:
        leave(token)
    end_answer(span, reply.status)
    return reply


def end_answer(span: Span, status: int) -> None:
    """The request is answered with that status."""
    if not span.is_recorded:
        return
    span.put("http.response.status_code", status)
    span.end(str(status) if status >= _FAILED else "")
