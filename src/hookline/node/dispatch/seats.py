"""The runners that a leader has: who they are, how many claims each takes, and which reports came from them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Final, NamedTuple, Protocol

from hookline.protocol.claims import Claim, ClaimRef, ClaimReport
from hookline.protocol.limits import CLAIMS_AHEAD_SHARE
from hookline.protocol.modes import ATTEMPTING, DEFAULT_MODE, Mode, RunnerKind

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


class LeadersSide(Protocol):
    """An exchange with one runner, as the leader uses it."""

    @property
    def earlier(self) -> int:
        """How many claims of earlier terms the runner still works on: they take slots, too."""

    @property
    def reported(self) -> int:
        """Reports that came since they were taken last."""

    def give(self, claims: Sequence[Claim]) -> None:
        """Have attempts made."""

    def cancel(self, seqs: set[int]) -> None:
        """Have the attempts at these jobs broken off."""

    def forget(self, ref: ClaimRef) -> None:
        """The claim is lost; nobody waits for its report."""

    def take_reports(self) -> list[ClaimReport]:
        """Those that came since this was asked last."""

    def recorded(self, refs: Iterable[ClaimRef]) -> None:
        """These reports are in the log."""


class RunnerStatus(NamedTuple):
    """A runner as users see it."""

    name: str
    kind: RunnerKind
    slots: int
    running: int


@dataclass(slots=True, eq=False)
class Seat:
    """One runner.

    Attributes:
        owner: its process, as claims name it.
        name: recorded with its attempts.
        slots: attempts that it makes at once.
        exchange: the way to it.
        is_present: it asks for claims.
        taken: its claims, proposed or open.
        turnover: how fast its attempts end.
    """

    owner: str
    name: str
    kind: RunnerKind
    slots: int
    exchange: LeadersSide
    is_present: bool = True
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
        wake: set when the leader has something to look at.

    Attributes:
        mode: which kinds of them get claims.
        given_elsewhere: told of claims that another process got.
    """

    def __init__(self, own: Seat, wake: asyncio.Event) -> None:
        self._own: Final = own
        self._seats: Final = [own]
        self._active = [own]
        self.mode: Mode = DEFAULT_MODE
        self.wake = wake
        self.given_elsewhere: Callable[[Sequence[Claim]], None] = lambda _claims: None

    def join(self, seat: Seat) -> None:
        """A runner in another process."""
        self._seats.append(seat)
        self.changed()

    def leave(self, seat: Seat) -> None:
        """It is gone, and has no claims."""
        self._seats.remove(seat)
        self.changed()

    def resize(self, seat: Seat, slots: int) -> None:
        """The runner makes so many attempts at once from now on; with none it gets no more claims."""
        seat.slots, seat.is_present = slots, slots > 0
        self.changed()

    def changed(self, mode: Mode | None = None) -> None:
        """A runner came or went, or the mode is another one: whoever attempts no more ends what it has."""
        self.mode = mode or self.mode
        self._active = [seat for seat in self._seats if seat.is_present and seat.kind in ATTEMPTING[self.mode]]

    @property
    def slots(self) -> int:
        """Attempts that are made at once, in all."""
        return sum(seat.slots for seat in self._active)

    @property
    def ahead(self) -> int:
        """How many claims may wait for a slot at most, in all."""
        return sum(ahead_of(seat.slots) for seat in self._active)

    def status(self) -> list[RunnerStatus]:
        """Those that attempt, might in another mode, or still have claims; the leader's own first."""
        return [
            RunnerStatus(seat.name, seat.kind, seat.slots if seat in self._active else 0, seat.taken)
            for seat in self._seats
            if seat in self._active or seat.taken or (seat.is_present and seat is not self._own)
        ]

    def is_busy(self, boot_ms: float) -> bool:
        """Has every runner claims that wait for a slot? Of those that are ahead at most half are used up."""
        return bool(self._active) and all(
            2 * (seat.taken - seat.exchange.reported - seat.slots) > seat.ahead(boot_ms) for seat in self._active
        )

    def room(self, boot_ms: float) -> int:
        """How many more claims can be handed out."""
        return sum(max(0, seat.room(boot_ms)) for seat in self._active)

    def share(self, count: int, boot_ms: float) -> list[Seat]:
        """Choose runners for ``count`` claims, at most ``room``: whoever has most room first. They count as taken."""
        if count == 0:
            return []
        if len(self._active) == 1:
            self._active[0].taken += count
            return self._active * count
        chosen = []
        room = {seat: seat.room(boot_ms) for seat in self._active}
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
            if seat is not self._own:
                self.given_elsewhere(its)
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
