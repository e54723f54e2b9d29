"""Bounds what all clients of a server together have it hold in memory."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

H = TypeVar("H", bound=Hashable)


class HeldBytes(Generic[H]):
    """Those for whom something is held, the longest first. Beyond ``bytes_max`` they are cut in that order.

    Args:
        bytes_max: of all together.
        cut: ends one of them; what was held for it is forgotten.
    """

    def __init__(self, bytes_max: int, cut: Callable[[H], None]) -> None:
        self._bytes_max = bytes_max
        self._cut = cut
        self._waiting: dict[H, int] = {}
        self._settled: dict[H, int] = {}
        self.total_bytes = 0

    def add(self, holder: H, size: int) -> None:
        """So much is held for it from now on; once more: if that is more."""
        before = self._waiting.get(holder, 0)
        self._waiting[holder] = size = max(before, size)
        self.total_bytes += size - before
        while self.total_bytes > self._bytes_max and self._waiting:
            longest = next(iter(self._waiting))
            self.total_bytes -= self._waiting.pop(longest)
            self._cut(longest)

    def settle(self, holder: H) -> None:
        """It still counts, and is cut no more."""
        if size := self._waiting.pop(holder, 0):
            self._settled[holder] = self._settled.get(holder, 0) + size

    def remove(self, holder: H) -> None:
        """Nothing is held for it any more."""
        self.total_bytes -= self._waiting.pop(holder, 0) + self._settled.pop(holder, 0)
