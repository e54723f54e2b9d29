import re
import struct
import sys
from datetime import UTC, datetime
from importlib.resources import files
from itertools import pairwise

import pytest

from hookline.errors import InvalidCron, InvalidTimezone
from hookline.protocol import zones
from hookline.protocol.cron import format_tick, parse_cron
from hookline.protocol.zones import load_zone, zone_names


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def ticks(expression: str, timezone: str, after: str, count: int) -> list[str]:
    return [format_tick(tick, timezone) for tick in parse_cron(expression, timezone).ticks(ms(after), count)]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        " ",
        "* * * *",
        "* * * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 */31 * MON#5",
        "*/0 * * * *",
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 32 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "5-1 * * * *",
        "-1 * * * *",
        "1,,2 * * * *",
        "0 0 * * MON#6",
        "0 0 15W * *",
        "@reboot",
        "@every 5m",
        "* * * * *\n",
        "0\t0 * * *",
        "0 0 * * *\x00",
        "\N{ARABIC-INDIC DIGIT FIVE} * * * *",
        "\N{FULLWIDTH ASTERISK} * * * *",
        "\ud800 * * * *",
        "0" * 10_000,
        " " * 252 + "* * * * *",
    ],
)
def test_refuses_an_expression(expression: str) -> None:
    with pytest.raises(InvalidCron) as caught:
        parse_cron(expression, "UTC")
    assert caught.value.field == "cron"
    caught.value.detail.encode()  # a lone surrogate in the answer could not be sent
    assert len(caught.value.detail) < 500


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("* * * * * *", "6 fields"),
        ("61 * * * *", "minute"),
        ("0 25 * * *", "hour"),
        ("0 0 30 2 *", "day of the month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * FOO", "day of the week"),
        ("@reboot", "@daily"),
        ("0 0 */31 * MON#5", "never matches"),
    ],
)
def test_the_detail_says_which_field(expression: str, part: str) -> None:
    with pytest.raises(InvalidCron, match=part):
        parse_cron(expression, "UTC")


@pytest.mark.parametrize(
    "timezone",
    [
        "",
        ".",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe/../Europe/Berlin",
        "Europe/Berlin/",
        "Europe\\Berlin",
        "Europe",
        "localtime",
        "posixrules",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",
        "Factory",
        "zone.tab",
        "+01:00",
        "UTC\x00",
        "UTC\n",
        "\ud800",
        "Europe/Berlin" * 1000,
    ],
)
def test_refuses_a_zone(timezone: str) -> None:
    with pytest.raises(InvalidTimezone) as caught:
        parse_cron("@daily", timezone)
    assert caught.value.field == "timezone"
    caught.value.detail.encode()
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("0 0 L/2 * *", "L/2"),
        ("0 0 LW/3 * *", "LW/3"),
        ("0 0 1,L/2 * *", "L/2"),
        ("0 0 * * 5L/2", "5L/2"),
        ("0 0 * * MON#2/2", "MON#2/2"),
        ("0 22-2 * * *", "runs backwards"),
        ("0 0 * NOV-FEB *", "runs backwards"),
        ("*/0 * * * *", "at least 1"),
        ("0 0 * * MON#6", "no such week"),
        ("0 24 * * *", "24 is out of range"),
    ],
)
def test_the_detail_says_why(expression: str, part: str) -> None:
    with pytest.raises(InvalidCron, match=part):
        parse_cron(expression, "UTC")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0 0 * * MON-SUN", "0 0 * * *"),
        ("0 0 * * 6-5", "0 0 * * *"),
        ("0 0 * * SAT-SUN", "0 0 * * 0,6"),
        ("0 0 * * 6-0", "0 0 * * 0,6"),
        ("0 0 * * FRI-MON", "0 0 * * 0,1,5,6"),
        ("0 0 * * fri-1,3", "0 0 * * 0,1,3,5,6"),
        ("0 0 * * 7-2", "0 0 * * 0,1,2"),
        ("0 0 * * 7-0", "0 0 * * 0"),
        ("0 0 * * SUN-SUN", "0 0 * * 0"),
        ("0 0 * * FRI-TUE/2", "0 0 * * 5,0,2"),
        ("0 0 * * MON-SUN/3", "0 0 * * 1,4,0"),
        ("0-0/5 * * * *", "0 * * * *"),
        ("30-30/7,45-45/2 * * * *", "30,45 * * * *"),
        ("0 9-9/4 * * *", "0 9 * * *"),
        ("0 0 5-5/10 * *", "0 0 5 * *"),
        ("0 0 1 6-6/2 *", "0 0 1 6 *"),
        ("0 0 1 JAN-JAN/2 *", "0 0 1 1 *"),
        ("0 0 * * 1-1/3", "0 0 * * 1"),
        ("0 0 * * SUN-SUN/2", "0 0 * * 0"),
        ("10/20 * * * *", "10,30,50 * * * *"),
    ],
)
def test_ranges_mean_what_they_say(written: str, meant: str) -> None:
    after = ms("2026-11-24T13:00:00Z")
    assert parse_cron(written, "UTC").ticks(after, 30) == parse_cron(meant, "UTC").ticks(after, 30)


