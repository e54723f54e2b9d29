"""The settings of tenants in memory: each create asks for its tenant's, and so does the plan of what starts next."""

from collections.abc import Iterable
from typing import Any

from hookline.protocol.tenants import REMOVED, UNLIMITED, TenantSettings, decode_tenant


class TenantTable:
    """All of them, as of the newest entry.

    Args:
        rows: (tenant, settings as stored).
    """

    def __init__(self, rows: Iterable[tuple[Any, ...]] = ()) -> None:
        self._stored: dict[str, bytes] = {}
        self._set: dict[str, TenantSettings] = {}
        for tenant, blob in rows:
            self.put(tenant, blob)

    def __len__(self) -> int:
        return len(self._stored)

    @property
    def names(self) -> Iterable[str]:
        """Those that something is set for."""
        return self._set.keys()

    def rows(self) -> list[tuple[str, bytes]]:
        """All as they are stored, also those that were removed, by tenant."""
        return sorted(self._stored.items())

    def of(self, tenant: str) -> TenantSettings:
        """The settings in force."""
        return self._set.get(tenant, UNLIMITED)

    def is_set(self, tenant: str) -> bool:
        """Is anything set for it?"""
        return tenant in self._set

    def is_kept(self, tenant: str) -> bool:
        """Is there a row of it?"""
        return tenant in self._stored

    def stored(self, tenant: str) -> bytes | None:
        """The settings as they are stored."""
        return self._stored.get(tenant)

    def first_removed(self) -> str | None:
        """A tenant whose settings were removed; None: there is none."""
        return min((tenant for tenant, blob in self._stored.items() if blob == REMOVED), default=None)

    def put(self, tenant: str, blob: bytes) -> None:
        """Insert or replace one."""
        self._stored[tenant] = blob
        if blob == REMOVED:
            self._set.pop(tenant, None)
        else:
            self._set[tenant] = decode_tenant(blob)

    def drop(self, tenant: str) -> None:
        """Forget one."""
        self._stored.pop(tenant, None)
        self._set.pop(tenant, None)
