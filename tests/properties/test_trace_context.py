"""W3C Trace Context, against its grammar: what is taken from headers, and what is passed on."""

import re

from hypothesis import given
from hypothesis import strategies as st

from hookline.telemetry.tracing.context import (
    STATE_CHARS_MAX,
    STATE_MEMBERS_MAX,
    TraceContext,
    context_in,
    headers_with,
    parse_traceparent,
    parse_tracestate,
)

HEX = "0123456789abcdef"
VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def digits(count: int) -> st.SearchStrategy[str]:
    return st.text(HEX, min_size=count, max_size=count)


trace_ids = digits(32).filter(lambda text: text.strip("0") != "")
span_ids = digits(16).filter(lambda text: text.strip("0") != "")
KEY_CHARS = "abz019_-*/"
names = st.builds("".join, st.tuples(st.sampled_from("az"), st.text(KEY_CHARS, max_size=13)))
tenants = st.builds("".join, st.tuples(st.sampled_from("az09"), st.text(KEY_CHARS, max_size=60)))
keys = names | st.builds("{}@{}".format, tenants, names)
VALUE_CHARS = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",=")
values = st.text(VALUE_CHARS, min_size=1, max_size=200).filter(lambda text: text[-1] != " ")
members = st.lists(st.builds("{}={}".format, keys, values), max_size=40, unique_by=lambda one: one.partition("=")[0])
contexts = st.builds(
    TraceContext,
    trace_ids,
    span_ids,
    st.integers(0, 255),
    st.lists(st.sampled_from(["a=1", "b@c=2"]), unique=True).map(",".join),
)


@given(trace_ids, span_ids, digits(2))
def test_version_00_is_read_and_written_as_it_came(trace_id: str, span_id: str, flags: str) -> None:
    text = f"00-{trace_id}-{span_id}-{flags}"
    context = parse_traceparent(text)
    assert context is not None
    assert context.traceparent == text
    assert context.is_sampled == bool(int(flags, 16) % 2)


@given(digits(2).filter(lambda v: v not in ("00", "ff")), trace_ids, span_ids, digits(2), st.text(max_size=20))
def test_of_a_later_version_the_known_part_is_read(v: str, trace_id: str, span_id: str, flags: str, more: str) -> None:
    known = f"{v}-{trace_id}-{span_id}-{flags}"
    expected = TraceContext(trace_id, span_id, int(flags, 16) & 1)
    assert parse_traceparent(known) == expected
    assert parse_traceparent(f"{known}-{more}") == expected
    assert parse_traceparent(f"{known}.{more}") is None


@given(st.text(HEX + "-XYZ0 ", max_size=70) | st.text(max_size=70))
def test_whatever_comes_what_is_passed_on_is_well_formed(text: str) -> None:
    context = parse_traceparent(text)
    if context is not None:
        assert VALID.fullmatch(context.traceparent)
        assert parse_traceparent(context.traceparent) == context


@given(members)
def test_members_of_a_state_stay_in_their_order_within_the_limits(given: list[str]) -> None:
    state = parse_tracestate([",".join(given)])
    assert len(state) <= STATE_CHARS_MAX
    kept = state.split(",") if state else []
    if len(given) > STATE_MEMBERS_MAX:
        assert kept == []
        return
    rest = iter(given)
    assert all(one in rest for one in kept)
    if len(",".join(given)) <= STATE_CHARS_MAX:
        assert kept == given


@given(members.filter(lambda given: len(given) <= STATE_MEMBERS_MAX), st.integers(0, 40))
def test_several_headers_are_as_one(given: list[str], at: int) -> None:
    assert parse_tracestate([" , ".join(given[:at]), "", ",".join(given[at:])]) == parse_tracestate([",".join(given)])


@given(st.lists(st.text(max_size=60), max_size=5))
def test_whatever_state_comes_it_is_read_the_same_again(texts: list[str]) -> None:
    state = parse_tracestate(texts)
    assert parse_tracestate([state]) == state


@given(contexts, contexts)
def test_a_context_in_headers_is_found_again_and_takes_the_place_of_another(
    one: TraceContext, two: TraceContext
) -> None:
    headers = headers_with([(b"accept", b"*/*"), *headers_with([], one)], two)
    assert context_in(headers) == two
    assert headers[0] == (b"accept", b"*/*")
