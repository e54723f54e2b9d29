"""Interface to the lead of a cluster."""

from typing import Protocol


class Leadership(Protocol):
    """Decides who leads, and whether this node may still act on it."""

    async def acquire(self) -> int:
        """Wait until this node leads; returns its term, larger than every earlier one.

        Raises DataDirectoryInUse when another process of this machine holds the same place.
        """

    def is_valid(self) -> bool:
        """May this node act as the leader now?"""

    def valid_until_ms(self) -> float:
        """Until when, by the boot clock, requests may leave; compared as the last step before each one. 0: none may."""

    async def lost(self) -> None:
        """Return when it is known that this node leads no more."""

    def dead_owners(self) -> tuple[str, ...]:
        """Processes that are proven to be dead, beside earlier ones of this node: they send nothing any more."""

    async def release(self) -> None:
        """Give the lead up."""
