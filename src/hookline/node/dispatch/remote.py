"""The leader's side of the exchange with a runner in another process: what is for it waits for its next frame.

An answer can get lost, so a claim that was in one counts as told only. The runner's next frame shows it as held or
reported; or it does not, and names the answers that may still come: where that answer is not among them, the runner
surely never has it, and it is handed out again, under the same number.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from hookline.clock import Clock
from hookline.protocol.claims import TELL_MS, Claim, ClaimRef, ClaimReport, Frame, lost, not_sent

_ANSWER_BYTES: Final = 4 * 2**20  # of payloads; what is beyond it goes with the next answer
_CANCELLED: Final = "cancelled before the request left"
_TOO_LATE: Final = "the runner did not ask for it in time; nothing was sent"
_GONE: Final = "its runner was not heard of any more; nothing was sent"


class RemoteExchange:
    """One runner's. It has the leader's side of a ``LocalExchange``.

    Args:
        wake: set when the leader has something to look at.
        clock: the leader's.

    Attributes:
        newest: the largest number of a frame that came.
        earlier: how many claims of earlier terms the runner still works on: they take slots, too.
    """

    def __init__(self, wake: asyncio.Event, clock: Clock) -> None:
        self.wake = wake
        self.newest = -1
        self.earlier = 0
        self._clock = clock
        self._open: dict[ClaimRef, Claim] = {}  # of this term, given and not reported
        self._queued: dict[ClaimRef, None] = {}  # of these, those that the runner does not have
        self._told: dict[ClaimRef, int] = {}  # those that it may have: by the answer to this frame
        self._held: dict[ClaimRef, None] = {}  # those that it has, of earlier terms as well
        self._cancelled: dict[ClaimRef, None] = {}
        self._has_cancelled_more = False
        self._reports: list[ClaimReport] = []
        self._unrecorded: set[ClaimRef] = set()
        self._is_gone = False
        self._changed = asyncio.Event()

    # --- the leader's side -------------------------------------------------------------------------------------------

    def give(self, claims: Sequence[Claim]) -> None:
        """Have attempts made."""
        for claim in claims:
            self._open[claim.ref] = claim
            self._queued[claim.ref] = None
        if self._is_gone:
            self._give_back_queued()
        self._tell_change()

    def cancel(self, seqs: set[int]) -> None:
        """Have the attempts at these jobs broken off."""
        for ref in [ref for ref in self._queued if ref.seq in seqs]:
            self._give_back(ref, _CANCELLED)
        self.break_off(ref for ref in (*self._told, *self._held) if ref.seq in seqs)

    def break_off(self, refs: Iterable[ClaimRef]) -> None:
        """Have these attempts broken off, which the runner has, or may have."""
        if more := [ref for ref in refs if ref not in self._cancelled]:
            self._cancelled |= dict.fromkeys(more)
            self._has_cancelled_more = True
            self._tell_change()

    @property
    def reported(self) -> int:
        """Reports that came since they were taken last."""
        return len(self._reports)

    def take_reports(self) -> list[ClaimReport]:
        """Those that came since this was asked last."""
        reports, self._reports = self._reports, []
        return reports

    def recorded(self, refs: Iterable[ClaimRef]) -> None:
        """These reports are in the log."""
        before = len(self._unrecorded)
        self._unrecorded.difference_update(refs)
        if len(self._unrecorded) < before:
            self._tell_change()

    def forget(self, ref: ClaimRef) -> None:
        """The claim is lost; nobody waits for its report."""
        self._open.pop(ref, None)
        self._queued.pop(ref, None)
        self._told.pop(ref, None)

    def gone(self, is_gone: bool) -> None:
        """The runner takes no claims any more: what it surely does not have need not wait for its deadline."""
        self._is_gone = is_gone
        if is_gone:
            self._give_back_queued()

    def lose_cancelled(self) -> None:
        """Wait no longer for the ends of cancelled attempts whose claims have ended. The log does not: no job does."""
        now_ms = self._clock.wall_ms()
        for ref in list(self._cancelled):
            if (claim := self._open.get(ref)) is not None and claim.ends_ms < now_ms:
                del self._cancelled[ref]
                self.take_report(ClaimReport(ref, claim.term, lost(now_ms)))

    def _give_back_queued(self) -> None:
        for ref in list(self._queued):
            self._give_back(ref, _GONE)

    def _give_back(self, ref: ClaimRef, why: str) -> None:
        """As if the runner had: it does not have the claim, and never will."""
        del self._queued[ref]
        claim = self._open.pop(ref)
        self._cancelled.pop(ref, None)
        self.take_report(ClaimReport(ref, claim.term, not_sent(why, self._clock.wall_ms())))

    # --- frames ------------------------------------------------------------------------------------------------------

    def take(self, frame: Frame) -> bool:
        """Note all that a frame says; False: it, or a newer one, came before, so only its reports count."""
        for report in frame.reports:
            self.take_report(report)
        if frame.number <= self.newest:
            return False
        self.newest = frame.number
        self._held = dict.fromkeys(ref for ref in frame.held if ref not in self._unrecorded)
        self._find_lost_answers(frame)
        self._cancelled = {ref: None for ref in self._cancelled if ref in self._held or ref in self._told}
        self.earlier = sum(ref not in self._open for ref in self._held)
        self._tell_change()
        return True

    def take_report(self, report: ClaimReport) -> None:
        """An attempt is over, or will never begin. A report that is on its way into the log counts once."""
        ref = report.ref
        if ref in self._unrecorded:
            return
        self.earlier -= ref in self._held and ref not in self._open
        self.forget(ref)
        self._held.pop(ref, None)
        self._unrecorded.add(ref)
        self._reports.append(report)
        self.wake.set()

    def _find_lost_answers(self, frame: Frame) -> None:
        for ref, number in list(self._told.items()):
            if ref in self._held:
                del self._told[ref]
            elif number < frame.number and number not in frame.unanswered:
                del self._told[ref]
                self._queued[ref] = None
                if ref in self._cancelled:
                    self._give_back(ref, _CANCELLED)

    def held_of_earlier_terms(self) -> list[ClaimRef]:
        """Claims that the runner works on and this leader did not give to it, or has given up."""
        return [ref for ref in self._held if ref not in self._open] if self.earlier else []

    def is_recorded(self, reports: Iterable[ClaimReport]) -> bool:
        """Are all these in the log?"""
        return self._unrecorded.isdisjoint(report.ref for report in reports)

    @property
    def has_orders(self) -> bool:
        """Is there anything for the runner that it was not told yet?"""
        return bool(self._queued) or self._has_cancelled_more

    @property
    def is_used(self) -> bool:
        """Does the leader wait for the end of a claim, or for a report to be recorded?"""
        return bool(self._open or self._unrecorded)

    def orders(self, arrived_ms: int) -> tuple[tuple[ClaimRef, ...], tuple[Claim, ...]]:
        """The claims to break off and those to attempt, for the answer to the newest frame, which arrived then."""
        claims: list[Claim] = []
        size, now_ms = 0, self._clock.wall_ms()
        for ref in list(self._queued):
            claim = self._open[ref]
            if now_ms + claim.spec.timeout_ms + TELL_MS > claim.ends_ms:
                self._give_back(ref, _TOO_LATE)
                continue
            size += len(claim.spec.body)
            if claims and size > _ANSWER_BYTES:
                break
            del self._queued[ref]
            self._told[ref] = self.newest
            claims.append(msgspec.structs.replace(claim, ends_ms=claim.ends_ms - arrived_ms))
        self._has_cancelled_more = False
        return tuple(self._cancelled), tuple(claims)

    # --- waiting -----------------------------------------------------------------------------------------------------

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self) -> None:
        """Return at the next change, of whatever kind."""
        await self._changed.wait()

    def let_go(self) -> None:
        """Have everybody who waits for a change look again."""
        self._tell_change()
