"""The days of the calendar on which a cron expression matches, found by construction.

There are fourteen kinds of years: common and leap ones, beginning on each weekday. For each kind the matching days are
worked out once, as the bits of one number; the next day is then a shift and a look at the lowest bit, however rare.
"""

from calendar import isleap
from datetime import MAXYEAR, date

from hookline.protocol.cron_fields import LAST, DayRule

SEARCH_YEARS = 50
"""The search for a next day ends here. The rarest is 29 February on a given weekday, 40 years apart around 2100."""

_EPOCH = date(1970, 1, 1).toordinal()
_LAST = date.max.toordinal()
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class MatchingDays:
    """The days that match a rule. Days are counted from 1970-01-01, in no zone."""

    def __init__(self, rule: DayRule) -> None:
        self._rule = rule
        self._years: dict[tuple[int, bool], int] = {}

    def next(self, day: int, before: int | None = None) -> int | None:
        """The first matching day from ``day`` until before ``before``.

        None when there is none, or none in 50 years, and beyond the years 1 to 9999.
        """
        ordinal = day + _EPOCH
        if not 1 <= ordinal <= _LAST:
            return None
        end = _LAST + 1 if before is None else before + _EPOCH
        this_year = date.fromordinal(ordinal).year
        first = date(this_year, 1, 1).toordinal()
        for year in range(this_year, min(this_year + SEARCH_YEARS, MAXYEAR) + 1):
            skipped = max(0, ordinal - first)
            is_leap = isleap(year)
            later = self._year(first % 7, is_leap) >> skipped
            if later:
                found = first + skipped + _lowest_bit(later)
                return found - _EPOCH if found < end else None
            first += 365 + is_leap
            if first >= end:
                return None
        return None

    def ever(self) -> bool:
        """Whether any day of the calendar matches."""
        return any(self._year(weekday, is_leap) for is_leap in (False, True) for weekday in range(7))

    def _year(self, first_weekday: int, is_leap: bool) -> int:
        """The matching days of a year that begins on this weekday (0: Sunday); bit 0 is 1 January."""
        kind = (first_weekday, is_leap)
        days = self._years.get(kind)
        if days is None:
            days = self._years[kind] = _days_of_year(self._rule, first_weekday, is_leap)
        return days


def _days_of_year(rule: DayRule, first_weekday: int, is_leap: bool) -> int:
    found, start = 0, 0
    for month, days in enumerate(_MONTH_DAYS, 1):
        length = days + (is_leap and month == 2)
        if month in rule.months:
            found |= _days_of_month(rule, (first_weekday + start) % 7, length) << start
        start += length
    return found


def _days_of_month(rule: DayRule, first_weekday: int, length: int) -> int:
    """The matching days of a month that begins on this weekday (0: Sunday); bit 0 is its first day."""
    by_date = sum(1 << day - 1 for day in rule.days if day <= length)
    if rule.has_last_day:
        by_date |= 1 << length - 1
    if rule.has_last_workday:
        last_weekday = (first_weekday + length - 1) % 7
        by_date |= 1 << length - 1 - {0: 2, 6: 1}.get(last_weekday, 0)
    by_weekday = 0
    for weekday in rule.weekdays:
        by_weekday |= sum(1 << day for day in _days_on(weekday, first_weekday, length))
    for weekday, nth in rule.nth_weekdays:
        days = _days_on(weekday, first_weekday, length)
        if nth == LAST or nth <= len(days):
            by_weekday |= 1 << days[nth if nth == LAST else nth - 1]
    return by_date & by_weekday if rule.needs_both else by_date | by_weekday


def _days_on(weekday: int, first_weekday: int, length: int) -> range:
    """The days of a month on this weekday, counted from 0."""
    return range((weekday - first_weekday) % 7, length, 7)


def _lowest_bit(number: int) -> int:
    return (number & -number).bit_length() - 1
