"""Leadership for tests and the simulation: handed out on request, taken away at will."""

import asyncio
import math


class MemoryLeadership:
    """Terms count up for as long as the object lives."""

    def __init__(self) -> None:
        self.term = 0
        self.valid = False

    async def acquire(self) -> int:
        self.term += 1
        self.valid = True
        return self.term

    def is_valid(self) -> bool:
        return self.valid

    def valid_until_ms(self) -> float:
        return math.inf if self.valid else 0.0

    async def lost(self) -> None:
        """Never by itself: what takes the lead away in a test shows in ``is_valid``."""
        await asyncio.Event().wait()

    def dead_owners(self) -> tuple[str, ...]:
        return ()

    async def release(self) -> None:
        self.valid = False
