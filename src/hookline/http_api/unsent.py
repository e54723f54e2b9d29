"""Answers that wait for their clients: bounded over all connections of a server."""

from typing import Protocol


class Waiting(Protocol):
    """A connection whose client has not taken its answer."""

    def cut(self) -> None:
        """End it, and forget the answer."""


class Unsent:
    """Those who wait, the longest first. Beyond ``bytes_max`` they are cut in that order.

    An answer counts with the size it had when it began to wait, since it is kept whole until its last byte is taken.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._sizes: dict[Waiting, int] = {}
        self.total_bytes = 0

    def add(self, connection: Waiting, size: int) -> None:
        """It waits from now on; once more: with more."""
        before = self._sizes.get(connection, 0)
        self._sizes[connection] = size = max(before, size)
        self.total_bytes += size - before
        while self.total_bytes > self._bytes_max:
            longest = next(iter(self._sizes))
            self.remove(longest)
            longest.cut()

    def remove(self, connection: Waiting) -> None:
        """It waits no longer."""
        self.total_bytes -= self._sizes.pop(connection, 0)
