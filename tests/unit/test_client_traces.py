"""The SDK's calls in the trace of a program that uses OpenTelemetry."""

import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import SpanKind, StatusCode, TraceState

from hookline.client.carriers import CarrierAnswer, CarrierCall
from hookline.client.traces import traced
from hookline.errors import ConnectionFailed
from hookline.telemetry.tracing.context import context_in, parse_traceparent
from hookline.version import __version__


class Tracing:
    """Keeps a program's spans; ``get_tracer`` is the one of OpenTelemetry's API."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.exporter = InMemorySpanExporter()
        self.sample(ALWAYS_ON)

    def sample(self, sampler: Sampler) -> None:
        self.provider = TracerProvider(sampler=sampler)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self._monkeypatch.setattr(trace, "get_tracer", self.provider.get_tracer)

    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()


@pytest.fixture
def tracing(monkeypatch: pytest.MonkeyPatch) -> Tracing:
    return Tracing(monkeypatch)


def call(url: str = "https://user:hush@shop.example:8443/base", **headers: str) -> CarrierCall:
    return CarrierCall("GET", url, "/jobs/order-1?limit=1", headers, None, 1.0, lambda: 1.0)


def told(sent: CarrierCall) -> tuple[str, str] | None:
    context = context_in([(name.encode(), value.encode()) for name, value in sent.headers.items()])
    return None if context is None else (context.trace_id, context.span_id)


def test_a_call_is_a_span_below_the_callers_and_the_service_is_told_of_it(tracing: Tracing) -> None:
    application = tracing.provider.get_tracer("application")
    with application.start_as_current_span("order") as order, traced(call(accept="a")) as it:
        answer = it.answered(CarrierAnswer(200, {}, b""))
    span, _ = tracing.spans()
    context = span.context
    assert context is not None
    assert span.parent is not None
    assert answer.status == 200
    assert (span.name, span.kind, span.parent.span_id) == (
        "GET /jobs",
        SpanKind.CLIENT,
        order.get_span_context().span_id,
    )
    assert told(it.call) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert it.call.headers["accept"] == "a"
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "server.address": "shop.example",
        "server.port": 8443,
        "http.response.status_code": 200,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope is not None
    assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == ("hookline", __version__)


@pytest.mark.parametrize(("url", "port"), [("http://a", 80), ("https://a", 443)])
def test_the_port_of_a_scheme_is_told(tracing: Tracing, url: str, port: int) -> None:
    with traced(call(url)):
        pass
    (span,) = tracing.spans()
    assert (span.attributes or {})["server.port"] == port


def test_a_call_that_fails_says_how_and_not_more(tracing: Tracing) -> None:
    with traced(call()) as it:
        it.answered(CarrierAnswer(404, {}, b""))
    for error in (ConnectionFailed("hush"), KeyboardInterrupt("hush")):
        with pytest.raises(type(error)), traced(call()):
            raise error
    spans = tracing.spans()
    assert [(span.attributes or {})["error.type"] for span in spans] == [
        "404",
        ConnectionFailed.code,
        "KeyboardInterrupt",
    ]
    assert {span.status.status_code for span in spans} == {StatusCode.ERROR}
    assert not any(span.events for span in spans)
    assert "hush" not in "".join(span.to_json() for span in spans)


def test_the_callers_state_goes_along(tracing: Tracing) -> None:
    with tracing.provider.get_tracer("application").start_as_current_span("order") as order:
        context = order.get_span_context()
        above = trace.SpanContext(
            context.trace_id, context.span_id, False, context.trace_flags, TraceState([("vendor", "1")])
        )
        with trace.use_span(trace.NonRecordingSpan(above)), traced(call()) as it:
            pass
    assert it.call.headers["tracestate"] == "vendor=1"


def test_what_is_not_recorded_is_told_as_such(tracing: Tracing) -> None:
    tracing.sample(ALWAYS_OFF)
    with traced(call()) as it:
        it.answered(CarrierAnswer(200, {}, b""))
    context = parse_traceparent(it.call.headers["traceparent"])
    assert context is not None
    assert not context.is_sampled
    assert tracing.spans() == ()


def test_a_context_that_the_caller_gives_stays(tracing: Tracing) -> None:
    given = call(traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    with traced(given) as it:
        it.answered(CarrierAnswer(500, {}, b""))
    assert it.call is given
    assert tracing.spans() == ()


def test_without_opentelemetry_nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    given = call()
    with traced(given) as it:
        it.answered(CarrierAnswer(200, {}, b""))
    assert it.call is given
    with pytest.raises(ConnectionFailed), traced(given):
        raise ConnectionFailed("x")


def test_a_program_that_does_not_trace_sends_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "get_tracer", trace.NoOpTracerProvider().get_tracer)
    with traced(call()) as it:
        it.answered(CarrierAnswer(200, {}, b""))
    assert told(it.call) is None
