"""What a node asks about leading its cluster."""

from typing import Protocol


class Leadership(Protocol):
    """Who leads, and whether this node may still act on it."""

    async def acquire(self) -> int:
        """Wait until this node leads; returns its term, larger than every earlier one.

        Raises DataDirectoryInUse when another process of this machine holds the same place.
        """

    def is_valid(self) -> bool:
        """May a request leave now? Asked as the last step before each one."""

    async def lost(self) -> None:
        """Return when it is known that this node leads no more."""

    def old_leader_is_dead(self) -> bool:
        """Is it proven that no earlier leader is still sending?"""

    def dead_from_term(self) -> int:
        """With ``old_leader_is_dead``: the first term whose leader is proven to be dead."""

    def was_handed_over(self) -> bool:
        """Did the earlier leader hand over, and does it still work on its open claims?"""

    async def release(self) -> None:
        """Give the lead up."""
