"""Decides which new jobs the node has room for, and their tenant.

Counts what is stored and what is on its way into the log, so that a limit holds exactly, however many requests arrive
at once.
"""

from collections.abc import Callable

from hookline.errors import QueueFull
from hookline.node.config import NodeConfig
from hookline.node.tenant_limits import TenantLimits

PRESSURE_MAX = 0.7
_RETRY_AFTER_S = 5


class Admission:
    """Reserve room before a job is proposed; the reservation ends when its entry is applied or has failed.

    Args:
        config: ``pending_jobs_max`` and ``pending_bytes_max``.
        counters: the present jobs by state and pending bytes.
        pressure: how full the log's storage is, 0 to 1. New jobs are refused from ``PRESSURE_MAX`` on, so that there is
            room for outcomes, cancels and deletes.
        tenants: the tenants' own limits.
    """

    def __init__(
        self,
        config: NodeConfig,
        counters: Callable[[], dict[str, int]],
        tenants: TenantLimits,
        pressure: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._config = config
        self._counters = counters
        self._tenants = tenants
        self._pressure = pressure
        self._jobs = 0
        self._bytes = 0

    def usage(self) -> dict[str, tuple[int, int]]:
        """(used, limit) of each limit."""
        jobs, size = self._used()
        return {
            "pending_jobs": (jobs, self._config.pending_jobs_max),
            "pending_bytes": (size, self._config.pending_bytes_max),
        }

    def _used(self) -> tuple[int, int]:
        counters = self._counters()
        return counters["pending"] + counters["running"] + self._jobs, counters["pending_bytes"] + self._bytes

    def is_limited(self, tenant: str) -> bool:
        """Does the tenant have limits of its own?"""
        return self._tenants.is_limited(tenant)

    def reserve(self, tenant: str, jobs: int, size: int, *, creates: int = 0) -> "Reservation":
        """Room for ``jobs`` with ``size`` bytes of payload together, to be held while they are proposed.

        ``creates``: so many of them are new.
        """
        return Reservation(self, tenant, jobs, size, creates)

    def take(self, tenant: str, jobs: int, size: int, *, creates: int = 0) -> None:
        """Hold room. Raises QueueFull or TenantLimit with the figures."""
        pressure = self._pressure()
        if pressure >= PRESSURE_MAX:
            raise QueueFull(
                f"the storage of the log is {pressure:.0%} full; new jobs are taken again below {PRESSURE_MAX:.0%}",
                retry_after_s=_RETRY_AFTER_S,
                limit_name="log_storage",
                used=round(pressure, 3),
                limit=PRESSURE_MAX,
            )
        used_jobs, used_bytes = self._used()
        if used_jobs + jobs > self._config.pending_jobs_max:
            raise _full("pending_jobs", used_jobs, self._config.pending_jobs_max, jobs)
        if used_bytes + size > self._config.pending_bytes_max:
            raise _full("pending_bytes", used_bytes, self._config.pending_bytes_max, size)
        self._tenants.take(tenant, jobs, size, creates)
        self._jobs += jobs
        self._bytes += size

    def give_back(self, tenant: str, jobs: int, size: int) -> None:
        """Give room back: what was held is stored, or is not to be."""
        self._tenants.give_back(tenant, jobs, size)
        self._jobs -= jobs
        self._bytes -= size


class Reservation:
    """Room that is held from the begin of a ``with`` block to its end. Raises QueueFull or TenantLimit at its begin."""

    __slots__ = ("_admission", "_creates", "_jobs", "_size", "_tenant")

    def __init__(self, admission: Admission, tenant: str, jobs: int, size: int, creates: int) -> None:
        self._admission, self._tenant, self._jobs, self._size = admission, tenant, jobs, size
        self._creates = creates

    def __enter__(self) -> None:
        self._admission.take(self._tenant, self._jobs, self._size, creates=self._creates)

    def __exit__(self, *_: object) -> None:
        self._admission.give_back(self._tenant, self._jobs, self._size)


def _full(name: str, used: int, limit: int, wanted: int) -> QueueFull:
    return QueueFull(
        f"{name}: {used} of {limit} are used and {wanted} more were asked for; nothing was stored",
        retry_after_s=_RETRY_AFTER_S,
        limit_name=name,
        used=used,
        limit=limit,
        wanted=wanted,
    )
