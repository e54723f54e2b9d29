"""Ticks against two oracles: croniter in UTC, and in zones a minute-by-minute walk as Debian's cron does it."""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import CroniterBadDateError, croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from hookline.errors import InvalidCron, InvalidTimezone
from hookline.protocol.cron import Cron, parse_cron
from hookline.protocol.cron_fields import LAST, DayRule, read_fields
from hookline.protocol.zones import load_zone, zone_names

MINUTE_MS = 60_000
HOUR_S = 3_600
YEARS_2020_TO_2037 = range(
    int(datetime(2020, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2038, 1, 1, tzinfo=UTC).timestamp()), 6 * HOUR_S
)

SAMPLE_ZONES = [
    "UTC",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "Africa/Johannesburg",
    "Africa/Juba",
    "America/Asuncion",
    "America/Chicago",
    "America/Ciudad_Juarez",
    "America/Havana",
    "America/Miquelon",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "America/St_Johns",
    "America/Tijuana",
    "America/Vancouver",
    "Antarctica/Casey",
    "Antarctica/Macquarie",
    "Antarctica/Troll",
    "Antarctica/Vostok",
    "Asia/Amman",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Jerusalem",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Qyzylorda",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Chisinau",
    "Europe/Dublin",
    "Europe/Lisbon",
    "Europe/London",
    "Europe/Volgograd",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Easter",
    "Pacific/Fiji",
    "Pacific/Norfolk",
]


# --- the calendar, against croniter ----------------------------------------------------------------------------


