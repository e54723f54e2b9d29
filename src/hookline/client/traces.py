"""Puts the SDK's calls into the caller's trace, if the caller's own program traces with OpenTelemetry.

A program that does has imported it, so nothing is imported here, and who does not trace pays for a look-up.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hookline.client.carriers import CarrierAnswer, CarrierCall
from hookline.version import __version__

if TYPE_CHECKING:
    from opentelemetry import trace

_FAILED = 400  # to the caller, any of these is a failure
_VERSION = "00"


class TracedCall:
    """A call and its span; ``call`` tells the service of the span."""

    def __init__(self, call: CarrierCall, span: "trace.Span | None") -> None:
        self.call = call
        self._span = span

    def answered(self, answer: CarrierAnswer) -> CarrierAnswer:
        """Note how it was answered."""
        if self._span is not None:
            self._span.set_attribute("http.response.status_code", answer.status)
            if answer.status >= _FAILED:
                self._fail(str(answer.status))
        return answer

    def failed(self, error: BaseException) -> None:
        """Note that no answer came."""
        if self._span is not None:
            self._fail(str(getattr(error, "code", type(error).__name__)))

    def _fail(self, kind: str) -> None:
        assert self._span is not None
        api = _api()
        assert api is not None
        self._span.set_attribute("error.type", kind)
        self._span.set_status(api.StatusCode.ERROR)


@contextmanager
def traced(call: CarrierCall) -> Iterator[TracedCall]:
    """The block makes the call. A ``traceparent`` that the caller gave stays, and then there is no span."""
    api = _api()
    if api is None or "traceparent" in call.headers:
        yield TracedCall(call, None)
        return
    # The path has ids in it, so its first word is the name: there are few of these.
    name = f"{call.method} /{call.path.partition('?')[0].split('/')[1]}"
    parts = urlsplit(call.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    attributes = {"http.request.method": call.method, "server.address": parts.hostname or "", "server.port": port}
    tracer = api.get_tracer("hookline", __version__)
    with tracer.start_as_current_span(
        name, kind=api.SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        context = span.get_span_context()
        told = TracedCall(replace(call, headers=_told(call, context)) if context.is_valid else call, span)
        try:
            yield told
        except BaseException as error:
            told.failed(error)
            raise


def _told(call: CarrierCall, context: "trace.SpanContext") -> dict[str, str]:
    parent = f"{_VERSION}-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    state = context.trace_state.to_header()
    return {**call.headers, "traceparent": parent} | ({"tracestate": state} if state else {})


def _api() -> ModuleType | None:
    """OpenTelemetry's API, if this program has imported it."""
    return sys.modules.get("opentelemetry.trace")
