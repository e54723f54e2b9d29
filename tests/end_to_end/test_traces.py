"""From the client through proxy and node to the commit, and each attempt linked to it: by real processes over OTLP."""

import http.server
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from hookline import Client
from hookline.telemetry.tracing.context import parse_traceparent
from tests.chaos.cluster import NAMES, Cluster, WorkerProcess
from tests.end_to_end.processes import Journal, answer_ok, journal_receiver, running_node, until
from tests.otlp_receiver import OtlpReceiver, ReceivedSpan, otlp_receiver

ATTEMPT = "attempt POST"
SECRETS = ("hush-user", "hush-password", "hush-query", "hush-payload", "hush-header", "hush-path", "hush-answer")


def environment(receiver: OtlpReceiver) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_BSP_SCHEDULE_DELAY": "20"}


def one(spans: list[ReceivedSpan], name: str, service: str) -> ReceivedSpan:
    (found,) = [span for span in spans if (span.name, span.service) == (name, service)]
    return found


def wait_for(collector: OtlpReceiver, *names: str) -> list[ReceivedSpan]:
    """As the receiver's, without the spans of calls that a busy node or proxy refused before."""

    def taken(spans: list[ReceivedSpan]) -> list[ReceivedSpan]:
        return [one for one in spans if one.name == ATTEMPT or one.attributes.get("http.response.status_code") != 503]

    def are_there(spans: list[ReceivedSpan]) -> bool:
        there = [span.name for span in taken(spans)]
        return all(there.count(name) >= names.count(name) for name in names)

    return taken(collector.wait(are_there, str(names)))


def told(journal: Journal, number: int = 0) -> tuple[str, str]:
    """(trace, span) that the receiver was told."""
    _, _, headers, _ = journal.requests[number]
    context = parse_traceparent(headers["traceparent"])
    assert context is not None
    return context.trace_id, context.span_id


