"""Real nodes and proxies in one process whose spans are kept: who is whose parent, and what jobs are stored with."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from hookline.clock import SystemClock
from hookline.protocol.internal_http import MESSAGEPACK, GatheredAnswer, GatheredCreate
from hookline.protocol.jobs import JobSpec, decode_spec
from hookline.telemetry.tracing import spans
from hookline.telemetry.tracing.context import TraceContext
from hookline.telemetry.tracing.sampling import Sampler
from hookline.telemetry.tracing.spans import Span, Tracer
from tests.integration.node_under_test import NodeUnderTest
from tests.integration.proxy_under_test import JOB, Clusters, FrontDoor

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1, "a=1")


class Kept:
    """Spans that have ended, of all threads."""

    def __init__(self) -> None:
        self.ended: list[Span] = []
        self._changed = threading.Condition()

    def put(self, span: Span) -> None:
        with self._changed:
            self.ended.append(span)
            self._changed.notify_all()

    def wait_for(self, *names: str) -> list[Span]:
        """All so far, once there are so many of these names."""
        with self._changed:
            found = [span.name for span in self.ended]
            assert self._changed.wait_for(
                lambda: all([s.name for s in self.ended].count(name) >= names.count(name) for name in names), 60
            ), found
            return list(self.ended)


@pytest.fixture
def kept() -> Iterator[Kept]:
    found = Kept()
    spans.trace_by(Tracer(Sampler(), SystemClock(), found.put))
    yield found
    spans.trace_by(None)


def specs(node: NodeUnderTest) -> list[JobSpec]:
    return [decode_spec(blob) for (blob,) in node.rows("SELECT spec FROM specs ORDER BY seq")]


def only(found: list[Span], name: str, kind: str) -> Span:
    (span,) = [span for span in found if (span.name, span.kind) == (name, kind)]
    return span


def test_a_job_is_stored_with_the_span_that_created_it(kept: Kept, node: NodeUnderTest) -> None:
    node.post("/jobs", JOB, traceparent=PARENT.traceparent, tracestate="a=1")
    created = only(kept.wait_for("POST /jobs"), "POST /jobs", "server")
    commit = only(kept.ended, "commit", "internal")
    (spec,) = specs(node)
    assert created.parent == PARENT
    assert (spec.traceparent, spec.tracestate) == (created.context.traceparent, "a=1")
    assert commit.parent == created.context
    assert created.attributes["http.response.status_code"] == 201
    assert created.attributes["http.route"] == "/jobs"


def test_an_update_of_a_job_leaves_its_context(kept: Kept, node: NodeUnderTest) -> None:
    job = node.post("/jobs", JOB, traceparent=PARENT.traceparent, tracestate="a=1").json
    (before,) = specs(node)
    answer = node.call("PATCH", f"/jobs/{job['id']}", json.dumps({"priority": 3}).encode())
    assert answer.status == 200, answer
    (after,) = specs(node)
    assert (after.priority, after.traceparent, after.tracestate) == (3, before.traceparent, "a=1")
    assert {span.name for span in kept.wait_for("PATCH /jobs/{id}")} >= {"PATCH /jobs/{id}", "commit"}


def test_a_job_whose_trace_is_not_recorded_keeps_the_callers_context(kept: Kept, node: NodeUnderTest) -> None:
    given = PARENT._replace(flags=0).traceparent
    node.post("/jobs", JOB, traceparent=given)
    assert [spec.traceparent for spec in specs(node)] == [given]
    assert kept.ended == []


def test_without_traces_the_callers_context_is_stored_and_none_is_made_up(node: NodeUnderTest) -> None:
    for headers in ({"traceparent": PARENT.traceparent, "tracestate": "a=1, b=2"}, {"tracestate": "a=1"}, {}):
        node.post("/jobs", JOB, **headers)
    node.post("/jobs", JOB, traceparent="cc-" + PARENT.traceparent[3:] + "-more", tracestate="A=1")
    found = [(spec.traceparent, spec.tracestate) for spec in specs(node)]
    assert found == [(PARENT.traceparent, "a=1,b=2"), (None, ""), (None, ""), (PARENT.traceparent, "")]


def test_probes_and_calls_between_our_processes_leave_no_spans(kept: Kept, node: NodeUnderTest) -> None:
    for path in ("/health", "/livez", "/readyz", "/metrics", "/openapi.json", "/internal/cluster"):
        assert node.get(path).status == 200, path
    assert node.get("/nothing").status == 404
    node.get("/jobs")
    assert [span.name for span in kept.wait_for("GET /jobs")] == ["GET /jobs"]


def test_of_a_path_only_a_jobs_id_is_told(kept: Kept, node: NodeUnderTest) -> None:
    job = node.create()["id"]
    node.get(f"/jobs/{job}")
    node.get("/destinations/https%3A%2F%2Fuser%3Ahush%40shop.example.com")
    found = kept.wait_for("GET /jobs/{id}", "GET /destinations/{host}")
    (read,) = [span for span in found if span.name == "GET /jobs/{id}"]
    assert read.attributes["messaging.message.id"] == job
    assert "hush" not in str([(span.name, span.attributes) for span in found])


def test_a_refusal_is_told_by_its_status(kept: Kept, node: NodeUnderTest) -> None:
    node.post("/jobs", {"url": "https://example.com/?token=hush", "colour": 1})
    node.close_replica()
    node.post("/jobs", JOB)
    first, second = kept.wait_for("POST /jobs", "POST /jobs")
    assert (first.attributes["http.response.status_code"], first.error) == (400, "")
    assert (second.attributes["http.response.status_code"], second.error) == (503, "503")
    assert "hush" not in str([span.attributes for span in kept.ended])


def test_creates_that_travel_together_keep_their_traces_apart(kept: Kept, node: NodeUnderTest) -> None:
    parents = [PARENT._replace(trace_id=f"{number:032x}", state="") for number in (1, 2)]
    creates = [
        GatheredCreate(json.dumps(JOB).encode(), [(b"traceparent", parent.traceparent.encode())]) for parent in parents
    ]
    creates.append(GatheredCreate(b"{}", []))
    packed = {"Content-Type": MESSAGEPACK.decode()}
    answer = node.call("POST", "/internal/jobs", msgspec.msgpack.encode(creates), packed)
    assert [one.status for one in msgspec.msgpack.decode(answer.body, type=list[GatheredAnswer])] == [201, 201, 400]
    found = kept.wait_for(*["POST /jobs"] * 3, *["commit"] * 2)
    created = [span for span in found if span.name == "POST /jobs"]
    assert [span.parent for span in found if span.name == "commit"] == [
        span.context for parent in parents for span in created if span.parent == parent
    ]
    assert sorted(span.attributes["http.response.status_code"] for span in created) == [201, 201, 400]
    stored = [spec.traceparent for spec in specs(node)]
    assert stored == [span.context.traceparent for parent in parents for span in created if span.parent == parent]


def test_each_side_of_a_batch_is_a_part_of_its_trace(kept: Kept, three: Clusters) -> None:
    door = three.start_proxy()
    jobs = [{**JOB, "id": f"order-{number}"} for number in range(30)]
    answer = door.call("POST", "/jobs/batch", jobs, traceparent=PARENT.traceparent, tracestate="a=1")
    assert answer.status == 200
    found = kept.wait_for(*["POST /jobs/batch"] * 4, *["POST /jobs"] * 3, *["commit"] * 3)
    assert {span.context.trace_id for span in found} == {PARENT.trace_id}
    (first,) = [span for span in found if span.parent == PARENT]
    sides = [span for span in found if span.kind == "client"]
    assert [span.parent for span in sides] == [first.context] * 3
    nodes = [span for span in found if span.kind == "server" and span is not first]
    assert sorted(span.parent or PARENT for span in nodes) == sorted(span.context for span in sides)
    for node in three.nodes.values():
        assert {spec.traceparent for spec in specs(node)} <= {span.context.traceparent for span in nodes}


def test_many_at_once_through_a_proxy_do_not_mix(kept: Kept, three: Clusters) -> None:
    door = three.start_proxy()

    def create(number: int) -> int:
        return FrontDoor(door.port).post("/jobs", JOB, traceparent=f"00-{number:032x}-{number:016x}-01").status

    with ThreadPoolExecutor(16) as callers:
        assert set(callers.map(create, range(1, 101))) == {201}
    found = kept.wait_for(*["POST /jobs"] * 300, *["commit"] * 100)
    by_span = {span.context.span_id: span for span in found}
    for commit in (span for span in found if span.name == "commit"):
        assert commit.parent is not None
        chain = [commit]
        while (parent := chain[-1].parent) is not None and parent.span_id in by_span:
            chain.append(by_span[parent.span_id])
        assert [span.kind for span in chain] == ["internal", "server", "client", "server"]
        assert {span.context.trace_id for span in chain} == {commit.context.trace_id}
    assert len({span.context.trace_id for span in found}) == 100
