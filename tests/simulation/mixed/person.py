"""The operator: looks, gives nodes their own directories back, and decides on which state a lost log goes on."""

import asyncio
from typing import TYPE_CHECKING, Any

from hookline.errors import ForeignState, InvalidConfig, LogFault
from hookline.node.etcd.charters import Charters
from hookline.node.etcd.client import EtcdClient
from hookline.node.etcd.statuses import NodeStatus, read_statuses
from hookline.node.history.interface import CLUSTER_ID_BYTES
from hookline.node.history.recovery import plan_recovery
from hookline.node.identity import Charter, Position
from hookline.node.membership.positions import ask_candidates
from tests.simulation.cluster.etcd import SimulatedClient
from tests.simulation.network import SimulatedSender

if TYPE_CHECKING:
    from tests.simulation.mixed.cluster import MixedCluster

_LOOK_S = 2.0
_LOOKS = 3  # so often the nodes must say that they wait, until somebody believes that they do not help themselves
_PATIENCE = 30  # looks until somebody decides without a node that does not come up
_AWAY_MS = 10_000


class Person:
    """One operator. What he does is what docs/how-to/etcd-was-lost.md says, and what nodes that wait ask for."""

    def __init__(self, world: "MixedCluster") -> None:
        self._world = world
        client: Any = SimulatedClient(world.etcd, "person", _nowhere)
        self._client: EtcdClient = client
        self._charters = Charters(client, world.keys)
        self._sender = SimulatedSender(world.network, "person")
        self._looks = self._refusals = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self._give_back()
            try:
                await self._look()
            except LogFault as error:
                self._world.history.note(f"the operator waits: {error.detail}")

    def _give_back(self) -> None:
        """Give each node that got another cluster's directory, and says so, its own."""
        for node in self._world.nodes:
            says_so = isinstance(node.ended, ForeignState) or (node.now and node.now.has_another_history())
            if node.name in self._world.foreign and says_so:
                self._world.give_back(node)

    async def _look(self) -> None:
        world = self._world
        statuses = await read_statuses(self._client, world.keys)
        now_ms = max((it.at_ms for it in statuses), default=0)
        there = [it for it in statuses if it.at_ms > now_ms - _AWAY_MS]
        if not world.etcd.is_founded and len(there) == len(world.nodes) and not any(it.applied for it in there):
            await self._found_again()
            return
        waiting = [it for it in there if it.halted is not None and it.name not in world.foreign]
        if not world.is_lost or not waiting or world.foreign:
            self._looks = self._refusals = 0
            return
        self._looks += 1
        if self._looks >= _PATIENCE or (self._looks >= _LOOKS and len(there) == len(world.nodes)):
            await self._recover(statuses, self.choose(waiting))

    async def _found_again(self) -> None:
        """As ``hookline cluster init``: nobody has a state, so nothing is lost."""
        self._looks += 1
        if self._looks >= _LOOKS:
            world = self._world
            cluster_id = world.random.randbytes(CLUSTER_ID_BYTES).hex()
            await self._charters.begin(Charter(cluster_id=cluster_id, cluster=world.name, shard=world.shard))

    def choose(self, waiting: list[NodeStatus]) -> NodeStatus:
        """The newest; where the log was continued from an old directory, not that one if there is another."""
        stale = self._world.stale if self._world.losses[-1].is_continued else ()
        return max(waiting, key=lambda it: (it.name not in stale, _position(it).generation, it.applied))

    async def _recover(self, statuses: list[NodeStatus], chosen: NodeStatus) -> None:
        """As ``hookline cluster recover``, with --force when it was refused, and a node that is silent stays so."""
        world = self._world
        charter, log = await self._charters.read(0)
        candidates = await ask_candidates(self._sender, statuses, charter)
        candidate = candidates.pop(chosen.name)
        others = [*candidates.values()]
        if not candidate.answers:
            return
        try:
            planned = plan_recovery(candidate, others, charter, log, force=False)
        except InvalidConfig as error:
            world.history.note(f"the operator does not get his way: {error.detail}")
            self._refusals += 1
            waits = self._looks < _PATIENCE and not all(it.answers for it in others)
            if waits or self._refusals < _LOOKS or candidate.position.is_empty:
                return  # somebody who has just started may not have said yet that he waits
            planned = plan_recovery(candidate, others, charter, log, force=True)
        if await self._charters.replace(charter, planned):
            world.history.note(f"the operator goes on from {chosen.name}")


def _position(status: NodeStatus) -> Position:
    return status.position or Position(node=status.name)


async def _nowhere(_point: str) -> None:
    """An operator is not struck."""
