"""Spans on their way to a receiver of OTLP, read by OpenTelemetry's own messages."""

import re
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import SpanFlags
from structlog.testing import capture_logs

from hookline.errors import InvalidConfig
from hookline.telemetry.process_metrics import ProcessMetrics
from hookline.telemetry.tracing import export, spans
from hookline.telemetry.tracing.collector import Collector, pairs_in, url_of
from hookline.telemetry.tracing.context import TraceContext
from hookline.telemetry.tracing.otlp import encode_process, encode_request
from hookline.telemetry.tracing.sampling import Sampler
from hookline.telemetry.tracing.settings import trace_settings
from hookline.telemetry.tracing.spans import Span, SpanKind, Tracer
from tests.node_parts import T0, ManualClock
from tests.otlp_receiver import decoded, otlp_receiver

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 3, "a=1")
BODY = b"\x0a\x00"

values = st.text(max_size=300) | st.integers(-(2**63), 2**63 - 1) | st.booleans()
attributes = st.dictionaries(st.text(min_size=1, max_size=40).filter(lambda name: name != "error.type"), values)


def ended(
    name: str = "x", kind: SpanKind = "client", parent: TraceContext | None = None, error: str = "", **more: Any
) -> Span:
    found: list[Span] = []
    span = Tracer(Sampler(by_parent=False), ManualClock(), found.append).begin(name, kind, parent, **more)
    span.end(error)
    return span


@given(
    st.text(max_size=100),
    st.sampled_from(["server", "client", "internal"]),
    st.none() | st.just(PARENT),
    st.none() | st.just(PARENT),
    attributes,
    st.sampled_from(["", "503"]),
)
def test_a_span_is_read_as_it_was(
    name: str, kind: SpanKind, parent: TraceContext | None, link: TraceContext | None, given: dict[str, Any], error: str
) -> None:
    span = ended(name, kind, parent, error, link=link, attributes=given)
    (found,) = decoded(encode_request(encode_process({"service.name": "s"}), [span]))
    assert (found.name, found.kind, found.service) == (name, kind, "s")
    assert (found.trace_id, found.span_id) == (span.context.trace_id, span.context.span_id)
    assert (found.parent_id, found.state) == (("", "") if parent is None else (parent.span_id, "a=1"))
    assert found.links == ([] if link is None else [(link.trace_id, link.span_id)])
    assert found.attributes == given | ({"error.type": error} if error else {})
    assert {key: type(value) for key, value in given.items()} == {key: type(found.attributes[key]) for key in given}
    assert found.is_error == bool(error)


def test_times_flags_and_the_library_are_told() -> None:
    message = ExportTraceServiceRequest.FromString(
        encode_request(encode_process({"a": "b"}), [ended(kind=kind, parent=PARENT) for kind in ("server", "client")])
    )
    (resource,) = message.resource_spans
    (scope,) = resource.scope_spans
    server, client = scope.spans
    assert (scope.scope.name, scope.scope.version != "") == ("hookline", True)
    assert round(server.start_time_unix_nano / 10**6) == round(server.end_time_unix_nano / 10**6) == T0
    knows, remote = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK, SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
    assert (server.flags, client.flags) == (3 | knows | remote, 3 | knows)
    assert message == ExportTraceServiceRequest.FromString(message.SerializeToString()), "there are no unknown fields"


def test_pairs_are_percent_decoded_and_others_left_out() -> None:
    assert pairs_in("authorization=Bearer%20x, b = 2,,c,=d,e=f=g") == {
        "authorization": "Bearer x",
        "b": "2",
        "e": "f=g",
    }


@pytest.mark.parametrize(
    ("given", "environment", "url"),
    [
        ("http://a/v1/traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b"}, "http://a/v1/traces"),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b/"}, "http://b/v1/traces"),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://b/x"}, "http://b/x/v1/traces"),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/own"}, "http://c/own"),
        (None, {}, "http://localhost:4318/v1/traces"),
    ],
)
def test_where_traces_go(given: str | None, environment: dict[str, str], url: str) -> None:
    assert url_of(given, environment) == url


def test_a_place_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        url_of(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "file:///etc/passwd"})


