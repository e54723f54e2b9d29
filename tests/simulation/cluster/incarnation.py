"""One life of a node: the product's own node in a process of its own, over a simulated etcd and network."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from hookline.errors import HooklineError
from hookline.node.assembly import Node, Parts, build
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.resolver import Resolver
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.database import Database
from hookline.node.history.cluster import ClusterHistory
from hookline.node.leadership.renewal import STEP_S, TRY_S, Renewal
from hookline.node.membership.etcd import EtcdMembership, EtcdParts, OtherLeader
from hookline.node.replica import Replica
from hookline.node.state_machine.machine import StateMachine
from hookline.testing.assembly import fixed_vault, lookup
from tests.simulation.cluster.etcd import SimulatedClient
from tests.simulation.cluster.loop import Process
from tests.simulation.cluster.sender import NodeSender

if TYPE_CHECKING:
    from tests.simulation.cluster.node import SimulatedNode
    from tests.simulation.cluster.world import ClusterWorld

_IDLE_S = 3 * STEP_S  # soon enough for the first beat, and spares a follower most looks


class Incarnation:
    """One process of a node and what it holds.

    Attributes:
        is_allowed: its state may go on with the log.
        halted_at_s: when it began to wait for a person.
        asked: answers that others wait for.
    """

    def __init__(self, node: "SimulatedNode", process: Process, database: Database) -> None:
        world = node.world
        client: Any = SimulatedClient(world.etcd, node.name, node.faults.point)
        sender = NodeSender(world.ask)
        clock, machine, vault = GuardedClock(node.clock), StateMachine(database), fixed_vault()
        parts = EtcdParts(
            client=client,
            sender=sender,
            renewing=partial(self._renewing, client),
            watch=partial(_Watch, world),
            ask_clocks=lambda _nodes: partial(world.clocks.seen_by, node),
            kernel_agrees=None,
            home=node.name,
            start=process.name,
        )
        self._node = node
        self.process = process
        self.database = database
        self.membership = EtcdMembership(node.config, clock, machine, vault, parts)
        self.assembly: Node = build(
            Parts(
                config=node.config,
                clock=clock,
                machine=machine,
                membership=self.membership,
                commit=node.commit,
                vault=vault,
                resolver=Resolver(lookup, clock),
                transport=node,
                sender=sender,
                own_addresses=OwnAddresses([]),
            )
        )
        self.is_allowed = False
        self.halted_at_s = 0.0
        self.asked: dict[asyncio.Future[Any], None] = {}
        self.tasks = asyncio.TaskGroup()

    @property
    def history(self) -> ClusterHistory:
        return self.membership.history

    @property
    def replica(self) -> Replica:
        return self.assembly.member.replica

    def is_leading(self) -> bool:
        return self.membership.is_leading()

    def leader_url(self) -> str | None:
        return self.membership.leader_url()

    def halted(self) -> str | None:
        return self.membership.halted()

    async def run(self) -> None:
        """Until the member stops."""
        member = self.assembly.member
        async with self.tasks, self.membership.running():
            watching = self.tasks.create_task(self.assembly.clocks.run(member))
            await self.membership.until_allowed(self._halted)
            self.is_allowed = True
            await member.run()
            watching.cancel()

    def _halted(self, why: str) -> None:
        self.halted_at_s = asyncio.get_running_loop().time()
        self._node.world.history.note(f"{self.process.name} halts: {why}")

    @contextmanager
    def _renewing(self, client: SimulatedClient, renewal: Renewal) -> Iterator[None]:
        """As the thread of a real node, which stands still with its process."""

        async def run() -> None:
            while True:
                await asyncio.sleep(STEP_S if self.membership.fence.revision is not None else _IDLE_S)
                beat = renewal.due()
                if beat is None:
                    continue
                try:
                    response = await client.txn(beat.request, TRY_S)
                except HooklineError:
                    continue
                renewal.heard(beat, response)

        running = self.tasks.create_task(run())
        yield
        running.cancel()


class _Watch:
    """What a ``LeaderWatch`` finds out."""

    def __init__(self, world: "ClusterWorld", _leader: OtherLeader) -> None:
        self.is_gone = world.is_gone

    async def run(self) -> None:
        """The world knows it."""
