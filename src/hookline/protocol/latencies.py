"""How long attempts took, as counts that can be added up: of one cluster and of all. Pure.

A count is of a step: each step is a fifth longer than the one before, so a percentile is off by that at most.
"""

import math
from collections.abc import Iterable, Mapping

from hookline.protocol.http import RecentAttempts

_STEPS_TO_DOUBLE = 4


def step_of(duration_ms: float) -> int:
    """The step that a duration is counted in."""
    return math.ceil(math.log2(duration_ms) * _STEPS_TO_DOUBLE) if duration_ms > 1 else 0


def most_of(step: int) -> int:
    """The longest duration of a step, in milliseconds."""
    return math.ceil(2 ** (step / _STEPS_TO_DOUBLE))


def recent_of(seconds: int, attempts: int, succeeded: int, steps: Mapping[int, int]) -> RecentAttempts:
    """The figures of so many attempts, from their counts."""
    durations: dict[str, int] = {}
    for step in sorted(steps):
        most = str(most_of(step))
        durations[most] = durations.get(most, 0) + steps[step]
    return _with_percentiles(seconds, attempts, succeeded, durations)


def joined(views: Iterable[RecentAttempts]) -> RecentAttempts | None:
    """The figures of one destination over several clusters; None: none of them has any."""
    found = list(views)
    if not found:
        return None
    durations: dict[str, int] = {}
    for view in found:
        for most, count in view.durations.items():
            durations[most] = durations.get(most, 0) + count
    ordered = dict(sorted(durations.items(), key=lambda one: int(one[0])))
    attempts, succeeded = sum(view.attempts for view in found), sum(view.succeeded for view in found)
    return _with_percentiles(max(view.seconds for view in found), attempts, succeeded, ordered)


def _with_percentiles(seconds: int, attempts: int, succeeded: int, durations: dict[str, int]) -> RecentAttempts:
    half, most = _percentile(durations, 0.5), _percentile(durations, 0.99)
    return RecentAttempts(seconds, attempts, succeeded, half, most, durations)


def _percentile(durations: Mapping[str, int], share: float) -> int:
    """So many took that long at most, in milliseconds."""
    wanted, seen = math.ceil(sum(durations.values()) * share), 0
    for most, count in durations.items():
        seen += count
        if seen >= wanted:
            return int(most)
    return 0
