"""Cron schedules: the UTC instants at which an expression ticks in a time zone.

Five fields (minute, hour, day of month, month, day of week) or a macro such as ``@daily``. cronsim reads the fields and
walks the calendar, always in zone-less wall clock time; how wall clock time maps to instants is decided here, by the
rule of Debian's cron(8):

- *fixed* expressions (neither the minute nor the hour field starts with ``*``): a time in a skipped hour ticks at the
  instant the gap ends, a time in a repeated hour ticks at its first occurrence only;
- *wildcard* expressions follow real time: an instant ticks when the clock on the wall then matches.

An instant is identified by its UTC time, so skipped times that collapse to the end of one gap are one tick.
Zones come from the ``tzdata`` package only, never from the machine, so that all nodes of one release agree.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from hookline.errors import InvalidCron, InvalidTimezone
from hookline.protocol.limits import CRON_BYTES_MAX

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_FIELD_HINTS = {
    "Bad minute": "the minute (first field) takes 0-59",
    "Bad hour": "the hour (second field) takes 0-23",
    "Bad day-of-month": "the day of the month (third field) takes 1-31, L or LW, and must exist in the months given",
    "Bad month": "the month (fourth field) takes 1-12 or JAN-DEC",
    "Bad day-of-week": "the day of the week (fifth field) takes 0-7 or SUN-SAT, 5L, MON#2",
}

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - wall clock time has no zone
_SECOND = timedelta(seconds=1)
# No zone has two changes of its offset closer together than this (Gaza in 2040: 6.96 days); a test checks all zones.
_PROBE_S = 6 * 86_400
# Searches end here; it stops expressions that only ever match in skipped hours.
_HORIZON_S = 50 * 366 * 86_400
# Any year works, the calendar repeats; fixed because parsing must not depend on the day it happens.
_SEARCH_FROM_S = 946_684_800


@dataclass(frozen=True, slots=True)
class Cron:
    """A checked expression in a zone; made by ``parse_cron``. Equal when expression and zone name are equal."""

    expression: str
    timezone: str

    def next_after(self, after_ms: int) -> int | None:
        """The first tick strictly after ``after_ms`` (both UTC epoch milliseconds); None if 50 years have none."""
        fields = _fields(self.expression)
        zone = load_zone(self.timezone)
        search = _next_real if _follows_real_time(fields) else _next_fixed
        try:
            instant_s = search(fields, zone, after_ms // 1000)
        except (OverflowError, ValueError):  # the search ran past the year 9999, where datetime ends
            return None
        return None if instant_s is None else instant_s * 1000

    def ticks(self, after_ms: int, count: int) -> list[int]:
        """The next ``count`` ticks after ``after_ms`` (fewer if they end): UTC epoch milliseconds, strictly rising."""
        found: list[int] = []
        tick = self.next_after(after_ms)
        while tick is not None and len(found) < count:
            found.append(tick)
            tick = self.next_after(tick)
        return found


def parse_cron(expression: str, timezone: str) -> Cron:
    """Check an expression and a zone name.

    Raises:
        InvalidCron: the expression cannot be read, or no day in the calendar matches it.
        InvalidTimezone: the zone is not an IANA name.
    """
    load_zone(timezone)
    fields = _fields(_plain(expression))
    try:
        first = _next_wall(fields, _SEARCH_FROM_S)
    except CronSimError as error:
        hint = _FIELD_HINTS.get(str(error), "use minute, hour, day of month, month, day of week")
        raise InvalidCron(f'"{expression}" cannot be read: {hint}', field="cron") from error
    if first is None:
        raise InvalidCron(f'"{expression}" never matches: no day in the calendar is like that', field="cron")
    return Cron(expression, timezone)


@lru_cache(maxsize=1024)
def load_zone(timezone: str) -> ZoneInfo:
    """The rules of an IANA zone, as this release's tzdata has them.

    Raises:
        InvalidTimezone: there is no such zone.
    """
    if timezone not in zone_names():
        raise InvalidTimezone(_unknown_zone(timezone), field="timezone")
    with files("tzdata").joinpath("zoneinfo", *timezone.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=timezone)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The IANA names a schedule may use, aliases included. "Factory" is the placeholder of an unset machine."""
    return frozenset(files("tzdata").joinpath("zones").read_text("ascii").split()) - {"Factory"}


