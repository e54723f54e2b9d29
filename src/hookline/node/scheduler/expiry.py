"""Takes claims that an earlier leader handed over, and whose outcome it never told, to be lost at their deadline."""

import asyncio

from hookline.clock import Clock
from hookline.node.replica import Replica
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.protocol.commands import ExpireClaims


class ClaimExpiry:
    """Runs on a new leader until no claim of an earlier term is open."""

    def __init__(self, replica: Replica, reads: LeaderReads, clock: Clock) -> None:
        self._replica = replica
        self._reads = reads
        self._clock = clock
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Return when there is nothing left to wait for, or after ``stop``."""
        while not self._stop.is_set():
            deadline_ms = self._reads.first_claim_to_end_ms(self._replica.term)
            if deadline_ms is None:
                return
            wait_ms = deadline_ms + 1 - self._clock.wall_ms()
            if wait_ms <= 0:
                await self._replica.propose([ExpireClaims()], is_patient=True)
                continue
            await self._rest(wait_ms / 1_000)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    def stop(self) -> None:
        """Make ``run`` return."""
        self._stop.set()
