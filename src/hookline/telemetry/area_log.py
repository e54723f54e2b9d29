"""The log of each area of the work, and from which level on it is written."""

import logging
from collections.abc import Mapping
from typing import Any, Final, get_args

import structlog

from hookline.telemetry.log_events import LogArea, LogLevel

_NUMBERS: Final[dict[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_NAMES: Final = {number: name for name, number in _NUMBERS.items()}


class AreaLog:
    """Writes the lines of one area, from its level on. A line below it costs a comparison.

    Attributes:
        level: as a number of ``logging``; 0: all.
    """

    def __init__(self) -> None:
        self.level = 0
        self._log = structlog.get_logger()

    def debug(self, event: str, **values: Any) -> None:
        if self.level <= logging.DEBUG:
            self._log.debug(event, **values)

    def info(self, event: str, **values: Any) -> None:
        if self.level <= logging.INFO:
            self._log.info(event, **values)

    def warning(self, event: str, **values: Any) -> None:
        if self.level <= logging.WARNING:
            self._log.warning(event, **values)

    def error(self, event: str, **values: Any) -> None:
        if self.level <= logging.ERROR:
            self._log.error(event, **values)

    def exception(self, event: str, **values: Any) -> None:
        """An error, with the exception that is being handled."""
        if self.level <= logging.ERROR:
            self._log.exception(event, **values)


_logs: Final[dict[LogArea, AreaLog]] = {area: AreaLog() for area in get_args(LogArea)}


def log_of(area: LogArea) -> AreaLog:
    """The log of an area; its events are in ``log_events``."""
    return _logs[area]


def log_levels() -> dict[LogArea, LogLevel]:
    """The level of each area."""
    return {area: _NAMES.get(log.level, "debug") for area, log in _logs.items()}


def set_log_levels(levels: Mapping[LogArea, LogLevel]) -> None:
    """Set the levels of these areas, from now on."""
    for area, level in levels.items():
        _logs[area].level = _NUMBERS[level]


def set_all_log_levels(level: str) -> None:
    """Set the level of all areas, by its name in ``logging``."""
    for log in _logs.values():
        log.level = logging.getLevelNamesMapping()[level.upper()]
