"""Cron schedules: the UTC instants at which an expression ticks in a time zone.

Five fields (minute, hour, day of month, month, day of week) or a macro such as ``@daily``. What they match is zone-less
wall clock time; how wall clock time maps to instants is decided here, by the rule of Debian's cron(8):

- *fixed* expressions (neither the minute nor the hour field starts with ``*``): a time in a skipped hour ticks at the
  instant the gap ends, a time in a repeated hour ticks at its first occurrence only;
- *wildcard* expressions follow real time: an instant ticks when the clock on the wall then matches.

An instant is identified by its UTC time, so skipped times that collapse to the end of one gap are one tick.

The search goes from matching day to matching day (``cron_days``) and looks at the zone's offset (``zones``) only around
them, so that a tick costs microseconds however far it is from the one before.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import timezone as fixed_offset
from functools import lru_cache
from itertools import count, islice

from hookline.errors import InvalidCron
from hookline.protocol.cron_days import SEARCH_YEARS, MatchingDays
from hookline.protocol.cron_fields import read_fields
from hookline.protocol.limits import CRON_BYTES_MAX
from hookline.protocol.zones import BLOCK_S, OFFSET_S_MAX, REPEATED_FROM_S, REPEATED_S, load_zone, stretches

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_DAY_S = 86_400
_MINUTE = timedelta(minutes=1)
# A repeated time is at most this long behind its first occurrence.
_REPEAT_S_MAX = _DAY_S
# Searches end here; it stops expressions that only ever match in skipped hours.
_HORIZON_S = SEARCH_YEARS * 366 * _DAY_S
# What is searched: a little less than datetime knows, which ends with 9999 on the clock of any zone.
_FIRST_S, _LAST_S = -62_100_000_000, 253_402_214_400


@dataclass(frozen=True, slots=True)
class Cron:
    """A checked expression in a zone; made by ``parse_cron``. Equal when expression and zone name are equal."""

    expression: str
    timezone: str

    def next_after(self, after_ms: int) -> int | None:
        """The first tick strictly after ``after_ms`` (both UTC epoch milliseconds); None if 50 years have none."""
        return next(self.ticks_after(after_ms), None)

    def ticks(self, after_ms: int, count: int) -> list[int]:
        """The next ``count`` ticks after ``after_ms`` (fewer if they end): UTC epoch milliseconds, strictly rising."""
        return list(islice(self.ticks_after(after_ms), count))

    def ticks_after(self, after_ms: int) -> Iterator[int]:
        """All ticks strictly after ``after_ms``, each found on demand: UTC epoch milliseconds, rising."""
        after_s = after_ms // 1000
        if _FIRST_S <= after_s <= _LAST_S:
            for instant_s in _repeated(_instants(_walls_of(self.expression), self.timezone, after_s), after_s):
                yield instant_s * 1000


def parse_cron(expression: str, timezone: str) -> Cron:
    """Check an expression and a zone name.

    Raises:
        InvalidCron: the expression cannot be read, or no day in the calendar matches it.
        InvalidTimezone: the zone is not an IANA name.
    """
    load_zone(timezone)
    _check_text(expression)
    _walls_of(expression)
    return Cron(expression, timezone)


def format_tick(ms: int, timezone: str) -> str:
    """A tick in RFC 3339 to the second with its zone's offset then, e.g. ``2026-03-29T03:00:00+02:00``.

    RFC 3339 has no offsets with seconds, as some zones once had; then the nearest one it has shows the same instant.
    """
    tick = datetime.fromtimestamp(ms // 1000, load_zone(timezone))
    offset = tick.utcoffset() or timedelta(0)
    if offset % _MINUTE:
        tick = tick.astimezone(fixed_offset(_MINUTE * round(offset / _MINUTE)))
    return tick.isoformat()


@dataclass(frozen=True, slots=True)
class _Walls:
    """The wall clock times that an expression matches, in seconds since 1970 of no zone."""

    days: MatchingDays
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    follows_real_time: bool

    def between(self, low: int, high: int) -> Iterator[int]:
        """Those from ``low`` until before ``high``, rising."""
        before = -(-high // _DAY_S)
        day = self.days.next(low // _DAY_S, before)
        while day is not None:
            midnight = day * _DAY_S
            for hour in self.hours[bisect_left(self.hours, (low - midnight) // 3_600) :]:
                for minute in self.minutes:
                    wall = midnight + hour * 3_600 + minute * 60
                    if wall >= high:
                        return
                    if wall >= low:
                        yield wall
            day = self.days.next(day + 1, before)


@lru_cache(maxsize=1024)
def _walls_of(expression: str) -> _Walls:
    fields = read_fields(MACROS.get(expression.lower(), expression))
    days = MatchingDays(fields.day_rule)
    if not days.ever():
        raise InvalidCron(
            f'"{expression}" never matches: no month given has such a day of the month and day of the week',
            field="cron",
        )
    return _Walls(days, fields.hours, fields.minutes, fields.follows_real_time)


def _check_text(expression: str) -> None:
    if len(expression) > CRON_BYTES_MAX:
        raise InvalidCron(f"the expression is longer than {CRON_BYTES_MAX} bytes", field="cron")
    if not (expression.isascii() and expression.isprintable()):
        raise InvalidCron("the expression has characters other than printable ASCII", field="cron")
    if expression.startswith("@") and expression.lower() not in MACROS:
        raise InvalidCron(f'"{expression}" is not a macro; use one of {", ".join(MACROS)}', field="cron")


def _repeated(instants: Iterator[int], after_s: int) -> Iterator[int]:
    """The instants of one round of the calendar, and the same again 400 years later, and so on.

    It bounds the work for expressions so rare that a thousand ticks reach far into the future.
    """
    round_s = max(after_s, REPEATED_FROM_S)
    to_repeat: list[int] = []
    for instant in instants:
        if instant > round_s + REPEATED_S:
            break
        if instant > round_s:
            to_repeat.append(instant)
        yield instant
    else:
        return
    for later_s in count(REPEATED_S, REPEATED_S):
        for instant in to_repeat:
            if instant + later_s > _LAST_S:
                return
            yield instant + later_s


def _instants(walls: _Walls, timezone: str, after_s: int) -> Iterator[int]:
    """The instants after ``after_s`` at which the wall clock comes to a match, strictly rising.

    Real time is walked in stretches of constant offset, in which the wall clock runs with it. What no stretch within
    reach of a matching day shows is jumped over.
    """
    last_s, horizon_s = after_s, after_s + _HORIZON_S
    position = after_s + 1 - _REPEAT_S_MAX  # from here, to know what the wall clock has shown already
    reached: int | None = None
    while (day := walls.days.next((position - OFFSET_S_MAX) // _DAY_S)) is not None:
        position = max(position, day * _DAY_S - OFFSET_S_MAX)
        if position > horizon_s:
            return
        for start, end, offset in stretches(timezone, position):
            low, high = start + offset, end + offset
            if not walls.follows_real_time and reached is not None:
                low = reached  # less than `low` if there was a gap, more if times are repeated
            reached = high if reached is None else max(reached, high)
            if start <= after_s:
                low = max(low, after_s + 1 + offset)
            for wall in walls.between(low, high):
                instant = max(start, wall - offset)  # the start, for times in a gap that ended there
                if instant > _LAST_S:
                    return
                if instant > last_s:
                    last_s, horizon_s = instant, instant + _HORIZON_S
                    yield instant
        position = (position // BLOCK_S + 1) * BLOCK_S