def format_tick(ms: int, timezone: str) -> str:
    """A tick in RFC 3339 to the second with its zone's offset then, e.g. ``2026-03-29T03:00:00+02:00``."""
    return datetime.fromtimestamp(ms // 1000, load_zone(timezone)).isoformat()


def _plain(expression: str) -> str:
    if len(expression) > CRON_BYTES_MAX:
        raise InvalidCron(f"the expression is longer than {CRON_BYTES_MAX} bytes", field="cron")
    if not (expression.isascii() and expression.isprintable()):
        raise InvalidCron("the expression has characters other than printable ASCII", field="cron")
    if expression.startswith("@") and expression.lower() not in MACROS:
        raise InvalidCron(f'"{expression}" is not a macro; use one of {", ".join(MACROS)}', field="cron")
    count = len(_fields(expression).split())
    if count != 5:
        raise InvalidCron(
            f'"{expression}" has {count} fields; use five: minute, hour, day of month, month, day of week', field="cron"
        )
    return expression


def _unknown_zone(timezone: str) -> str:
    if len(timezone) > 64 or not (timezone.isascii() and timezone.isprintable()):
        return 'the time zone is not an IANA name such as "Europe/Berlin"'
    near = next((name for name in zone_names() if name.lower() == timezone.lower()), None)
    return f'there is no time zone "{timezone}"; ' + (
        f'did you mean "{near}"?' if near else 'use an IANA name such as "Europe/Berlin"'
    )


def _fields(expression: str) -> str:
    return MACROS.get(expression.lower(), expression)


def _follows_real_time(fields: str) -> bool:
    minute, hour, *_ = fields.split()
    return minute.startswith("*") or hour.startswith("*")


def _next_wall(fields: str, after_s: int) -> int | None:
    """The next match of the wall clock, zone-less seconds in and out; CronSim gives up after 50 years."""
    wall = next(CronSim(fields, _EPOCH + timedelta(seconds=after_s)), None)
    return None if wall is None else (wall - _EPOCH) // _SECOND


def _next_fixed(fields: str, zone: ZoneInfo, after_s: int) -> int | None:
    # Rising wall clock times give instants that never fall (`_first_instant`), so the first one past `after_s` is next.
    # More than one round only when `after_s` lies in the second pass of a repeated hour.
    wall = _next_wall(fields, after_s + _offset(zone, after_s))
    while wall is not None:
        instant = _first_instant(zone, wall)
        if instant > after_s:
            return instant
        wall = _next_wall(fields, wall)
    return None


def _first_instant(zone: ZoneInfo, wall_s: int) -> int:
    """The first instant at which the wall clock shows ``wall_s``, or the end of the gap that skipped it."""
    wall = (_EPOCH + timedelta(seconds=wall_s)).replace(tzinfo=zone)
    before, after = _seconds(wall.utcoffset()), _seconds(wall.replace(fold=1).utcoffset())
    if before >= after:  # an ordinary time, or a repeated one
        return wall_s - before
    return _bisect(wall_s - after, wall_s - before, lambda instant_s: _offset(zone, instant_s) == after)


def _next_real(fields: str, zone: ZoneInfo, after_s: int) -> int | None:
    # Within a stretch of constant offset the wall clock runs with real time, so a zone-less search is right up to the
    # next change of the offset; from there on it is right again with the new offset.
    start, offset = after_s + 1, _offset(zone, after_s + 1)
    searched_from = start + offset
    wall = _next_wall(fields, searched_from - 1)
    while wall is not None and wall <= after_s + _HORIZON_S:
        change = _next_change(zone, start, wall - offset, offset)
        if change is None:
            return wall - offset
        start, offset = change, _offset(zone, change)
        if not searched_from <= start + offset <= wall:  # else the wall clock has still to come to the same match
            searched_from = start + offset
            wall = _next_wall(fields, searched_from - 1)
    return None


def _next_change(zone: ZoneInfo, start_s: int, end_s: int, offset: int) -> int | None:
    """The first instant in (start, end] where the offset is no longer ``offset``, which it is at ``start_s``."""
    while start_s < end_s:
        probe = min(start_s + _PROBE_S, end_s)
        if _offset(zone, probe) != offset:
            return _bisect(start_s, probe, lambda instant_s: _offset(zone, instant_s) != offset)
        start_s = probe
    return None


def _bisect(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The smallest integer in (low, high] for which ``holds``; it holds at ``high``, not at ``low``, and turns once."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _offset(zone: ZoneInfo, instant_s: int) -> int:
    return _seconds(datetime.fromtimestamp(instant_s, UTC).astimezone(zone).utcoffset())


def _seconds(offset: timedelta | None) -> int:
    return 0 if offset is None else offset.days * 86_400 + offset.seconds
