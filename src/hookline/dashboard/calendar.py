"""The calendar of a schedule: how far back it reaches, and the ticks of each month, day or hour. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple

from hookline.client.answers import PastTick

TICKS_SHOWN: Final = 200
"""A calendar has no more of them."""
_REACHES: Final = (
    (timedelta(days=366), "the last year", "%B %Y"),
    (timedelta(days=35), "the last five weeks", "%a %d %b"),
    (timedelta(days=2), "the last two days", "%a %d %b, %H h"),
    (timedelta(hours=2), "the last two hours", "%a %d %b, %H h"),
)
_TONES: Final = {"made": "good", "caught_up": "odd", "skipped": "off", "unknown": "waits"}
_WORDS: Final = {"made": "made", "caught_up": "caught up", "skipped": "skipped", "unknown": "not kept any more"}


class Reach(NamedTuple):
    """How far back a calendar goes. ``row``: what stands before each of its rows."""

    start: datetime
    text: str
    row: str


class CalendarTick(NamedTuple):
    """A tick as it is shown: whole in words, since its colour is not for everybody."""

    tick: PastTick
    tone: str
    text: str


class CalendarRow(NamedTuple):
    """The ticks of a day, an hour or a month."""

    name: str
    ticks: list[CalendarTick]


def reach_of(now: datetime, following: Sequence[datetime]) -> Reach:
    """The longest time back that is not too full, if ticks came as often as the following ones will."""
    apart = max((following[-1] - now) / len(following), timedelta(seconds=1)) if following else _REACHES[0][0]
    fitting = [one for one in _REACHES if one[0] / apart <= TICKS_SHOWN]
    length, text, row = fitting[0] if fitting else _REACHES[-1]
    return Reach(now - length, text, row)


def calendar_rows(ticks: Sequence[PastTick], reach: Reach) -> list[CalendarRow]:
    """The rows, the newest first; in each the ticks as they came."""
    rows = [
        CalendarRow(name, [_shown(tick) for tick in found])
        for name, found in groupby(ticks, lambda tick: tick.at.strftime(reach.row))
    ]
    return rows[::-1]


def _shown(tick: PastTick) -> CalendarTick:
    text = f"{tick.at:%Y-%m-%d %H:%M} {_WORDS[tick.outcome]}"
    if tick.outcome == "caught_up" and tick.made_at is not None:
        text += f" at {tick.made_at.astimezone(tick.at.tzinfo):%Y-%m-%d %H:%M}"
    if tick.state is not None:
        text += f"; its job is {tick.state}"
    is_bad = tick.state in ("dead", "unknown")
    return CalendarTick(tick, "bad" if is_bad else _TONES[tick.outcome], text)
