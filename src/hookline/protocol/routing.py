"""Finds the cluster that is the home of an id or an idempotency key. Pure; nodes and proxies decide alike.

An id that was minted for a shard that exists is at home there. For all others the strategy decides: ``modulo`` takes
the 32-bit FNV-1a hash (Fowler, Noll, Vo; http://www.isthe.com/chongo/tech/comp/fnv/) of the UTF-8 bytes modulo the
number of clusters in the topology's order, ``ring`` the next point on a ring with weights (consistent hashing; Karger
and others, 1997), whatever the order.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from itertools import accumulate
from typing import Literal, Protocol

from uhashring import HashRing

from hookline.protocol.ids import shard_hint
from hookline.protocol.topology import ClusterEntry, Strategy, Topology, version_of

Rule = Literal["hint", "modulo", "ring", "previous"]

POINTS_PER_WEIGHT = 400  # the share of a cluster is then its weight's within some 5 % (one in the root of the points)

_FNV_OFFSET, _FNV_PRIME, _32_BITS = 0x811C9DC5, 0x01000193, 0xFFFFFFFF


def fnv1a_32(data: bytes) -> int:
    """The 32-bit FNV-1a hash."""
    value = _FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & _32_BITS
    return value


def ring_hash(text: str) -> int:
    """An id's place on the ring: the first 32 bits of the MD5 of its UTF-8 text, the lowest byte first (as ketama)."""
    return int.from_bytes(md5(text.encode(), usedforsecurity=False).digest()[:4], "little")


@dataclass(frozen=True, slots=True)
class Home:
    """The home of something, and the rule that says so; ``hash`` is None when the id's hint decided."""

    cluster: ClusterEntry
    rule: Rule
    hash: int | None = None


class Placer(Protocol):
    """A strategy over one list of clusters."""

    rule: Rule

    def hash(self, text: str) -> int:
        """The number the strategy decides by."""

    def place(self, text: str) -> ClusterEntry:
        """The cluster for an id or a key."""


class Modulo:
    """FNV-1a modulo the number of clusters, in their order."""

    rule: Rule = "modulo"

    def __init__(self, clusters: Sequence[ClusterEntry]) -> None:
        self._clusters = tuple(clusters)

    def hash(self, text: str) -> int:
        return fnv1a_32(text.encode())

    def place(self, text: str) -> ClusterEntry:
        return self._clusters[self.hash(text) % len(self._clusters)]


class Ring:
    """Consistent hashing: a cluster that comes or goes moves about its share of the ids, and no others."""

    rule: Rule = "ring"

    def __init__(self, clusters: Sequence[ClusterEntry]) -> None:
        self._by_name = {entry.name: entry for entry in clusters}
        # The number of points of a cluster depends on its own weight only: so no other cluster's points move with it.
        # In order of the names, so that the same one has a point that two want, whatever the topology's order.
        points = {name: POINTS_PER_WEIGHT * self._by_name[name].weight for name in sorted(self._by_name)}
        self._ring = HashRing(nodes={name: {"vnodes": count} for name, count in points.items()}, hash_fn=ring_hash)

    def hash(self, text: str) -> int:
        return ring_hash(text)

    def place(self, text: str) -> ClusterEntry:
        return self._by_name[self._ring.get_node(text)]


class Router:
    """The decisions under one topology."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.version = version_of(topology)
        self._placer = _placer(topology.strategy, topology.clusters)
        self._is_weighted = topology.strategy == "ring"
        self._weights = list(accumulate(map(self.weight, topology.clusters)))
        self._by_shard = {entry.shard: entry for entry in topology.all_clusters()}
        previous = topology.previous
        self._previous = _placer(previous.strategy, previous.clusters) if previous else None

    def home(self, job_id: str) -> Home:
        """The cluster to ask for an id first."""
        hinted = self.hinted(job_id)
        return self.key_home(job_id) if hinted is None else Home(hinted, "hint")

    def new_home(self, job_id: str) -> Home:
        """The home of something new with that id: as ``home``, but never a cluster that is on its way out."""
        route = self.home(job_id)
        return route if route.cluster in self.topology.clusters else self.key_home(job_id)

    def key_home(self, key: str) -> Home:
        """The home of an idempotency key; one that looks like a minted id is not a hint."""
        return Home(self._placer.place(key), self._placer.rule, self._placer.hash(key))

    def weight(self, cluster: ClusterEntry) -> int:
        """Its share of what may go anywhere, against the others'."""
        return cluster.weight if self._is_weighted else 1

    def at(self, share: float) -> ClusterEntry:
        """The cluster at this share, at least 0 and below 1, of the weights of all, one after the other."""
        return self.topology.clusters[bisect(self._weights, share * self._weights[-1])]

    def hinted(self, job_id: str) -> ClusterEntry | None:
        """The cluster a minted id names, if there is one with that shard."""
        shard = shard_hint(job_id)
        return None if shard is None else self._by_shard.get(shard)

    def previous_home(self, text: str, *, is_key: bool = False) -> Home | None:
        """The home before the change under way; None when it did not move, or nothing changes."""
        if self._previous is None or (not is_key and self.hinted(text) is not None):
            return None
        entry = self._previous.place(text)
        if entry.name == self._placer.place(text).name:
            return None
        return Home(entry, "previous", self._previous.hash(text))


def _placer(strategy: Strategy, clusters: Sequence[ClusterEntry]) -> Placer:
    return Ring(clusters) if strategy == "ring" else Modulo(clusters)
