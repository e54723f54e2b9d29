"""The wall clocks of a simulated cluster: which are wrong, what others see of them, and what the majority says."""

import asyncio
import random
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from hookline.http_client.answer import Answer
from hookline.http_client.client import NoAnswer
from tests.simulation.cluster.loop import outside

if TYPE_CHECKING:
    from tests.simulation.cluster.etcd_cluster import EtcdCluster
    from tests.simulation.cluster.node import SimulatedNode

_KNOWN_S = 15.0  # for so long a node may go by what it heard of a clock that has been set since
_HOUR_MS = 3_600_000


class EtcdClocks:
    """The ``Caller`` of one node to the members of etcd, whose ``Date`` headers are right."""

    def __init__(self, cluster: "EtcdCluster", node: str) -> None:
        self._cluster, self._node = cluster, node

    async def call(self, _method: str, url: str, _path: str, **_given: Any) -> Answer:
        """As ``Caller.call``."""
        if not self._cluster.etcd.is_reached_by(self._node):
            raise NoAnswer(f"{url} does not answer")
        date = formatdate(self._cluster.clock.wall_ms() // 1_000, usegmt=True)
        return Answer(200, [(b"date", date.encode())], b"", is_whole=True)


class Clocks:
    """Sets them wrong and right, and remembers when."""

    def __init__(self, cluster: "EtcdCluster", seed: int) -> None:
        self._cluster = cluster
        self._random = random.Random(f"clocks {seed}")
        self._ahead: list[tuple[float, int]] = [
            (0.0, 0)
        ]  # (since when in s, how far the majority is ahead of the truth)

    def start_wrong(self) -> None:
        """Before anything has begun."""
        self._set_all(self._some_wrong())

    def jump(self) -> None:
        """One or more are set wrong, and stay so until the next jump or the end."""
        pick = self._random
        if pick.random() < 0.4:
            self._set_all(self._some_wrong())
            return
        node = self._cluster.target()
        self._set(node, int(pick.choice((-1, 1)) * 10 ** pick.uniform(2, 4.8)) if pick.random() < 0.7 else 0)

    def blip(self) -> None:
        """One is wrong for a moment. Two that are an hour wrong would be the majority, and their hour the time."""
        node = self._cluster.target()
        others = [self._wrong_ms(other) for other in self._cluster.nodes if other is not node]
        ahead_ms = self._random.choice((2_000, -2_000) if max(map(abs, others)) > 60_000 else (_HOUR_MS, -_HOUR_MS))
        self._set(node, ahead_ms)
        outside(self._random.choice((2.5, 6.0)), lambda: self._set(node, 0))

    def heal(self) -> None:
        """All are right."""
        for node in self._cluster.nodes:
            self._set(node, 0)

    def is_outvoted(self, node: "SimulatedNode") -> bool:
        """The clock of a node is wrong, and the other two are right, at work, can lead, and hear each other."""
        cluster = self._cluster
        if cluster.network.is_rough:
            return False
        others = [other for other in cluster.nodes if other is not node]
        is_well = all(
            _answers(other) and cluster.etcd.is_reached_by(other.name) and abs(self._wrong_ms(other)) < 300
            for other in others
        )
        return is_well and abs(self._wrong_ms(node)) > 1_500 and cluster.etcd.is_reached_by(node.name)

    def _wrong_ms(self, node: "SimulatedNode") -> int:
        return node.clock.wall_ms() - self._cluster.clock.wall_ms()

    def ahead_ms(self, now_s: float) -> int:
        """How far the majority was ahead of the truth at most, when a node asked that acted at ``now_s``."""
        found = 0
        for (since_s, ahead_ms), until_s in zip(
            self._ahead, [*(since_s for since_s, _ in self._ahead[1:]), float("inf")], strict=True
        ):
            if since_s <= now_s and until_s >= now_s - _KNOWN_S:
                found = max(found, ahead_ms)
        return found

    def _some_wrong(self) -> tuple[int, int, int]:
        """For each node how far it is ahead; of clocks that are an hour off there is one."""
        pick = self._random
        wrong = list(
            pick.choice(
                (
                    (-30_000, 0, 30_000),
                    (_HOUR_MS, 0, 0),
                    (-_HOUR_MS, 0, 0),
                    (_HOUR_MS, 30_000, 0),
                    (30_000, 30_000, 0),
                    (-30_000, -30_000, 0),
                    (2_000, 0, 0),
                    (1_200, -1_200, 0),
                )
            )
        )
        pick.shuffle(wrong)
        return (wrong[0], wrong[1], wrong[2])

    def _set_all(self, wrong: tuple[int, int, int]) -> None:
        """Set all clocks. A node that asks meanwhile may hear old readings of some clocks, and new ones of others."""
        heard = sorted(
            max(self._wrong_ms(node), ahead_ms) for node, ahead_ms in zip(self._cluster.nodes, wrong, strict=True)
        )
        self._ahead.append((asyncio.get_running_loop().time(), max(0, heard[1])))
        for node, ahead_ms in zip(self._cluster.nodes, wrong, strict=True):
            self._set(node, ahead_ms)

    def _set(self, node: "SimulatedNode", ahead_ms: int) -> None:
        cluster = self._cluster
        by_ms = ahead_ms - self._wrong_ms(node)
        if not by_ms:
            return
        stamp = cluster.history.note(f"the wall clock of {node.name} is set {by_ms} ms ahead, to {ahead_ms} ms")
        if by_ms < 0:
            cluster.history.steps_back.append((stamp, -by_ms))
        cluster.jumped_ms += abs(by_ms)
        node.clock.step_ms(by_ms)
        ahead = sorted(self._wrong_ms(one) for one in cluster.nodes)
        self._ahead.append((asyncio.get_running_loop().time(), max(0, ahead[1])))


def _answers(node: "SimulatedNode") -> bool:
    now = node.now
    return now is not None and not now.process.is_paused and (now.is_leading() or now.leader_url() is not None)
