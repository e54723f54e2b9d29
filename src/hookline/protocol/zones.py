"""Time zones: their names, and the stretches of time in which their offset from UTC stays the same.

Zones come from the ``tzdata`` package only, never from the machine, so that all nodes of one release agree.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hookline.errors import InvalidTimezone

OFFSET_S_MAX = 16 * 3_600
"""No zone is or was further from UTC (Manila in 1844: 15:56)."""

BLOCK_S = 3 * 86_400
"""Time is looked at in blocks of this length, counted from 1970. No zone has two changes of its offset as close
together (the closest: Gaza in 2040, 6.96 days); a test checks all zones."""

REPEATED_FROM_S = 4_102_444_800  # the year 2100
REPEATED_S = 146_097 * 86_400
"""From 2100 on all repeats after 400 years: the calendar with its weekdays, and so the yearly rules by which offsets
change. Tables that name single years end before (Morocco's in 2087); a test checks all zones."""

_QUARTER_S = 900  # nearly all changes are at a full quarter of an hour
_REPEATED_FROM = REPEATED_FROM_S // BLOCK_S
_REPEATED_BLOCKS = REPEATED_S // BLOCK_S
assert REPEATED_S % BLOCK_S == BLOCK_S % _QUARTER_S == 0


class Stretch(NamedTuple):
    """The offset from UTC from ``start_s`` until before ``end_s`` (epoch seconds)."""

    start_s: int
    end_s: int
    offset_s: int


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


def stretches(timezone: str, from_s: int) -> Iterator[Stretch]:
    """The stretches from ``from_s`` to the end of its block: one, or two around a change of the offset."""
    block = from_s // BLOCK_S
    start_s, end_s = block * BLOCK_S, (block + 1) * BLOCK_S
    before, change, after = _look(timezone, _repeated(block))
    change_s = start_s + change
    if from_s < change_s:
        yield Stretch(from_s, change_s, before)
    if change_s < end_s:
        yield Stretch(max(from_s, change_s), end_s, after)


def _repeated(block: int) -> int:
    return min(block, _REPEATED_FROM + (block - _REPEATED_FROM) % _REPEATED_BLOCKS)


@lru_cache(maxsize=8192)
def _look(timezone: str, block: int) -> tuple[int, int, int]:
    """A block's offset at first, the seconds until it changes (``BLOCK_S``: it does not), and the offset after that."""
    zone = load_zone(timezone)
    start_s = block * BLOCK_S
    before, after = _offset(zone, start_s), _offset(zone, start_s + BLOCK_S)
    if before == after:
        return before, BLOCK_S, after
    change = _change(zone, start_s, before, 0, BLOCK_S, _QUARTER_S)
    if _offset(zone, start_s + change - 1) != before:
        change = _change(zone, start_s, before, change - _QUARTER_S, change, 1)
    return before, change, after


def _change(zone: ZoneInfo, start_s: int, before: int, unchanged: int, changed: int, unit: int) -> int:
    """Narrow the time from ``start_s`` plus ``unchanged`` to plus ``changed`` to one unit; the end of that unit."""
    while changed - unchanged > unit:
        middle = (unchanged + changed) // 2 // unit * unit
        if _offset(zone, start_s + middle) == before:
            unchanged = middle
        else:
            changed = middle
    return changed


def _offset(zone: ZoneInfo, instant_s: int) -> int:
    offset = datetime.fromtimestamp(instant_s, zone).utcoffset() or timedelta(0)
    return offset.days * 86_400 + offset.seconds


def _unknown_zone(timezone: str) -> str:
    if len(timezone) > 64 or not (timezone.isascii() and timezone.isprintable()):
        return 'the time zone is not an IANA name such as "Europe/Berlin"'
    near = next((name for name in zone_names() if name.lower() == timezone.lower()), None)
    return f'there is no time zone "{timezone}"; ' + (
        f'did you mean "{near}"?' if near else 'use an IANA name such as "Europe/Berlin"'
    )