def fail_once(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    if handler.headers["hookline-attempt"] != "1":
        answer_ok(handler, body)
        return
    answer = b"hush-answer"
    handler.send_response(503)
    handler.send_header("content-length", str(len(answer)))
    handler.end_headers()
    handler.wfile.write(answer)


@pytest.fixture
def provider() -> TracerProvider:
    """The caller's own tracing, as an application sets it up."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    found = trace.get_tracer_provider()
    assert isinstance(found, TracerProvider)
    return found


def test_client_proxy_node_commit_and_each_attempt_are_one_trace(tmp_path: Path, provider: TracerProvider) -> None:
    with (
        otlp_receiver() as collector,
        journal_receiver(fail_once) as (port, journal),
        running_node(tmp_path / "data", "--proxies", "1", environment=environment(collector)) as door,
        Client(f"http://127.0.0.1:{door.port}") as client,
    ):
        with provider.get_tracer("application").start_as_current_span("order") as order:
            job = client.create_job(
                f"http://127.0.0.1:{port}/hush-path?token=hush-query",
                payload={"secret": "hush-payload"},
                headers={"X-Token": "hush-header"},
                retry={"schedule": ["0s"]},
            )
        spans = wait_for(collector, *["POST /jobs"] * 3, "commit", ATTEMPT, ATTEMPT)
        until(lambda: client.get_job(job.id).state == "succeeded", "the second attempt is recorded")
    context = order.get_span_context()
    proxy_server, proxy_client = (
        next(span for span in spans if (span.service, span.kind, span.name) == ("hookline-proxy", kind, "POST /jobs"))
        for kind in ("server", "client")
    )
    node = one(spans, "POST /jobs", "hookline-node")
    commit = one(spans, "commit", "hookline-node")
    assert {span.trace_id for span in spans if span.name != "GET /jobs/{id}"} == {f"{context.trace_id:032x}"}
    assert proxy_server.parent_id not in ("", f"{context.span_id:016x}"), "the SDK's own span is between"
    assert proxy_client.parent_id == proxy_server.span_id
    assert (node.kind, node.parent_id) == ("server", proxy_client.span_id)
    assert (commit.kind, commit.parent_id) == ("internal", node.span_id)
    attempts = [span for span in spans if span.name == ATTEMPT]
    assert [span.links for span in attempts] == [[(node.trace_id, node.span_id)]] * 2
    assert {span.parent_id for span in attempts} == {node.span_id}
    assert sorted((span.trace_id, span.span_id) for span in attempts) == sorted(told(journal, n) for n in (0, 1))
    first, second = sorted(attempts, key=lambda span: span.attributes["hookline.attempt.number"])
    assert (first.is_error, first.attributes["error.type"], second.is_error) == (True, "503", False)
    assert first.attributes["http.response.status_code"] == 503
    assert second.attributes["http.request.resend_count"] == 1
    assert (first.attributes["server.address"], first.attributes["server.port"]) == ("127.0.0.1", port)
    assert {span.attributes["messaging.message.id"] for span in (node, first, second)} == {job.id}
    assert node.resource["hookline.cluster"] == "c0"
    assert 0 < commit.took_ns <= node.took_ns <= proxy_client.took_ns <= proxy_server.took_ns
    sent = b"".join(collector.raw)
    assert not [secret for secret in SECRETS if secret.encode() in sent]


@pytest.mark.parametrize(("api", "attempts"), [("0", "0"), ("2", "2")])
def test_processes_of_a_node_send_their_spans_and_lose_none_at_its_end(tmp_path: Path, api: str, attempts: str) -> None:
    options = ("--api-processes", api, "--attempt-processes", attempts)
    with otlp_receiver() as collector, journal_receiver() as (port, journal):
        slow = environment(collector) | {"OTEL_BSP_SCHEDULE_DELAY": "600000"}  # so they are sent at the end alone
        with running_node(tmp_path / "data", *options, environment=slow) as node:
            job = {"url": f"http://127.0.0.1:{port}/"}
            given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            status, _ = node.call("POST", "/jobs", job, traceparent=given, tracestate="vendor=1")
            assert status == 201
            status, _ = node.call("POST", "/jobs/batch", [job, job])
            assert status == 200
            until(lambda: len(journal.requests) == 3, "all are sent")
            until(lambda: not node.call("GET", "/jobs?state=running")[1]["data"], "all are recorded")
            assert node.stop() == 0
        spans = wait_for(collector, "POST /jobs", "POST /jobs/batch", "commit", "commit", *[ATTEMPT] * 3)
    created = one(spans, "POST /jobs", "hookline-node")
    batch = one(spans, "POST /jobs/batch", "hookline-node")
    assert (created.trace_id, created.parent_id, created.state) == (given[3:35], given[36:52], "vendor=1")
    assert (batch.parent_id, batch.attributes["messaging.batch.message_count"]) == ("", 2)
    links = sorted(link for span in spans if span.name == ATTEMPT for link in span.links)
    assert links == sorted([(created.trace_id, created.span_id), *[(batch.trace_id, batch.span_id)] * 2])
    states = [
        headers.get("tracestate") for _, _, headers, _ in journal.requests if given[3:35] in headers["traceparent"]
    ]
    assert states == ["vendor=1"]


def test_a_receiver_is_always_told_a_context_though_nothing_is_recorded(tmp_path: Path) -> None:
    with journal_receiver() as (port, journal), running_node(tmp_path / "data") as node:
        given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
        job = {"url": f"http://127.0.0.1:{port}/"}
        assert node.call("POST", "/jobs", job)[0] == 201
        for traceparent in (given, given.upper()):
            assert node.call("POST", "/jobs", job, traceparent=traceparent)[0] == 201
        until(lambda: len(journal.requests) == 3, "all are sent")
    contexts = [told(journal, number) for number in range(3)]
    assert len({trace_id for trace_id, _ in contexts}) == 3
    assert (given[3:35], given[36:52]) in contexts


def test_a_collector_that_is_away_costs_a_line(tmp_path: Path) -> None:
    away = {"OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    options = ("--traces", "http://127.0.0.1:9", "--attempt-processes", "0", "--log-json")
    with journal_receiver() as (port, journal), running_node(tmp_path / "data", *options, environment=away) as node:
        for _ in range(3):
            assert node.call("POST", "/jobs", {"url": f"http://127.0.0.1:{port}/"})[0] == 201
        until(lambda: len(journal.requests) == 3, "all are sent")
        until(lambda: "traces_dropped" in node.log.read_text(), "it is said")
        assert node.stop() == 0
    said = node.log.read_text()
    assert said.count("traces_dropped") == 1
    assert "Traceback" not in said
    assert "opentelemetry" not in said


def test_followers_and_workers_send_the_spans_of_their_attempts(tmp_path: Path) -> None:
    def with_others(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        with journal.arrived:  # more than the leader's slots, so a follower has sent one
            assert journal.arrived.wait_for(lambda: len(journal.requests) > 2, 60)
        answer_ok(handler, body)

    with otlp_receiver() as collector, journal_receiver(with_others) as (port, journal):
        cluster = Cluster(tmp_path, "--slots", "2", "--traces", collector.url, mode="hybrid")
        with cluster:
            cluster.wait_for_runners(*NAMES)
            follower, leader = cluster.followers()[0], cluster.leader()
            job = {"url": f"http://127.0.0.1:{port}/"}
            assert follower.call("POST", "/jobs", job)[0] == 201
            assert leader.call("POST", "/jobs/batch", [job] * 60)[0] == 200
            until(lambda: len(journal.requests) == 61, "all are sent")
            worker = WorkerProcess("w1", tmp_path, [leader.url], "--slots", "2", "--traces", collector.url)
            worker.start()
            try:
                cluster.set_mode("workers")
                cluster.wait_for_runners("w1")
                assert leader.call("POST", "/jobs", job)[0] == 201
                until(lambda: len(journal.requests) == 62, "the worker sends")
                spans = collector.wait_for(*[ATTEMPT] * 62, *["POST /jobs"] * 4)
            finally:
                worker.kill()
    instances = {span.resource["service.instance.id"] for span in spans if span.name == ATTEMPT}
    assert {"c0/n1", "c0/n2", "c0/n3", "w1"} >= instances > {f"c0/{leader.name}", "w1"}
    (asked,) = [span for span in spans if span.kind == "client" and span.name == "POST /jobs"]
    by_id = {span.span_id: span for span in spans}
    below = [span for span in spans if span.parent_id == asked.span_id]
    nodes = [span.resource["hookline.node"] for span in (by_id[asked.parent_id], asked, *below)]
    assert nodes == [follower.name, follower.name, leader.name]
