"""Counts what a peer lost and doubled: pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple


class Account(NamedTuple):
    """Tells what became of the jobs that were asked for.

    Attributes:
        acknowledged: jobs that the peer said it has.
        lost: of these, those that never came.
        doubled: jobs that came more than once.
        unclear: jobs whose enqueue failed, and that came all the same.
        last_s: when the last job came for the first time, in seconds after the kill.
    """

    acknowledged: int
    lost: int
    doubled: int
    unclear: int
    last_s: float


def account(
    asked: Iterable[int], failed: Collection[int], arrivals: Mapping[int, Sequence[float]], killed_at: float
) -> Account:
    """Compare what was acknowledged with what came.

    Args:
        asked: the numbers of all jobs.
        failed: the numbers of those whose enqueue was not acknowledged.
        arrivals: when each job came, seconds since 1970.
        killed_at: when the process was killed.
    """
    wanted = set(asked)
    acknowledged = wanted - set(failed)
    came = {number: times for number, times in arrivals.items() if number in wanted and times}
    return Account(
        acknowledged=len(acknowledged),
        lost=len(acknowledged - came.keys()),
        doubled=sum(len(times) > 1 for times in came.values()),
        unclear=len((wanted - acknowledged) & came.keys()),
        last_s=max((min(times) for times in came.values()), default=killed_at) - killed_at,
    )
