"""Decides row by row which jobs a filter is about. Pure."""

import msgspec

from hookline.node.state_machine.rows import AuditRow
from hookline.node.state_machine.sql import Row
from hookline.protocol.jobs import State, lane_parts

# Entries are stamped by the wall clock, so seq and created_ms may disagree by a step of the clock, not by more.
CLOCK_STEP_MS = 2 * 3_600_000


class JobFilter(msgspec.Struct, frozen=True):
    """Chooses jobs; a field that is None does not matter.

    ``label`` as users write it: ``name=value``, ``name:value`` or ``name``. ``schedule``: its id. ``statuses``: the
    first and the last that the answer to the last attempt may have. ``error``: what that attempt's error contains,
    without regard to upper and lower case.
    """

    state: State | None = None
    label: str | None = None
    destination: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    schedule: str | None = None
    statuses: tuple[int, int] | None = None
    error: str | None = None


class AuditFilter(msgspec.Struct, frozen=True):
    """Chooses rows of the audit log; a field that is None does not matter."""

    action: str | None = None
    actor: str | None = None
    after_ms: int | None = None

    def fits(self, row: AuditRow) -> bool:
        """Is the row wanted?"""
        return (
            (self.action is None or row.action == self.action)
            and (self.actor is None or row.actor == self.actor)
            and (self.after_ms is None or row.time_ms > self.after_ms)
        )


class Match(Row, frozen=True):
    """A job that a filter looks at, without its spec."""

    seq: int
    id: str
    tenant: str
    state: int
    lane: int
    created_ms: int
    size: int
    schedule: int | None


class Fitting(msgspec.Struct, frozen=True):
    """A filter with the numbers that its names stand for. ``oldest_ms``: none that fits was accepted before."""

    tenant: str
    wanted: JobFilter
    destination: int | None
    schedule: int | None
    oldest_ms: int

    def __call__(self, row: Match) -> bool:
        wanted = self.wanted
        if row.tenant != self.tenant:
            return False
        if wanted.state is not None and row.state != wanted.state:
            return False
        if wanted.created_after_ms is not None and row.created_ms <= wanted.created_after_ms:
            return False
        if wanted.created_before_ms is not None and row.created_ms >= wanted.created_before_ms:
            return False
        if self.schedule is not None and row.schedule != self.schedule:
            return False
        return self.destination is None or lane_parts(row.lane)[0] == self.destination

    @property
    def asks_for_answer(self) -> bool:
        """Does the outcome of a job's last attempt matter?"""
        return self.wanted.statuses is not None or self.wanted.error is not None

    def is_answer(self, status: int | None, error: str | None) -> bool:
        """Does a job fit whose last attempt ended so?"""
        wanted = self.wanted
        if wanted.statuses is not None and not _is_among(status, wanted.statuses):
            return False
        return wanted.error is None or _contains(error, wanted.error)

    def is_over(self, last: Match) -> bool:
        """Is everything below that row too old?"""
        return last.created_ms < self.oldest_ms - CLOCK_STEP_MS


def _is_among(status: int | None, statuses: tuple[int, int]) -> bool:
    return status is not None and statuses[0] <= status <= statuses[1]


def _contains(error: str | None, text: str) -> bool:
    return error is not None and text.casefold() in error.casefold()
