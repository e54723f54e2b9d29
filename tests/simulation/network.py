"""The network between processes: it delays, loses, cuts off, and delivers when nobody waits any more."""

import asyncio
import random
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Literal

from hookline.clock import Clock
from hookline.errors import ConnectionFailed, HooklineError
from hookline.node.dispatch.http_exchange import PATH as EXCHANGE
from hookline.peers.proven_sender import START_BYTES, ProvenSender
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Sender, Unclear
from hookline.testing.assembly import fixed_vault
from tests.simulation.asgi import Ask
from tests.simulation.cluster.loop import OUTSIDE, PROCESS

Cut = Literal["refuses", "swallows", "deaf"]
"""Of a way: connections are refused, nothing gets through, answers do not come back."""

Way = tuple[str, str]
"""From whom, by name, to which url."""

Fate = Literal["fine", "refused", "lost", "reset", "deaf", "late", "slow"]
_LATEST_S = 30.0
_ROUGH: tuple[Fate, ...] = ("refused", "lost", "reset", "deaf", "deaf", "late", "slow")
_CUTS: dict[Cut, Fate] = {"refuses": "refused", "swallows": "lost", "deaf": "deaf"}


class Network:
    """Between the nodes of one cluster, or between proxies and nodes.

    Attributes:
        places: by url, what answers there.
        roughness: how often something befalls a request, 0 to 1.
        cuts: the ways that are cut.
        under_way: how many requests are, beside those of runners.
        heard: called with the url when one has answered.
        tasks: in which it carries requests, whatever becomes of who sent them.
    """

    tasks: asyncio.TaskGroup

    def __init__(self, seed: str, roughness: tuple[float, ...]) -> None:
        self.random = random.Random(f"network {seed}")
        self.roughness = self.random.choice(roughness)
        self.late_s = self.random.choice((0.5, 3.0, 8.0))
        self.places: dict[str, Ask] = {}
        self.cuts: dict[Way, Cut] = {}
        self.under_way = 0
        self.heard: Callable[[str], None] = lambda _url: None

    @property
    def is_rough(self) -> bool:
        """A request may not get through."""
        return bool(self.roughness or self.cuts)

    def cut(self, ways: Iterable[Way], kind: Cut | None = None) -> Cut:
        """In some way, if no kind is given; says in which."""
        cut = self.random.choice(tuple(_CUTS)) if kind is None else kind
        self.cuts.update(dict.fromkeys(ways, cut))
        return cut

    def mend(self, ways: Iterable[Way]) -> None:
        """Let them be ways again."""
        for way in ways:
            self.cuts.pop(way, None)

    def heal(self) -> None:
        """Everything gets through from now on; what is late still comes."""
        self.roughness = 0.0
        self.cuts.clear()

    def begin(self, way: Way, call: NodeCall) -> asyncio.Future[NodeAnswer]:
        """Send a request on its way; what becomes of it does not depend on who waits for the answer."""
        answer: asyncio.Future[NodeAnswer] = asyncio.get_running_loop().create_future()
        carrying = self._carry(self._fate(way), way[1], call, answer)
        try:
            self.tasks.create_task(carrying, context=OUTSIDE.copy())
        except RuntimeError:  # the world is over, and nothing gets through any more
            carrying.close()
        return answer

    def _fate(self, way: Way) -> Fate:
        if way in self.cuts:
            return _CUTS[self.cuts[way]]
        return self.random.choice(_ROUGH) if self.random.random() < self.roughness else "fine"

    async def _carry(self, fate: Fate, url: str, call: NodeCall, answer: asyncio.Future[NodeAnswer]) -> None:
        counts = call.target != EXCHANGE  # there is always one of these, that the leader holds
        self.under_way += counts
        try:
            found = await self._answer(fate, url, call)
        except (NotSent, Unclear) as error:
            if not answer.done():
                answer.set_exception(error)
                answer.exception()  # who asked may be dead, and never look
        else:
            if found is not None and not answer.done():
                answer.set_result(found)
        finally:
            self.under_way -= counts

    async def _answer(self, fate: Fate, url: str, call: NodeCall) -> NodeAnswer | None:
        """The answer that gets back to the caller; None: nothing does. Raises NotSent or Unclear."""
        pick = self.random
        await asyncio.sleep(pick.random() * 0.004)
        if fate == "refused":
            raise NotSent(f"{url}: connection refused")
        if fate == "reset":
            raise Unclear(f"{url}: connection reset")
        if fate == "lost":
            return None
        if fate in ("late", "slow"):
            await asyncio.sleep(min(pick.expovariate(1 / (self.late_s if fate == "late" else 0.3)), _LATEST_S))
        try:
            found = await self.places[url](call)
        except ConnectionFailed:
            raise NotSent(f"{url}: connection refused") from None
        except HooklineError as error:
            raise Unclear(f"{url}: {error.detail}") from None
        self.heard(url)
        await asyncio.sleep(pick.random() * 0.004 + (pick.expovariate(1 / 0.3) if fate == "slow" else 0.0))
        if fate != "deaf":
            return found
        if pick.random() < 0.5:
            raise Unclear(f"{url}: the answer was lost")
        return None


def proven(sender: "SimulatedSender", clock: Clock, process: str) -> Sender:
    """The same, with the proofs that the nodes and workers of all simulated clusters make."""
    return ProvenSender(sender, fixed_vault().proof_keys[0], clock, sha256(process.encode()).digest()[:START_BYTES])


class SimulatedSender:
    """The ``Sender`` of one process."""

    def __init__(self, network: Network, name: str) -> None:
        self._network, self._name = network, name

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        """The answer of the process at ``url``. Raises NotSent or Unclear."""
        if (process := PROCESS.get()) is not None:
            await process.alive()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._network.begin((self._name, url), call)
        except TimeoutError:
            raise Unclear(f"{url}: no answer within {timeout_s} s") from None
