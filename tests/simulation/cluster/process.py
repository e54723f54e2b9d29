"""One process of a node: the product's own node put together from other parts, in a context that can be stopped."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from hookline.errors import HooklineError
from hookline.node.assembly import Node, NodeParts, build
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.resolver import Resolver
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.database import Database
from hookline.node.history.cluster import ClusterHistory
from hookline.node.leadership.renewal import STEP_S, TRY_S, Renewal
from hookline.node.replica import Replica
from hookline.node.state_machine.machine import StateMachine
from hookline.testing.assembly import fixed_vault, lookup
from tests.simulation.asgi import Listener
from tests.simulation.cluster.attempt_process import SimulatedChild, start
from tests.simulation.cluster.etcd import SimulatedClient
from tests.simulation.cluster.loop import Process
from tests.simulation.network import SimulatedSender, proven

if TYPE_CHECKING:
    from tests.simulation.cluster.node import SimulatedNode

_IDLE_S = 3 * STEP_S  # soon enough for the first beat, and spares a follower most looks


class NodeProcess:
    """One process of a node and what it holds.

    Attributes:
        is_allowed: its state may go on with the log.
        is_closed: it takes no requests any more.
        children: its attempt processes, dead ones too.
        halted_at_s: when it began to wait for a person.
        listener: takes requests.
    """

    def __init__(self, node: "SimulatedNode", process: Process, database: Database) -> None:
        cluster = node.cluster
        self.process = process
        self.database = database
        self.clock, machine, vault = GuardedClock(node.clock), StateMachine(database), fixed_vault()
        sender = proven(SimulatedSender(cluster.network, node.name), self.clock, process.name)
        self.tasks = asyncio.TaskGroup()
        self.children: list[SimulatedChild] = []
        self.membership = cluster.membership(node, self, machine, sender)
        self.assembly: Node = build(
            NodeParts(
                config=node.config,
                clock=self.clock,
                machine=machine,
                membership=self.membership,
                commit=node.commit,
                vault=vault,
                resolver=Resolver(lookup, self.clock),
                transport=node,
                sender=sender,
                fleet_sender=proven(SimulatedSender(cluster.outer, node.name), self.clock, f"{process.name} of fleet"),
                own_addresses=OwnAddresses([]),
                start_attempt_process=partial(start, node, self) if node.config.attempt_processes else None,
            )
        )
        self._node = node
        self.is_allowed = self.is_closed = False
        self.halted_at_s = 0.0
        self.listener = Listener(self.assembly.app, self.tasks, process.context)

    @property
    def replica(self) -> Replica:
        return self.assembly.member.replica

    def is_leading(self) -> bool:
        return self.membership.is_leading()

    def leader_url(self) -> str | None:
        return self.membership.leader_url()

    def halted(self) -> str | None:
        return self.membership.halted()

    def has_another_history(self) -> bool:
        """Its state has not the history of the log, so it waits for a person."""
        history = self.membership.history
        return isinstance(history, ClusterHistory) and history.halted is not None

    async def run(self) -> None:
        """Until the member stops."""
        member = self.assembly.member
        async with self.tasks, self.membership.running():
            others = [self.assembly.clocks.run(member), self._node.cluster.serve(self)]
            watching = [self.tasks.create_task(one) for one in others]
            await self.membership.until_allowed(self._halted)
            self.is_allowed = True
            await member.run()
            self.is_closed = True
            for task in watching:
                task.cancel()

    def _halted(self, why: str) -> None:
        self.halted_at_s = asyncio.get_running_loop().time()
        self._node.cluster.history.note(f"{self.process.name} halts: {why}")

    @contextmanager
    def renewing(self, client: SimulatedClient, renewal: Renewal) -> Iterator[None]:
        """As the thread of a real node, which stands still with its process."""

        async def run() -> None:
            while True:
                await asyncio.sleep(STEP_S if self.assembly.member.leader is not None else _IDLE_S)
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
