"""Orders the due jobs fairly between tenants and their destinations. Pure: no clock, no I/O.

Jobs wait in *lanes* (destination, priority, is it a retry). Of each lane only the next rows are in memory, its
*window*; the rest stays in the due index of the database, so that ten million pending jobs cost no memory and one
destination's backlog cannot hide another's next job. Tenants take turns, and so do a tenant's destinations whose next
job is due.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, nsmallest
from typing import NamedTuple

from hookline.node.dispatch.blocked import Blocked
from hookline.node.dispatch.timers import Timers
from hookline.protocol.jobs import DEFAULT_TENANT, destination_of

WINDOW_MAX, WINDOW_MIN, ROWS_MAX = 1_000, 20, 200_000


class Due(NamedTuple):
    """A job that is to be claimed."""

    lane: int
    due_ms: int
    seq: int


class Short(NamedTuple):
    """A lane whose window is to be filled from the database: up to ``limit`` rows after ``after`` (due_ms, seq)."""

    lane: int
    after: tuple[int, int]
    limit: int


class Turn(NamedTuple):
    """The destination whose turn it is, its lane with a due job, and its tenant."""

    destination: int
    lane: int
    tenant: str


class Held(NamedTuple):
    """The size of what is in memory. ``turns``: of destinations whose next job was due, as far as it was looked at."""

    rows: int
    lanes: int
    alarms: int
    turns: int


@dataclass(slots=True)
class Lane:
    """The window of a lane: a heap of (due_ms, seq). ``end``: rows after it are only in the database."""

    rows: list[tuple[int, int]] = field(default_factory=list)
    end: tuple[int, int] | None = None


class DueQueue:
    """Lanes, the destinations that are due, and those that are parked.

    Args:
        tenant_of: whose a destination is.
    """

    def __init__(self, tenant_of: Callable[[int], str] = lambda _destination: DEFAULT_TENANT) -> None:
        self._tenant_of = tenant_of
        self._lanes: dict[int, Lane] = {}
        self._lanes_of: dict[int, list[int]] = {}  # destination id -> its lanes, most urgent priority first
        self._timers = Timers()  # by destination id: when its next job is due, or its parking ends
        self._turns: dict[int, str] = {}  # destinations with a due job, and their tenants
        self._turns_of: dict[str, dict[int, None]] = {}  # tenants in turn, and their destinations in turn
        self._short: set[int] = set()  # lanes whose window should be refilled
        self._parked: dict[int, Blocked] = {}

    # --- filling ---------------------------------------------------------------------------------------------

    def window(self) -> int:
        """How many rows of each lane to hold, so that all lanes together stay within ``ROWS_MAX``."""
        return max(WINDOW_MIN, min(WINDOW_MAX, ROWS_MAX // max(1, len(self._lanes))))

    def add(self, lane_number: int, due_ms: int, seq: int) -> None:
        """A job became pending. It is kept only if it belongs into the lane's window."""
        lane = self._lane(lane_number)
        row = (due_ms, seq)
        if lane.end is not None and row > lane.end:
            return
        heappush(lane.rows, row)
        if len(lane.rows) > 2 * self.window():
            lane.rows = nsmallest(self.window(), lane.rows)
            lane.end = lane.rows[-1]
        if lane.rows[0] == row:
            self._arm(destination_of(lane_number), due_ms)

    def open_lane(self, lane_number: int) -> None:
        """The database holds rows of this lane, none of which are in memory yet."""
        self._lane(lane_number).end = (-1, -1)
        self._short.add(lane_number)

    def short(self) -> list[Short]:
        """The lanes to refill from the database now; each is named once."""
        limit = self.window()
        found = [Short(it, lane.end, limit) for it in self._short if (lane := self._lanes.get(it)) and lane.end]
        self._short.clear()
        return found

    def refill(self, short: Short, rows: Sequence[tuple[int, int]]) -> None:
        """Add the rows that were found; fewer than were asked for: the database holds no more."""
        lane = self._lane(short.lane)
        lane.rows += rows
        heapify(lane.rows)
        lane.end = None if len(rows) < short.limit else rows[-1]
        if lane.rows:
            self._arm(destination_of(short.lane), lane.rows[0][0])

    def _lane(self, number: int) -> Lane:
        lane = self._lanes.get(number)
        if lane is None:
            lane = self._lanes[number] = Lane()
            siblings = self._lanes_of.setdefault(destination_of(number), [])
            siblings.append(number)
            siblings.sort()
        return lane

    def _arm(self, destination: int, due_ms: int) -> None:
        if destination not in self._turns and destination not in self._parked:
            self._timers.set(destination, due_ms)

    # --- taking ----------------------------------------------------------------------------------------------

    def next_due_ms(self) -> int | None:
        """When there may next be something to take, except for what is due and waits for room already."""
        return self._timers.next_ms()

    @property
    def turns(self) -> int:
        """How many destinations have a turn: a job of theirs is due, as far as it is known."""
        return len(self._turns)

    @property
    def tenants(self) -> Collection[str]:
        """Those with a destination that has a turn."""
        return self._turns_of.keys()

    def turns_of(self, tenant: str) -> int:
        """How many of its destinations have a turn."""
        return len(self._turns_of.get(tenant, ()))

    def next_turn(self, now_ms: int, but: Collection[str] = ()) -> Turn | None:
        """The first in line; it stays first until it is popped, passed over or parked. None: nothing is due.

        ``but``: tenants that are left out.
        """
        while (tenant := self._next_tenant(but)) is not None:
            destination = next(iter(self._turns_of[tenant]))
            lane = self._next_lane(destination, now_ms)
            if lane is not None:
                return Turn(destination, lane, tenant)
            self._end_turn(destination)
        return None

    def _next_tenant(self, but: Collection[str]) -> str | None:
        for tenant in self._turns_of:
            if tenant not in but:
                return tenant
        return None

    def pop(self, first: Turn) -> Due:
        """Take the lane's next job; the next turns of destination and tenant are after all others'."""
        self.pass_over(first)
        if len(self._turns_of) > 1:
            self._turns_of[first.tenant] = self._turns_of.pop(first.tenant)
        lane = self._lanes[first.lane]
        due_ms, seq = heappop(lane.rows)
        if lane.end is not None and len(lane.rows) < self.window() // 2:
            self._short.add(first.lane)
        return Due(first.lane, due_ms, seq)

    def pass_over(self, first: Turn) -> None:
        """It may not start now: the tenant's others first."""
        turns = self._turns_of[first.tenant]
        del turns[first.destination]
        turns[first.destination] = None

    def park(self, first: Turn, blocked: Blocked) -> None:
        """It has no more turns before ``blocked.until_ms``, or until it is unparked."""
        self._leave(first.destination)
        self._parked[first.destination] = blocked
        if blocked.until_ms is not None:
            self._timers.set(first.destination, blocked.until_ms)

    def start_turns(self, now_ms: int) -> None:
        """Destinations whose next job is due, or whose parking ends, take turns from now on."""
        for destination in self._timers.pop(now_ms):
            self._parked.pop(destination, None)
            if destination in self._lanes_of and destination not in self._turns:
                tenant = self._turns[destination] = self._tenant_of(destination)
                self._turns_of.setdefault(tenant, {})[destination] = None

    def _leave(self, destination: int) -> None:
        tenant = self._turns.pop(destination)
        turns = self._turns_of[tenant]
        del turns[destination]
        if not turns:
            del self._turns_of[tenant]

    def _next_lane(self, destination: int, now_ms: int) -> int | None:
        """Of the due lanes the one of the highest priority; of equals the one whose job was due first."""
        best: int | None = None
        best_due = 0
        for number in self._lanes_of.get(destination, ()):
            rows = self._lanes[number].rows
            if not rows or rows[0][0] > now_ms:
                continue
            if best is None:
                best, best_due = number, rows[0][0]
            elif number >> 1 != best >> 1:
                break
            elif rows[0][0] < best_due:
                best, best_due = number, rows[0][0]
        return best

    def _end_turn(self, destination: int) -> None:
        """Nothing is due at the destination: it waits for the earliest of its lanes."""
        self._leave(destination)
        heads = []
        for number in list(self._lanes_of.get(destination, ())):
            lane = self._lanes[number]
            if lane.rows:
                heads.append(lane.rows[0][0])
            elif lane.end is None:
                del self._lanes[number]
                self._lanes_of[destination].remove(number)
        if heads:
            self._timers.set(destination, min(heads))
        elif not self._lanes_of.get(destination, True):
            del self._lanes_of[destination]

    # --- parking ---------------------------------------------------------------------------------------------

    def unpark(self, destination: int, now_ms: int) -> None:
        """Let the destination ask again: the reason that blocked it may be over."""
        if self._parked.pop(destination, None) is not None:
            self._timers.set(destination, now_ms)

    def unpark_all(self, now_ms: int) -> None:
        """The wall clock was set: what was to end at a time may be over."""
        for destination in list(self._parked):
            self.unpark(destination, now_ms)

    def parked(self, destination: int) -> Blocked | None:
        """Why the destination's due jobs do not start, if it is parked."""
        return self._parked.get(destination)

    def waiting(self, destination: int, now_ms: int) -> int:
        """How many due jobs of the destination are in memory."""
        lanes = (self._lanes[number].rows for number in self._lanes_of.get(destination, ()))
        return sum(1 for rows in lanes for due_ms, _ in rows if due_ms <= now_ms)

    def held(self) -> Held:
        """How much is in memory."""
        rows = sum(len(lane.rows) for lane in self._lanes.values())
        return Held(rows, len(self._lanes), len(self._timers), len(self._turns))
