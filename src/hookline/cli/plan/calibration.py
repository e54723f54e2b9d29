"""Reads what ``benchmarks/capacity.py`` measured of one cluster (``measured.json``), and says what lies between."""

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from typing import Final

import msgspec
from msgspec import Struct

from hookline.node.dispatch.fairness import FAST_MS

_SLOW_SHARE: Final = 0.8  # node/dispatch/fairness.py: a fast destination finds a slot
_SHORT_MS: Final = 200  # webhooks whose cases tell the time between two attempts of a slot; of longer ones it is noise
_SLOTS_ALONE: Final = 0.7  # of what the machine can do: below that, slots are the limit
_SHARPNESS: Final = 4  # near both limits a cluster does less than either allows


class RoleCpu(Struct, frozen=True):
    """CPU time a job, µs, by role; of followers and of etcd the sum of all."""

    leader: float
    followers: float
    etcd: float


class MeasuredCapacity(Struct, frozen=True):
    """One case of delivering, or, with ``batch``, of creating."""

    nodes: int
    rate: float  # the median of its runs
    cpu_us: RoleCpu
    webhook_ms: int = 0
    slots: int = 0
    batch: int = 0
    rss_mib: float = 0.0
    slowest: float = 0.0
    fastest: float = 0.0


_Figure = Callable[[MeasuredCapacity], float]


class Calibration(Struct, frozen=True):
    """Everything that was measured.

    Attributes:
        machine: on which.
        date: when.
        deliver: cases of delivering, everything due at once.
        create: cases of creating, nothing due.
    """

    machine: str
    date: str
    deliver: list[MeasuredCapacity]
    create: list[MeasuredCapacity]

    def capacity(self, nodes: int, webhook_ms: float, slots: int) -> float:
        """Jobs a second that one cluster delivers at best, on a machine such as the measured one.

        Each slot is taken for the webhook and for what is between two; slow destinations may not have all slots.
        Beyond that the machine's CPU is the limit.
        """
        free = slots * _SLOW_SHARE if webhook_ms > FAST_MS else slots
        at_best = self.at_best(nodes, slots)
        if not webhook_ms:
            return at_best
        by_slots = free * 1_000 / (webhook_ms + self._between_ms(nodes))
        return float((by_slots**-_SHARPNESS + at_best**-_SHARPNESS) ** (-1 / _SHARPNESS))

    def at_best(self, nodes: int, slots: int) -> float:
        """Jobs a second with webhooks that answer at once: what CPU allows, with the receiver on the same machine."""
        known = sorted((one for one in self.deliver if one.nodes == nodes and not one.webhook_ms), key=_slots_of)
        return _between(known, slots, _slots_of, lambda one: one.rate)

    def _between_ms(self, nodes: int) -> float:
        """From the end of a slot's attempt to its next one; the median of short webhooks with slots to spare."""
        return statistics.median(
            one.slots * 1_000 / one.rate - one.webhook_ms
            for one in self.deliver
            if one.nodes == nodes
            and 0 < one.webhook_ms <= _SHORT_MS
            and one.slots * 1_000 / one.webhook_ms < _SLOTS_ALONE * self.at_best(nodes, one.slots)
        )

    def cpu_us(self, nodes: int, rate: float) -> RoleCpu:
        """CPU a job when a cluster delivers so many a second: the fewer, the less is shared by those together."""
        known = sorted((one for one in self.deliver if one.nodes == nodes), key=_rate_of)
        return RoleCpu(*(_between(known, rate, _rate_of, partial(_cpu_of, role)) for role in RoleCpu.__struct_fields__))

    def create_us(self, nodes: int, batch: int) -> RoleCpu:
        """CPU a create, one by one or in batches."""
        (found,) = (one for one in self.create if one.nodes == nodes and one.batch == (100 if batch > 1 else 1))
        return found.cpu_us

    def memory_mib(self, nodes: int, slots: int) -> float:
        """Of the leader."""
        return max(one.rss_mib for one in self.deliver if one.nodes == nodes and one.slots <= max(slots, 100))

    def error(self) -> float:
        """The largest share by which ``capacity`` misses a case; with webhooks that answer at once it knows each."""
        others = [one for one in self.deliver if one.webhook_ms]
        return max(abs(self.capacity(one.nodes, one.webhook_ms, one.slots) - one.rate) / one.rate for one in others)


def _rate_of(one: MeasuredCapacity) -> float:
    return one.rate


def _slots_of(one: MeasuredCapacity) -> float:
    return one.slots


def _cpu_of(role: str, one: MeasuredCapacity) -> float:
    return float(getattr(one.cpu_us, role))


def _between(known: Sequence[MeasuredCapacity], at: float, place: _Figure, value: _Figure) -> float:
    """By the logarithm of the place; beyond what was measured, as at its end."""
    if at <= place(known[0]):
        return value(known[0])
    for low, high in itertools.pairwise(known):
        if at <= place(high):
            share = (math.log(at) - math.log(place(low))) / max(1e-9, math.log(place(high)) - math.log(place(low)))
            return value(low) * (1 - share) + value(high) * share
    return value(known[-1])


def calibration() -> Calibration:
    """As it was measured for this release."""
    return msgspec.json.decode(files(__package__).joinpath("measured.json").read_bytes(), type=Calibration)
