"""The network between proxies and nodes: it delays, loses, cuts off, and delivers when nobody waits any more."""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from hookline.errors import ConnectionFailed, HooklineError
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear

if TYPE_CHECKING:
    from tests.simulation.cluster.node import SimulatedNode

Cut = Literal["refuses", "swallows", "deaf"]
"""Of a way from a proxy to a node: connections are refused, nothing gets through, answers do not come back."""

Fate = Literal["fine", "refused", "lost", "reset", "deaf", "late", "slow"]
_LATEST_S = 30.0
_ROUGH: tuple[Fate, ...] = ("refused", "lost", "reset", "deaf", "deaf", "late", "slow")


class Network:
    """One for a world.

    Attributes:
        roughness: how often something befalls a request, 0 to 1.
        cuts: by name of proxy and url of node.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"network {seed}")
        self.roughness = self.random.choice((0.0, 0.05, 0.15, 0.3))
        self.late_s = self.random.choice((0.5, 3.0, 8.0))
        self.cuts: dict[tuple[str, str], Cut] = {}
        self.nodes: dict[str, SimulatedNode] = {}
        self.under_way = 0
        self.heard: Callable[[SimulatedNode], None] = lambda _node: None  # called when a node has answered
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> "Network":
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._tasks.__aexit__(*error)  # type: ignore[arg-type]

    def heal(self) -> None:
        """Everything gets through from now on; what is late still comes."""
        self.roughness = 0.0
        self.cuts.clear()

    def begin(self, proxy: str, url: str, call: NodeCall) -> asyncio.Future[NodeAnswer]:
        """Send a request on its way; what becomes of it does not depend on who waits for the answer."""
        answer: asyncio.Future[NodeAnswer] = asyncio.get_running_loop().create_future()
        self._tasks.create_task(self._carry(self._fate(proxy, url), url, call, answer))
        return answer

    def _fate(self, proxy: str, url: str) -> Fate:
        cut = self.cuts.get((proxy, url))
        if cut is not None:
            fates: dict[Cut, Fate] = {"refuses": "refused", "swallows": "lost", "deaf": "deaf"}
            return fates[cut]
        return self.random.choice(_ROUGH) if self.random.random() < self.roughness else "fine"

    async def _carry(self, fate: Fate, url: str, call: NodeCall, answer: asyncio.Future[NodeAnswer]) -> None:
        self.under_way += 1
        try:
            await self._carry_out(fate, url, call, answer)
        finally:
            self.under_way -= 1

    async def _carry_out(self, fate: Fate, url: str, call: NodeCall, answer: asyncio.Future[NodeAnswer]) -> None:
        pick = self.random
        await asyncio.sleep(pick.random() * 0.004)
        node = self.nodes[url]
        if fate == "refused" or node.now is None:
            _fail(answer, NotSent(f"{url}: connection refused"))
            return
        if fate in ("lost", "reset"):
            if fate == "reset":
                _fail(answer, Unclear(f"{url}: connection reset"))
            return
        if fate in ("late", "slow"):
            await asyncio.sleep(min(pick.expovariate(1 / (self.late_s if fate == "late" else 0.3)), _LATEST_S))
        try:
            found = await node.ask(call)
        except ConnectionFailed:
            _fail(answer, NotSent(f"{url}: connection refused"))
            return
        except HooklineError as error:
            _fail(answer, Unclear(f"{url}: {error.detail}"))
            return
        self.heard(node)
        await asyncio.sleep(pick.random() * 0.004 + (pick.expovariate(1 / 0.3) if fate == "slow" else 0.0))
        if fate == "deaf":
            if pick.random() < 0.5:
                _fail(answer, Unclear(f"{url}: the answer was lost"))
        elif not answer.done():
            answer.set_result(found)


class SimulatedSender:
    """The ``Sender`` of one proxy."""

    def __init__(self, network: Network, proxy: str) -> None:
        self._network = network
        self._proxy = proxy

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        """The answer of the node at ``url``. Raises NotSent or Unclear."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._network.begin(self._proxy, url, call)
        except TimeoutError:
            raise Unclear(f"{url}: no answer within {timeout_s} s") from None


def _fail(answer: asyncio.Future[NodeAnswer], error: NotSent | Unclear) -> None:
    if not answer.done():
        answer.set_exception(error)
