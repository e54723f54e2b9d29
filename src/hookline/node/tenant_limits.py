"""Decides which new jobs a tenant has room for, by its own limits. Pure: the time is given.

Limits hold in one cluster, at its leader: what is stored is counted, and what is on its way into the log.
"""

from collections.abc import Callable, Mapping
from math import ceil

from hookline.errors import TenantLimit
from hookline.protocol.tenants import UNLIMITED, TenantSettings, tenant_name

_RETRY_AFTER_S = 5
_IDLE_MAX = 1_000
_NOTHING = (0, 0)


class CreateBucket:
    """The creates that a tenant may make now: at most, and at first, as many as in a second.

    A batch is taken whole while anything is left; what it takes too much has to flow in again before the next create.
    """

    __slots__ = ("_at_ms", "_tokens")

    def __init__(self, rate: int, boot_ms: float) -> None:
        self._tokens = float(rate)
        self._at_ms = boot_ms

    def wait_s(self, rate: int, boot_ms: float) -> float:
        """0: a create is let in. Else the seconds until one is."""
        self._tokens = min(float(rate), self._tokens + (boot_ms - self._at_ms) * rate / 1_000)
        self._at_ms = boot_ms
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / rate

    def take(self, creates: int) -> None:
        """They are let in."""
        self._tokens -= creates

    def is_full(self, rate: int, boot_ms: float) -> bool:
        """Would a new one be the same?"""
        self.wait_s(rate, boot_ms)
        return self._tokens >= rate


class TenantLimits:
    """One for a node.

    Args:
        settings_of: what is set for a tenant.
        counters_of: its present jobs by state and pending bytes.
        boot_ms: milliseconds since boot.
    """

    def __init__(
        self,
        settings_of: Callable[[str], TenantSettings],
        counters_of: Callable[[str], Mapping[str, int]],
        boot_ms: Callable[[], float],
    ) -> None:
        self._settings_of = settings_of
        self._counters_of = counters_of
        self._boot_ms = boot_ms
        self._held: dict[str, tuple[int, int]] = {}  # jobs and bytes on their way into the log
        self._buckets: dict[str, CreateBucket] = {}

    def is_limited(self, tenant: str) -> bool:
        """Does the tenant have any limit?"""
        settings = self._settings_of(tenant)
        return (settings.pending_jobs, settings.pending_bytes, settings.creates_per_second) != (None, None, None)

    def take(self, tenant: str, jobs: int, size: int, creates: int) -> None:
        """Hold room for them. Raises TenantLimit with the figures."""
        held_jobs, held_bytes = self._held.get(tenant, _NOTHING)
        if (settings := self._settings_of(tenant)) is not UNLIMITED:
            self._check(tenant, settings, (held_jobs, held_bytes), jobs, size, creates)
        self._held[tenant] = held_jobs + jobs, held_bytes + size

    def give_back(self, tenant: str, jobs: int, size: int) -> None:
        """Give room back: what was held is stored, or is not to be."""
        held_jobs, held_bytes = self._held.get(tenant, _NOTHING)
        left = held_jobs - jobs, held_bytes - size
        if left == _NOTHING:  # also of a change that needs no room
            self._held.pop(tenant, None)
        else:
            self._held[tenant] = left

    def _check(
        self, tenant: str, settings: TenantSettings, held: tuple[int, int], jobs: int, size: int, creates: int
    ) -> None:
        counters = self._counters_of(tenant)
        stored_jobs = counters["pending"] + counters["running"]
        for name, used, limit, wanted in (
            ("pending_jobs", stored_jobs + held[0], settings.pending_jobs, jobs),
            ("pending_bytes", counters["pending_bytes"] + held[1], settings.pending_bytes, size),
        ):
            if limit is not None and wanted > 0 and used + wanted > limit:
                raise _reached(tenant, name, used, limit, wanted)
        if settings.creates_per_second is not None and creates:
            self._check_rate(tenant, settings.creates_per_second, creates)

    def _check_rate(self, tenant: str, rate: int, creates: int) -> None:
        now_ms = self._boot_ms()
        bucket = self._buckets.get(tenant)
        if bucket is None:
            if len(self._buckets) >= _IDLE_MAX:
                self._forget_idle(now_ms)
            bucket = self._buckets[tenant] = CreateBucket(rate, now_ms)
        wait_s = bucket.wait_s(rate, now_ms)
        if wait_s > 0:
            raise TenantLimit(
                f"the tenant {tenant_name(tenant)} may create {rate} jobs a second; nothing was stored",
                retry_after_s=max(1, ceil(wait_s)),
                tenant=tenant_name(tenant),
                limit_name="creates_per_second",
                limit=rate,
            )
        bucket.take(creates)

    def _forget_idle(self, now_ms: float) -> None:
        for tenant, bucket in list(self._buckets.items()):
            rate = self._settings_of(tenant).creates_per_second
            if rate is None or bucket.is_full(rate, now_ms):
                del self._buckets[tenant]


def _reached(tenant: str, name: str, used: int, limit: int, wanted: int) -> TenantLimit:
    return TenantLimit(
        f"{name} of the tenant {tenant_name(tenant)}: {used} of {limit} are used and {wanted} more were asked for;"
        " nothing was stored",
        retry_after_s=_RETRY_AFTER_S,
        tenant=tenant_name(tenant),
        limit_name=name,
        used=used,
        limit=limit,
        wanted=wanted,
    )
