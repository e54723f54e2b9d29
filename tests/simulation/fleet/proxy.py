"""A simulated proxy: all of a real one above its ``Sender``. It is killed, and started again with any topology."""

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING

from hookline.errors import ConnectionFailed
from hookline.peers.sender import NodeAnswer, NodeCall
from hookline.protocol.topology import Topology
from hookline.proxy.assembly import ProxyParts, build
from hookline.proxy.config import ProxyConfig
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.testing.clock import SimulatedClock
from tests.simulation.asgi import Listener
from tests.simulation.cluster.loop import OUTSIDE
from tests.simulation.network import SimulatedSender

if TYPE_CHECKING:
    from tests.simulation.fleet.world import FleetWorld

_SLACK_S = 1.0  # how much longer than it says a proxy may take for an answer


class SimulatedProxy:
    """Lives until the world is over.

    Attributes:
        file: the topology it starts with.
        known: what it routes by; None while it is down.
    """

    def __init__(self, world: "FleetWorld", name: str, file: Topology, seed: int) -> None:
        self.world = world
        self.name = name
        self.file = file
        self.random = random.Random(f"proxy {name} {seed}")
        self.clock = SimulatedClock(asyncio.get_running_loop().time, seed=self.random.getrandbits(40))
        self.config = ProxyConfig(
            topology=Path("topology.toml"),
            request_timeout_ms=self.random.choice((3_000, 6_000, 10_000)),
            try_timeout_ms=self.random.choice((1_000, 2_000, 4_000)),
            probe_interval_ms=self.random.choice((1_000, 2_000, 5_000)),
        )
        self.known: KnownTopology | None = None
        self._listener: Listener | None = None
        self._killed = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """It takes connections."""
        return self._listener is not None

    async def run(self) -> None:
        """One process after the other, until the world is over."""
        while not self.world.is_over:
            await self._live()
            if not self.world.is_over:
                await asyncio.sleep(self.random.choice((0.0, 0.5, 2.0)) * self.random.random())

    async def _live(self) -> None:
        self._killed = asyncio.Event()
        known = self.known = KnownTopology(self.file, is_proposal=True)
        sender = SimulatedSender(self.world.network, self.name)
        proxy = build(ProxyParts(self.config, self.clock, sender, known, KnownHealth(self.file.all_clusters())))
        self.world.history.note(f"{self.name} starts with epoch {known.epoch}")

        async def serve() -> None:
            async with asyncio.TaskGroup() as tasks:
                await proxy.prober.probe_all()
                self._listener = Listener(proxy.app, tasks, OUTSIDE)
                await proxy.prober.run()

        async with asyncio.TaskGroup() as life:
            serving = life.create_task(serve())
            await self._killed.wait()
            self.known = self._listener = None
            serving.cancel()

    def kill(self) -> None:
        """End all that it does at once. Its callers hear nothing."""
        self.world.history.note(f"{self.name} is killed")
        self._killed.set()

    async def ask(self, call: NodeCall) -> NodeAnswer:
        """Its answer. Raises as ``Listener.ask``."""
        if self._listener is None:
            raise ConnectionFailed("connection refused")
        now_s = asyncio.get_running_loop().time
        began_s = now_s()
        try:
            return await self._listener.ask(call)
        finally:
            took_s = now_s() - began_s
            if took_s > self.config.request_timeout_ms / 1_000 + _SLACK_S:
                self.world.violations.append(f"{self.name} took {took_s:.1f} s for {call.method} {call.target}")
