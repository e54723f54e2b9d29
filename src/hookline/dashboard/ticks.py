"""The next ticks of a schedule as people read them; where clocks change in between, it says so. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple


class ShownTick(NamedTuple):
    """One tick, in the schedule's zone. ``note``: the clocks change before it."""

    at: datetime
    note: str


def shown_ticks(ticks: Sequence[datetime], before: datetime | None = None) -> list[ShownTick]:
    """The ticks with their notes. ``before``: a moment in the same zone from which on changes are told."""
    found, last = [], before
    for tick in ticks:
        found.append(ShownTick(tick, _note(last, tick)))
        last = tick
    return found


def _note(last: datetime | None, tick: datetime) -> str:
    if last is None or (was := last.utcoffset()) is None or (now := tick.utcoffset()) is None or was == now:
        return ""
    way = "forward" if now > was else "back"
    hours = abs((now - was).total_seconds()) / 3_600
    return f"clocks go {way} by {hours:g} h before it, from UTC{last:%z} to UTC{tick:%z}"
