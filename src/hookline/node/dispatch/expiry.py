"""Takes claims of other processes, whose outcome nobody told, to be lost at their deadline."""

import math
from collections.abc import Sequence
from typing import Final

from hookline.node.clocks.guarded import GuardedClock
from hookline.node.dispatch.duty import Duty
from hookline.node.replica import Replica
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.protocol.claims import Claim
from hookline.protocol.commands import ExpireClaims

_REST_S: Final = 3_600.0


class ClaimExpiry(Duty):
    """Waits for the deadlines of claims that other processes have, of this term as well as of earlier ones.

    Args:
        owner: the leader's own process, whose claims of this term it waits for.
    """

    def __init__(self, replica: Replica, reads: LeaderReads, clock: GuardedClock, *, owner: str) -> None:
        super().__init__()
        self._owner = owner
        self._replica = replica
        self._reads = reads
        self._clock = clock
        self._next_ms = math.inf  # the deadline that is waited for
        self._steps = clock.steps
        self._last_boot = 0.0  # when the last of the claims that were given in this term ends, by the boot clock
        self._not_before_boot = 0.0

    def given(self, claims: Sequence[Claim]) -> None:
        """Another process has got claims."""
        now_ms, boot_ms = self._clock.wall_ms(), self._clock.boot_ms()
        ends_ms = [claim.ends_ms for claim in claims]
        self._last_boot = max(self._last_boot, boot_ms + max(ends_ms) - now_ms)
        if min(ends_ms) < self._next_ms:
            self.wake()

    async def run(self) -> None:
        """Until ``stop``."""
        while not self._is_over:
            deadline_ms = self._reads.first_claim_to_end_ms(self._replica.term, self._owner)
            self._next_ms = math.inf if deadline_ms is None else deadline_ms
            wait_ms = self._next_ms + 1 - self._clock.wall_ms()
            if self._clock.steps != self._steps:  # a deadline that came with the step is not when its attempt ends
                self._steps, self._not_before_boot = self._clock.steps, self._last_boot
            wait_ms = max(wait_ms, self._not_before_boot - self._clock.boot_ms())
            if wait_ms <= 0:
                await self._replica.propose([ExpireClaims(self._owner)], no_timeout=True)
                continue
            await self.rest(min(wait_ms / 1_000, _REST_S))
