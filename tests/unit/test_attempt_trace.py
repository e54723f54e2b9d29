"""The span of an attempt: where it belongs, what it tells, and above all what it does not."""

import asyncio
from collections.abc import Iterator

import pytest

from hookline.errors import ForbiddenDestination, ResolveFailed, SecretKeyMissing
from hookline.node.attempts.transport import FailureKind, ReceiverAnswer, SendFailed
from hookline.telemetry.tracing import spans
from hookline.telemetry.tracing.context import TraceContext, parse_traceparent
from hookline.telemetry.tracing.sampling import Sampler
from hookline.telemetry.tracing.spans import Span, Tracer
from tests.node_parts import ManualClock, job_spec
from tests.unit.test_delivery import World, named

CREATED = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1, "a=1")
SECRET_URL = "https://user:hush@a.example/hush-path?token=hush"


def begin(ratio: float = 1.0) -> list[Span]:
    found: list[Span] = []
    spans.trace_by(Tracer(Sampler(ratio), ManualClock(), found.append))
    return found


@pytest.fixture
def ended() -> Iterator[list[Span]]:
    yield begin()
    spans.trace_by(None)


async def test_it_is_below_the_creation_linked_to_it_and_told_to_the_receiver(ended: list[Span]) -> None:
    world = World()
    await world.attempt(job_spec(traceparent=CREATED.traceparent, tracestate=CREATED.state))
    (span,) = ended
    assert (span.name, span.kind, span.parent, span.link) == ("attempt POST", "client", CREATED, CREATED)
    assert named(world.sent[0], "traceparent") == [span.context.traceparent]
    assert named(world.sent[0], "tracestate") == ["a=1"]
    assert span.context.trace_id == CREATED.trace_id
    assert span.context.span_id != CREATED.span_id
    assert span.attributes == {
        "http.request.method": "POST",
        "messaging.system": "hookline",
        "messaging.message.id": "job-1",
        "hookline.attempt.number": 3,
        "hookline.term": 7,
        "http.request.resend_count": 2,
        "server.address": "a.example",
        "server.port": 443,
        "url.scheme": "https",
        "http.response.status_code": 200,
        "hookline.attempt.outcome": "success",
    }
    assert span.error == ""


async def test_of_a_job_that_came_without_it_begins_the_trace_that_the_receiver_is_told(ended: list[Span]) -> None:
    world = World()
    await world.attempt()
    (span,) = ended
    spans.trace_by(None)
    await world.attempt()
    with_span, without = (parse_traceparent(*named(sent, "traceparent")) for sent in world.sent)
    assert (span.parent, span.link) == (None, None)
    assert with_span == span.context
    assert without is not None
    assert without.trace_id == span.context.trace_id, "whether or not it is recorded"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (ReceiverAnswer(404, [], b"hush"), "404"),
        (ReceiverAnswer(503, [("x-hush", "hush")], b""), "503"),
        (SendFailed("connect", "hush"), "connection"),
        (SendFailed("timeout", "hush"), "timeout"),
        (SendFailed("broken", "hush"), "connection"),
        (SendFailed("ours", "hush"), "not_sent"),
        (SendFailed("unsendable", "hush"), "not_sent"),
    ],
)
async def test_a_failure_is_told_by_its_kind(
    ended: list[Span], answer: ReceiverAnswer | SendFailed, error: FailureKind
) -> None:
    world = World(answer=answer, answers=[])
    await world.attempt(job_spec(SECRET_URL.replace("user:hush@", ""), headers=(("x-hush", "hush"),), body=b"hush"))
    (span,) = ended
    assert span.error == error
    assert "hush" not in f"{span.name} {span.attributes} {span.error}"


@pytest.mark.parametrize("error", [ResolveFailed("hush"), ForbiddenDestination("hush"), SecretKeyMissing("hush")])
async def test_so_is_one_before_anything_was_sent(
    ended: list[Span], error: ResolveFailed | ForbiddenDestination | SecretKeyMissing
) -> None:
    await World(vetting=error).attempt()
    (span,) = ended
    assert span.error in ("not_sent", "connection")
    assert "hush" not in f"{span.name} {span.attributes} {span.error}"


async def test_one_that_is_broken_off_ends_too(ended: list[Span]) -> None:
    class Stuck(World):
        async def send(self, outgoing: object) -> ReceiverAnswer:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Stuck().attempt()
    assert [span.error for span in ended] == ["CancelledError"]


@pytest.mark.parametrize("traceparent", [CREATED._replace(flags=0).traceparent, None])
async def test_what_is_not_to_be_recorded_is_not(traceparent: str | None) -> None:
    world, ended = World(), begin(0.0)
    try:
        await world.attempt(job_spec(traceparent=traceparent))
    finally:
        spans.trace_by(None)
    assert ended == []
    (told,) = named(world.sent[0], "traceparent")
    assert told.endswith("-00")
    assert traceparent in (None, told)


async def test_while_it_is_made_it_is_the_current_span(ended: list[Span]) -> None:
    class Looking(World):
        async def send(self, outgoing: object) -> ReceiverAnswer:
            seen.append(spans.current())
            return ReceiverAnswer(200, [], b"")

    seen: list[Span | None] = []
    await Looking().attempt(job_spec(traceparent=CREATED.traceparent))
    assert seen == ended
    assert [span.context.trace_id for span in ended] == [CREATED.trace_id]
    assert spans.current() is None
