"""Plans what may start now: which jobs are due, whose turn it is, and what each destination allows. Pure.

The whole decision in one object: the due queue knows who waits, fairness which destination may, and the shares which
tenant may. Time comes in as a value.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from hookline.node.dispatch.blocked import Blocked
from hookline.node.dispatch.due import Due, DueQueue, Held, Short
from hookline.node.dispatch.fairness import Fairness, Load
from hookline.node.dispatch.tenant_shares import TenantShares
from hookline.protocol.claims import DestinationVerdict
from hookline.protocol.jobs import DEFAULT_TENANT, destination_of
from hookline.protocol.settings import DestinationSettings

_ASKED_MAX = 256  # of a tenant's destinations, asked in one go, that may not start


class Now(NamedTuple):
    """The time. ``wall_ms``: the trusted time; ``boot_ms``: since boot; ``steps``: how often the first was set."""

    wall_ms: int
    boot_ms: float
    steps: int


class Plan:
    """Of all pending jobs those that may be claimed, and what is claimed.

    Args:
        slots: attempts that may run at once, in all.
        ahead: claims that may wait for a slot beside those.
        steps: of the clock, until now.
        tenant_of: whose a destination is.
    """

    def __init__(
        self,
        slots: int,
        ahead: int = 0,
        *,
        steps: int = 0,
        tenant_of: Callable[[int], str] = lambda _destination: DEFAULT_TENANT,
    ) -> None:
        self._tenant_of = tenant_of
        self._queue = DueQueue(tenant_of)
        self._shares = TenantShares()
        self._fairness = Fairness(slots, ahead)
        self._steps = steps

    def resize(self, slots: int, ahead: int) -> None:
        """There are so many slots from now on; what runs goes on."""
        self._fairness.resize(slots, ahead)

    @property
    def slots(self) -> int:
        """Attempts that may run at once, in all."""
        return self._fairness.slots

    # --- what is pending -----------------------------------------------------------------------------------------

    def open_lane(self, lane: int) -> None:
        """The database holds pending jobs in this lane."""
        self._queue.open_lane(lane)

    def short(self) -> list[Short]:
        """The lanes to read from the database now, for ``refill``; each is named once."""
        return self._queue.short()

    def refill(self, short: Short, rows: Sequence[tuple[int, int]]) -> None:
        """The rows (due_ms, seq) that were found there; fewer than were asked for: there are no more."""
        self._queue.refill(short, rows)

    def committed(self, due: Iterable[tuple[int, int, int]]) -> None:
        """Jobs became pending: (lane, due_ms, seq)."""
        for lane, due_ms, seq in due:
            self._queue.add(lane, due_ms, seq)

    def configure(self, destination: int, settings: DestinationSettings, now: Now) -> None:
        """Settings are in force from now on."""
        self._fairness.configure(destination, settings)
        self._queue.unpark(destination, now.wall_ms)

    def weigh(self, tenant: str, weight: int) -> None:
        """The tenant counts so much beside others from now on."""
        self._shares.weigh(tenant, weight)

    # --- what starts and ends ------------------------------------------------------------------------------------

    def notice(self, now: Now) -> bool:
        """Was the clock set since it was looked at last? What waits for a time asks again: it was another clock's."""
        if now.steps == self._steps:
            return False
        self._steps = now.steps
        self._queue.unpark_all(now.wall_ms)
        return True

    def take(self, now: Now, limit: int) -> list[Due]:
        """Up to ``limit`` due jobs that may start; each counts as running until it is ``refused`` or ``ended``.

        First each destination's share, then beyond it. While several tenants wait, both first within their shares.
        """
        self._queue.start_turns(now.wall_ms)
        taken: list[Due] = []
        if len(self._queue.tenants) > 1:
            for beyond in (False, True):
                self._take(now, limit, taken, beyond=beyond, is_within=True)
        for beyond in (False, True):
            self._take(now, limit, taken, beyond=beyond, is_within=False)
        return taken

    def _take(self, now: Now, limit: int, taken: list[Due], *, beyond: bool, is_within: bool) -> None:
        queue, fairness, shares = self._queue, self._fairness, self._shares
        done = shares.divide(queue.tenants, fairness.places) if is_within else set()  # tenants that get no more for now
        asked: dict[str, int] = {}
        while len(taken) < limit and (first := queue.next_turn(now.wall_ms, done)) is not None:
            tenant = first.tenant
            is_retry = bool(first.lane & 1)
            blocked = fairness.admit(now.boot_ms, now.wall_ms, first.destination, is_retry, beyond)
            if blocked is None:
                taken.append(queue.pop(first))
                shares.began(tenant)
                asked.pop(tenant, None)
                if is_within and shares.has_its_share(tenant):
                    done.add(tenant)
            elif beyond and blocked.reason != "slots":
                queue.park(first, blocked)
            else:
                queue.pass_over(first)
                asked[tenant] = asked.get(tenant, 0) + 1
                if asked[tenant] >= min(queue.turns_of(tenant), _ASKED_MAX):
                    done.add(tenant)

    def began(self, now: Now, lane: int) -> None:
        """A job that was taken is attempted from now on."""
        self._fairness.began(now.boot_ms, destination_of(lane))

    def refused(self, now: Now, lane: int) -> None:
        """It is not attempted after all. The destination may ask again: it may have waited for this very place."""
        destination = destination_of(lane)
        self._fairness.refused(now.wall_ms, destination, bool(lane & 1))
        self._shares.ended(self._tenant_of(destination))
        self._queue.unpark(destination, now.wall_ms)

    def ended(self, now: Now, lane: int, verdict: DestinationVerdict, duration_ms: float) -> None:
        """Its attempt is over. Likewise."""
        destination = destination_of(lane)
        self._fairness.ended(now.wall_ms, destination, bool(lane & 1), verdict, duration_ms)
        self._shares.ended(self._tenant_of(destination))
        self._queue.unpark(destination, now.wall_ms)

    def next_ms(self) -> int | None:
        """When ``take`` may next have something to give, except for what is due and waits for room already."""
        return self._queue.next_due_ms()

    # --- what users may see --------------------------------------------------------------------------------------

    @property
    def running(self) -> int:
        """Jobs that were taken and are not over."""
        return self._fairness.running

    @property
    def free(self) -> int:
        """How many more may be taken: slots, and those ahead of them."""
        return self._fairness.free()

    def running_of(self, tenant: str) -> int:
        """Of these, a tenant's."""
        return self._shares.running(tenant)

    def blocked(self, destination: int) -> Blocked | None:
        """Why the destination's due jobs do not start, if that is known."""
        return self._queue.parked(destination)

    def waiting(self, destination: int, now_ms: int) -> int:
        """How many due jobs of a destination wait, as far as they are in memory."""
        return self._queue.waiting(destination, now_ms)

    def load(self, destination: int) -> Load | None:
        """The known facts of a destination, None when it is idle with default settings."""
        return self._fairness.load(destination)

    def breakers(self) -> Counter[str]:
        """How many destinations have a breaker in each state, as far as they are known."""
        return self._fairness.breakers()

    def held(self) -> Held:
        """How much of what is pending is in memory."""
        return self._queue.held()
