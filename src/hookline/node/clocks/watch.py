"""Keeps an eye on the machine's clock: asks the others, believes second sources, and says who should not lead."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.majority import KnownClock
from hookline.telemetry.area_log import log_of

LOOK_S = 2.0
_FIRST_S = 1.0  # who cannot be reached must not hold an election up
ALONE_MS = 2_000  # a node that is off lets others go first
PATIENCE_MS = 10_000  # a node that is right, and answers, may be unable to lead
_KEEP_MS = 600_000  # then this one keeps the lead: nobody else took it, and the time it goes by is the majority's

Ask = Callable[[], Awaitable[Sequence[KnownClock]]]

_log = log_of("clocks")


class Lead(Protocol):
    """The node, as far as its clock is concerned."""

    @property
    def is_leading(self) -> bool:
        """It takes requests."""

    def hand_over(self) -> bool:
        """Let another node lead."""

    def clock_changed(self) -> None:
        """The trusted time was set, or trust came or went."""


class ClockWatch:
    """Looks every few seconds while ``run`` runs.

    Args:
        clock: the node's.
        ask: reads the clocks of the others; None: there are none.
        kernel_agrees: does the machine's kernel vouch for this time of its clock? Asked when there are no others.
    """

    def __init__(
        self, clock: GuardedClock, *, ask: Ask | None = None, kernel_agrees: Callable[[int], bool] | None = None
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._kernel_agrees = kernel_agrees
        self._known: Sequence[KnownClock] = ()
        self._has_looked = ask is None
        self._keeps_until_ms = 0.0
        self._seen = (True, clock.steps)
        self._lead: Lead | None = None

    def serve(self, lead: Lead) -> None:
        """Have ``lead`` told of changes."""
        self._lead = lead

    async def run(self, lead: Lead) -> None:
        """Until cancelled."""
        self.serve(lead)
        if not self._has_looked:
            try:
                async with asyncio.timeout(_FIRST_S):
                    await self.look()
            except TimeoutError:
                pass
            self._has_looked = True
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Once."""
        clock = self._clock
        if self._ask is not None:
            self._known = await self._ask()
            clock.hear(self._known)
        clock.wall_ms()
        by = "it is back, or the others agree"
        if not clock.is_settled and self._kernel_vouches() and clock.confirm():
            by = "the kernel, which is synchronised"
        self._tell(by)
        if self._lead is not None and self._lead.is_leading and self._should_hand_over():
            _log.warning("clock_off", why=clock.why_not(), action="hands over")
            self._lead.hand_over()

    def _kernel_vouches(self) -> bool:
        if self._known or self._kernel_agrees is None:
            return False
        return self._kernel_agrees(self._clock.machine_ms())

    def trust(self) -> bool:
        """An operator says that the clock is right; False when the majority of the clocks objects."""
        is_believed = self._clock.confirm()
        self._tell("an operator")
        return is_believed

    def _tell(self, by: str) -> None:
        clock = self._clock
        seen = (clock.is_trusted, clock.steps)
        if seen == self._seen:
            return
        self._seen = seen
        if clock.is_trusted:
            _log.info("clock_trusted", by=by)
        else:
            _log.warning("clock_not_trusted", why=clock.why_not())
        if self._lead is not None:
            self._lead.clock_changed()

    def _should_hand_over(self) -> bool:
        found = self._clock.judgement()
        may_keep = self._clock.boot_ms() < self._keeps_until_ms
        return found is not None and found.is_off and bool(found.fit_nodes) and not may_keep

    def may_stand(self, waited_ms: float) -> bool:
        """May this node stand for election, when nobody has led for ``waited_ms``?

        One that is off does not, as long as another may. If nobody does, it stands after all, and goes by the
        majority's time: better than a cluster without a leader.
        """
        if not self._has_looked:
            return False
        found = self._clock.judgement()
        if found is None or not found.is_off:
            return True
        if waited_ms < (PATIENCE_MS if found.fit_nodes else ALONE_MS):
            return False
        self._keeps_until_ms = self._clock.boot_ms() + _KEEP_MS if found.fit_nodes else 0.0
        return True

    def offsets_ms(self) -> dict[str, float]:
        """How far each other clock is ahead of the majority's, by name."""
        found = self._clock.judgement()
        return {} if found is None else {clock.name: clock.offset_ms - found.offset_ms for clock in self._known}

    def own_offset_ms(self) -> float | None:
        """How far the machine's clock is ahead of the majority's; None when no other is known."""
        found = self._clock.judgement()
        return None if found is None else found.away_ms
