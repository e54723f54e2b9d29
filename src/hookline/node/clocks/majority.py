"""Judges one clock of a cluster by the others. Pure.

The clocks are compared by their *offset*: milliseconds since 1970 on that clock, minus milliseconds of the asking
node's own boot clock at that moment. So a reading stays good for a while, even when the asking node's wall clock jumps
right after it. The truth is the lower median of all: with two right clocks of three it is one of the right ones.
"""

from collections.abc import Sequence
from typing import NamedTuple

AWAY_MS = 1_000
_SURE_MS = 50
BACK_MS = 700  # so that a clock at the limit does not go to and fro


class KnownClock(NamedTuple):
    """One reading of another clock; ``slack_ms``: how wrong the reading itself may be, either way."""

    name: str
    offset_ms: float
    slack_ms: float
    is_node: bool = True  # else a member of etcd, which tells the time and cannot lead


class Judgement(NamedTuple):
    """The majority's judgement on this node's own clock.

    Attributes:
        offset_ms, slack_ms: of the majority's clock.
        away_ms: own clock minus the majority's; positive: it is ahead.
        back_ms: how near it has to come to be right again.
        is_off: it may be more than ``AWAY_MS`` away, and that is not only a bad reading.
        is_backed: it and those that agree with it are the majority.
        is_outside_backed: those that agree with it are the majority without it.
        fit_nodes: the other nodes that are not off themselves.
    """

    offset_ms: float
    slack_ms: float
    away_ms: float
    back_ms: float
    is_off: bool
    is_backed: bool
    is_outside_backed: bool
    fit_nodes: tuple[str, ...]


def judge(own_ms: float, others: Sequence[KnownClock], *, was_off: bool = False) -> Judgement | None:
    """Judge a clock with the offset ``own_ms`` by the others; None when no other clock is known."""
    if not others:
        return None
    median = _lower_median(own_ms, others)
    away_limit_ms, back_ms = _limits_ms(median)
    limit_ms = back_ms if was_off else away_limit_ms
    fit = [clock.name for clock in others if clock.is_node and _is_near(clock, median, AWAY_MS)]
    backing = sum(_is_near(clock, KnownClock("", own_ms, 0), limit_ms) for clock in others)
    away_ms = own_ms - median.offset_ms
    return Judgement(
        offset_ms=median.offset_ms,
        slack_ms=median.slack_ms,
        away_ms=away_ms,
        back_ms=back_ms,
        is_off=abs(away_ms) > limit_ms,
        is_backed=2 * (backing + 1) > len(others) + 1,
        is_outside_backed=2 * backing > len(others) + 1,
        fit_nodes=tuple(sorted(fit)),
    )


def _limits_ms(median: KnownClock) -> tuple[float, float]:
    """(From where on a clock is off, up to where it is back), by a reading that may be wrong itself.

    A whole second of a ``Date`` header leaves half a second of doubt: what may be a second off then counts as off.
    """
    if median.is_node:
        return AWAY_MS + median.slack_ms, BACK_MS
    limit_ms = max(AWAY_MS - median.slack_ms, median.slack_ms + _SURE_MS)
    return limit_ms, limit_ms


def _lower_median(own_ms: float, others: Sequence[KnownClock]) -> KnownClock:
    clocks = list(others)
    # Of an even number, members of etcd among them, the own clock is left out: it is judged, and the member on the same
    # machine has the same fault. Of two clocks nobody knows which is right; the one behind makes nothing early.
    if len(others) % 2 == 0 or len(others) == 1 or all(clock.is_node for clock in others):
        clocks.append(KnownClock("", own_ms, 0))
    clocks.sort(key=lambda clock: clock.offset_ms)
    return clocks[(len(clocks) - 1) // 2]


def _is_near(clock: KnownClock, other: KnownClock, limit_ms: float) -> bool:
    return abs(clock.offset_ms - other.offset_ms) - clock.slack_ms - other.slack_ms <= limit_ms
