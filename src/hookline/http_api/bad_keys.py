"""Counts requests without a valid key by where they come from, in bounded memory. Pure.

Each source has a bucket that leaks: who tries many keys in a short time is told to wait. A valid key is served all the
same, so that nobody can lock out those who share an address with him.
"""

import ipaddress
from collections import OrderedDict
from typing import NamedTuple

BURST = 1_000  # as many at once: a service whose key has expired goes on to be told so
PER_S = 10  # and then so many
SOURCES_MAX = 10_000


class _Bucket(NamedTuple):
    level: float
    at_ms: float


class BadKeys:
    """One for a process.

    Args:
        burst: as many at once; None: ``BURST``.
        per_s: and then so many; None: ``PER_S``.
    """

    def __init__(self, burst: int | None = None, per_s: float | None = None) -> None:
        self._given = burst, per_s
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()  # the one heard of last is the last

    def wait_s(self, source: str, now_ms: float) -> int:
        """Seconds that this source has to wait before it may fail again; 0: it may now."""
        burst, per_s = self._rate
        over = self._level(source, now_ms) + 1 - burst
        return 0 if over <= 0 else int(over / per_s) + 1

    def note(self, source: str, now_ms: float) -> None:
        """It failed. Of too many sources the one is forgotten that failed longest ago."""
        self._buckets[source] = _Bucket(self._level(source, now_ms) + 1, now_ms)
        self._buckets.move_to_end(source)
        if len(self._buckets) > SOURCES_MAX:
            self._buckets.popitem(last=False)

    def __len__(self) -> int:
        return len(self._buckets)

    @property
    def _rate(self) -> tuple[int, float]:
        burst, per_s = self._given
        return BURST if burst is None else burst, PER_S if per_s is None else per_s

    def _level(self, source: str, now_ms: float) -> float:
        bucket = self._buckets.get(source)
        return 0 if bucket is None else max(0, bucket.level - (now_ms - bucket.at_ms) * self._rate[1] / 1_000)


def source_of(address: str) -> str:
    """The source that an address belongs to: of IPv6 a host has a whole /64."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(found.ipv4_mapped) if found.ipv4_mapped else found.packed[:8].hex()