def field(low: int, high: int, names: list[str] | None = None) -> st.SearchStrategy[str]:
    """One field: single values, lists, ranges and steps, or ``*``.

    Not ``0-0`` nor the whole range, which croniter takes for ``*``, with other days then.
    """
    value = st.integers(low, high).map(str)
    if names:
        value |= st.sampled_from(names)
    span = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    ranges = span.filter(lambda ends: 0 < ends[1] - ends[0] < high - low - 1).map(lambda ends: f"{ends[0]}-{ends[1]}")
    steps = st.tuples(ranges, st.integers(1, 9)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    lists = st.lists(value | ranges | steps, min_size=2, max_size=4).map(",".join)
    return st.just("*") | value | ranges | steps | lists


MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
STEPPED = st.sampled_from(["*/2", "*/7", "*/15", "*/59"])
EXPRESSIONS = st.tuples(
    field(0, 59) | STEPPED, field(0, 23) | STEPPED, field(1, 31), field(1, 12, MONTHS), field(0, 6, WEEKDAYS)
).map(" ".join)
INSTANTS_MS = st.integers(0, 4_000_000_000_000)


@given(expression=EXPRESSIONS, after_ms=INSTANTS_MS)
@settings(max_examples=300)
def test_utc_agrees_with_croniter(expression: str, after_ms: int) -> None:
    try:
        ours = parse_cron(expression, "UTC").ticks(after_ms, 4)
    except InvalidCron:
        with pytest.raises(CroniterBadDateError):  # only what never matches may be refused
            croniter(expression, datetime(2000, 1, 1, tzinfo=UTC)).get_next()
        return
    theirs = croniter(expression, datetime.fromtimestamp(after_ms // 1000, UTC))
    assert ours == [int(theirs.get_next(float)) * 1000 for _ in range(4)], expression


# --- any zone ----------------------------------------------------------------------------------------------------

ZONES = st.sampled_from(sorted(zone_names()))


@given(expression=EXPRESSIONS, timezone=ZONES, after_ms=INSTANTS_MS, share=st.floats(0, 1))
@settings(max_examples=200)
def test_ticks_rise_and_do_not_depend_on_where_the_search_starts(
    expression: str, timezone: str, after_ms: int, share: float
) -> None:
    try:
        cron = parse_cron(expression, timezone)
    except InvalidCron:
        return
    found = cron.ticks(after_ms, 5)
    for before, after in pairwise([after_ms, *found]):
        assert before < after
        between = before + int((after - 1 - before) * share)
        assert cron.next_after(between) == cron.next_after(after - 1) == after


@given(text=st.text() | st.text("0123456789*/,-L#W @JANMONdaily", max_size=24), timezone=st.text() | st.just("UTC"))
@settings(max_examples=500)
def test_any_text_is_a_cron_or_one_of_our_errors(text: str, timezone: str) -> None:
    try:
        cron = parse_cron(text, timezone)
    except (InvalidCron, InvalidTimezone) as error:
        error.detail.encode()
    else:
        cron.next_after(0)


# --- days, against a reading of one day at a time ----------------------------------------------------------------

DAYS = st.sampled_from(["L", "LW", "31,L", "LW,1", "29", "31", "*/31"]) | field(1, 31)
WEEKS = st.sampled_from(["5L", "MON#2", "0#5", "7L,3", "SAT-MON", "6-0/2", "*/7"]) | field(0, 7, WEEKDAYS)


@given(day=DAYS, month=field(1, 12, MONTHS), weekday=WEEKS, year=st.integers(1970, 2200))
@settings(max_examples=100)
def test_days_agree_with_a_reading_of_each(day: str, month: str, weekday: str, year: int) -> None:
    start = datetime(year, 1, 1, tzinfo=UTC)
    try:
        cron = parse_cron(f"0 0 {day} {month} {weekday}", "UTC")
    except InvalidCron:
        return
    rule = read_fields(cron.expression).day_rule
    days = [start + timedelta(number) for number in range(1_500)]
    expected = [int(at.timestamp()) * 1_000 for at in days if day_matches(rule, at)]
    assert ticks_until(cron, int(start.timestamp()) * 1_000 - 1, int(days[-1].timestamp()) * 1_000) == expected


def day_matches(rule: DayRule, at: datetime) -> bool:
    last = monthrange(at.year, at.month)[1]
    workdays = [day for day in range(1, last + 1) if at.replace(day=day).weekday() < 5]
    is_day = (
        at.day in rule.days
        or (rule.has_last_day and at.day == last)
        or (rule.has_last_workday and at.day == workdays[-1])
    )
    weekday = at.isoweekday() % 7
    is_weekday = (
        weekday in rule.weekdays
        or (weekday, (at.day + 6) // 7) in rule.nth_weekdays
        or ((weekday, LAST) in rule.nth_weekdays and at.day + 7 > last)
    )
    return at.month in rule.months and (is_day and is_weekday if rule.needs_both else is_day or is_weekday)


# --- Debian's rule, against a walk ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fields:
    """An expression on minutes and hours, kept as sets so that the oracle reads no cron syntax."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    fixed: bool

    def matches(self, wall_minute: int) -> bool:
        return wall_minute % 60 in self.minutes and wall_minute // 60 % 24 in self.hours


def walk(fields: Fields, walls: list[tuple[int, int]]) -> Iterator[int]:
    """Debian's cron, minute by minute, over (instant, wall clock) pairs in minutes.

    A fixed job in a skipped hour runs when the clock has jumped; in a repeated hour it ran already.
    A wildcard job runs when the clock matches.
    """
    latest = walls[0][1]
    for instant, wall in walls[1:]:
        seen = range(latest + 1, wall + 1) if fields.fixed else [wall]
        if any(fields.matches(minute) for minute in seen):
            yield instant * MINUTE_MS
        latest = max(latest, wall)


def offset_changes(zone: ZoneInfo) -> list[int]:
    """The instants (epoch seconds, to the minute) at which the zone's offset changes, 2020 to 2037."""

    def offset(at: int) -> object:
        return datetime.fromtimestamp(at, zone).utcoffset()

    found = []
    for start, end in pairwise(YEARS_2020_TO_2037):
        if offset(start) != offset(end):
            found.append(next(at for at in range(start, end + 60, 60) if offset(at) != offset(start)))
    return found


def wall_minute(at: int, zone: ZoneInfo) -> int:
    wall = datetime.fromtimestamp(at, zone).replace(tzinfo=UTC)
    return int(wall.timestamp()) // 60


def expressions_around(hour: int, turn: int) -> list[Fields]:
    """Fixed and wildcard expressions that have something to do about this hour; they vary with ``turn``."""
    day, minute = frozenset(range(24)), turn * 7 % 60
    near, odd = (hour + turn % 3 - 1) % 24, (hour + 1) % 24
    around = frozenset((hour + delta) % 24 for delta in (-2, -1, 0, 1, 2))
    around_text = ",".join(map(str, sorted(around)))
    return [
        Fields(f"{minute} {near} * * *", frozenset({minute}), frozenset({near}), fixed=True),
        Fields(f"0,15,{minute} {around_text} * * *", frozenset({0, 15, minute}), around, fixed=True),
        Fields("30 0-23 * * *", frozenset({30}), day, fixed=True),
        Fields("0 * * * *", frozenset({0}), day, fixed=False),
        Fields(f"*/20 {odd} * * *", frozenset({0, 20, 40}), frozenset({odd}), fixed=False),
        Fields(f"*/15 {near} * * *", frozenset({0, 15, 30, 45}), frozenset({near}), fixed=False),
        Fields(f"* {hour} * * *", frozenset(range(60)), frozenset({hour}), fixed=False),
        Fields(f"{minute} */1 * * *", frozenset({minute}), day, fixed=False),
    ]


def ticks_until(cron: Cron, after_ms: int, until_ms: int) -> list[int]:
    found = []
    tick = cron.next_after(after_ms)
    while tick is not None and tick <= until_ms:
        found.append(tick)
        tick = cron.next_after(tick)
    return found


def check_zone(timezone: str, every: int) -> int:
    """Compare ticks and walk around every change of the zone; ``every`` n-th expression each. Returns the changes."""
    zone = load_zone(timezone)
    changes = offset_changes(zone)
    for turn, change in enumerate(changes):
        walls = [(at // 60, wall_minute(at, zone)) for at in range(change - 5 * HOUR_S, change + 5 * HOUR_S, 60)]
        hour = walls[5 * 60 - 1][1] // 60 % 24
        for fields in expressions_around(hour, turn)[turn % every :: every]:
            expected = list(walk(fields, walls))
            actual = ticks_until(parse_cron(fields.text, timezone), walls[0][0] * MINUTE_MS, walls[-1][0] * MINUTE_MS)
            assert actual == expected, f"{fields.text} in {timezone} at {datetime.fromtimestamp(change, zone)}"
    return len(changes)


@pytest.mark.parametrize("timezone", SAMPLE_ZONES)
def test_every_change_of_the_clock_by_debians_rule(timezone: str) -> None:
    check_zone(timezone, every=4)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_change_of_the_clock_in_all_zones() -> None:
    changes = sum(check_zone(timezone, every=2) for timezone in sorted(zone_names()))
    assert changes > 5_000