@pytest.mark.parametrize("variable", ["CERTIFICATE", "CLIENT_CERTIFICATE"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, variable: str) -> None:
    with pytest.raises(InvalidConfig, match="OTEL_EXPORTER_OTLP"):
        Collector("https://a", {f"OTEL_EXPORTER_OTLP_{variable}": str(tmp_path / "none.pem")})


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_request_has_the_headers_that_were_asked_for(compression: str) -> None:
    environment = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x",
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": compression,
    }
    with otlp_receiver() as receiver:
        assert Collector(f"{receiver.url}/v1/traces", environment).send(BODY)
        (headers,) = receiver.headers
    assert headers["authorization"] == "Bearer x"
    assert headers["user-agent"].startswith("hookline/")
    assert (headers.get("content-encoding") == "gzip") is (compression == "gzip")
    assert receiver.raw == [BODY]


def test_what_may_be_taken_later_is_sent_again() -> None:
    with otlp_receiver() as receiver:
        receiver.status, receiver.retry_after = 503, "0"
        collector, taken = Collector(f"{receiver.url}/v1/traces", {}), []
        sending = threading.Thread(target=lambda: taken.append(collector.send(BODY)))
        sending.start()
        with receiver.changed:
            assert receiver.changed.wait_for(lambda: receiver.headers, 60)
            receiver.status = 200
        sending.join(60)
    assert taken == [True]
    assert len(receiver.headers) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_what_is_refused_for_good_is_sent_once(status: int) -> None:
    with otlp_receiver() as receiver:
        receiver.status = status
        assert not Collector(f"{receiver.url}/v1/traces", {}).send(BODY)
    assert len(receiver.headers) == 1


def test_one_in_a_hurry_tries_once() -> None:
    with otlp_receiver() as receiver:
        receiver.status = 503
        collector = Collector(f"{receiver.url}/v1/traces", {})
        collector.hurry()
        assert not collector.send(BODY)
    assert len(receiver.headers) == 1
    assert not collector.send(BODY), "nobody listens there any more"


def test_a_receiver_has_to_prove_itself_over_tls() -> None:
    with otlp_receiver() as receiver:
        collector = Collector(receiver.url.replace("http:", "https:"), {})
        collector.hurry()
        assert not collector.send(BODY)
    assert ssl.create_default_context().check_hostname


def test_a_process_records_from_the_beginning_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test,service.name=theirs")
    with otlp_receiver() as receiver:
        export.begin_tracing(trace_settings(receiver.url, None, "ours", hookline_node="n1"), ManualClock())
        try:
            tracer = spans.tracer()
            assert tracer is not None
            tracer.begin("x", "server", None).end()
        finally:
            export.end_tracing(60)
        (span,) = receiver.spans
    assert spans.tracer() is None
    assert export.dropped_spans() == 0
    told = span.resource
    assert (told["service.name"], told["hookline.node"], told["deployment.environment"]) == ("theirs", "n1", "test")


def test_without_a_place_nothing_begins_and_the_sampler_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    export.begin_tracing(trace_settings(None, None, "ours"), ManualClock())
    try:
        assert spans.tracer() is None
        assert not spans.sampler().is_sampled("0" * 31 + "1", None)
    finally:
        export.end_tracing()
    assert spans.sampler() == Sampler()


@pytest.mark.parametrize(("name", "argument"), [("jaeger_remote", "endpoint=http://agent"), ("traceidratio", "half")])
def test_a_sampler_of_others_keeps_no_process_from_starting(
    name: str, argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables may be meant for all programs of a machine; OpenTelemetry asks to warn and to go on."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    with capture_logs() as lines:
        export.begin_tracing(trace_settings(None, None, "ours"), ManualClock())
    try:
        assert spans.sampler().is_sampled("0" * 31 + "1", None)
        assert [line["event"] for line in lines] == ["traces_sampler_unknown"]
        assert name in lines[0]["why"] or argument in lines[0]["why"]
    finally:
        export.end_tracing()


def test_spans_that_nobody_took_are_counted_in_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    with otlp_receiver() as receiver:
        gone = receiver.url
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1")
    export.begin_tracing(trace_settings(gone, None, "ours"), ManualClock())
    try:
        tracer = spans.tracer()
        assert tracer is not None
        for _ in range(50):
            tracer.begin("x", "server", None).end()
        shown, _ = ProcessMetrics().shown("")
        (count,) = re.findall(rb"^hookline_traces_dropped_spans_total (\S+)$", shown, re.MULTILINE)
        assert 0 < float(count) <= 50
    finally:
        export.end_tracing(0)
