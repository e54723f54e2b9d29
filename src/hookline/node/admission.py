"""Decides which new jobs the node has room for.

Counts what is stored and what is on its way into the log, so that a limit holds exactly, however many requests arrive
at once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hookline.errors import QueueFull
from hookline.node.config import NodeConfig

PRESSURE_MAX = 0.7
_RETRY_AFTER_S = 5


class Admission:
    """Reserve room before a job is proposed; the reservation ends when its entry is applied or has failed.

    Args:
        config: ``pending_jobs_max`` and ``pending_bytes_max``.
        counters: the present jobs by state and pending bytes.
        pressure: how full the log's storage is, 0 to 1. New jobs are refused from ``PRESSURE_MAX`` on, so that there is
            room for outcomes, cancels and deletes.
    """

    def __init__(
        self,
        config: NodeConfig,
        counters: Callable[[], dict[str, int]],
        pressure: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._config = config
        self._counters = counters
        self._pressure = pressure
        self._jobs = 0
        self._bytes = 0

    def usage(self) -> dict[str, tuple[int, int]]:
        """(used, limit) of each limit."""
        counters = self._counters()
        return {
            "pending_jobs": (counters["pending"] + counters["running"] + self._jobs, self._config.pending_jobs_max),
            "pending_bytes": (counters["pending_bytes"] + self._bytes, self._config.pending_bytes_max),
        }

    @contextmanager
    def reserve(self, jobs: int, size: int) -> Iterator[None]:
        """Hold room for ``jobs`` with ``size`` bytes of payload together. Raises QueueFull with the figures."""
        pressure = self._pressure()
        if pressure >= PRESSURE_MAX:
            raise QueueFull(
                f"the storage of the log is {pressure:.0%} full; new jobs are taken again below {PRESSURE_MAX:.0%}",
                retry_after_s=_RETRY_AFTER_S,
                limit_name="log_storage",
                used=round(pressure, 3),
                limit=PRESSURE_MAX,
            )
        for (name, (used, limit)), wanted in zip(self.usage().items(), (jobs, size), strict=True):
            if used + wanted > limit:
                raise QueueFull(
                    f"{name}: {used} of {limit} are used and {wanted} more were asked for; nothing was stored",
                    retry_after_s=_RETRY_AFTER_S,
                    limit_name=name,
                    used=used,
                    limit=limit,
                    wanted=wanted,
                )
        self._jobs += jobs
        self._bytes += size
        try:
            yield
        finally:
            self._jobs -= jobs
            self._bytes -= size
