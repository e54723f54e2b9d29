"""Spans, which of them are recorded, and what becomes of them when nobody takes them."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest
import structlog

from hookline.errors import InvalidConfig, NotLeader
from hookline.telemetry.tracing import spans
from hookline.telemetry.tracing.context import TraceContext
from hookline.telemetry.tracing.queue import QueueLimits, SpanQueue
from hookline.telemetry.tracing.sampling import Sampler, sampler_of
from hookline.telemetry.tracing.settings import TraceSettings, trace_settings
from hookline.telemetry.tracing.spans import Span, Tracer, child, context_of_work, ending, note, within
from tests.node_parts import T0, ManualClock

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1, "a=1")
UNSAMPLED = PARENT._replace(flags=0)


class Recorded:
    """A tracer of this process whose spans are kept."""

    def __init__(self, sampler: Sampler) -> None:
        self.clock = ManualClock()
        self.spans: list[Span] = []
        self.tracer = Tracer(sampler, self.clock, self.spans.append)
        spans.trace_by(self.tracer)


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    yield Recorded(Sampler())
    spans.trace_by(None)


def _recorded_in() -> str | None:
    """The trace in which the work at hand is recorded."""
    span = spans.current()
    return span.context.trace_id if span is not None and span.is_recorded else None


def test_without_a_tracer_nothing_is_recorded() -> None:
    assert spans.tracer() is None
    with child("commit") as span:
        assert span is None
        assert _recorded_in() is None
    note("a", 1)


def test_a_span_has_the_times_of_its_work_and_what_was_noted(recorded: Recorded) -> None:
    with ending(recorded.tracer.begin("POST /jobs", "server", PARENT)) as above:
        recorded.clock.advance(2)
        with child("commit", attributes={"n": 1}) as below:
            recorded.clock.advance(3)
            note("x", "y")
        assert _recorded_in() == PARENT.trace_id
        assert context_of_work([(b"traceparent", b"of nobody")]) == above.context
    assert _recorded_in() is None
    assert recorded.spans == [below, above]
    assert below is not None
    times = [below.started_ns, below.ended_ns, above.started_ns, above.ended_ns]
    assert [round(ns / 10**6) - T0 for ns in times] == [2, 5, 0, 5]
    assert (below.attributes, above.attributes) == ({"n": 1, "x": "y"}, {})
    assert (above.parent, below.parent) == (PARENT, above.context)
    assert above.context.trace_id == below.context.trace_id == PARENT.trace_id
    assert above.context.state == "a=1"
    assert len({PARENT.span_id, above.context.span_id, below.context.span_id}) == 3


def test_a_span_ends_with_the_kind_of_its_error_and_never_its_text(recorded: Recorded) -> None:
    for error in (NotLeader("secret"), ValueError("secret"), asyncio.CancelledError("secret")):
        with pytest.raises(type(error)), ending(recorded.tracer.begin("x", "internal", None)):
            raise error
    assert [span.error for span in recorded.spans] == ["no_leader", "ValueError", "CancelledError"]
    assert "secret" not in str([span.attributes for span in recorded.spans])


def test_only_the_first_end_of_a_span_counts(recorded: Recorded) -> None:
    with ending(recorded.tracer.begin("x", "server", None)) as span:
        span.end("503")
    assert [span.error for span in recorded.spans] == ["503"]


def test_what_is_not_recorded_passes_on_the_context_that_it_came_in(recorded: Recorded) -> None:
    with ending(recorded.tracer.begin("x", "server", UNSAMPLED)):
        assert context_of_work([]) == UNSAMPLED
        assert _recorded_in() is None
        with child("commit") as below:
            assert below is None
    assert recorded.spans == []


def test_a_sampler_that_does_not_ask_may_leave_out_what_the_caller_records() -> None:
    recorded = Recorded(Sampler(0.0, by_parent=False))
    try:
        with ending(recorded.tracer.begin("x", "server", PARENT)):
            assert context_of_work([]) == PARENT
            assert _recorded_in() is None
        with ending(recorded.tracer.begin("x", "server", None)) as root:
            assert context_of_work([]) == root.context
            assert not root.context.is_sampled
    finally:
        spans.trace_by(None)
    assert recorded.spans == []


def test_a_step_of_the_clock_shows_in_the_spans_after_it(recorded: Recorded) -> None:
    assert recorded.tracer.now_ns() == T0 * 10**6
    recorded.clock.step_ms(60_000)
    assert recorded.tracer.now_ns() == (T0 + 60_000) * 10**6


async def test_a_future_is_followed_to_its_end_however_that_is(recorded: Recorded) -> None:
    loop, above = asyncio.get_running_loop(), recorded.tracer.begin("x", "server", None)
    done, failed, given_up = loop.create_future(), loop.create_future(), loop.create_future()
    for future in (done, failed, given_up):
        spans.follow("commit", above, future)
    done.set_result(None)
    failed.set_exception(NotLeader())
    given_up.cancel()
    await asyncio.wait([done, failed, given_up])
    await asyncio.sleep(0)
    assert sorted(span.error for span in recorded.spans) == ["", "CancelledError", "no_leader"]
    assert {span.parent for span in recorded.spans} == {above.context}


def test_lines_of_the_log_tell_the_span_they_belong_to(recorded: Recorded, capsys: pytest.CaptureFixture[str]) -> None:
    from hookline.telemetry.logs import configure_logs

    configure_logs(as_json=True)
    try:
        with within(recorded.tracer.begin("x", "server", PARENT)) as span:
            structlog.get_logger().info("inside")
        structlog.get_logger().info("outside")
    finally:
        structlog.reset_defaults()
    inside, outside = capsys.readouterr().err.splitlines()
    assert f'"trace_id": "{PARENT.trace_id}"' in inside
    assert f'"span_id": "{span.context.span_id}"' in inside
    assert "trace_id" not in outside


LOW, HIGH = "f" * 16 + "1" + "0" * 15, "0" * 16 + "f" * 16


@pytest.mark.parametrize(
    ("name", "argument", "expected"),  # of a low and of a high id without a parent, and of parents that are (not)
    [
        ("", "", [True, True, True, False]),
        ("parentbased_always_on", "", [True, True, True, False]),
        ("parentbased_always_off", "", [False, False, True, False]),
        ("PARENTBASED_TRACEIDRATIO", "0.1", [True, False, True, False]),
        ("always_on", "", [True, True, True, True]),
        ("always_off", "", [False, False, False, False]),
        ("traceidratio", "0.1", [True, False, False, False]),
        ("traceidratio", "", [True, True, True, True]),
        ("traceidratio", "0", [False, False, False, False]),
    ],
)
def test_samplers(name: str, argument: str, expected: list[bool]) -> None:
    sampler = sampler_of(name, argument)
    asked = [(LOW, None), (HIGH, None), (HIGH, PARENT), (HIGH, UNSAMPLED)]
    assert [sampler.is_sampled(trace_id, parent) for trace_id, parent in asked] == expected


@pytest.mark.parametrize(("name", "argument"), [("some", ""), ("traceidratio", "x"), ("traceidratio", "1.1")])
def test_a_sampler_that_is_not_one_is_refused(name: str, argument: str) -> None:
    with pytest.raises(InvalidConfig, match="OTEL_TRACES_SAMPLER"):
        sampler_of(name, argument)


ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318"}


@pytest.mark.parametrize(
    ("url", "environment", "is_on", "why_not"),
    [
        (None, {}, False, ""),
        (None, ENDPOINT, True, ""),
        (None, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://otel/x"}, True, ""),
        (None, {"OTEL_TRACES_EXPORTER": "otlp"}, True, ""),
        (None, ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False, ""),
        (None, ENDPOINT | {"OTEL_TRACES_EXPORTER": "zipkin"}, False, "OTEL_TRACES_EXPORTER"),
        (None, ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False, "4318"),
        (None, ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False, ""),
        ("http://otel:4318", {"OTEL_TRACES_EXPORTER": "none"}, True, ""),
        ("http://otel:4318", {"OTEL_SDK_DISABLED": "TRUE"}, False, ""),
    ],
)
def test_when_traces_are_sent(url: str | None, environment: dict[str, str], is_on: bool, why_not: str) -> None:
    wish = TraceSettings(url).wish(environment)
    assert wish.is_on is is_on
    assert (why_not in wish.why_not) if why_not else wish.why_not == ""


def test_options_are_read() -> None:
    assert trace_settings("http://otel:4318", None, "s").url == "http://otel:4318/v1/traces"
    assert trace_settings("https://otel/", None, "s").url == "https://otel/v1/traces"
    assert trace_settings("http://otel/own", None, "s").url == "http://otel/own"
    told = trace_settings(None, "0.25", "s", hookline_node="n1")
    assert told.attributes == (("hookline.node", "n1"),)
    assert told.sampler({"OTEL_TRACES_SAMPLER": "always_off"}) == Sampler(0.25)
    assert TraceSettings().sampler({"OTEL_TRACES_SAMPLER": "always_off"}) == Sampler(0.0, by_parent=False)


@pytest.mark.parametrize(
    ("url", "ratio", "what"),
    [
        ("otel:4318", None, "OTLP/HTTP"),
        ("http://", None, "OTLP/HTTP"),
        ("http://otel:99999", None, "OTLP/HTTP"),
        ("http://user:password@otel", None, "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://otel/?key=1", None, "OTEL_EXPORTER_OTLP_HEADERS"),
        (None, "2", "traces-ratio"),
        (None, "nan", "traces-ratio"),
    ],
)
def test_options_that_cannot_be_are_refused(url: str | None, ratio: str | None, what: str) -> None:
    with pytest.raises(InvalidConfig, match=what) as caught:
        trace_settings(url, ratio, "s")
    assert "password" not in str(caught.value)


class Taker:
    """Takes spans when the test lets it, in the queue's thread."""

    def __init__(self) -> None:
        self.taken: list[Sequence[Span]] = []
        self.may = threading.Event()
        self.came = threading.Semaphore(0)
        self.fails: Exception | bool = False

    def __call__(self, batch: Sequence[Span]) -> bool:
        self.came.release()
        assert self.may.wait(60)
        if isinstance(self.fails, Exception):
            raise self.fails
        self.taken.append(batch)
        return not self.fails


