"""Chooses the kept connection for the next request, and those to drop. Pure: the time is given."""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=Hashable)


class IdlePool(Generic[K, C]):
    """Idle connections by where they lead, the one used last first: the others get old and are dropped.

    Args:
        idle_s: how long one is kept.
        connections: kept in all; the oldest makes room.
    """

    def __init__(self, idle_s: float, connections: int) -> None:
        self._idle_s = idle_s
        self._connections = connections
        self._by_key: dict[K, list[C]] = {}
        self._kept: dict[C, tuple[K, float]] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, key: K) -> C | None:
        """The one used last, no longer idle; None: there is none."""
        connections = self._by_key.get(key)
        if not connections:
            return None
        connection = connections[-1]
        self.remove(connection)
        return connection

    def put(self, key: K, connection: C, now_s: float) -> list[C]:
        """Keep it; those returned make room."""
        self._by_key.setdefault(key, []).append(connection)
        self._kept[connection] = (key, now_s + self._idle_s)
        return [self._drop_oldest()] if len(self._kept) > self._connections else []

    def remove(self, connection: C) -> None:
        """It is not idle any more, or has ended; nothing if it is not here."""
        kept = self._kept.pop(connection, None)
        if kept is None:
            return
        connections = self._by_key[kept[0]]
        connections.remove(connection)
        if not connections:
            del self._by_key[kept[0]]

    def expire(self, now_s: float) -> list[C]:
        """Those that were kept long enough; they are here no longer."""
        expired = []
        while self._kept and next(iter(self._kept.values()))[1] <= now_s:
            expired.append(self._drop_oldest())
        return expired

    def next_expiry_s(self) -> float | None:
        """When the oldest is to go."""
        return next(iter(self._kept.values()))[1] if self._kept else None

    def _drop_oldest(self) -> C:
        oldest = next(iter(self._kept))
        self.remove(oldest)
        return oldest
