"""Times and durations as users write them, and the integer milliseconds used everywhere inside.

Times are RFC 3339 with a mandatory zone, durations ``"1h30m"`` or plain seconds (DESIGN, the HTTP interface).
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from hookline.errors import InvalidTime
from hookline.protocol.limits import DELAY_MS_MAX

# Weeks to milliseconds, each unit once and in this order, as Go and Prometheus write them.
_DURATION = re.compile(
    r"(?:(\d{1,12})w)?(?:(\d{1,12})d)?(?:(\d{1,12})h)?(?:(\d{1,12})m(?!s))?(?:(\d{1,12})s)?(?:(\d{1,12})ms)?", re.ASCII
)
_PARSED_UNITS_MS = (7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1_000, 1)
# Written durations have no weeks: "10d" reads better than "1w3d".
_WRITTEN_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))

# RFC 3339 section 5.6. Fractions finer than a millisecond are cut off.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_TIME_MS_MAX = 253_402_300_799_999  # the last millisecond of the year 9999


def parse_duration(value: str | int | float, *, field: str | None = None) -> int:
    """Milliseconds of ``"1h30m"``, ``"500ms"``, ``"2d"``, ``"1w"``, or of a number of seconds; at most ten years.

    Raises:
        InvalidTime: not a duration, negative, not finite, or too long.
    """
    milliseconds = _written_ms(value, field) if isinstance(value, str) else _seconds_ms(value, field)
    if milliseconds > DELAY_MS_MAX:
        raise InvalidTime("the duration is longer than 10 years (3650d)", field=field)
    return milliseconds


def format_duration(ms: int) -> str:
    """The shortest form in days to milliseconds: ``"1h30m"``, ``"500ms"``, ``"0s"``; ``ms`` is not negative."""
    if ms < 0:
        raise ValueError(f"a duration cannot be negative: {ms}")
    parts = []
    for unit, size in _WRITTEN_UNITS:
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_time(text: str, *, field: str | None = None) -> int:
    """UTC epoch milliseconds of an RFC 3339 time with ``Z`` or an offset, from 1970 to 9999.

    A leap second is taken as the second after it, which is what clocks without leap seconds show.

    Raises:
        InvalidTime: not RFC 3339, no zone, no such day or second, or out of range.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise InvalidTime(
            'the time is not RFC 3339 with a zone, such as "2026-11-24T13:00:00Z" or "2026-11-24T14:00:00+01:00"',
            field=field,
        )
    date, minute, second, fraction, sign, hours, minutes = match.groups()
    is_leap = second == "60"
    try:
        wall = datetime.fromisoformat(f"{date}T{minute}:{'59' if is_leap else second}+00:00")
    except ValueError as error:
        raise InvalidTime(f'there is no such day or time of day: "{date}T{minute}:{second}"', field=field) from error
    ms = (wall - _EPOCH) // _SECOND * 1000
    if sign is not None:
        offset_ms = (int(hours) * 60 + int(minutes)) * 60_000
        ms += offset_ms if sign == "-" else -offset_ms
    if is_leap:
        ms += 1000
        _check_leap_second(ms, field)
    if fraction is not None:
        ms += int(fraction[:3].ljust(3, "0"))
    if not 0 <= ms <= _TIME_MS_MAX:
        raise InvalidTime("the time is not in the years 1970 to 9999 (UTC)", field=field)
    return ms


def _check_leap_second(following_ms: int, field: str | None) -> None:
    """Leap seconds come at the end of a month, in UTC (RFC 3339 section 5.7): a month begins with what follows."""
    if not 0 <= following_ms <= _TIME_MS_MAX:
        return  # out of range in any case
    following = _EPOCH + timedelta(milliseconds=following_ms)
    if (following.day, following.hour, following.minute) != (1, 0, 0):
        raise InvalidTime("a second 60 exists only at 23:59:60 UTC on the last day of a month", field=field)


def format_time(ms: int) -> str:
    """A time in UTC with three digits of fraction: ``"2026-11-24T13:00:00.123Z"``; ``ms`` from 1970 to 9999."""
    second, fraction = divmod(ms, 1000)
    return f"{_format_second(second)}.{fraction:03d}Z"


@lru_cache(maxsize=4096)
def _format_second(second: int) -> str:
    # Lists show many times of few seconds; without the cache this is most of their cost.
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def _written_ms(text: str, field: str | None) -> int:
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise InvalidTime(
            'the duration is not like "1h30m" (units w d h m s ms, each once and in this order) or a number of seconds',
            field=field,
        )
    return sum(int(count) * unit for count, unit in zip(match.groups(default="0"), _PARSED_UNITS_MS, strict=True))


def _seconds_ms(seconds: float, field: str | None) -> int:
    if isinstance(seconds, bool) or not seconds >= 0:  # NaN is not
        raise InvalidTime("the duration in seconds must be a number, not negative", field=field)
    # Compared before the multiplication, which could overflow a float.
    return DELAY_MS_MAX + 1 if seconds > DELAY_MS_MAX else round(seconds * 1000)