def ended_spans(count: int) -> list[Span]:
    found: list[Span] = []
    tracer = Tracer(Sampler(), ManualClock(), found.append)
    for number in range(count):
        tracer.begin(str(number), "internal", None).end()
    return found


def test_a_queue_sends_in_batches_and_what_is_left_at_its_end() -> None:
    taker, some = Taker(), ended_spans(5)
    taker.may.set()
    queue = SpanQueue(taker, QueueLimits(10, 2, delay_s=600))
    for span in some:
        queue.put(span)
    queue.close(60)
    assert [span for batch in taker.taken for span in batch] == some
    assert {len(batch) for batch in taker.taken} <= {1, 2}
    assert queue.dropped == 0


def test_what_comes_while_some_are_sent_waits_until_it_makes_a_batch() -> None:
    taker, some = Taker(), ended_spans(4)
    queue = SpanQueue(taker, QueueLimits(10, 2, delay_s=600))
    for span in some[:2]:
        queue.put(span)
    assert taker.came.acquire(timeout=60)  # the thread holds the first two
    queue.put(some[2])
    taker.may.set()
    assert not taker.came.acquire(timeout=0.3), "a request of its own for one span"
    queue.put(some[3])
    queue.close(60)
    assert taker.taken == [some[:2], some[2:]]


