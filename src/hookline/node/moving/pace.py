"""Decides how fast jobs move: how many at once, how long the machine is left to deliveries, and how fast it was."""

from collections import deque
from collections.abc import Callable

from hookline.clock import Clock
from hookline.protocol.moves import BATCH_ITEMS_BESIDE, BATCH_ITEMS_MAX

_SPEED_MS = 10_000  # the speed that is told is that of this time


class Pace:
    """As fast as deliveries, here and at the new home, leave room for.

    Args:
        clock: measures.
        delivers: attempts are under way here, or soon.
    """

    def __init__(self, clock: Clock, delivers: Callable[[], bool]) -> None:
        self._clock = clock
        self._delivers = delivers
        self._moved: deque[tuple[float, int]] = deque()  # when, how many jobs

    def items_max(self, rate: int | None, *, delivers_there: bool) -> int:
        """Of the next batch: as many as leave room for deliveries, and no more than move in a second.

        So what comes next, another pace or the way back, does not wait longer.

        Args:
            rate: jobs a second, as the topology limits it.
            delivers_there: the new home makes attempts meanwhile.
        """
        items = BATCH_ITEMS_BESIDE if delivers_there or self._delivers() else BATCH_ITEMS_MAX
        return items if rate is None else min(items, rate)

    def rest_s(self, jobs: int, began_ms: float, rate: int | None, *, delivers_there: bool) -> float:
        """After a batch of so many jobs: while there are deliveries, as long as it took; and as the rate asks for."""
        took_ms = self._clock.boot_ms() - began_ms
        rest_ms = took_ms if delivers_there or self._delivers() else 0
        if rate is not None:
            rest_ms = max(rest_ms, jobs * 1_000 / rate - took_ms)
        return rest_ms / 1_000

    def note(self, jobs: int) -> None:
        """So many have moved."""
        now_ms = self._clock.boot_ms()
        self._moved.append((now_ms, jobs))
        while self._moved[0][0] < now_ms - _SPEED_MS:
            self._moved.popleft()

    def speed(self) -> float:
        """Jobs a second, lately."""
        now_ms = self._clock.boot_ms()
        moved = [(at_ms, jobs) for at_ms, jobs in self._moved if at_ms >= now_ms - _SPEED_MS]
        if not moved:
            return 0
        return sum(jobs for _, jobs in moved) * 1_000 / max(1_000, now_ms - moved[0][0])
