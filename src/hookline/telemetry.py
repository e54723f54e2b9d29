"""Logs with stable event names, and the metrics of a node. Names and meanings: docs/reference/metrics.md."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily

from hookline.tallies import Spread, Tallies
from hookline.visible import visible

_FAST_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_ATTEMPT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 300)


class _StandardError:
    """Writes to the standard error of that moment; loggers outlive a redirection.

    A line that cannot be written, to a full disk for example, is lost: no job may suffer for it.
    """

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class HeldLines:
    """Keeps back what is logged at debug and info, until it is let go; what is worse is written at once."""

    def __init__(self) -> None:
        self._lines: list[str] | None = []

    def __call__(self, _logger: object, method: str, line: Any) -> Any:
        """A processor of structlog: the last one, which is given the line that would be written."""
        if self._lines is None or method not in ("debug", "info"):
            return line
        self._lines.append(line)
        raise structlog.DropEvent

    def let_go(self) -> None:
        """Write what was kept back, and from now on everything at once."""
        lines, self._lines = self._lines or [], None
        for line in lines:
            _StandardError().write(line + "\n")


_settings: tuple[bool, str] = (True, "info")


def log_settings() -> tuple[bool, str]:
    """(as JSON, level) as ``configure_logs`` was told, for child processes."""
    return _settings


def configure_logs(*, as_json: bool, level: str = "info", held: HeldLines | None = None) -> None:
    """Send structured logs to standard error: one JSON object a line, or coloured text on a terminal."""
    global _settings  # noqa: PLW0603 - as structlog's own settings, of the whole process
    _settings = (as_json, level)
    # JSON is written in ASCII; on a terminal, values and tracebacks may hold what strangers sent.
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if as_json
        else [_made_visible, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            *renderers,
            *([] if held is None else [held]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
        cache_logger_on_first_use=True,
    )


def _made_visible(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Values that are not text are shown by their ``repr``, which hides nothing."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}


class Metrics:
    """The metrics of one node, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.jobs = Gauge("hookline_jobs", "Jobs by state.", ["state"], registry=registry)
        self.tenant_jobs = Gauge(
            "hookline_tenant_jobs", "Jobs by tenant and state.", ["tenant", "state"], registry=registry
        )
        self.tenant_bytes = Gauge(
            "hookline_tenant_pending_bytes", "Bytes of pending payloads by tenant.", ["tenant"], registry=registry
        )
        self.attempts = Tallies("hookline_attempts", "Attempts by outcome.", ["outcome"], registry)
        self.due_lag = Spread(
            "hookline_due_lag_seconds",
            "From the time an attempt was due to the time its request was sent.",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.attempt_seconds = Spread(
            "hookline_attempt_seconds", "How long attempts took.", buckets=_ATTEMPT_BUCKETS, registry=registry
        )
        self.commit_seconds = Spread(
            "hookline_commit_seconds",
            "From gathered to durable, per log entry.",
            buckets=_FAST_BUCKETS,
            registry=registry,
        )
        self.commit_commands = Tallies("hookline_commit_commands", "Commands in log entries.", [], registry).labels()
        self.create_seconds = Spread(
            "hookline_create_seconds",
            "From request to answer, per create call.",
            buckets=_FAST_BUCKETS,
            registry=registry,
        )
        self.rejections = Tallies("hookline_rejections", "Refused calls by error code.", ["code"], registry)
        self.limit_used = Gauge("hookline_limit_used", "What is used of each limit.", ["limit"], registry=registry)
        self.limit_max = Gauge("hookline_limit_max", "Each limit.", ["limit"], registry=registry)
        self.slots_used = Gauge("hookline_slots_used", "Attempts running now.", registry=registry)
        self.slots_max = Gauge("hookline_slots_max", "Attempts that may run at once.", registry=registry)
        self.applied_index = Gauge("hookline_applied_index", "Newest log entry in the state.", registry=registry)
        self.clock_trusted = Gauge("hookline_clock_trusted", "1: the machine's clock is the time.", registry=registry)
        self.clock_offset = Gauge(
            "hookline_clock_offset_seconds",
            "How far the machine's clock is ahead of the majority of the cluster's clocks.",
            registry=registry,
        )
        self.term = Gauge("hookline_term", "The leader's term.", registry=registry)

    def observe_commit(self, commands: int, seconds: float) -> None:
        """One log entry became durable."""
        self.commit_seconds.observe(seconds)
        self.commit_commands.inc(commands)

    def text(self) -> bytes:
        """All of them in the Prometheus text format."""
        return generate_latest(self.registry)


class _Ends:
    """Asked by the registry when somebody looks."""

    def __init__(self, ends: Callable[[], Mapping[str, float]]) -> None:
        self._ends = ends

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "hookline_tls_certificate_expires_timestamp_seconds",
            "When a certificate ends: this process's own (server, client), or the last of those it trusts.",
            labels=["certificate"],
        )
        for name, end_s in self._ends().items():
            family.add_metric([name], end_s)
        return [family]


def report_ends(registry: CollectorRegistry, ends: Callable[[], Mapping[str, float]]) -> None:
    """Have the registry tell when certificates end, in seconds since 1970, by what they are for."""
    registry.register(_Ends(ends))
