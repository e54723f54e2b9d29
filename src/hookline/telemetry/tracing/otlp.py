"""Spans as the bytes that a receiver of OTLP takes: Protocol Buffers, written by hand. Pure.

The encoder of OpenTelemetry's own exporter takes many times as long for a span: as long as the work it tells of.
Source of numbers and types: https://github.com/open-telemetry/opentelemetry-proto, ``trace/v1/trace.proto``.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Final

from hookline.telemetry.tracing.context import TraceContext
from hookline.telemetry.tracing.spans import Span, Value
from hookline.version import __version__

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_KINDS: Final = {"internal": 1, "server": 2, "client": 3}
_ERROR: Final = 2
_KNOWS_WHERE, _IS_REMOTE = 0x100, 0x200  # of flags: whether the parent is in another process
_ALL_DIFFER: Final = frozenset({"messaging.message.id"})  # not worth keeping
_MASK: Final = (1 << 64) - 1
_fixed64, _fixed32 = Struct("<Q").pack, Struct("<I").pack


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _part(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


_ONE, _TWO, _THREE, _FOUR, _FIVE = (_tag(number, _BYTES) for number in range(1, 6))
_ATTRIBUTES, _LINKS, _STATUS = _tag(9, _BYTES), _tag(13, _BYTES), _tag(15, _BYTES)
_KIND, _START, _END, _FLAGS = _tag(6, _VARINT), _tag(7, _FIXED64), _tag(8, _FIXED64), _tag(16, _FIXED32)
_LINK_FLAGS: Final = _tag(6, _FIXED32)
_BOOL, _INT = _tag(2, _VARINT), _tag(3, _VARINT)
_IN_ERROR: Final = _part(_STATUS, _tag(3, _VARINT) + _varint(_ERROR))


@lru_cache(maxsize=1024)
def _text(tag: bytes, text: str) -> bytes:
    """Of names, which are few."""
    return _part(tag, text.encode("utf-8", "replace"))


def _attribute(name: str, value: Value) -> bytes:
    return _encoded(name, value) if name in _ALL_DIFFER else _kept(name, value)


def _encoded(name: str, value: Value) -> bytes:
    if isinstance(value, bool):
        given = _BOOL + _varint(value)
    elif isinstance(value, int):
        given = _INT + _varint(value & _MASK)
    else:
        given = _part(_ONE, value.encode("utf-8", "replace"))
    return _part(_ATTRIBUTES, _text(_ONE, name) + _part(_TWO, given))


_kept = lru_cache(maxsize=4096, typed=True)(_encoded)


def _reference(context: TraceContext) -> bytes:
    return _part(_ONE, bytes.fromhex(context.trace_id)) + _part(_TWO, bytes.fromhex(context.span_id))


def _state(context: TraceContext) -> bytes:
    return _part(_THREE, context.state.encode()) if context.state else b""


def encode_span(span: Span) -> bytes:
    """One that has ended."""
    context, parent, link = span.context, span.parent, span.link
    parts = [_reference(context), _state(context)]
    if parent is not None:
        parts.append(_part(_FOUR, bytes.fromhex(parent.span_id)))
    parts += (_text(_FIVE, span.name), _KIND, _varint(_KINDS[span.kind]))
    parts += (_START, _fixed64(span.started_ns), _END, _fixed64(span.ended_ns))
    parts += [_attribute(name, value) for name, value in span.attributes.items()]
    if link is not None:
        flags = link.flags | _KNOWS_WHERE | _IS_REMOTE
        parts.append(_part(_LINKS, _reference(link) + _state(link) + _LINK_FLAGS + _fixed32(flags)))
    if span.error:
        parts += (_attribute("error.type", span.error), _IN_ERROR)
    flags = context.flags | _KNOWS_WHERE | (_IS_REMOTE if span.kind == "server" else 0)
    parts += (_FLAGS, _fixed32(flags))
    return b"".join(parts)


_SCOPE: Final = _part(_ONE, _text(_ONE, "hookline") + _text(_TWO, __version__))


def encode_process(attributes: Mapping[str, str]) -> bytes:
    """The part about the process whose spans follow, to be given to ``encode_request``."""
    pairs = (
        _text(_ONE, name) + _part(_TWO, _part(_ONE, value.encode("utf-8", "replace")))
        for name, value in attributes.items()
    )
    return _part(_ONE, b"".join(_part(_ONE, pair) for pair in pairs))


def encode_request(process: bytes, spans: Iterable[Span]) -> bytes:
    """The body of one request to a receiver."""
    parts = [_SCOPE, *(_part(_TWO, encode_span(span)) for span in spans)]
    return _part(_ONE, process + _part(_TWO, b"".join(parts)))
