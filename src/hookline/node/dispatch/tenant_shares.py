"""Divides the slots between tenants: while others wait, none takes more than its share. Pure.

A share is worked out anew each time that slots are given out: all there are, divided by weight between the tenants that
have jobs running or due. What nobody else can use, anybody may; what runs is never broken off.
"""

from collections.abc import Iterable


class TenantShares:
    """Counts what runs for each tenant."""

    def __init__(self) -> None:
        self._running: dict[str, int] = {}
        self._weights: dict[str, int] = {}
        self._places, self._total = 0, 1

    def weigh(self, tenant: str, weight: int) -> None:
        """It counts so much beside others from now on."""
        if weight == 1:
            self._weights.pop(tenant, None)
        else:
            self._weights[tenant] = weight

    def began(self, tenant: str) -> None:
        """One more of its jobs has a place."""
        self._running[tenant] = self._running.get(tenant, 0) + 1

    def ended(self, tenant: str) -> None:
        """It has left it."""
        left = self._running[tenant] - 1
        if left:
            self._running[tenant] = left
        else:
            del self._running[tenant]

    def divide(self, waiting: Iterable[str], places: int) -> set[str]:
        """Divide the places; of those that wait the ones that have their share already."""
        self._places = places
        self._total = sum(self._weights.get(tenant, 1) for tenant in {*waiting, *self._running})
        return {tenant for tenant in waiting if self.has_its_share(tenant)}

    def has_its_share(self, tenant: str) -> bool:
        """By the last division; every share is one place at least."""
        share = self._places * self._weights.get(tenant, 1) // self._total
        return self._running.get(tenant, 0) >= max(1, share)

    def running(self, tenant: str) -> int:
        """How many of its jobs have a place."""
        return self._running.get(tenant, 0)
