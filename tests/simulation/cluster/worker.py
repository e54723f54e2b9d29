"""A simulated worker: the product's own, which keeps nothing, and finds the leader over the simulated network."""

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING

from hookline.clock import ToldClock
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.resolver import Resolver
from hookline.testing.assembly import fixed_vault, lookup
from hookline.worker.config import WorkerConfig
from hookline.worker.runtime import Worker
from tests.simulation.cluster.loop import Process, ProcessLoop
from tests.simulation.cluster.machine import Machine
from tests.simulation.network import SimulatedSender, proven

if TYPE_CHECKING:
    from tests.simulation.cluster.cluster import Cluster

_FIRST_NUMBER = 5  # nodes have those below
_SPEEDS = (0.985, 1.0, 1.015)  # decision 29 allows for 2 %
_RESTS_S = (0.0, 0.3, 2.0, 15.0)


class SimulatedWorker(Machine):
    """Processes that run one after the other.

    Attributes:
        now: the process that runs, None while the worker is down.
    """

    def __init__(self, cluster: "Cluster", number: int, seed: int) -> None:
        speed = _SPEEDS[(seed + number) % len(_SPEEDS)]
        super().__init__(cluster, f"w{number}", _FIRST_NUMBER + number, seed, speed=speed)
        self.faults.clock = cluster.clock
        self.config = WorkerConfig(
            cluster=tuple(node.config.advertised_url for node in cluster.nodes),
            name=self.name,
            slots=cluster.slots,
            allow_private_destinations=True,
            secret_key=b64encode(fixed_vault().keys[0]).decode(),
            shutdown_grace_ms=5_000,
        )
        self.now: Process | None = None
        self.is_over = False
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """One process after the other, until its world is over."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        while not self.is_over:
            self.lives += 1
            process = self.now = Process(loop, f"{self.name}.{self.lives}")
            self._stop = asyncio.Event()
            self.cluster.history.note(f"{process.name} starts")
            async with asyncio.TaskGroup() as tasks:
                main = tasks.create_task(self._main(process, self._stop), context=process.context)
                killed = tasks.create_task(process.killed.wait())
                await asyncio.wait({main, killed}, return_when=asyncio.FIRST_COMPLETED)
                self.now = None
                killed.cancel()
                await self.bury(process, main)
            if not self.is_over:
                await asyncio.sleep(self.random.choice(_RESTS_S) * self.random.random())

    async def _main(self, process: Process, stop: asyncio.Event) -> None:
        clock = ToldClock(self.clock)
        clock.offset_ms = self.clock.wall_ms() - self.clock.boot_ms()
        sender = proven(SimulatedSender(self.cluster.network, self.name), clock, process.name)
        try:
            async with Resolver(lookup, clock) as resolver:
                worker = Worker(
                    self.config, clock, fixed_vault(), resolver, sender, self, OwnAddresses([]), start=process.name
                )
                async with worker.running():
                    await stop.wait()
                    await worker.end()
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has failed
            if not process.is_dead:
                self.cluster.history.complaints.append(f"{process.name} broke down: {error!r}")

    def stop(self) -> None:
        """SIGTERM."""
        self._stop.set()
