"""Begins and ends the recording of spans in this process, and their way out of it: a queue, and a thread that sends."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from hookline.clock import Clock
from hookline.errors import InvalidConfig
from hookline.telemetry.area_log import log_of
from hookline.telemetry.tracing.collector import Collector, pairs_in, url_of
from hookline.telemetry.tracing.otlp import encode_process, encode_request
from hookline.telemetry.tracing.queue import QueueLimits, SpanQueue
from hookline.telemetry.tracing.sampling import Sampler
from hookline.telemetry.tracing.settings import TraceSettings
from hookline.telemetry.tracing.spans import Span, Tracer, trace_by
from hookline.version import __version__

_CLOSE_S = 2.0

_log = log_of("traces")


class _Sent:
    """Holds what this process was told, also for those that it starts."""

    settings = TraceSettings()
    queue: SpanQueue | None = None
    collector: Collector | None = None


def begin_tracing(settings: TraceSettings, clock: Clock) -> None:
    """Record and send the spans of this process from now on, if the settings and the environment ask for it.

    Raises InvalidConfig for a setting that cannot be; not for a variable that asks for what Hookline does not have.
    """
    _Sent.settings = settings
    sampler = _sampler(settings, os.environ)
    is_on, why_not = settings.wish(os.environ)
    if why_not:
        _log.warning("traces_off", why=why_not)
    if not is_on:
        trace_by(None, sampler)
        return
    collector = _Sent.collector = Collector(url_of(settings.url, os.environ), os.environ)
    process = encode_process(_process(settings, os.environ))

    def export(spans: Sequence[Span]) -> bool:
        return collector.send(encode_request(process, spans))

    queue = _Sent.queue = SpanQueue(export, _limits(os.environ))
    trace_by(Tracer(sampler, clock, queue.put))


def settings_of_traces() -> TraceSettings:
    """As ``begin_tracing`` was told, for child processes."""
    return _Sent.settings


def dropped_spans() -> int:
    """How many spans of this process nobody took."""
    return 0 if _Sent.queue is None else _Sent.queue.dropped


def end_tracing(within_s: float = _CLOSE_S) -> None:
    """Record nothing more, and send what waits; blocks, but not for longer than that."""
    trace_by(None)
    queue, _Sent.queue = _Sent.queue, None
    if _Sent.collector is not None:
        _Sent.collector.hurry()
    if queue is not None:
        queue.close(within_s)


def _sampler(settings: TraceSettings, environment: Mapping[str, str]) -> Sampler:
    """As the settings say, else the variables; one that is not known is left out, as OpenTelemetry asks."""
    try:
        return settings.sampler(environment)
    except InvalidConfig as error:  # of a variable: an option was looked at when it was read
        _log.warning("traces_sampler_unknown", why=str(error))
        return Sampler()


def _process(settings: TraceSettings, environment: Mapping[str, str]) -> dict[str, str]:
    """The attributes of this process; the variables go before."""
    own = {"service.name": settings.service, "service.version": __version__, **dict(settings.attributes)}
    told = own | pairs_in(environment.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    name = environment.get("OTEL_SERVICE_NAME", "").strip()
    return told | {"service.name": name} if name else told


def _limits(environment: Mapping[str, str]) -> QueueLimits:
    usual = QueueLimits()
    spans_max = _number(environment, "OTEL_BSP_MAX_QUEUE_SIZE", usual.spans_max)
    batch_max = _number(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", usual.batch_max)
    delay_ms = _number(environment, "OTEL_BSP_SCHEDULE_DELAY", round(usual.delay_s * 1_000))
    return QueueLimits(spans_max, min(batch_max, spans_max), delay_ms / 1_000)


def _number(environment: Mapping[str, str], name: str, usual: int) -> int:
    with suppress(ValueError):
        return max(1, int(environment.get(name, "")))
    return usual
