"""W3C Trace Context (https://www.w3.org/TR/trace-context/): what is taken from headers, and what is sent. Pure.

Nothing here raises: what is malformed counts as not given, as the recommendation asks.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

RawHeader = tuple[bytes, bytes]

TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"
STATE_MEMBERS_MAX: Final = 32
STATE_CHARS_MAX: Final = 512
SAMPLED: Final = 0x01
_RANDOM: Final = 0x02  # "the trace id is random": of the id, so it goes on with it (level 2)
_LONG_MEMBER: Final = 128  # members beyond it go first (section 3.3.1.5)
_PARENT_CHARS: Final = 55  # of version 00; later versions may have more behind
_SAMPLED_ENDS: Final = frozenset("13579bdf")  # the last bit of the flags

_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_KEY_CHARS = r"[a-z0-9_\-*/]"
_MEMBER = re.compile(
    rf"(?P<key>[a-z]{_KEY_CHARS}{{0,255}}|[a-z0-9]{_KEY_CHARS}{{0,240}}@[a-z]{_KEY_CHARS}{{0,13}})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class TraceContext(NamedTuple):
    """A span, as another process knows it.

    Attributes:
        trace_id: 32 hex digits, not all zero.
        span_id: 16 hex digits, not all zero.
        flags: as in the header.
        state: the value of ``tracestate``; empty: there is none.
    """

    trace_id: str
    span_id: str
    flags: int = 0
    state: str = ""

    @property
    def is_sampled(self) -> bool:
        """It may be recorded by whoever made it."""
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """The value of that header."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def with_span(self, span_id: str) -> "TraceContext":
        """Another span of the same trace, which is recorded. Flags that nobody knows are not passed on."""
        return self._replace(span_id=span_id, flags=self.flags & _RANDOM | SAMPLED)


def parse_traceparent(value: str, state: str = "") -> TraceContext | None:
    """The context that the header's value tells, with ``state``; None: it is malformed.

    Of a later version what version 00 has is read, and it goes on as version 00 (section 3.2.4 and 4.3).
    """
    found = _PARENT.match(value)
    if found is None:
        return None
    version, trace_id, span_id, flags = found.groups()
    if version == "00":
        return TraceContext(trace_id, span_id, int(flags, 16), state) if len(value) == _PARENT_CHARS else None
    if len(value) > _PARENT_CHARS and value[_PARENT_CHARS] != "-":
        return None
    return TraceContext(trace_id, span_id, int(flags, 16) & SAMPLED, state)


def sampled_trace_of(traceparent: str | None) -> str | None:
    """The id of the trace that something stored belongs to, for exemplars; None: nobody records it, or it has none.

    What is stored is well-formed, of version 00: so it is looked at by places, since each outcome asks.
    """
    if traceparent is None or traceparent[_PARENT_CHARS - 1 : _PARENT_CHARS] not in _SAMPLED_ENDS:
        return None
    return traceparent[3:35]


def parse_tracestate(values: Iterable[str]) -> str:
    """The headers' values as one, in their order; empty when any member is malformed, or there are too many.

    Of members with the same key the first stays. Beyond 512 characters whole members go: long ones first, then the
    last ones (section 3.3.1.5).
    """
    members: dict[str, str] = {}
    for text in ",".join(values).split(","):
        if not (member := text.strip(" \t")):
            continue
        found = _MEMBER.fullmatch(member)
        if found is None:
            return ""
        members.setdefault(found["key"], member)
    if len(members) > STATE_MEMBERS_MAX:
        return ""
    return _shortened(list(members.values()))


def _shortened(members: list[str]) -> str:
    if len(text := ",".join(members)) <= STATE_CHARS_MAX:
        return text
    kept = list(members)
    for member in reversed(members):
        if len(member) > _LONG_MEMBER and len(",".join(kept)) > STATE_CHARS_MAX:
            kept.remove(member)
    while len(text := ",".join(kept)) > STATE_CHARS_MAX:
        kept.pop()
    return text


def context_in(headers: Iterable[RawHeader]) -> TraceContext | None:
    """The context that a request's headers tell; names are in lower case. Two ``traceparent`` are as good as none."""
    parents: list[bytes] = []
    states: list[bytes] = []
    for name, value in headers:
        if name == TRACEPARENT:
            parents.append(value)
        elif name == TRACESTATE:
            states.append(value)
    if len(parents) != 1:
        return None
    found = parse_traceparent(parents[0].decode("latin-1"))
    if found is None or not states:
        return found
    return found._replace(state=parse_tracestate(value.decode("latin-1") for value in states))


def headers_with(headers: Iterable[RawHeader], context: TraceContext) -> tuple[RawHeader, ...]:
    """The headers, whose context is this one now."""
    others = (pair for pair in headers if pair[0] not in (TRACEPARENT, TRACESTATE))
    state = ((TRACESTATE, context.state.encode()),) if context.state else ()
    return (*others, (TRACEPARENT, context.traceparent.encode()), *state)
