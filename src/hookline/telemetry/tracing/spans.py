"""Spans of this process: begun, ended, and the one that the work at hand belongs to.

There is one tracer for each process, as there is one configuration of its logs. Without one, all of this costs a look
at a variable.
"""

from asyncio import Future
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token
from typing import Any, Final, Literal

from hookline.clock import Clock
from hookline.telemetry.tracing.context import SAMPLED, RawHeader, TraceContext, context_in
from hookline.telemetry.tracing.sampling import Sampler

SpanKind = Literal["server", "client", "internal"]
Value = str | int | bool
_NO_ATTRIBUTES: Final[Mapping[str, Value]] = {}
_NOT_KEPT: Final[dict[str, Value]] = {}  # of spans that are not recorded: nothing is put into it
_SPAN_DIGITS, _TRACE_DIGITS, _RANDOM_BYTES = 16, 32, 512
_NS = 1_000_000  # of a millisecond
_DRIFT_NS = 50 * _NS  # of the wall clock against the boot clock, before it is taken for a step


class Span:
    """One piece of work.

    Attributes:
        context: as those are told of it that work for it. One that is not recorded is nobody's parent: they are told of
            the span that asked for it.
        is_recorded: somebody will see it.
        attributes: of the span, until it ends.
        error: the kind of failure that it ended in; empty: none.
        ended_ns: 0 until then.
    """

    __slots__ = (
        "_tracer",
        "attributes",
        "context",
        "ended_ns",
        "error",
        "is_recorded",
        "kind",
        "link",
        "name",
        "parent",
        "started_ns",
    )

    def __init__(
        self,
        tracer: "Tracer",
        name: str,
        kind: SpanKind,
        context: TraceContext,
        *,
        parent: TraceContext | None,
        link: TraceContext | None,
        attributes: Mapping[str, Value],
        is_recorded: bool,
    ) -> None:
        self._tracer = tracer
        self.is_recorded = is_recorded
        self.name = name
        self.kind = kind
        self.context = context
        self.parent = parent
        self.link = link
        self.attributes = dict(attributes) if is_recorded else _NOT_KEPT
        self.error = ""
        self.started_ns = tracer.now_ns() if is_recorded else 0
        self.ended_ns = 0

    def put(self, name: str, value: Value) -> None:
        """Add an attribute."""
        if self.is_recorded:
            self.attributes[name] = value

    def end(self, error: str = "") -> None:
        """The work is done; ``error``: the kind of failure. Only the first call counts."""
        if self.ended_ns or not self.is_recorded:
            return
        self.error = error
        self.ended_ns = max(self.started_ns, self._tracer.now_ns())
        self._tracer.ended(self)


class Tracer:
    """Makes the spans of a process.

    Args:
        sampler: which traces are recorded.
        clock: of the machine.
        ended: is given each recorded span when it ends; must not block.
    """

    def __init__(self, sampler: Sampler, clock: Clock, ended: Callable[[Span], None]) -> None:
        self.sampler = sampler
        self.ended = ended
        self._clock = clock
        self._offset_ns = _offset_ns(clock)
        self._random = ""  # hex digits: the kernel is asked for many at once
        self._taken = 0  # of these, by ids

    def now_ns(self) -> int:
        """The wall clock in nanoseconds, with the resolution of the boot clock."""
        if abs((offset_ns := _offset_ns(self._clock)) - self._offset_ns) > _DRIFT_NS:
            self._offset_ns = offset_ns
        return int(self._clock.boot_ms() * _NS) + self._offset_ns

    def begin(
        self,
        name: str,
        kind: SpanKind,
        parent: TraceContext | None,
        *,
        trace_id: str | None = None,
        link: TraceContext | None = None,
        attributes: Mapping[str, Value] | None = None,
    ) -> Span:
        """A span that begins now; without a parent it begins a trace, with ``trace_id`` or a fresh one."""
        if parent is None:
            own = trace_id or self._fresh(_TRACE_DIGITS)
            is_recorded = self.sampler.is_sampled(own, None)
            context = TraceContext(own, self._fresh(_SPAN_DIGITS), SAMPLED if is_recorded else 0)
        else:
            is_recorded = self.sampler.is_sampled(parent.trace_id, parent)
            context = parent.with_span(self._fresh(_SPAN_DIGITS)) if is_recorded else parent
        own_attributes = attributes or _NO_ATTRIBUTES
        return Span(
            *(self, name, kind, context), parent=parent, link=link, attributes=own_attributes, is_recorded=is_recorded
        )

    def _fresh(self, digits: int) -> str:
        """So many random hex digits, not all zero."""
        if self._taken + digits > len(self._random):
            self._random, self._taken = self._clock.token(_RANDOM_BYTES).hex(), 0
        self._taken += digits
        found = self._random[self._taken - digits : self._taken]
        return found if found.strip("0") else "1" * digits


