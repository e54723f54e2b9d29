"""Takes claims of other processes, whose outcome nobody told, to be lost at their deadline."""

from hookline.clock import Clock
from hookline.node.dispatch.duty import Duty
from hookline.node.replica import Replica
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.protocol.commands import ExpireClaims


class ClaimExpiry(Duty):
    """Runs on a new leader until no claim of another process is open.

    Args:
        owner: the leader's own process, whose claims of this term it waits for.
    """

    def __init__(self, replica: Replica, reads: LeaderReads, clock: Clock, *, owner: str) -> None:
        super().__init__()
        self._owner = owner
        self._replica = replica
        self._reads = reads
        self._clock = clock

    async def run(self) -> None:
        """Return when there is nothing left to wait for, or after ``stop``."""
        while not self._is_over:
            deadline_ms = self._reads.first_claim_to_end_ms(self._replica.term, self._owner)
            if deadline_ms is None:
                return
            wait_ms = deadline_ms + 1 - self._clock.wall_ms()
            if wait_ms <= 0:
                await self._replica.propose([ExpireClaims(self._owner)], no_timeout=True)
                continue
            await self.rest(wait_ms / 1_000)
