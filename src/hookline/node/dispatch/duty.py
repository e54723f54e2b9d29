"""One thing that a leader does beside dispatching: it runs, rests, and stops."""

import asyncio
from abc import ABC, abstractmethod


class Duty(ABC):
    """Runs on the leader until ``stop``. What it changes goes through the log, like everything else."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._is_over = False

    @abstractmethod
    async def run(self) -> None:
        """Until ``stop``, or until nothing is left to do."""

    def wake(self) -> None:
        """End a rest: something happened, or the time was set."""
        self._woken.set()

    def stop(self) -> None:
        """Make ``run`` return."""
        self._is_over = True
        self._woken.set()

    async def rest(self, seconds: float) -> None:
        """Until then, or until it is woken; at once if it was woken since the last rest."""
        timer = asyncio.get_running_loop().call_later(seconds, self._woken.set)
        await self._woken.wait()
        timer.cancel()
        if not self._is_over:
            self._woken.clear()