def _offset_ns(clock: Clock) -> int:
    return clock.wall_ms() * _NS - int(clock.boot_ms() * _NS)


_NO_SPAN: Final[AbstractContextManager[None]] = nullcontext()


class _Own:
    """Holds what is so for this process.

    Attributes:
        tracer: None: nothing is recorded.
        sampler: decides for traces that begin here, also when nothing is recorded.
    """

    tracer: Tracer | None = None
    sampler: Sampler = Sampler()


_current: ContextVar[Span | None] = ContextVar("span", default=None)


def trace_by(tracer: Tracer | None, sampler: Sampler | None = None) -> None:
    """Have this process's spans made by ``tracer``; None: by nobody."""
    _Own.tracer = tracer
    _Own.sampler = sampler or (Sampler() if tracer is None else tracer.sampler)


def tracer() -> Tracer | None:
    """The tracer of this process; None: traces are off."""
    return _Own.tracer


def sampler() -> Sampler:
    """Decides for traces that begin in this process, whether or not it records any."""
    return _Own.sampler


def current() -> Span | None:
    """The span that the work at hand belongs to; None: there is none, or traces are off."""
    return None if _Own.tracer is None else _current.get()


def context_of_work(headers: Iterable[RawHeader]) -> TraceContext | None:
    """The context of what a request with these headers makes; None: it came without, and traces are off."""
    span = current()
    return context_in(headers) if span is None else span.context


def note(name: str, value: Value) -> None:
    """Add an attribute to the current span, if there is one."""
    if (span := current()) is not None:
        span.put(name, value)


def enter(span: Span) -> "Token[Span | None]":
    """The work from here on belongs to ``span``, until ``leave``: as ``within``, and cheaper."""
    return _current.set(span)


def leave(token: "Token[Span | None]") -> None:
    """It belongs to the span of before again."""
    _current.reset(token)


@contextmanager
def within(span: Span) -> Iterator[Span]:
    """The work of this block belongs to ``span``, which goes on after it."""
    token = enter(span)
    try:
        yield span
    finally:
        leave(token)


@contextmanager
def ending(span: Span) -> Iterator[Span]:
    """The work of this block is ``span``: it ends with the block, and with its error."""
    with within(span):
        try:
            yield span
        except BaseException as error:
            span.end(error_of(error))
            raise
    span.end()


def child(
    name: str, kind: SpanKind = "internal", attributes: Mapping[str, Value] = _NO_ATTRIBUTES
) -> AbstractContextManager[Span | None]:
    """The block is a part of the current span's work; None: there is no such span, or it is not recorded."""
    above = current()
    if above is None or not above.is_recorded or _Own.tracer is None:
        return _NO_SPAN
    return ending(_Own.tracer.begin(name, kind, above.context, attributes=attributes))


def follow(name: str, above: Span, future: Future[Any]) -> None:
    """Record what is waited for as a part of the work of ``above``."""
    if _Own.tracer is not None and above.is_recorded:
        span = _Own.tracer.begin(name, "internal", above.context)
        future.add_done_callback(lambda done: span.end(_end_of(done)))


def _end_of(done: Future[Any]) -> str:
    if done.cancelled():
        return "CancelledError"
    error = done.exception()
    return "" if error is None else error_of(error)


def error_of(error: BaseException) -> str:
    """The kind of an error, as the attribute ``error.type`` tells it: its code, else its name. Never its message."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) and code else type(error).__name__
