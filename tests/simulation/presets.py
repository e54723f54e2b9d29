"""The kinds of simulated worlds. A preset and a seed are a run, always the same one."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.simulation.clients import BerlinClients, Clients, ClusterClients
from tests.simulation.cluster.etcd_cluster import EtcdCluster
from tests.simulation.cluster.lone import LoneNode
from tests.simulation.cluster.loop import PROCESS, run
from tests.simulation.cluster.patches import patched
from tests.simulation.fleet.world import FleetWorld
from tests.simulation.history import History, Journal
from tests.simulation.logs import complaints_kept
from tests.simulation.mixed.cluster import MixedCluster
from tests.simulation.tenants import TenantsWorld
from tests.simulation.world import ClusterWorld, World

W = TypeVar("W", bound=World)

_MINUTE_MS = 60_000
_SPRING_MS = 1_806_195_600_000  # 2027-03-28T01:00:00Z: in Berlin it would be two o'clock, and is three
_AUTUMN_MS = 1_824_944_400_000  # 2027-10-31T01:00:00Z: it would be three o'clock, and is two again


@dataclass(frozen=True, slots=True)
class Preset:
    """A kind of world. ``seeds``: how many runs there are of it, if nobody asks for more."""

    name: str
    build: Callable[[History, int, Path], World]
    seeds: int


def _single(history: History, seed: int, directory: Path) -> World:
    return ClusterWorld(LoneNode(history, seed, directory), Clients, seed)


def _cluster(history: History, seed: int, directory: Path) -> World:
    return ClusterWorld(EtcdCluster(history, seed, directory), ClusterClients, seed)


def _mixed(history: History, seed: int, directory: Path) -> World:
    return ClusterWorld(MixedCluster(history, seed, directory), ClusterClients, seed)


def _changed(hour_ms: int) -> Callable[[History, int, Path], World]:
    def build(history: History, seed: int, directory: Path) -> World:
        cluster = EtcdCluster(history, seed, directory, kind="clocks", hour_ms=hour_ms - _MINUTE_MS)
        return ClusterWorld(cluster, BerlinClients, seed)

    return build


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("single", _single, seeds=40),
        Preset("cluster", _cluster, seeds=20),
        Preset("mixed", _mixed, seeds=10),
        Preset("fleet", FleetWorld, seeds=12),
        Preset("spring", _changed(_SPRING_MS), seeds=3),
        Preset("autumn", _changed(_AUTUMN_MS), seeds=3),
        Preset("tenants", TenantsWorld, seeds=8),
    )
}


def simulate(preset: str, seed: int, directory: Path, *, stops: bool = False) -> World:
    """Run a world of a kind to its end; arguments as ``lived`` takes them."""
    return lived(PRESETS[preset].build, seed, directory, stops=stops)


def lived(build: Callable[[History, int, Path], W], seed: int, directory: Path, *, stops: bool = False) -> W:
    """Run a world to its end; with ``stops``, only until something is seen to be wrong. ``directory`` is empty."""

    async def main() -> W:
        history = History(Journal(asyncio.get_running_loop().time))
        world = build(history, seed, directory)
        with complaints_kept(history, _is_alive), patched(world.random, world.kind, seed, commit_ms=world.commit_ms):
            await world.live(stops=stops)
        return world

    return run(main())


def _is_alive() -> bool:
    """The process that logs is alive, or the log line is not from a process."""
    process = PROCESS.get()
    return process is None or not process.is_dead
