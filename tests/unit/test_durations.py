import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.errors import InvalidTime
from hookline.protocol.durations import format_duration, format_time, parse_duration, parse_time
from hookline.protocol.limits import DELAY_MS_MAX

LAST_MS = 253_402_300_799_999


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        ("1h30m", 5_400_000),
        ("500ms", 500),
        ("5m", 300_000),
        ("5m500ms", 300_500),
        ("2d", 172_800_000),
        ("1w", 604_800_000),
        ("1w2d3h4m5s6ms", 788_645_006),
        ("90m", 5_400_000),
        ("0s", 0),
        ("007s", 7_000),
        (0, 0),
        (90, 90_000),
        (0.5, 500),
        (1.0005, 1_000),
        (-0.0, 0),
        ("3650d", DELAY_MS_MAX),
        (DELAY_MS_MAX // 1000, DELAY_MS_MAX),
    ],
)
def test_reads_a_duration(value: str | float, ms: int) -> None:
    assert parse_duration(value) == ms


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "1",
        "90",
        "h",
        "1h ",
        "1h 30m",
        "30m1h",
        "1h1h",
        "-1h",
        "+1h",
        "1.5h",
        "1H",
        "1y",
        "1e3s",
        "PT1H",
        "1h\n",
        "\N{ARABIC-INDIC DIGIT FIVE}m",
        "1h\x00",
        "9" * 10_000 + "s",
        "3650d1ms",
        "522w",
        -1,
        -0.001,
        math.nan,
        math.inf,
        -math.inf,
        1e308,
        10**400,
        True,
        False,
        DELAY_MS_MAX // 1000 + 1,
    ],
    ids=lambda value: repr(value)[:20],
)
def test_refuses_a_duration(value: str | float) -> None:
    with pytest.raises(InvalidTime) as caught:
        parse_duration(value, field="delay")
    assert caught.value.field == "delay"
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"),
        (500, "500ms"),
        (1_000, "1s"),
        (90_000, "1m30s"),
        (5_400_000, "1h30m"),
        (604_800_000, "7d"),
        (86_400_001, "1d1ms"),
    ],
)
def test_writes_a_duration(ms: int, text: str) -> None:
    assert format_duration(ms) == text


def test_writes_no_negative_duration() -> None:
    with pytest.raises(ValueError, match="negative"):
        format_duration(-1)


@given(st.integers(0, DELAY_MS_MAX))
def test_a_duration_survives_writing_and_reading(ms: int) -> None:
    assert parse_duration(format_duration(ms)) == ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-24T13:00:00Z", 1_795_525_200_000),
        ("2026-11-24t13:00:00z", 1_795_525_200_000),
        ("2026-11-24 13:00:00Z", 1_795_525_200_000),
        ("2026-11-24T14:00:00+01:00", 1_795_525_200_000),
        ("2026-11-24T07:30:00-05:30", 1_795_525_200_000),
        ("2026-11-24T13:00:00-00:00", 1_795_525_200_000),
        ("2026-11-24T13:00:00.1Z", 1_795_525_200_100),
        ("2026-11-24T13:00:00.123456789Z", 1_795_525_200_123),
        ("2026-11-24T13:00:00.9999+00:00", 1_795_525_200_999),
        ("2026-11-24t13:00:00.1234567890z", 1_795_525_200_123),
        ("2026-11-24T13:00:00." + "9" * 5_000 + "+00:00", 1_795_525_200_999),
        ("2016-12-31T23:59:59Z", 1_483_228_799_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2016-12-31t23:59:60.25z", 1_483_228_800_250),
        ("2016-12-31T15:59:60-08:00", 1_483_228_800_000),
        ("2017-01-01T05:29:60+05:30", 1_483_228_800_000),
        ("2015-06-30T23:59:60Z", 1_435_708_800_000),
        ("1969-12-31T23:59:60Z", 0),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
        ("1969-12-31T23:00:00-01:00", 0),
        ("9999-12-31T23:59:59.999Z", LAST_MS),
    ],
)
def test_reads_a_time(text: str, ms: int) -> None:
    assert parse_time(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-24T24:00:00Z",
        "2026-11-24T13:60:00Z",
        "2016-12-31T23:58:60Z",
        "2016-12-31T22:59:60Z",
        "2016-12-31T23:59:60+01:00",
        "2016-12-30T23:59:60Z",
        "2016-12-31T23:59:61Z",
        "2016-12-31T23:60:60Z",
        "1969-11-30T23:59:60Z",
        "9999-12-31T23:59:60Z",
        "2026-11-24T13:00:00",
        "2026-11-24",
        "2026-11-24T13:00Z",
        "2026-11-24T13:00:00.Z",
        "2026-11-24T13:00:00,5Z",
        "2026-11-24T13:00:00+24:00",
        "2026-11-24T13:00:00+01:60",
        "2026-11-24T13:00:00+0100",
        "2026-11-24T13:00:00+01",
        "2026-11-24T13:00:00Z ",
        "2026-11-24T13:00:00Z\n",
        "20261124T130000Z",
        "2026-W48-2T13:00:00Z",
        "\N{FULLWIDTH DIGIT TWO}026-11-24T13:00:00Z",
        "1795525200",
    ],
)
def test_refuses_a_time(text: str) -> None:
    with pytest.raises(InvalidTime) as caught:
        parse_time(text, field="run_at")
    assert caught.value.field == "run_at"


def test_a_refused_leap_second_is_told_apart_from_other_faults() -> None:
    with pytest.raises(InvalidTime, match="only at 23:59:60 UTC on the last day of a month"):
        parse_time("2026-11-24T23:59:60Z")


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_525_200_123, "2026-11-24T13:00:00.123Z"),
        (1_795_525_200_007, "2026-11-24T13:00:00.007Z"),
        (LAST_MS, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_writes_a_time(ms: int, text: str) -> None:
    assert format_time(ms) == text


@given(st.integers(0, LAST_MS))
def test_a_time_survives_writing_and_reading(ms: int) -> None:
    assert parse_time(format_time(ms)) == ms


@given(st.text() | st.text("0123456789-:TZ+. wdhms", max_size=32))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    for parse in (parse_time, parse_duration):
        try:
            assert parse(text) >= 0
        except InvalidTime as error:
            error.detail.encode()
