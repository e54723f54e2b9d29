"""Decides which time a node goes by while its wall clock may be wrong. Pure.

The wall clock can jump, the boot clock cannot. The guard keeps the offset between the two that it last trusted, and
compares each reading with it. (On Linux both clocks are slewed alike, so this offset changes by steps only.)

While they agree within a second, the wall clock is the time. After a jump it is so no more, however long it stays: a
wall clock is believed again when it is back, or when a second source agrees with it (other clocks, the kernel's own
word that it is synchronised, an operator). Meanwhile the time is that of the majority of the cluster's clocks, if one
is known; else the earlier of the wall clock and of the boot clock with the trusted offset, so that nothing is early
whichever of the two is wrong.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hookline.node.clocks.majority import AWAY_MS, BACK_MS, Judgement, KnownClock, judge

JUMP_MS = AWAY_MS
KNOWN_FOR_MS = 10_000  # how long a reading of another clock counts
_READING_MS = 100
_PLAIN_MS = 200.0
_FOLLOW_EVERY_MS = 1_000
_FOLLOW_PER_MS = 0.0001  # steps below a second are taken over at 6 ms a minute


class Reading(NamedTuple):
    """Both clocks of the machine, at one moment."""

    wall_ms: float
    boot_ms: float

    @property
    def offset_ms(self) -> float:
        return self.wall_ms - self.boot_ms


class ClockGuard:
    """Fed with readings of both clocks; gives the trusted time.

    Attributes:
        is_trusted: the wall clock is the time.
        is_sure: the offset comes from a majority of clocks, and holds although the wall clock says otherwise.
        steps: how often the trusted time was set other than by time passing, or trust came or went.
        apart_ms: by how much the wall clock was ahead of the trusted offset when it was last looked at.
    """

    def __init__(self) -> None:
        self._offset_ms: float | None = None
        self._followed_ms = 0.0
        self._others: Sequence[KnownClock] = ()
        self._others_ms = 0.0
        self._judged_offset_ms: float | None = None  # of the wall clock that the others were read beside
        self._back_ms: float = BACK_MS
        self._plain_from_ms = self._plain_until_ms = 0.0
        self.is_trusted = True
        self.is_sure = False
        self.steps = 0
        self.apart_ms = 0.0

    def read(self, now: Reading) -> float:
        """The trusted time, in milliseconds since 1970."""
        if self._offset_ms is None:
            self._offset_ms, self._followed_ms = now.offset_ms, now.boot_ms
        apart_ms = self.apart_ms = now.offset_ms - self._offset_ms
        if abs(apart_ms) <= (self._back_ms if self.is_sure else JUMP_MS):
            if not self.is_trusted:
                self._trust(now, now.offset_ms if self.is_sure else self._offset_ms)
            elif now.boot_ms - self._followed_ms >= _FOLLOW_EVERY_MS:
                self._follow(now, apart_ms)
            self._plain_from_ms = now.wall_ms
            self._plain_until_ms = now.wall_ms + min(_PLAIN_MS, JUMP_MS - abs(self.apart_ms))
            return now.wall_ms
        if self.is_trusted:
            self._distrust(now)
        return self._time_ms(now)

    def is_plain(self, wall_ms: float) -> bool:
        """This is the time: ``read`` looked a moment ago, and a jump that small would be none.

        An attempt asks for the time five times; comparing both clocks each time is one per cent of a leader's work.
        """
        return self._plain_from_ms <= wall_ms < self._plain_until_ms

    def suspects(self, now: Reading) -> bool:
        """This reading would be taken for a jump: it is worth a second look before ``read``."""
        return self._offset_ms is not None and self.is_trusted and abs(now.offset_ms - self._offset_ms) > JUMP_MS

    def _time_ms(self, now: Reading) -> float:
        assert self._offset_ms is not None
        if self.is_trusted:
            return now.wall_ms
        by_boot_ms = now.boot_ms + self._offset_ms
        return by_boot_ms if self.is_sure else min(now.wall_ms, by_boot_ms)

    def _trust(self, now: Reading, offset_ms: float) -> None:
        self._offset_ms, self._followed_ms = offset_ms, now.boot_ms
        self.is_trusted, self.is_sure = True, False
        self.apart_ms = now.offset_ms - offset_ms
        self.steps += 1

    def _distrust(self, now: Reading) -> None:
        self._doubt(is_sure=False)
        self._weigh(now)

    def _doubt(self, *, is_sure: bool) -> None:
        self.is_trusted, self.is_sure = False, is_sure
        self._plain_until_ms = 0.0
        self.steps += 1

    def _follow(self, now: Reading, apart_ms: float) -> None:
        assert self._offset_ms is not None
        most_ms = (now.boot_ms - self._followed_ms) * _FOLLOW_PER_MS
        self._offset_ms += max(-most_ms, min(most_ms, apart_ms))
        self._followed_ms = now.boot_ms

    # --- second sources ------------------------------------------------------------------------------------------

    def judgement(self, now: Reading) -> Judgement | None:
        """Judges the wall clock by the others; None when none has been heard lately."""
        if now.boot_ms - self._others_ms > KNOWN_FOR_MS:
            return None
        return judge(now.offset_ms, self._others, was_off=self.is_sure)

    def hear(self, now: Reading, others: Sequence[KnownClock]) -> None:
        """Other clocks were read. Without any, what was known of them stands for a while."""
        was_trusted = self.is_trusted
        if others:
            self._others, self._others_ms = others, now.boot_ms
        self.read(now)
        if others and self.is_trusted is was_trusted:  # else they may have been read before the jump
            self._judged_offset_ms = now.offset_ms
        self._weigh(now)

    def _weigh(self, now: Reading) -> None:
        found = self.judgement(now)
        if found is None:
            return
        if found.is_off:
            self._go_by(found, now)
        elif not self.is_trusted and self._is_believable(found, now):
            self._trust(now, now.offset_ms)

    def _is_believable(self, found: Judgement, now: Reading) -> bool:
        """The wall clock is not off. Is there a reason to go by it again?

        That another clock was there before a jump is none: that one may have been set right since.
        """
        if found.is_outside_backed:
            return True
        judged_ms = self._judged_offset_ms
        is_judged = judged_ms is not None and abs(now.offset_ms - judged_ms) <= JUMP_MS
        return is_judged and (found.is_backed or self.is_sure)  # it was sure of a majority that is none any more

    def _go_by(self, majority: Judgement, now: Reading) -> None:
        before_ms = self._offset_ms
        same_ms = 2 * majority.slack_ms + _READING_MS
        if self.is_sure and before_ms is not None and abs(majority.offset_ms - before_ms) <= same_ms:
            return  # the same, read a little differently: time is not to go to and fro
        self._offset_ms, self._back_ms = majority.offset_ms, majority.back_ms
        self.apart_ms = now.offset_ms - majority.offset_ms
        self._doubt(is_sure=True)

    def confirm(self, now: Reading) -> bool:
        """A second source says that the wall clock is right; False when the majority of the other clocks says not."""
        found = self.judgement(now)
        if found is not None and found.is_off:
            return False
        self.read(now)
        if not self.is_trusted:
            self._trust(now, now.offset_ms)
        return True
