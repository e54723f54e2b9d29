"""Decides which destination may start an attempt now, by shares, limits, rate, pause and breaker. Pure.

Each destination is sure of a tenth of the slots while others wait. Beyond that it may use what is free, as long as
it answers fast; all that are slow or not known yet may together hold at most four fifths, so that a fast
destination finds a slot. Time-outs halve what a destination may hold, fast answers win it back one by one
(additive increase, multiplicative decrease).
"""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil

from hookline.node.dispatch.blocked import Blocked
from hookline.node.dispatch.rate import RecentStarts
from hookline.protocol.breaker import CircuitBreaker
from hookline.protocol.claims import DestinationVerdict
from hookline.protocol.settings import DestinationSettings

FAST_MS = 1_000
_LOADS_MAX = 10_000


@dataclass(slots=True)
class Load:
    """One destination, as far as starting attempts needs it."""

    settings: DestinationSettings
    window: int
    running: int = 0
    mean_ms: float | None = None
    is_fast: bool = False
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    starts: RecentStarts = field(default_factory=RecentStarts)


class Fairness:
    """Counts what runs and decides what may start.

    Times are milliseconds: ``now_ms`` of the trusted wall clock, ``boot_ms`` since boot. Each admitted attempt is
    told of once with ``began``, unless it is not made, and once with ``ended``.

    Args:
        slots: attempts that may run at once, in all.
        ahead: those that may wait for a slot beside them; they count as running.
    """

    def __init__(self, slots: int, ahead: int = 0) -> None:
        self.running = 0
        self.slow_running = 0
        self.retries = 0
        self._most = 0
        self._loads: dict[int, Load] = {}
        self.resize(slots, ahead)

    def resize(self, slots: int, ahead: int) -> None:
        """There are so many from now on, and all shares are shares of these; what runs goes on."""
        most = slots + ahead
        for load in self._loads.values():
            load.window = most if load.window >= self._most else max(1, min(load.window, most))
        self.slots = slots
        self._most = most
        self.share = max(1, slots // 10)
        self._slow_max = max(1, slots * 4 // 5)

    def configure(self, destination: int, settings: DestinationSettings) -> None:
        """Put settings in force."""
        self._load(destination).settings = settings

    def load(self, destination: int) -> Load | None:
        """The known facts of a destination, None when it is idle with default settings."""
        return self._loads.get(destination)

    def breakers(self) -> Counter[str]:
        """How many destinations have a breaker in each state, as far as they are known."""
        return Counter(load.breaker.state for load in self._loads.values())

    @property
    def places(self) -> int:
        """How many may run, or wait for a slot, at once."""
        return self._most

    def free(self) -> int:
        """How many more may run, or wait for a slot."""
        return self._most - self.running

    def admit(self, boot_ms: float, now_ms: int, destination: int, retry: bool, beyond: bool) -> Blocked | None:
        """None: the attempt may start, and counts as running from now on. Else why not."""
        load = self._load(destination)
        blocked = self._why_not(load, now_ms, retry, beyond) or _rate(load, boot_ms, now_ms)
        if blocked is not None:
            return blocked
        load.starts.admit()
        load.breaker.started(now_ms)
        load.running += 1
        self.running += 1
        self.retries += retry
        if not load.is_fast:
            self.slow_running += 1
        return None

    def _why_not(self, load: Load, now_ms: int, retry: bool, beyond: bool) -> Blocked | None:
        settings = load.settings
        if settings.paused:
            return Blocked("paused", "the destination is paused")
        if load.breaker.state != "closed" and (until := load.breaker.blocked_until(now_ms)) is not None:
            return Blocked("breaker", "the destination fails; it is tried again after a pause", int(until) + 1)
        if settings.concurrency is not None and load.running >= settings.concurrency:
            return Blocked("share", f"the destination's limit of {settings.concurrency} attempts at once is reached")
        if load.running >= load.window:
            return Blocked("share", "the destination does not answer in time; it gets fewer attempts at once")
        if not beyond and load.running >= self.share:
            return Blocked("share", "the destination has its share of the slots while others wait")
        if not beyond and retry and self.retries >= max(1, self.slots // 2):
            return Blocked("slots", "first tries go before retries")
        if load.running >= self.share and not load.is_fast and self.slow_running >= self._slow_max:
            return Blocked("slots", "slow destinations hold their part of the slots")
        return None

    def began(self, boot_ms: float, destination: int) -> None:
        """An admitted attempt is made: from now on it counts for the rate."""
        load = self._load(destination)
        load.starts.start(boot_ms, load.settings.rate_limit, load.settings.rate_per_ms)

    def refused(self, now_ms: int, destination: int, retry: bool) -> None:
        """An admitted attempt is not made after all."""
        self._load(destination).starts.withdraw()
        self.ended(now_ms, destination, retry, "none", 0)

    def ended(
        self, now_ms: int, destination: int, retry: bool, verdict: DestinationVerdict, duration_ms: float
    ) -> None:
        """The attempt is over."""
        load = self._load(destination)
        load.running -= 1
        self.running -= 1
        self.retries -= retry
        if not load.is_fast:
            self.slow_running -= 1
        self._learn(load, now_ms, verdict, duration_ms)
        if load.running == 0 and len(self._loads) > _LOADS_MAX and load.settings == DestinationSettings():
            del self._loads[destination]

    def _learn(self, load: Load, now_ms: int, verdict: DestinationVerdict, duration_ms: float) -> None:
        if verdict == "none":
            load.breaker.abandoned(now_ms)
            return
        if verdict == "good":
            load.breaker.succeeded(now_ms)
        else:
            load.breaker.failed(now_ms)
        load.mean_ms = duration_ms if load.mean_ms is None else load.mean_ms * 0.8 + duration_ms * 0.2
        is_fast = load.mean_ms < FAST_MS
        if is_fast != load.is_fast:
            load.is_fast = is_fast
            self.slow_running += -load.running if is_fast else load.running
        if verdict == "timeout":
            load.window = max(1, min(load.window, load.running + 1) // 2)
        elif load.window < self._most and is_fast:
            load.window += 1

    def _load(self, destination: int) -> Load:
        load = self._loads.get(destination)
        if load is None:
            load = self._loads[destination] = Load(DestinationSettings(), self._most)
        return load


def _rate(load: Load, boot_ms: float, now_ms: int) -> Blocked | None:
    limit, per_ms = load.settings.rate_limit, load.settings.rate_per_ms
    if limit is None:
        return None
    wait_ms = load.starts.wait_ms(boot_ms, limit, per_ms)
    if wait_ms is None:
        return None
    return Blocked("rate", f"the destination's rate of {limit} in {per_ms} ms is reached", now_ms + ceil(wait_ms))
