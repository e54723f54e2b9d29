"""A cluster of one node over a log in memory: no etcd, and its wall clock is the only one."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hookline.clock import Clock
from hookline.node.assembly import Node
from hookline.node.clocks.watch import ClockWatch
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.membership.single import SingleMembership
from hookline.node.state_machine.machine import StateMachine
from hookline.peers.sender import Sender
from hookline.protocol.owners import Owner
from hookline.testing.clock import START_MS
from tests.simulation.cluster.cluster import Cluster
from tests.simulation.cluster.node import SimulatedNode
from tests.simulation.cluster.process import NodeProcess
from tests.simulation.cluster.wall_clock import WallClock
from tests.simulation.faults import CALL_POINTS, POINTS, SEND_POINTS, FaultyLog
from tests.simulation.history import NEVER, History, Serving

_TERMS_MAX = 200
_LOSSES = ("", "", "", "", "memory", "disk")


class LoneNode(Cluster):
    """As ``Cluster``. The log outlives the node; its state file may be behind, or gone."""

    rests_s = (0.0, 0.0, 0.5, 3.0, 20.0, 400.0)

    def __init__(
        self, history: History, seed: int, directory: Path, *, shard: int = 0, settings: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(history, seed, directory, shard=shard, settings=settings)
        self.slots = self.random.choice((3, 5, 10, 20))
        self._begin(seed)
        self.node = self.nodes[0]
        self.time = WallClock(self, self.node.clock, seed)
        self.clock: Clock = self.time
        self.node.faults.clock = self.time
        self.log = FaultyLog(self.node.faults, history)
        self.leadership = MemoryLeadership()

    @property
    def assembly(self) -> Node | None:
        """The parts of the process that runs now; None: it is down."""
        return self.node.now.assembly if self.node.now is not None else None

    def membership(
        self, node: SimulatedNode, now: NodeProcess, machine: StateMachine, sender: Sender
    ) -> SingleMembership:
        return SingleMembership(
            node.config,
            now.clock,
            machine,
            log=self.log,
            leadership=self.leadership,
            owner=str(Owner(node.name, node.name, now.process.name)),
            clocks=ClockWatch(now.clock),
        )

    async def serve(self, now: NodeProcess) -> None:
        await now.assembly.member.is_serving.wait()
        self.serving_begins(f"serving in term {self.leadership.term}")

    def opened(self, node: SimulatedNode, now: NodeProcess) -> None:
        self.time.node_started()

    def ends(self, node: SimulatedNode, now: NodeProcess, *, is_crash: bool) -> None:
        super().ends(node, now, is_crash=is_crash)
        self.serving_ends(self.history.note("crash" if is_crash else "stop"))
        self.time.node_ends()

    def serving_begins(self, why: str, sure_after_ms: int = 20_000) -> None:
        """From now on the node surely looks at what is due."""
        self.history.serving.append(Serving(self.history.note(why), self.time.wall_ms(), sure_after_ms))

    def serving_ends(self, stamp: int) -> bool:
        """Returns whether it was serving."""
        serving = self.history.serving
        if not serving or serving[-1].until_at != NEVER:
            return False
        serving[-1].until_at, serving[-1].until_ms = stamp, self.time.wall_ms()
        return True

    def known_ms(self, true_s: float) -> float:
        return START_MS + true_s * 1_000 + self.time.believed_ms(true_s)

    async def watch(self) -> None:
        """It leads as often as it starts, more or less, and not in circles."""
        while self.leadership.term < _TERMS_MAX:  # noqa: ASYNC110 - it is seen by nobody else
            await asyncio.sleep(1)
        stamp = self.history.note("it leads in circles")
        self.violations.append(f"{self.node.name} has begun term {self.leadership.term} (at {stamp})")

    async def make_trouble(self) -> None:
        troubles, pause_s = self.random.choice((0, 1, 3, 6, 12)), self.random.choice((2, 10, 60))
        jumps = self.random.random() < 0.3
        for _ in range(troubles):
            await asyncio.sleep(self.random.expovariate(1 / pause_s))
            dice = self.random.random()
            if jumps and dice < 0.4:
                self.time.jump()
            elif dice < 0.45:
                self.node.stop()
            elif dice < 0.6:
                self.node.crash(self.random.choice(_LOSSES))
            else:
                self.node.loses = self.random.choice(_LOSSES)
                self.node.faults.plan(None, kinds=(POINTS, CALL_POINTS, SEND_POINTS))

    def heal(self) -> None:
        self.time.heal()
        self.node.loses = ""
        super().heal()