def test_an_offset_with_seconds_is_shown_as_the_nearest_of_rfc_3339() -> None:
    instant = ms("1971-01-01T00:44:30Z")
    assert format_tick(instant, "Africa/Monrovia") == "1971-01-01T00:00:30-00:44"
    for name in sorted(zone_names()):
        for at in (0, instant, ms("1980-06-01T00:00:00Z")):
            shown = format_tick(at, name)
            assert re.search(r":\d\d[+-]\d\d:\d\d$", shown), f"{name}: {shown}"
            assert ms(shown) == at, name


def test_all_zones_repeat_what_they_do_after_400_years() -> None:
    """The search rests on this beyond the year 2100."""
    for name in sorted(zone_names()):
        zone = load_zone(name)
        for day in range(0, 366 * 8, 5):
            at = zones.REPEATED_FROM_S + day * 86_400
            later = datetime.fromtimestamp(at + zones.REPEATED_S, zone)
            assert datetime.fromtimestamp(at, zone).utcoffset() == later.utcoffset(), f"{name}: {later}"


def test_a_zone_in_the_wrong_case_is_suggested() -> None:
    with pytest.raises(InvalidTimezone, match=r"did you mean .Europe/Berlin"):
        parse_cron("@daily", "europe/berlin")


def test_every_zone_loads_and_ticks() -> None:
    assert len(zone_names()) > 500
    for name in zone_names():
        assert parse_cron("0 0 * * *", name).next_after(ms("2026-11-24T00:00:00Z")) is not None


@pytest.mark.parametrize(
    ("macro", "fields"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@Daily", "0 0 * * *"),
    ],
)
def test_macros_stand_for_five_fields(macro: str, fields: str) -> None:
    after = ms("2026-11-24T13:00:00Z")
    assert parse_cron(macro, "Asia/Tokyo").ticks(after, 5) == parse_cron(fields, "Asia/Tokyo").ticks(after, 5)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", ["2026-11-24T13:20", "2026-11-24T13:40", "2026-11-24T14:00"]),
        ("  5  4 * *  * ", ["2026-11-25T04:05", "2026-11-26T04:05", "2026-11-27T04:05"]),
        ("0 9 * jan-mar mon", ["2027-01-04T09:00", "2027-01-11T09:00", "2027-01-18T09:00"]),
        ("0 0 L * *", ["2026-11-30T00:00", "2026-12-31T00:00", "2027-01-31T00:00"]),
        ("0 0 LW * *", ["2026-11-30T00:00", "2026-12-31T00:00", "2027-01-29T00:00"]),
        ("0 0 * * 5L", ["2026-11-27T00:00", "2026-12-25T00:00", "2027-01-29T00:00"]),
        ("0 0 * * MON#1", ["2026-12-07T00:00", "2027-01-04T00:00", "2027-02-01T00:00"]),
        ("0 0 * * 7", ["2026-11-29T00:00", "2026-12-06T00:00", "2026-12-13T00:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00", "2036-02-29T00:00"]),
        # Both days restricted: either matches (crontab(5)); a field that starts with * restricts, too: both must.
        ("0 0 13 * FRI", ["2026-11-27T00:00", "2026-12-04T00:00", "2026-12-11T00:00"]),
        ("0 0 */13 * FRI", ["2026-11-27T00:00", "2027-01-01T00:00", "2027-05-14T00:00"]),
    ],
)
def test_ticks_in_utc(expression: str, expected: list[str]) -> None:
    assert ticks(expression, "UTC", "2026-11-24T13:00:00Z", 3) == [f"{tick}:00+00:00" for tick in expected]


