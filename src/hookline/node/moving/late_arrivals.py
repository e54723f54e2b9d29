"""Watches what was on its way here when the topology changed: by the new one its home may be elsewhere."""

from typing import Final

from hookline.clock import Clock
from hookline.node.replica import Replica
from hookline.node.state_machine.tables import KeptArrival

_GONE_MS: Final = 60_000


class LateArrivals:
    """Batches that others had sent by an older topology. By a newer one none is taken.

    Args:
        replica: has them.
        clock: says for how long they are awaited.
    """

    def __init__(self, replica: Replica, clock: Clock) -> None:
        self._replica = replica
        self._clock = clock
        self._document: bytes | None = None
        self._since_ms = 0.0
        self._inert: dict[str, KeptArrival] = {}  # by source

    def is_awaited(self, document: bytes | None) -> bool:
        """May one of them come to count soon? Nobody settles those of a cluster that is gone, or goes by its backup."""
        now_ms, arrivals = self._clock.boot_ms(), self._replica.arrivals
        if document != self._document:
            self._document, self._since_ms = document, now_ms
            self._inert = {source: kept for source, kept in arrivals.items() if kept.names}
        is_soon = now_ms - self._since_ms < _GONE_MS
        return is_soon and any(arrivals.get(source) == kept for source, kept in self._inert.items())

    def has_come(self) -> bool:
        """Does one count since this was asked last? It comes late when it was not awaited any more."""
        now = self._replica.arrivals
        come = [source for source, kept in self._inert.items() if source in now and now[source].counted >= kept.number]
        for source in come:
            del self._inert[source]
        return bool(come)
