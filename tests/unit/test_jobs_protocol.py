"""Lanes sort a destination's first tries of high priority first; specs come back as they were stored."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.protocol.jobs import (
    FINISHED,
    STATE_BY_LABEL,
    JobSpec,
    Outcome,
    RetryPolicy,
    State,
    decode_spec,
    destination_of,
    encode_spec,
    label_texts,
    lane_of,
    lane_parts,
)
from hookline.protocol.limits import PRIORITY_MAX, PRIORITY_MIN
from tests.node_parts import job_spec

priorities = st.integers(PRIORITY_MIN, PRIORITY_MAX)
destinations = st.integers(1, 2**40)


@pytest.mark.parametrize("priority", range(PRIORITY_MIN, PRIORITY_MAX + 1))
@pytest.mark.parametrize("retry", [False, True])
def test_a_lane_gives_back_what_it_was_made_of(priority: int, retry: bool) -> None:
    assert lane_parts(lane_of(12_345, priority, retry)) == (12_345, priority, retry)


@given(destinations, priorities, st.booleans(), destinations, priorities, st.booleans())
def test_lanes_sort_by_destination_then_urgency_then_first_tries(
    d1: int, p1: int, r1: bool, d2: int, p2: int, r2: bool
) -> None:
    one, other = lane_of(d1, p1, r1), lane_of(d2, p2, r2)
    assert (one < other) == ((d1, -p1, r1) < (d2, -p2, r2))
    assert destination_of(one) == d1
    assert one | 1 == lane_of(d1, p1, True)
    assert one & ~1 == lane_of(d1, p1, False)
    assert one < 2**63


def test_the_stored_numbers_of_states_and_outcomes_stay() -> None:
    assert {state.label: int(state) for state in State} == {
        "pending": 0,
        "running": 1,
        "succeeded": 2,
        "dead": 3,
        "cancelled": 4,
        "unknown": 5,
    }
    assert {outcome.label: int(outcome) for outcome in Outcome} == {
        "success": 0,
        "retryable_failure": 1,
        "permanent_failure": 2,
        "unknown": 3,
    }
    assert STATE_BY_LABEL["dead"] is State.DEAD
    assert set(State) - FINISHED == {State.PENDING, State.RUNNING}


def test_a_spec_comes_back_equal() -> None:
    spec = job_spec(
        body=bytes(range(256)),
        headers=(("X-A", "1"), ("X-A", "2")),
        retry=RetryPolicy(3, 1, 1500, 10, (1, 2), 99, ("404", "5xx"), ("503",), has_waits=True),
        labels=("a", "ü"),
        traceparent="00-1-2-01",
        tracestate="a=1",
        sealed_secret=b"\0",
    )
    assert decode_spec(encode_spec(spec)) == spec


def test_the_stored_bytes_of_a_spec_stay_as_they_are() -> None:
    assert encode_spec(job_spec("http://h/", "http://h:80", body=b"{}", labels=("x",))).hex() == (
        "dc0010a9687474703a2f2f682fab687474703a2f2f683a3830a4504f535490c4027b7dc3cd7530"
        "9919cd1388cd0bb8ce00dbba0090c0c090c2c20091a178c0c090c400a0"
    )


def test_a_spec_of_an_earlier_release_gets_the_defaults() -> None:
    older = msgspec.msgpack.encode(["http://h/", "http://h:80", "POST", [], b"", True, 5, [3], False, 0, {"a": "b"}])
    spec = decode_spec(older)
    assert isinstance(spec, JobSpec)
    assert (spec.retry, spec.sealed_secret, spec.traceparent) == (RetryPolicy(max_attempts=3), None, None)
    assert spec.tracestate == ""
    assert spec.redact == ()
    assert label_texts(spec.labels) == ["a=b"]
