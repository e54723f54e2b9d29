"""The shapes of the calls about tenants, as operators send and see them."""

from msgspec import UNSET, Struct, UnsetType


class TenantRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``PUT /tenants/{tenant}``. What is not given stays as it is; null takes a limit away."""

    pending_jobs: int | UnsetType | None = UNSET
    pending_bytes: int | UnsetType | None = UNSET
    creates_per_second: int | UnsetType | None = UNSET
    weight: int | UnsetType = UNSET


class TenantUse(Struct, frozen=True):
    """Counts a tenant's jobs that are pending or running, the bytes of their payloads, and those that run."""

    pending_jobs: int
    pending_bytes: int
    running: int


class Tenant(Struct, frozen=True, omit_defaults=True):
    """A tenant: its limits in each cluster (null: none), its weight, and what it has in all clusters together.

    ``incomplete``: clusters that did not answer.
    """

    name: str
    pending_jobs: int | None
    pending_bytes: int | None
    creates_per_second: int | None
    weight: int
    used: TenantUse
    incomplete: list[str] = []


class TenantPage(Struct, frozen=True, omit_defaults=True):
    """A page of tenants by name: those that have settings, jobs or keys. ``incomplete`` as in ``Tenant``."""

    data: list[Tenant]
    next_cursor: str | None
    incomplete: list[str] = []
    cursors: list[str] | UnsetType = UNSET
