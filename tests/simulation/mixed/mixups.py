"""Mixes things up. Each mix-up ends when it does nothing more. The nodes and the operator see to what comes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.simulation.cluster.node import SimulatedNode
from tests.simulation.mixed.damage import damage_file, damage_running
from tests.simulation.mixed.etcd import NOTHING
from tests.simulation.mixed.foreign import make_foreign_state

if TYPE_CHECKING:
    from tests.simulation.mixed.cluster import MixedCluster


async def another_clusters_directory(world: "MixedCluster") -> None:
    """A node is started on it; the others may be lost just then, so that it leads if it is let to."""
    node = world.random.choice(world.nodes)
    await world.down(node)
    own = world.directory / f"{node.name}.own"
    if not node.state_file.exists():
        node.is_held = False
        return
    world.keep_copy(node, own)
    node.remove_state()
    what = make_foreign_state(node.state_file, world.random)
    world.foreign[node.name] = own
    world.trouble(f"{node.name} gets {what}")
    node.is_held = False
    if world.random.random() < 0.6:
        await _lose_for_a_while(world, [other for other in world.nodes if other is not node])


async def an_old_directory(world: "MixedCluster") -> None:
    """A node goes back to what it had some time ago."""
    node = world.random.choice(world.nodes)
    copy = await _copy_of(world, node)
    await world.down(node)
    if copy and world.is_safe_without(node):
        world.put_copy(node, world.directory / "old")
        world.trouble(f"{node.name} gets an old copy of its directory")
    node.is_held = False
    if world.random.random() < 0.5:
        await _lose_for_a_while(world, [other for other in world.nodes if other is not node])


async def another_nodes_directory(world: "MixedCluster") -> None:
    """Of the same cluster."""
    node, other = world.random.sample(world.nodes, 2)
    await world.down(node)
    if world.is_safe_without(node) and other.name not in world.odd and world.keep_copy(other, world.directory / "old"):
        world.put_copy(node, world.directory / "old")
        world.trouble(f"{node.name} gets a copy of {other.name}'s directory")
    node.is_held = False


async def etcd_is_emptied(world: "MixedCluster") -> None:
    """While nodes run or not, and with what befalls one of them at the same time."""
    await _lose_etcd(world, is_all=True)


async def etcd_is_set_back(world: "MixedCluster") -> None:
    """To a backup of some time ago."""
    await _lose_etcd(world, is_all=False)


async def _lose_etcd(world: "MixedCluster", *, is_all: bool) -> None:
    pick = world.random
    victim = pick.choice(world.nodes)
    fate = pick.choice(("", "", "disk", "old", "old"))
    copy = await _copy_of(world, victim) if fate == "old" else False
    backup = NOTHING if is_all else world.etcd.backup()
    if not is_all:
        await asyncio.sleep(pick.choice((0.3, 3.0, 10.0)) * pick.random())
    down = list(world.nodes) if pick.random() < 0.4 else [victim] if fate else []
    for node in down:
        await world.down(node, "disk" if fate == "disk" and node is victim else "")
    if fate == "old" and copy:
        world.put_copy(victim, world.directory / "old")
        world.stale.add(victim.name)
        world.trouble(f"{victim.name} gets an old copy of its directory")
    world.lose(backup, "etcd is emptied" if is_all else "etcd is set back")
    pick.shuffle(down)
    if fate and pick.random() < 0.6:  # the wrong one first
        down.sort(key=lambda node: node is not victim)
    for node in down:
        node.is_held = False
        await asyncio.sleep(pick.choice((0.0, 1.0, 8.0)) * pick.random())


async def rows_are_changed_on_a_disk(world: "MixedCluster") -> None:
    """While the node is down."""
    node = world.random.choice(world.nodes)
    await world.down(node)
    if world.is_safe_without(node) and node.state_file.exists():
        what = damage_file(node.state_file, world.random)
        if what is not None:
            world.odd.add(node.name)
            world.trouble(f"in the state of {node.name}: {what}")
    node.is_held = False
    if world.random.random() < 0.3:
        await _lose_for_a_while(world, [world.random.choice([other for other in world.nodes if other is not node])])


async def rows_are_changed_in_a_running_node(world: "MixedCluster") -> None:
    """Of the leader, or of a follower which may lead then."""
    leader = world.leader()
    node = world.random.choice([*world.nodes, *([leader, leader] if leader is not None else [])])
    if node.now is None or node.now.process.is_paused or node.now.halted() is not None:
        return
    what = damage_running(node.now.assembly.machine, world.random)
    if what is None:
        return
    world.odd.add(node.name)
    world.has_lost_rows |= what.startswith("DELETE")
    world.trouble(f"in the running {node.name}: {what}")
    if node is not leader and leader is not None and world.random.random() < 0.5:
        leader.crash()


async def _copy_of(world: "MixedCluster", node: SimulatedNode) -> bool:
    """Keep one, and let the cluster go on for a while."""
    copied = node.name not in world.odd and world.keep_copy(node, world.directory / "old")
    await asyncio.sleep(world.random.choice((1.0, 5.0, 20.0)) * world.random.random())
    return copied


async def _lose_for_a_while(world: "MixedCluster", nodes: list[SimulatedNode]) -> None:
    await asyncio.sleep(3 * world.random.random())
    for node in nodes:
        await world.down(node)
    await asyncio.sleep(8 * world.random.random())
    for node in nodes:
        node.is_held = False


MIXUPS: tuple[Callable[["MixedCluster"], Awaitable[None]], ...] = (
    another_clusters_directory,
    an_old_directory,
    another_nodes_directory,
    etcd_is_emptied,
    etcd_is_emptied,
    etcd_is_set_back,
    etcd_is_set_back,
    rows_are_changed_on_a_disk,
    rows_are_changed_in_a_running_node,
    rows_are_changed_in_a_running_node,
)
