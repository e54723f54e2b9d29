"""The runners that a leader has: who they are, how many claims each takes, and which reports came from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Final, Literal

from hookline.node.dispatch.exchange import LocalExchange
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport
from hookline.protocol.limits import CLAIMS_AHEAD_SHARE

RunnerKind = Literal["leader", "follower", "worker"]


_COMMIT_MS: Final = 25  # for as long claims are ahead: a moment of gathering and a commit
_MEMORY_MS: Final = 1_000


def ahead_of(slots: int) -> int:
    """How many claims may wait at a runner of ``slots`` slots at most."""
    return slots // CLAIMS_AHEAD_SHARE


class Turnover:
    """Counts how fast slots become free lately, so that a claim that is ahead waits for milliseconds only. Pure."""

    def __init__(self) -> None:
        self._per_ms = 0.0
        self._since_ms = 0.0

    def freed(self, count: int, boot_ms: float) -> None:
        """So many attempts have ended."""
        self._per_ms = self.per_ms(boot_ms) + count / _MEMORY_MS
        self._since_ms = boot_ms

    def per_ms(self, boot_ms: float) -> float:
        """How many do in a ms, over the last second or so."""
        return self._per_ms * exp((self._since_ms - boot_ms) / _MEMORY_MS)


@dataclass(slots=True, eq=False)
class Seat:
    """One runner.

    Attributes:
        owner: its process, as claims name it.
        name: recorded with its attempts.
        slots: attempts that it makes at once.
        exchange: the way to it.
        taken: its claims, proposed or open.
        turnover: how fast its attempts end.
    """

    owner: str
    name: str
    kind: RunnerKind
    slots: int
    exchange: LocalExchange
    taken: int = 0
    turnover: Turnover = field(default_factory=Turnover)

    def ahead(self, boot_ms: float) -> int:
        """How many claims shall wait there, so that no slot is idle while a report is committed."""
        return min(ahead_of(self.slots), int(self.turnover.per_ms(boot_ms) * _COMMIT_MS))

    def room(self, boot_ms: float) -> int:
        """How many more claims it takes."""
        return self.slots + self.ahead(boot_ms) - self.taken - self.exchange.earlier


class Seats:
    """All of a leader's runners; its own is there from the beginning.

    Args:
        own: in the leader's process, or beside it.
    """

    def __init__(self, own: Seat) -> None:
        self._seats: Final = [own]
        self.wake = own.exchange.wake

    def join(self, seat: Seat) -> None:
        """Another runner takes claims from now on."""
        self._seats.append(seat)

    def leave(self, seat: Seat) -> None:
        """It gets no more claims; those that it has stay open."""
        self._seats.remove(seat)

    def is_busy(self, boot_ms: float) -> bool:
        """Has every runner claims that wait for a slot? Of those that are ahead at most half are used up."""
        return all(2 * (seat.taken - seat.exchange.reported - seat.slots) > seat.ahead(boot_ms) for seat in self._seats)

    def room(self, boot_ms: float) -> int:
        """How many more claims can be handed out."""
        return sum(max(0, seat.room(boot_ms)) for seat in self._seats)

    def share(self, count: int, boot_ms: float) -> list[Seat]:
        """Choose runners for ``count`` claims, at most ``room``: whoever has most room first. They count as taken."""
        if len(self._seats) == 1:
            self._seats[0].taken += count
            return self._seats * count
        chosen = []
        room = {seat: seat.room(boot_ms) for seat in self._seats}
        for _ in range(count):
            seat = max(room, key=room.__getitem__)
            room[seat] -= 1
            seat.taken += 1
            chosen.append(seat)
        return chosen

    def give(self, claims: Iterable[tuple[Seat, Claim]]) -> None:
        """Have these attempts made."""
        of: dict[Seat, list[Claim]] = {}
        for seat, claim in claims:
            of.setdefault(seat, []).append(claim)
        for seat, its in of.items():
            seat.exchange.give(its)

    def cancel(self, seqs: set[int]) -> None:
        """Have the attempts at these jobs broken off."""
        for seat in self._seats:
            seat.exchange.cancel(seqs)

    def take_reports(self, boot_ms: float) -> list[tuple[Seat, ClaimReport]]:
        """Those that came since they were taken last."""
        taken = []
        for seat in self._seats:
            if reports := seat.exchange.take_reports():
                seat.turnover.freed(len(reports), boot_ms)
                taken += [(seat, report) for report in reports]
        return taken

    def recorded(self, refs: Sequence[ClaimRef]) -> None:
        """These reports are in the log."""
        if refs:
            for seat in self._seats:
                seat.exchange.recorded(refs)

    def forget(self, ref: ClaimRef) -> None:
        """The claim is lost."""
        for seat in self._seats:
            seat.exchange.forget(ref)
