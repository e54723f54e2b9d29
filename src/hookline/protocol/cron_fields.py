"""The five fields of a cron expression, read into numbers: Debian's syntax with ``L``, ``LW``, ``5L`` and ``MON#2``.

An item of a field is ``*``, a value or a range, each with or without a step: ``*/5``, ``10-50/10``. A range takes a
step over its own values only, so ``0-0/5`` is 0; a value with a step goes on to the end of the field, so ``10/20`` is
10, 30, 50. Ranges of weekdays may run over the end of the week (``FRI-MON``), those of other fields may not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hookline.errors import InvalidCron

LAST = -1
"""The last of a month's equal weekdays."""

_SHOWN_CHARS_MAX = 40  # of an item that is refused


@dataclass(frozen=True, slots=True)
class DayRule:
    """The days that match. Weekdays are 0 to 6 from Sunday; ``nth_weekdays`` are (weekday, 1 to 5 or ``LAST``).

    ``needs_both``: the day of the month and the day of the week must match, else one of them is enough.
    """

    days: frozenset[int]
    has_last_day: bool
    has_last_workday: bool
    months: frozenset[int]
    weekdays: frozenset[int]
    nth_weekdays: frozenset[tuple[int, int]]
    needs_both: bool


@dataclass(frozen=True, slots=True)
class CronFields:
    """An expression that was read; minutes and hours rise.

    ``follows_real_time``: the minute or the hour begins with ``*``, see ``protocol/cron.py``.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    day_rule: DayRule
    follows_real_time: bool


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: its least and greatest value, the names of values from ``low`` on, and its name for users."""

    hint: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    wraps_at: int | None = None


_MINUTE = _Field("the minute (first field) takes 0-59", 0, 59)
_HOUR = _Field("the hour (second field) takes 0-23", 0, 23)
_DAY = _Field("the day of the month (third field) takes 1-31, L or LW", 1, 31)
_MONTH = _Field(
    "the month (fourth field) takes 1-12 or JAN-DEC",
    1,
    12,
    ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
_WEEKDAY = _Field(
    "the day of the week (fifth field) takes 0-7 or SUN-SAT, 5L, MON#2",
    0,
    7,
    ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"),
    wraps_at=7,
)


def read_fields(text: str) -> CronFields:
    """Read five fields separated by spaces.

    Raises:
        InvalidCron: there are not five of them, or one cannot be read; the detail says which, and why.
    """
    fields = text.upper().split()
    if len(fields) != 5:
        raise InvalidCron(
            f'"{text}" has {len(fields)} fields; use five: minute, hour, day of month, month, day of week', field="cron"
        )
    minute, hour, day, month, weekday = fields
    days = day.split(",")
    weekdays = weekday.split(",")
    nth = frozenset(_nth_weekday(item) for item in weekdays if _is_nth_weekday(item))
    return CronFields(
        minutes=tuple(sorted(_values(_MINUTE, minute.split(",")))),
        hours=tuple(sorted(_values(_HOUR, hour.split(",")))),
        day_rule=DayRule(
            days=_values(_DAY, (item for item in days if item not in ("L", "LW"))),
            has_last_day="L" in days,
            has_last_workday="LW" in days,
            months=_values(_MONTH, month.split(",")),
            weekdays=frozenset(
                value % 7 for value in _values(_WEEKDAY, (item for item in weekdays if not _is_nth_weekday(item)))
            ),
            nth_weekdays=nth,
            needs_both=day.startswith("*") or weekday.startswith("*"),
        ),
        follows_real_time=minute.startswith("*") or hour.startswith("*"),
    )


def _values(field: _Field, items: Iterable[str]) -> frozenset[int]:
    return frozenset(value for item in items for value in _item(field, item))


def _item(field: _Field, item: str) -> range:
    """The values of ``*``, ``5``, ``MON`` or ``9-17``, each with or without a step such as ``/2``."""
    span, slash, step_text = item.partition("/")
    step = _number(field, item, step_text) if slash else 1
    if step == 0:
        raise _refused(field, item, "a step must be at least 1")
    if span == "*":
        return range(field.low, field.high + 1, step)
    first, dash, last = span.partition("-")
    low = _value(field, item, first)
    if not dash:
        return range(low, field.high + 1, step) if slash else range(low, low + 1)
    high = _value(field, item, last)
    if high < low:
        if field.wraps_at is None:
            raise _refused(field, item, "the range runs backwards; write two ranges with a comma")
        high += field.wraps_at
    return range(low, high + 1, step)


def _value(field: _Field, item: str, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    value = _number(field, item, text)
    if not field.low <= value <= field.high:
        raise _refused(field, item, f"{text[:_SHOWN_CHARS_MAX]} is out of range")
    return value


def _number(field: _Field, item: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _refused(field, item, "it is none of these")
    return int(text)


def _is_nth_weekday(item: str) -> bool:
    return "#" in item or "L" in item  # no weekday's name has an L


def _nth_weekday(item: str) -> tuple[int, int]:
    """``5L``: the last Friday; ``MON#2``: the second Monday."""
    if item.endswith("L"):
        return _value(_WEEKDAY, item, item[:-1]) % 7, LAST
    weekday, _, nth_text = item.partition("#")
    nth = _number(_WEEKDAY, item, nth_text)
    if not 1 <= nth <= 5:
        raise _refused(_WEEKDAY, item, "a month has no such week")
    return _value(_WEEKDAY, item, weekday) % 7, nth


def _refused(field: _Field, item: str, reason: str) -> InvalidCron:
    return InvalidCron(f'"{item[:_SHOWN_CHARS_MAX]}" cannot be read: {field.hint}; {reason}', field="cron")