def test_a_full_queue_drops_and_never_waits(capsys: pytest.CaptureFixture[str]) -> None:
    taker, some = Taker(), ended_spans(12)
    queue = SpanQueue(taker, QueueLimits(4, 1, delay_s=600))
    queue.put(some[0])
    assert taker.came.acquire(timeout=60)  # the thread holds the first one
    for span in some[1:]:
        queue.put(span)
    assert queue.dropped == 7
    taker.may.set()
    queue.close(60)
    assert [span for batch in taker.taken for span in batch] == some[:5]


@pytest.mark.parametrize("how", [True, RuntimeError("secret")])
def test_what_is_not_taken_is_counted_and_said_once(how: Exception | bool) -> None:
    taker, some = Taker(), ended_spans(4)
    taker.fails = how
    taker.may.set()
    with structlog.testing.capture_logs() as lines:
        queue = SpanQueue(taker, QueueLimits(10, 1, delay_s=600))
        for span in some[:3]:
            queue.put(span)
            assert taker.came.acquire(timeout=60)
        queue.close(60)
    assert queue.dropped == 3
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["traces_dropped"]
    assert "secret" not in str(lines)


def test_it_is_said_when_spans_are_taken_again() -> None:
    taker, (one, two) = Taker(), ended_spans(2)
    taker.fails = True
    taker.may.set()
    with structlog.testing.capture_logs() as lines:
        queue = SpanQueue(taker, QueueLimits(10, 1, delay_s=600))
        queue.put(one)
        while not lines:
            assert taker.came.acquire(timeout=60)
            taker.came.release()
        taker.fails = False
        queue.put(two)
        queue.close(60)
    assert [line["event"] for line in lines] == ["traces_dropped", "traces_sent_again"]
    assert lines[-1]["dropped"] == 1


def test_the_end_waits_no_longer_than_it_is_told() -> None:
    taker, (one,) = Taker(), ended_spans(1)
    queue = SpanQueue(taker, QueueLimits(10, 1, delay_s=600))
    queue.put(one)
    queue.close(0.01)  # the thread is held
    assert taker.taken == []
    taker.may.set()
    queue.close(60)
    assert taker.taken == [[one]]
