"""The counts of one front on their way to the node's metrics."""

import asyncio
from collections import Counter

from hookline.node.front.front_end import FrontEnd
from hookline.node.front.messages import Counts

_LOOK_S = 0.1
_EVERY_LOOKS = 10


class Counted:
    """Tells the node what has happened, a moment later."""

    def __init__(self, end: FrontEnd) -> None:
        self._end = end
        self._create_seconds: list[float] = []
        self._refusals: Counter[str] = Counter()

    def create_took(self, seconds: float) -> None:
        """A create call was answered."""
        self._create_seconds.append(seconds)

    def refused(self, code: str) -> None:
        """A call was answered with that problem."""
        self._refusals[code] += 1

    def tell(self) -> None:
        """Tell it now."""
        self._end.send(Counts(self._create_seconds, dict(self._refusals)))
        self._create_seconds = []
        self._refusals.clear()

    async def run(self) -> None:
        """Until cancelled. Something is told every second, which shows that this process works."""
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            looks += 1
            if self._create_seconds or self._refusals or looks % _EVERY_LOOKS == 0:
                self.tell()
