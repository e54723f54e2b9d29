"""The only way between a leader and the processes that make attempts: reports in, claims and cancellations out.

A runner has one exchange at a time. While its own node leads that is a ``LocalExchange``, and an ``HttpExchange``
(http_exchange.py) while the leader is another process. When one takes the other's place, it is given the reports that
the first did not get rid of: a report that comes twice changes nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from hookline.protocol.claims import Claim, ClaimRef, ClaimReport


class Inbox:
    """The orders for a runner. Its exchange fills it, the runner empties it.

    Attributes:
        filled: set when something is in it.
    """

    def __init__(self) -> None:
        self.filled = asyncio.Event()
        self._claims: list[Claim] = []
        self._cancelled: list[ClaimRef] = []

    def put(self, claims: Iterable[Claim] = (), cancelled: Iterable[ClaimRef] = ()) -> None:
        """Attempts to make, and attempts to break off."""
        self._claims += claims
        self._cancelled += cancelled
        self.filled.set()

    @property
    def waiting(self) -> list[ClaimRef]:
        """The claims that the runner has not taken yet."""
        return [claim.ref for claim in self._claims]

    def take(self) -> tuple[list[Claim], list[ClaimRef]]:
        """All of it, and nothing is left."""
        self.filled.clear()
        taken = self._claims, self._cancelled
        self._claims, self._cancelled = [], []
        return taken


class Exchange(Protocol):
    """A runner's side."""

    def open(self, inbox: Inbox, held: Sequence[ClaimRef]) -> None:
        """Put orders there from now on; ``held``: the claims that the runner works on already."""

    def offer(self, slots: int) -> None:
        """The runner can make so many attempts at once from now on. It offers none before it has said so."""

    def close(self) -> list[ClaimReport]:
        """Give no more orders; the reports that are not known to be recorded."""

    def valid_until_ms(self, term: int) -> float:
        """Until when, by the boot clock, requests of claims of this term may leave; 0: none may.

        Compared as the last step before each one. It moves on while the leader leads.
        """

    def report(self, report: ClaimReport) -> None:
        """An attempt is over. Returns at once; the report is kept until it is recorded."""

    def leave(self) -> None:
        """Ask for no claims any more; reports go on."""

    async def drained(self) -> None:
        """Return when every report is recorded."""


class NoExchange:
    """There is no leader, and none to come: reports are kept, and nobody waits for them."""

    def __init__(self) -> None:
        self._reports: list[ClaimReport] = []

    def open(self, inbox: Inbox, held: Sequence[ClaimRef]) -> None:
        """It gives no orders."""

    def offer(self, slots: int) -> None:
        """There is nobody to take it."""

    def close(self) -> list[ClaimReport]:
        reports, self._reports = self._reports, []
        return reports

    def valid_until_ms(self, term: int) -> float:
        return 0.0

    def report(self, report: ClaimReport) -> None:
        self._reports.append(report)

    def leave(self) -> None:
        """It gives none."""

    async def drained(self) -> None:
        """At once."""


class LocalExchange:
    """Between a leader and the runner in its own process: function calls, nothing is encoded.

    Args:
        term: of the leader.
        valid_until_ms: the leader's proof that it still leads ends then, by the boot clock.
        offered: told how many attempts the runner can make at once, whenever that changes.

    Attributes:
        wake: set when the leader has something to look at.
    """

    def __init__(
        self, term: int, valid_until_ms: Callable[[], float], offered: Callable[[int], None] = lambda _slots: None
    ) -> None:
        self.wake = asyncio.Event()
        self._term = term
        self._valid_until_ms = valid_until_ms
        self._offered = offered
        self._inbox = Inbox()
        self._held: dict[ClaimRef, None] = {}  # a set whose order does not depend on memory addresses
        self._earlier: set[ClaimRef] = set()
        self._reports: list[ClaimReport] = []
        self._unrecorded: dict[ClaimRef, ClaimReport] = {}
        self._changed = asyncio.Event()

    # --- the runner's side ---------------------------------------------------------------------------------------

    def open(self, inbox: Inbox, held: Sequence[ClaimRef]) -> None:
        self._inbox = inbox
        self._held = dict.fromkeys(held)
        self._earlier = set(held)

    def offer(self, slots: int) -> None:
        self._offered(slots)

    def close(self) -> list[ClaimReport]:
        return list(self._unrecorded.values())

    def valid_until_ms(self, term: int) -> float:
        return self._valid_until_ms() if term == self._term else 0.0

    def report(self, report: ClaimReport) -> None:
        ref = report.ref
        self._held.pop(ref, None)
        self._earlier.discard(ref)
        self._unrecorded[ref] = report
        self._reports.append(report)
        self.wake.set()

    def leave(self) -> None:
        """The leader stops by itself."""

    async def drained(self) -> None:
        while self._unrecorded:
            self._changed.clear()
            await self._changed.wait()

    # --- the leader's side ---------------------------------------------------------------------------------------

    @property
    def earlier(self) -> int:
        """How many claims of earlier terms the runner still works on: they take slots, too."""
        return len(self._earlier)

    def give(self, claims: Sequence[Claim]) -> None:
        """Have attempts made."""
        self._held |= dict.fromkeys(claim.ref for claim in claims)
        self._inbox.put(claims)

    def cancel(self, seqs: set[int]) -> None:
        """Have the attempts at these jobs broken off."""
        self._inbox.put(cancelled=[ref for ref in self._held if ref.seq in seqs])

    @property
    def reported(self) -> int:
        """Reports that came since they were taken last."""
        return len(self._reports)

    def forget(self, ref: ClaimRef) -> None:
        """The claim is lost; nobody waits for its report."""
        self._held.pop(ref, None)
        self._earlier.discard(ref)

    def take_reports(self) -> list[ClaimReport]:
        """Those that came since this was asked last."""
        reports, self._reports = self._reports, []
        return reports

    def recorded(self, refs: Iterable[ClaimRef]) -> None:
        """These reports are in the log."""
        for ref in refs:
            self._unrecorded.pop(ref, None)
        self._changed.set()
