"""Answers the runners in other processes, for one term: gives each a seat, and holds its frames until there is news.

A runner sends only within the time that an answer gives it: the leader's own validity, counted from when the frame
arrived, and a margin less. The runner counts it from when it sent the frame. See decision 29.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hookline.clock import Clock
from hookline.errors import NotLeader
from hookline.node.dispatch.remote import RemoteExchange
from hookline.node.dispatch.seats import Seat, Seats
from hookline.node.replica import Replica
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.protocol.claims import ClaimReport, Frame, Orders, not_sent
from hookline.protocol.commands import LoseClaims
from hookline.protocol.owners import is_replaced
from hookline.telemetry.area_log import log_of

MARGIN_MS: Final = 50  # clocks that differ by 2 % differ by that in the longest time that is given
VALID_MS_MAX: Final = 2_500
HOLD_S: Final = 1.0
_HOLD_WITH_CLAIMS_S: Final = 0.3  # so that its validity is renewed before it ends
SILENT_MS: Final = 3_000  # then it gets no more claims
_LOOK_S: Final = 0.5
_NEVER_TOLD: Final = "the leader before could not hand the claim out; nothing was sent"

_log = log_of("dispatch")


@dataclass(slots=True)
class _Guest:
    """A runner in another process.

    Attributes:
        heard_ms: when its last frame came (boot clock).
        frames: that wait for their answers here.
        is_settled: what earlier terms left is known.
    """

    seat: Seat
    exchange: RemoteExchange
    heard_ms: float
    frames: int = 0
    is_settled: bool = False


class Runners:
    """All but the leader's own.

    Args:
        seats: of the dispatcher.
        valid_until_ms: the leader's proof that it still leads ends then, by the boot clock.
        changed: called when there are more or fewer slots.
    """

    def __init__(
        self,
        replica: Replica,
        reads: LeaderReads,
        clock: Clock,
        seats: Seats,
        *,
        term: int,
        valid_until_ms: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._replica = replica
        self._reads = reads
        self._clock = clock
        self._seats = seats
        self._term = term
        self._valid_until_ms = valid_until_ms
        self._seats_changed = changed
        self._guests: dict[str, _Guest] = {}  # by owner
        self._has_guests = asyncio.Event()
        self._is_closed = False

    async def swap(self, frame: Frame) -> Orders:
        """Take the frame; the answer when its reports are recorded, and there is news or the time is up.

        Raises NotLeader when the term ends before.
        """
        arrived_ms, arrived_boot = self._clock.wall_ms(), self._clock.boot_ms()
        if self._is_closed:
            raise NotLeader
        guest = self._guest(frame)
        exchange = guest.exchange
        guest.heard_ms = arrived_boot
        guest.frames += 1
        try:
            is_new = exchange.take(frame)
            if is_new:
                self._look_at(guest, frame)
            while not exchange.is_recorded(frame.reports):
                await self._change_of(exchange)
            if is_new and not frame.reports and (frame.slots or frame.held):
                await self._hold(exchange, frame)
        finally:
            guest.frames -= 1
        guest.heard_ms = self._clock.boot_ms()
        is_newest = is_new and frame.number == exchange.newest
        return self._answer(exchange, arrived_ms, arrived_boot, is_newest=is_newest)

    def _answer(self, exchange: RemoteExchange, arrived_ms: int, arrived_boot: float, *, is_newest: bool) -> Orders:
        """Claims go to whoever sent the newest frame, and to nobody who repeats it."""
        valid_for_ms = int(min(VALID_MS_MAX, self._valid_until_ms() - arrived_boot - MARGIN_MS))
        cancelled, claims = exchange.orders(arrived_ms) if is_newest and valid_for_ms > 0 else ((), ())
        return Orders(cancelled, claims, self._term, max(0, valid_for_ms), arrived_ms)

    async def _change_of(self, exchange: RemoteExchange) -> None:
        await exchange.changed()
        if self._is_closed:
            raise NotLeader

    async def _hold(self, exchange: RemoteExchange, frame: Frame) -> None:
        """Until there is news for the runner, or from it, or the time is up."""
        is_up = False

        def end() -> None:
            nonlocal is_up
            is_up = True
            exchange.let_go()

        hold_s = _HOLD_WITH_CLAIMS_S if frame.held else HOLD_S
        timer = asyncio.get_running_loop().call_later(hold_s, end)
        try:
            while not is_up and not exchange.has_orders and frame.number == exchange.newest:
                await self._change_of(exchange)
        finally:
            timer.cancel()

    # --- who is there ------------------------------------------------------------------------------------------------

    def _guest(self, frame: Frame) -> _Guest:
        guest = self._guests.get(frame.owner)
        if guest is None:
            exchange = RemoteExchange(self._seats.wake, self._clock)
            seat = Seat(frame.owner, frame.node, frame.kind, 0, exchange, is_present=False)
            guest = self._guests[frame.owner] = _Guest(seat, exchange, self._clock.boot_ms())
            self._has_guests.set()
            self._seats.join(seat)
            self._lose_replaced(frame.owner)
        return guest

    def _look_at(self, guest: _Guest, frame: Frame) -> None:
        self._seat(guest, 0 if frame.is_last else frame.slots)
        if held := guest.exchange.held_of_earlier_terms():
            is_open = self._reads.open_claims(ref.seq for ref in held)
            guest.exchange.break_off(ref for ref in held if ref not in is_open)
        if not guest.is_settled and frame.term == self._term:
            guest.is_settled = True
            self._settle(guest, frame)

    def _seat(self, guest: _Guest, slots: int) -> None:
        """It takes part with so many slots; with none it is left what it has."""
        seat, is_present = guest.seat, slots > 0
        if (seat.slots, seat.is_present) == (slots, is_present):
            return
        if seat.is_present != is_present:
            _log.info("runner_joined" if is_present else "runner_left", runner=seat.name, kind=seat.kind, slots=slots)
        self._seats.resize(seat, slots)
        guest.exchange.gone(not is_present)
        self._seats_changed()

    def _settle(self, guest: _Guest, frame: Frame) -> None:
        """Give back claims of earlier leaders that the runner does not have.

        It has taken an answer of this term, so it takes none of an earlier one any more.
        """
        known = {*frame.held, *(report.ref for report in frame.reports)}
        now_ms = self._clock.wall_ms()
        for ref, term in self._reads.claims_of(guest.seat.owner, self._term):
            if ref not in known:
                guest.exchange.take_report(ClaimReport(ref, term, not_sent(_NEVER_TOLD, now_ms)))

    def _lose_replaced(self, owner: str) -> None:
        """Earlier processes on its data directory are dead: nothing of theirs is waited for."""
        for dead in self._reads.claim_owners():
            if not is_replaced(dead, owner):
                continue
            if (guest := self._guests.get(dead)) is not None:
                self._seat(guest, 0)
            claims = tuple(ref for ref, _ in self._reads.claims_of(dead, self._term + 1))
            losing = self._replica.propose([LoseClaims(claims)], no_timeout=True)
            losing.add_done_callback(lambda done: done.cancelled() or done.exception())  # else their deadline comes

    async def run(self) -> None:
        """Notice who is not heard of any more, and which ends need not be waited for, until cancelled."""
        while True:
            if not self._guests:  # most leaders never have any
                self._has_guests.clear()
                await self._has_guests.wait()
            await asyncio.sleep(_LOOK_S)
            before_ms = self._clock.boot_ms() - SILENT_MS
            for owner, guest in list(self._guests.items()):
                guest.exchange.lose_cancelled()
                if guest.frames or guest.heard_ms > before_ms:
                    continue
                self._seat(guest, 0)
                if not guest.seat.taken and not guest.exchange.is_used:
                    del self._guests[owner]
                    self._seats.leave(guest.seat)

    def close(self) -> None:
        """Answer nobody any more: what is not recorded goes to the next leader."""
        self._is_closed = True
        for guest in self._guests.values():
            guest.exchange.let_go()
