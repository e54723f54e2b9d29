"""Holds this node's claim to the lead: the revision of its leader record, and until when it may act on it.

Shared by the log (every append compares the revision and extends the time), the leadership (renews when idle, from a
thread of its own) and attempts (ask before each request). Times are the boot clock's, since only durations matter.
"""

from hookline.clock import Clock

# The defaults of the cluster's clockwork; every node of a cluster must use the same.
ELECTION_TIMEOUT_MS = 1_500
VALIDITY_MARGIN_MS = 300  # for clocks that run at different speeds and for the last step before a send
RENEWAL_MS = 300


class Fence:
    """Held from a won election until it is lost, released or runs out; plain attributes, for use from two threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.revision: int | None = None
        self.term = 0
        self._valid_until_ms = 0.0
        self.confirmed_ms = 0.0
        self.newest = 0  # the entry that was written last under it; 0: none yet

    def hold(self, revision: int, term: int, asked_ms: float) -> None:
        """The election was won by a transaction that was asked for at ``asked_ms``."""
        self.term = term
        self.newest = 0
        self.confirmed(asked_ms)
        self.revision = revision

    def confirmed(self, asked_ms: float) -> None:
        """A transaction that compared the revision succeeded; no other node can have led when it was asked for."""
        self.confirmed_ms = max(self.confirmed_ms, asked_ms)
        self._valid_until_ms = self.confirmed_ms + ELECTION_TIMEOUT_MS - VALIDITY_MARGIN_MS

    def lose(self) -> None:
        """Another node leads, or this one gave up."""
        self.revision = None

    def valid_until_ms(self) -> float:
        """Until when requests may leave; 0: none may."""
        return 0.0 if self.revision is None else self._valid_until_ms

    def is_valid(self) -> bool:
        """May a request leave now?"""
        return self._clock.boot_ms() < self.valid_until_ms()
