"""One alarm for each key, the earliest first. Pure.

A heap whose outdated entries are skipped when they come up, and thrown away together when they are too many: a
destination with one job in a month and thousands of jobs a second must not leave an entry behind for each of them.
"""

from heapq import heapify, heappop, heappush

_OUTDATED_MAX = 1_000


class Timers:
    """Alarms by key; an alarm is only ever moved forward, and is gone once it went off."""

    def __init__(self) -> None:
        self._at: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, key: int, at_ms: int) -> None:
        """Wake ``key`` at ``at_ms``, unless it is woken earlier anyway."""
        set_already = self._at.get(key)
        if set_already is not None and set_already <= at_ms:
            return
        self._at[key] = at_ms
        heappush(self._heap, (at_ms, key))
        if len(self._heap) > 2 * len(self._at) + _OUTDATED_MAX:
            self._heap = [(at_ms, key) for key, at_ms in self._at.items()]
            heapify(self._heap)

    def next_ms(self) -> int | None:
        """When the next alarm goes off."""
        heap = self._heap
        while heap and self._at.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop(self, now_ms: int) -> list[int]:
        """The keys whose time has come, earliest first."""
        keys = []
        while (at_ms := self.next_ms()) is not None and at_ms <= now_ms:
            _, key = heappop(self._heap)
            del self._at[key]
            keys.append(key)
        return keys
