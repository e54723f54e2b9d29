"""Forgets what is no longer needed: finished jobs and idempotency keys, in small steps between deliveries."""

import asyncio

from hookline.clock import Clock
from hookline.node.config import NodeConfig
from hookline.node.replica import Replica
from hookline.protocol.commands import Changed, PurgeFinished, PurgeKeys

_STEP_JOBS = 100  # a few milliseconds of work in one entry
_REST_S = 5.0  # when there is nothing to forget
_STEP_REST_S = 0.02  # between steps: deliveries and creates get in


class Retention:
    """Runs on the leader; what it forgets is decided by log commands like everything else."""

    def __init__(self, replica: Replica, clock: Clock, config: NodeConfig) -> None:
        self._replica = replica
        self._clock = clock
        self._config = config
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until ``stop``."""
        while not self._stop.is_set():
            forgotten = await self.step()
            await self._rest(_STEP_REST_S if forgotten >= _STEP_JOBS else _REST_S)

    async def step(self) -> int:
        """Forget up to one step of jobs and of keys; returns the larger number."""
        now_ms = self._clock.wall_ms()
        results = await self._replica.propose(
            [
                PurgeFinished(now_ms - self._config.retention_ms, self._config.retention_jobs, _STEP_JOBS),
                PurgeKeys(now_ms, _STEP_JOBS),
            ]
        )
        return max(result.count for result in results if isinstance(result, Changed))

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    def stop(self) -> None:
        """Make ``run`` return."""
        self._stop.set()
