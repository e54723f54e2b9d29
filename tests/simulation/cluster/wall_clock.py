"""The wall clock of a simulated node: set wrong and right again, and what the node may believe of it.

``ahead_ms`` is how far the machine's clock is from the truth. A node cannot know that its clock was wrong when it
started, or that its operator was wrong: what it believes with such a reason is noted, and counts as the truth for it.
"""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from hookline.testing.clock import SimulatedClock

if TYPE_CHECKING:
    from tests.simulation.cluster.lone import LoneNode

_HOUR_MS = 3_600_000
_DECIDED_S = 1.0  # from a claim to its request at most


class WallClock:
    """Also the ``Clock`` of clients and receivers, who go by the time that the node goes by.

    Attributes:
        believed: (since when in s, how far ahead of the truth the node may be) in order.
    """

    def __init__(self, cluster: "LoneNode", machine: SimulatedClock, seed: int) -> None:
        self._cluster = cluster
        self._machine = machine
        self._random = random.Random(f"wall clock {seed}")
        self._ahead_ms = 0
        self._lead_ms = 0  # by which the node's time was ahead of its machine's when it went down
        self.believed: list[tuple[float, int]] = [(0.0, 0)]
        self.boot_ms, self.random, self.token = machine.boot_ms, machine.random, machine.token

    def wall_ms(self) -> int:
        node = self._cluster.assembly
        return self._machine.wall_ms() + self._lead_ms if node is None else node.clock.wall_ms()

    def node_started(self) -> None:
        """It knows of no other time than its machine's."""
        self._note_step(self._machine.wall_ms() + self._lead_ms)
        self._lead_ms = 0
        self._believe()

    def node_ends(self) -> None:
        """Forget the node's knowledge of the time, which is lost with it."""
        self._lead_ms = self.wall_ms() - self._machine.wall_ms()

    def jump(self) -> None:
        """It is set wrong, and stays so; or it is right again; or the operator says that it is right as it is."""
        pick = self._random
        dice = pick.random()
        if self._ahead_ms and dice < 0.3:
            self._act("the operator trusts the wall clock", self._trust)
        elif self._ahead_ms and dice < 0.7:
            self._set(0)
        else:
            sizes = (pick.choice((-1, 1)) * 10 ** pick.uniform(2, 6.5), 2_000, _HOUR_MS, -_HOUR_MS, 30_000, -30_000)
            self._set(int(pick.choice(sizes)))

    def heal(self) -> None:
        """It is right, and everybody knows."""
        self._set(0)
        self._act("the operator trusts the wall clock", self._trust)

    def believed_ms(self, now_s: float) -> int:
        """How far the node's time may have been ahead of the truth when it decided what it does now."""
        before = [ahead_ms for since_s, ahead_ms in self.believed if since_s <= now_s - _DECIDED_S][-1:]
        since = [ahead_ms for since_s, ahead_ms in self.believed if now_s - _DECIDED_S < since_s <= now_s]
        return max(0, *before, *since)

    def _set(self, ahead_ms: int) -> None:
        by_ms, self._ahead_ms = ahead_ms - self._ahead_ms, ahead_ms
        self._act(f"the wall clock is set by {by_ms} ms, to {ahead_ms} ms ahead", lambda: self._machine.step_ms(by_ms))

    def _trust(self) -> None:
        if self._cluster.assembly is not None:
            self._cluster.assembly.clocks.trust()
            self._believe()

    def _believe(self) -> None:
        self.believed.append((asyncio.get_running_loop().time(), self._ahead_ms))

    def _act(self, text: str, act: Callable[[], None]) -> None:
        before_ms = self.wall_ms()
        stamp = self._cluster.history.note(text)
        was_serving = self._cluster.serving_ends(stamp)
        act()
        self._note_step(before_ms)
        if was_serving:
            self._cluster.serving_begins("serving on")

    def _note_step(self, before_ms: int) -> None:
        back_ms = before_ms - self.wall_ms()
        if back_ms > 0:
            stamp = self._cluster.history.note(f"the time goes back by {back_ms} ms")
            self._cluster.history.steps_back.append((stamp, back_ms))
