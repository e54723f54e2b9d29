"""Which jobs a filter is about, decided row by row. Pure."""

import msgspec

from hookline.protocol.jobs import State, lane_parts

# Entries are stamped by the wall clock, so seq and created_ms may disagree by a step of the clock, not by more.
CLOCK_STEP_MS = 2 * 3_600_000


class JobFilter(msgspec.Struct, frozen=True):
    """Which jobs; None does not matter.

    ``label`` as users write it: ``name=value``, ``name:value`` or ``name``. ``schedule``: its id. ``statuses``: the
    first and the last that the answer to the last attempt may have.
    """

    state: State | None = None
    label: str | None = None
    destination: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    schedule: str | None = None
    statuses: tuple[int, int] | None = None


class Match(msgspec.Struct, frozen=True, array_like=True):
    """A job that a filter looks at, without its spec. ``status``: of its last attempt, where that matters."""

    seq: int
    id: str
    state: int
    lane: int
    created_ms: int
    size: int
    schedule: int | None
    status: int | None


class Fitting(msgspec.Struct, frozen=True):
    """A filter with the numbers that its names stand for. ``oldest_ms``: none that fits was accepted before."""

    wanted: JobFilter
    destination: int | None
    schedule: int | None
    oldest_ms: int

    def __call__(self, row: Match) -> bool:
        wanted = self.wanted
        if wanted.state is not None and row.state != wanted.state:
            return False
        if wanted.created_after_ms is not None and row.created_ms <= wanted.created_after_ms:
            return False
        if wanted.created_before_ms is not None and row.created_ms >= wanted.created_before_ms:
            return False
        if self.schedule is not None and row.schedule != self.schedule:
            return False
        if wanted.statuses is not None and not _is_among(row.status, wanted.statuses):
            return False
        return self.destination is None or lane_parts(row.lane)[0] == self.destination

    def is_over(self, last: Match) -> bool:
        """Is everything below that row too old?"""
        return last.created_ms < self.oldest_ms - CLOCK_STEP_MS


def _is_among(status: int | None, statuses: tuple[int, int]) -> bool:
    return status is not None and statuses[0] <= status <= statuses[1]
