"""The log's levels as calls take and answer them."""

from msgspec import Struct

from hookline.telemetry.log_events import LogArea, LogLevel


class LogLevels(Struct, frozen=True):
    """The level of each area of this process: lines below it are not written."""

    levels: dict[LogArea, LogLevel]


class LogLevelsChange(Struct, frozen=True, forbid_unknown_fields=True):
    """New levels. ``level``: of all areas that ``levels`` does not name; without it these stay."""

    levels: dict[LogArea, LogLevel] = {}
    level: LogLevel | None = None
