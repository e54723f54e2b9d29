"""A destination's rate: never more than ``limit`` starts in any window of length ``per``. Pure.

Each start counts from its own moment until ``per`` after it, so no window can hold more, wherever it begins. A bucket
that refills would let twice the limit through in the first ``per`` after a rest.
"""

from collections import deque
from dataclasses import dataclass

GROUPS_MAX = 1_024
"""How finely starts are remembered. Up to this limit each start is known exactly. Beyond it, starts within
``per / GROUPS_MAX`` of each other count until the last of them ends; that may hold back, never let through."""


@dataclass(slots=True)
class _Group:
    first_ms: float
    last_ms: float
    count: int


class RecentStarts:
    """The starts that still count. Times are milliseconds since boot, which no set clock can move.

    An attempt is admitted some time before it starts: its claim has to be committed first. Until it starts it counts
    with no end.
    """

    def __init__(self) -> None:
        self._admitted = 0
        self._started = 0
        self._groups: deque[_Group] = deque()

    @property
    def groups(self) -> int:
        """How many groups of starts are kept; they are counted one by one only where few are allowed."""
        return len(self._groups)

    def admit(self) -> None:
        """An attempt will start."""
        self._admitted += 1

    def withdraw(self) -> None:
        """An admitted attempt will not start after all."""
        self._admitted -= 1

    def start(self, boot_ms: float, limit: int | None, per_ms: int) -> None:
        """An admitted attempt starts now. Without a limit it is not remembered."""
        self._admitted -= 1
        if limit is None:
            return
        self._forget(boot_ms, per_ms)
        grain_ms = 0 if limit <= GROUPS_MAX else per_ms / GROUPS_MAX
        self._started += 1
        if self._groups and boot_ms - self._groups[-1].first_ms <= grain_ms:
            self._groups[-1].last_ms = boot_ms
            self._groups[-1].count += 1
        else:
            self._groups.append(_Group(boot_ms, boot_ms, 1))

    def wait_ms(self, boot_ms: float, limit: int, per_ms: int) -> float | None:
        """None: one more may start. Else the milliseconds until enough starts have ceased to count."""
        self._forget(boot_ms, per_ms)
        excess = self._started + self._admitted - limit + 1
        if excess <= 0:
            return None
        for group in self._groups:
            excess -= group.count
            if excess <= 0:
                return per_ms - (boot_ms - group.last_ms)  # never rounded to 0, unlike the sum of both
        return per_ms  # it waits for one that has not started yet, so for that long at least

    def _forget(self, boot_ms: float, per_ms: int) -> None:
        while self._groups and boot_ms - self._groups[0].last_ms >= per_ms:
            self._started -= self._groups.popleft().count
