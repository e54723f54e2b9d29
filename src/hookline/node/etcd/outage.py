"""Says that etcd cannot be reached: at once, then now and then while it lasts, and once when it is back."""

import asyncio
from collections.abc import Callable
from typing import Final

from hookline.telemetry.area_log import log_of
from hookline.visible import without_password

REPEAT_MS: Final = 30_000

_log = log_of("etcd")


class Outage:
    """Follows how the calls to etcd end, over all its members, and logs when it is away and when it is back.

    etcd is away when every member failed since one answered last: while some answer, calls go on to those. Lines come
    at most every ``REPEAT_MS``, so that an etcd that comes and goes does not fill the log either.

    Args:
        endpoints: urls of all members.
        now_ms: a clock that only grows; None: the running loop's.
    """

    def __init__(self, endpoints: tuple[str, ...], now_ms: Callable[[], float] | None = None) -> None:
        self._where = ",".join(without_password(endpoint) for endpoint in endpoints)
        self._members = len(endpoints)
        self._now_ms = now_ms or (lambda: asyncio.get_running_loop().time() * 1_000)
        self._failed: set[int] = set()
        self._since_ms = 0.0
        self._told_ms: float | None = None
        self._is_told = False

    def failed(self, member: int, reason: str) -> None:
        """A call got no answer, or etcd has no leader."""
        now_ms = self._now_ms()
        if not self._failed:
            self._since_ms = now_ms
        self._failed.add(member)
        if len(self._failed) < self._members:
            return
        if self._told_ms is None or now_ms - self._told_ms >= REPEAT_MS:
            self._told_ms, self._is_told = now_ms, True
            detail = f"cannot reach etcd at {self._where}: {reason}; check --etcd, and that most of its members run"
            _log.warning("etcd_away", detail=detail, for_s=round((now_ms - self._since_ms) / 1_000))

    def answered(self) -> None:
        """A member did its work."""
        if not self._failed:
            return
        self._failed.clear()
        if self._is_told:
            self._is_told = False
            _log.info("etcd_back", after_s=round((self._now_ms() - self._since_ms) / 1_000))
