"""A simulated machine: a place where processes run, and the way of their requests to the receivers."""

import asyncio
import random
from typing import TYPE_CHECKING

from hookline.node.attempts.transport import Outgoing, ReceiverAnswer, SendFailed
from hookline.testing.clock import SimulatedClock
from tests.simulation.cluster.loop import PROCESS, Process, outside
from tests.simulation.faults import Faults
from tests.simulation.receivers import Receivers

if TYPE_CHECKING:
    from tests.simulation.cluster.cluster import Cluster

_DYING_S = 0.001


class Machine:
    """The ``Transport`` of all processes that run on it.

    Args:
        number: tells its random choices from those of the others.
        speed: of its boot clock.

    Attributes:
        is_cut_off: from the receivers.
        lives: how many processes have run here, one after the other.
    """

    def __init__(self, cluster: "Cluster", name: str, number: int, seed: int, *, speed: float = 1.0) -> None:
        self.name = name
        self.cluster = cluster
        self.random = random.Random(f"node {number} {seed}")
        now_s = asyncio.get_running_loop().time
        self.clock = SimulatedClock(lambda: now_s() * speed, seed=seed * 10 + number, start_ms=cluster.start_ms)
        self.faults = Faults(self.clock, f"{number} {seed}", self._crashed, self._paused)
        self.receivers = Receivers(cluster.history, self.faults, seed, number)
        self.is_cut_off = False
        self.lives = 0

    # --- processes -----------------------------------------------------------------------------------------------

    def _crashed(self, process: Process) -> None:
        process.is_dead = True
        self.cluster.trouble(f"{process.name} crashes")
        process.killed.set()

    def _paused(self, process: Process, seconds: float) -> None:
        self.cluster.trouble(f"{process.name} is paused for {seconds:.2f} s")
        process.pause()

        def go_on() -> None:
            if process.is_paused:
                self.cluster.history.note(f"{process.name} goes on")
                process.resume()

        outside(seconds, go_on)

    async def bury(self, process: Process, main: asyncio.Task[None]) -> None:
        """Have a process end for good: from now on it is known to be dead."""
        process.die()
        self.cluster.deaths[process.name] = self.cluster.history.note(f"{process.name} has ended")
        while not main.done():  # what it does when it is cancelled has no end either, in a dead process
            main.cancel()
            await asyncio.wait({main}, timeout=_DYING_S)

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        if not process.is_dead:
            self._crashed(process)

    def hold_up(self, process: Process, seconds: float) -> None:
        """SIGSTOP and, later, SIGCONT."""
        if not process.is_paused and not process.is_dead:
            self._paused(process, seconds)

    def heal(self) -> None:
        """Nothing goes wrong here from now on."""
        self.faults.heal()
        self.is_cut_off = False

    # --- what its processes ask of it ----------------------------------------------------------------------------

    async def send(self, outgoing: Outgoing) -> ReceiverAnswer:
        """Carry a request to the receivers."""
        process = PROCESS.get()
        assert process is not None
        await process.alive()
        self.cluster.sends(process, int(dict(outgoing.headers)["hookline-term"]))
        if self.is_cut_off:
            await asyncio.sleep(self.random.choice((0.01, min(outgoing.timeout_ms / 1_000, 3.0))))
            raise SendFailed("connect", "no route to the receivers")
        return await self.receivers.send(outgoing)

    async def close(self) -> None:
        """Nothing to close."""
