"""Parts that tests of a proxy share: clusters, topologies, problems, a clock and a sender for virtual time."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from hookline.http_api.messages import PROBLEM_JSON
from hookline.peers.sender import NodeAnswer, NodeCall, Unclear
from hookline.protocol.routing import Router
from hookline.protocol.topology import ClusterEntry, Topology
from hookline.proxy.forwarder import Candidates

C0 = ClusterEntry(name="c0", shard=0, nodes=("http://a:1", "http://a:2"))
C1 = ClusterEntry(name="c1", shard=1, nodes=("http://b:1",))


def entries(*weights: int) -> tuple[ClusterEntry, ...]:
    """Clusters c0, c1, … of one node each."""
    return tuple(
        ClusterEntry(name=f"c{number}", shard=number, nodes=(f"http://c{number}:1",), weight=weight)
        for number, weight in enumerate(weights)
    )


def topology(count: int, epoch: int = 1, **fields: Any) -> Topology:
    """A topology of that many clusters."""
    return Topology(epoch=epoch, clusters=entries(*[1] * count), **fields)


def all_of_them(router: Router) -> Candidates:
    """All clusters, in the topology's order."""
    return Candidates(len(router.topology.clusters), router.topology.clusters)


def problem(status: int, code: str, **figures: object) -> NodeAnswer:
    return NodeAnswer(status, msgspec.json.encode({"code": code} | figures), PROBLEM_JSON)


class LoopClock:
    def wall_ms(self) -> int:
        return 0

    def boot_ms(self) -> float:
        return asyncio.get_running_loop().time() * 1_000

    def random(self) -> float:
        return 0.5

    def token(self, size: int) -> bytes:
        return bytes(size)


Script = Callable[[str, NodeCall], NodeAnswer | type[Exception] | Exception | float]


class ScriptedSender:
    """A number is silence: the whole time-out passes without an answer."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.sent: list[tuple[str, NodeCall]] = []

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        self.sent.append((url, call))
        said = self.script(url, call)
        if isinstance(said, NodeAnswer):
            await asyncio.sleep(0.001)
            return said
        if isinstance(said, type | Exception):
            raise said
        await asyncio.sleep(timeout_s)
        raise Unclear

    @property
    def urls(self) -> list[str]:
        return [url for url, _ in self.sent]