def test_a_tick_is_strictly_after_to_the_millisecond() -> None:
    cron_ = parse_cron("0 12 * * *", "UTC")
    noon = ms("2026-11-24T12:00:00Z")
    assert cron_.next_after(noon - 1) == noon
    assert cron_.next_after(noon) == noon + 86_400_000
    assert cron_.next_after(noon + 1) == noon + 86_400_000
    assert cron_.next_after(-1) == 43_200_000


def test_berlin_in_spring() -> None:
    # 2026-03-29 02:00 CET becomes 03:00 CEST.
    assert ticks("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", 2) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert ticks("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00+01:00", 3) == [
        "2026-03-29T03:00:00+02:00",  # 02:00, 02:30 and 03:00 are one tick
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:00:00+02:00",
    ]
    assert ticks("*/30 * * * *", "Europe/Berlin", "2026-03-29T01:15:00+01:00", 3) == [
        "2026-03-29T01:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:30:00+02:00",
    ]
    assert ticks("*/30 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00+01:00", 1) == ["2026-03-30T02:00:00+02:00"]


def test_berlin_in_autumn() -> None:
    # 2026-10-25 03:00 CEST becomes 02:00 CET.
    assert ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00+02:00", 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]
    assert ticks("30 2 * * *", "Europe/Berlin", "2026-10-25T02:10:00+01:00", 1) == ["2026-10-26T02:30:00+01:00"]
    assert ticks("*/30 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00+02:00", 5) == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-26T02:00:00+01:00",
    ]
    assert ticks("0 * * * *", "Europe/Berlin", "2026-10-25T01:30:00+02:00", 3) == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ]


def test_a_gap_of_half_an_hour_loses_no_wildcard_tick() -> None:
    # Lord Howe: 2026-10-04 02:00 becomes 02:30. cronsim's own zone handling goes straight to 03:30.
    assert ticks("*/10 3 * * *", "Australia/Lord_Howe", "2026-10-04T01:00:00+10:30", 2) == [
        "2026-10-04T03:00:00+11:00",
        "2026-10-04T03:10:00+11:00",
    ]


def test_a_gap_at_midnight() -> None:
    # Cairo: 2026-04-24 00:00 becomes 01:00.
    assert ticks("@daily", "Africa/Cairo", "2026-04-23T12:00:00+02:00", 2) == [
        "2026-04-24T01:00:00+03:00",
        "2026-04-25T00:00:00+03:00",
    ]
    assert ticks("*/30 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00+02:00", 1) == ["2026-04-25T00:00:00+03:00"]


def test_a_skipped_day() -> None:
    # Samoa had no 2011-12-30.
    assert ticks("0 9 * * *", "Pacific/Apia", "2011-12-29T09:00:00-10:00", 2) == [
        "2011-12-31T00:00:00+14:00",
        "2011-12-31T09:00:00+14:00",
    ]


def test_gives_up_on_times_that_are_always_skipped() -> None:
    # The last Sunday of March at two o'clock, as a wildcard: Berlin skips it every year.
    cron = parse_cron("*/10 2 25-31 3 */7", "Europe/Berlin")
    assert cron.next_after(ms("2026-11-24T00:00:00Z")) is None
    assert cron.ticks(ms("2026-11-24T00:00:00Z"), 3) == []


