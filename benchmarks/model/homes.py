"""Asks the real router where ids go: how even the shares are, and how many move when a cluster is added."""

import statistics
import time
from collections import Counter
from typing import Any, NamedTuple

from msgspec.structs import replace

from hookline.clock import SystemClock
from hookline.protocol.limits import TOPOLOGY_BYTES_MAX
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry, Placement, Strategy, Topology, encode_topology
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.forwarder import Forwarder
from hookline.proxy.health import KnownHealth

_TIMED = 200  # calls


class Spread(NamedTuple):
    """Shares of the clusters, as multiples of an even one.

    Attributes:
        shares: of each cluster.
        chance: the standard deviation that chance alone gives for so many ids.
    """

    shares: list[float]
    chance: float

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return statistics.pstdev(self.shares)


class Operations(NamedTuple):
    """Tells how long the proxy's decisions take, µs, and how large the document is, bytes."""

    home_us: float
    choice_us: float
    router_s: float
    document: int
    document_moving: int
    document_max: int


def topology(clusters: int, strategy: Strategy) -> Topology:
    """One with three nodes each, at addresses as they are in a data centre."""
    entries = tuple(
        ClusterEntry(
            name=f"c{number}",
            shard=number,
            nodes=tuple(f"http://10.{node}.{number // 256}.{number % 256}:7070" for node in (1, 2, 3)),
        )
        for number in range(clusters)
    )
    return Topology(epoch=1, strategy=strategy, clusters=entries)


def spread(clusters: int, strategy: Strategy, ids: int) -> Spread:
    """Ask for the homes of so many ids."""
    router = Router(topology(clusters, strategy))
    found = Counter(router.home(f"order-{number}").cluster.shard for number in range(ids))
    even = ids / clusters
    return Spread([found[shard] / even for shard in range(clusters)], even**-0.5)


def moving_share(clusters: int, strategy: Strategy, ids: int) -> float:
    """The share of ids that get another home when a cluster is added to so many."""
    old, new = topology(clusters, strategy), topology(clusters + 1, strategy)
    router = Router(replace(new, epoch=2, previous=Placement(strategy=strategy, clusters=old.clusters)))
    return sum(router.previous_home(f"order-{number}") is not None for number in range(ids)) / ids


def operations(clusters: int) -> Operations:
    """Time the real decisions with so many clusters."""
    document = topology(clusters, "ring")
    began = time.perf_counter()
    router = Router(document)
    router_s = time.perf_counter() - began
    began = time.perf_counter()
    for number in range(_TIMED):
        router.home(f"order-{number}")
    home_us = (time.perf_counter() - began) / _TIMED * 1e6
    before = topology(clusters - 1, "ring")
    moving = replace(document, previous=Placement(strategy="ring", clusters=before.clusters))
    return Operations(
        home_us,
        _choice_us(router),
        router_s,
        len(encode_topology(document)),
        len(encode_topology(moving)),
        TOPOLOGY_BYTES_MAX,
    )


def _choice_us(router: Router) -> float:
    """The proxy's own choice of a cluster for a create without an id; all are up."""
    health, clock = KnownHealth(), SystemClock()
    for entry in router.topology.clusters:
        health.order(entry)
        for url in entry.nodes:
            health.probed(url, is_ready=True, name="n", role="leader")
    nothing: Any = None  # what a choice does not touch
    forwarder = Forwarder(nothing, health, nothing, clock, nothing, nothing)
    chooser = ProxyApi(forwarder, nothing, health, nothing, clock, nothing, nothing, nothing)
    began = time.perf_counter()
    for _ in range(_TIMED):
        next(iter(chooser.candidates(router).clusters))
    return (time.perf_counter() - began) / _TIMED * 1e6
