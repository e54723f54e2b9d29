"""Logs with stable event names: docs/reference/logs.md."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from hookline.telemetry.area_log import log_levels, set_all_log_levels, set_log_levels
from hookline.telemetry.log_events import LogArea, LogLevel
from hookline.telemetry.tracing.spans import current
from hookline.visible import visible


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


_is_json = True


def log_settings() -> tuple[bool, dict[LogArea, LogLevel]]:
    """(as JSON, levels), for child processes."""
    return _is_json, log_levels()


def configure_logs(
    *, as_json: bool, level: str | Mapping[LogArea, LogLevel] = "info", held: HeldLines | None = None
) -> None:
    """Send structured logs to standard error: one JSON object a line, or coloured text on a terminal.

    Args:
        as_json: else text.
        level: of all areas, or of each.
        held: keeps lines back for a while.
    """
    global _is_json  # noqa: PLW0603 - as structlog's own settings, of the whole process
    _is_json = as_json
    if isinstance(level, str):
        set_all_log_levels(level)
    else:
        set_log_levels(level)
    # JSON is written in ASCII; on a terminal, values and tracebacks may hold what strangers sent.
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if as_json
        else [_made_visible, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            *renderers,
            *([] if held is None else [held]),
        ],
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _StandardError())),
    )


def _with_trace(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Lines that are logged within a span tell which, so that they are found beside the trace."""
    if (span := current()) is not None:
        event["trace_id"], event["span_id"] = span.context.trace_id, span.context.span_id
    return event


def _made_visible(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Values that are not text are shown by their ``repr``, which hides nothing."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}