@pytest.mark.parametrize(
    ("expression", "timezone"),
    [
        ("*/30 2 29 2 */7", "Europe/Berlin"),
        ("*/30 2 29 2 MON#5", "Europe/Berlin"),
        ("*/30 1 29 2 */7", "Africa/Casablanca"),
        ("0 0 * 2 MON#5", "Europe/Berlin"),
        ("0 0 29 2 0,7", "Europe/Berlin"),
        ("*/60 2 25-31 2,3 */7", "Europe/Berlin"),
        ("*/60 2 29-31 2,3 */7", "Europe/Berlin"),
        ("*/10 2 25-31 3 */7", "Europe/Berlin"),
        ("0 0 31 2,4,6,9,11,1 */7", "America/St_Johns"),
        ("0-59 0-23 * * *", "America/New_York"),
        ("@yearly", "Asia/Tokyo"),
        ("30 2 29 3 *", "Europe/Berlin"),
    ],
)
def test_a_thousand_ticks_of_any_expression_take_little_work(expression: str, timezone: str) -> None:
    """Counted in calls of functions, some 0.2 to 0.4 µs each, since time depends on the machine."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    load_zone(timezone)
    sys.setprofile(count)
    try:
        parse_cron(expression, timezone).ticks(ms("2026-11-24T00:00:00Z"), 1_000)
    finally:
        sys.setprofile(None)
    assert calls < 120_000


def test_the_end_of_the_calendar() -> None:
    cron_ = parse_cron("0 0 29 2 *", "Asia/Tokyo")
    assert cron_.next_after(ms("9999-12-30T00:00:00Z")) is None
    assert cron_.next_after(10**18) is None
    assert cron_.next_after(-(10**18)) is None


def test_ticks_counts() -> None:
    cron_ = parse_cron("* * * * *", "UTC")
    assert cron_.ticks(0, 0) == []
    assert cron_.ticks(0, 3) == [60_000, 120_000, 180_000]


def test_equal_by_expression_and_zone() -> None:
    assert parse_cron("@daily", "UTC") == parse_cron("@daily", "UTC")
    assert parse_cron("@daily", "UTC") != parse_cron("@daily", "Etc/UTC")


def test_zones_do_not_come_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneinfo.TZPATH", ())
    zones.load_zone.cache_clear()
    assert format_tick(ms("2026-07-01T12:00:00Z"), "Europe/Berlin") == "2026-07-01T14:00:00+02:00"


def test_no_two_changes_of_an_offset_within_one_probe() -> None:
    """The search for changes rests on this: it looks at the offset once in a block's length."""
    for name in zone_names():
        changes = _offset_changes(files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes())
        for before, after in pairwise(change for change in changes if change >= 0):
            assert after - before > zones.BLOCK_S, f"{name}: {datetime.fromtimestamp(after, UTC)}"


def _offset_changes(tzif: bytes) -> list[int]:
    """The instants at which the UTC offset changes, from the 64-bit block of a TZif file (RFC 8536)."""
    counts = ">6l"
    *_, times1, types1, chars1 = v1 = struct.unpack_from(counts, tzif, 20)
    start = 44 + times1 * 5 + types1 * 6 + chars1 + v1[2] * 8 + v1[1] + v1[0]
    *_, times, types, _chars = struct.unpack_from(counts, tzif, start + 20)
    instants = struct.unpack_from(f">{times}q", tzif, start + 44)
    kinds = struct.unpack_from(f">{times}B", tzif, start + 44 + times * 8)
    offsets = [struct.unpack_from(">l", tzif, start + 44 + times * 9 + kind * 6)[0] for kind in range(types)]
    shown = [offsets[0], *(offsets[kind] for kind in kinds)]
    return [at for at, (before, after) in zip(instants, pairwise(shown), strict=True) if before != after]
