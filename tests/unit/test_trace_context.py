"""The cases that W3C Trace Context names, one by one. Its own test suite has them: github.com/w3c/trace-context."""

import pytest

from hookline.telemetry.tracing.context import (
    TraceContext,
    context_in,
    parse_traceparent,
    parse_tracestate,
    sampled_trace_of,
)

TRACE, SPAN = "12345678901234567890123456789012", "1234567890123456"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-",  # nothing may follow in version 00
        f"00-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
        f"00-{TRACE}-{SPAN}-01.",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.what-the-future-will-not-be-like",
        f".0-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE}-{SPAN[:-1]}-01",
        f"00-{TRACE}-{SPAN}0-01",
        f"00-{TRACE[:-1]}A-{SPAN}-01",
        f"00-{TRACE}-{SPAN[:-1]}F-01",
        f"00-{TRACE}-{SPAN}-0A",
        f"0A-{TRACE}-{SPAN}-01",
        f"00-{TRACE[:-1]}.-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-.0",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-001",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
    ],
)
def test_a_malformed_traceparent_counts_as_none(text: str) -> None:
    assert parse_traceparent(text) is None


@pytest.mark.parametrize("more", ["", "-", "-what-the-future-will-be-like"])
def test_a_later_version_is_read_as_far_as_it_is_known(more: str) -> None:
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-09{more}") == TraceContext(TRACE, SPAN, 1)


@pytest.mark.parametrize(
    ("flags", "passed_on"),
    [("00", "01"), ("01", "01"), ("02", "03"), ("03", "03"), ("fe", "03"), ("fd", "01")],
)
def test_flags_that_nobody_knows_end_with_the_span(flags: str, passed_on: str) -> None:
    context = parse_traceparent(f"00-{TRACE}-{SPAN}-{flags}")
    assert context is not None
    assert context.with_span("f" * 16).traceparent == f"00-{TRACE}-{'f' * 16}-{passed_on}"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], ""),
        ([""], ""),
        (["foo=1"], "foo=1"),
        (["foo=1,bar=2"], "foo=1,bar=2"),
        (["foo=1", "bar=2"], "foo=1,bar=2"),
        (["foo=1", "", "bar=2"], "foo=1,bar=2"),
        (["foo=1 \t , \t bar=2, ,baz=3"], "foo=1,bar=2,baz=3"),
        (["foo=1,foo=1"], "foo=1"),
        (["foo=1", "foo=2"], "foo=1"),
        (["foo=a value with spaces"], "foo=a value with spaces"),
        (["fw529a3039@dt=FfD"], "fw529a3039@dt=FfD"),
        (["0tenant@dt=1"], "0tenant@dt=1"),
        ([f"{'z' * 256}=1"], f"{'z' * 256}=1"),
        ([f"{'t' * 241}@{'v' * 14}=1"], f"{'t' * 241}@{'v' * 14}=1"),
        (["foo =1"], ""),
        (["foo"], ""),
        (["foo="], ""),
        (["=1"], ""),
        (["FOO=1"], ""),
        (["foo.bar=1"], ""),
        (["foo@=1,bar=2"], ""),
        (["@foo=1,bar=2"], ""),
        (["foo@@bar=1,bar=2"], ""),
        (["foo@bar@baz=1,bar=2"], ""),
        (["foo=bar=baz"], ""),
        (["foo=b\x00r"], ""),
        (["foo=\xe9"], ""),
        ([f"{'z' * 257}=1"], ""),
        ([f"{'t' * 242}@v=1"], ""),
        ([f"t@{'v' * 15}=1"], ""),
        ([f"foo={'v' * 257}"], ""),
    ],
)
def test_a_state(headers: list[str], expected: str) -> None:
    assert parse_tracestate(headers) == expected


def test_a_state_has_32_members_at_most() -> None:
    members = [f"bar{number:02}={number:02}" for number in range(33)]
    assert parse_tracestate([",".join(members[:32])]) == ",".join(members[:32])
    assert parse_tracestate([",".join(members)]) == ""


def test_from_too_long_a_state_long_members_go_first_and_then_the_last() -> None:
    long, short = [f"l{number}={'x' * 150}" for number in range(2)], [f"s{number}={'x' * 90}" for number in range(5)]
    assert parse_tracestate([",".join([long[0], *short, long[1]])]) == ",".join(short)
    assert parse_tracestate([",".join([long[0], *short[:3], long[1]])]) == ",".join([long[0], *short[:3]])
    assert parse_tracestate([",".join([*short, "a=1", "b=" + "y" * 60, "c=3"])]) == ",".join([*short, "a=1"])


def test_a_stored_context_tells_whether_its_trace_is_recorded() -> None:
    found = [sampled_trace_of(stored) for stored in (GOOD, GOOD[:-2] + "00", None, "00-x")]
    assert found == [TRACE, None, None, None]


def test_two_traceparents_are_as_good_as_none_and_a_state_needs_one() -> None:
    parent, state = (b"traceparent", GOOD.encode()), (b"tracestate", b"a=1")
    assert context_in([parent, state, (b"tracestate", b"b=2")]) == TraceContext(TRACE, SPAN, 1, "a=1,b=2")
    assert context_in([parent, (b"tracestate", b"A=1")]) == TraceContext(TRACE, SPAN, 1)
    assert context_in([parent, parent, state]) is None
    assert context_in([(b"traceparent", b"00-x"), state]) is None
    assert context_in([(b"traceparent", b"\xff"), state]) is None
    assert context_in([state]) is None
