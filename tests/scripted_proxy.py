"""A scripted proxy whose topology the command line looks at and changes."""

from pathlib import Path
from typing import Any

import msgspec

from hookline.protocol.http import Cluster, ClusterList
from hookline.protocol.topology import ClusterEntry, Strategy, Topology
from tests.scripted_server import Answer, Asked, ScriptedServer


def topology(count: int, strategy: Strategy = "modulo", epoch: int = 1) -> Topology:
    clusters = tuple(ClusterEntry(name=f"c{n}", shard=n, nodes=(f"http://10.0.0.{n}:7070",)) for n in range(count))
    return Topology(epoch=epoch, strategy=strategy, clusters=clusters)


def file_of(path: Path, value: Topology) -> Path:
    text = f'epoch = {value.epoch}\nstrategy = "{value.strategy}"\n'
    for entry in value.clusters:
        text += f'[[cluster]]\nname = "{entry.name}"\nshard = {entry.shard}\nnodes = ["{entry.nodes[0]}"]\n'
    file = path / "topology.toml"
    file.write_text(text)
    return file


PLAN = {
    "epoch": 2,
    "share": 0.5,
    "pairs": [{"from": "c0", "to": "c1", "share": 0.5, "jobs": 12_000, "schedules": 3, "bytes": 4 * 1024 * 1024}],
    "clusters": [{"name": "c0", "share_before": 1, "share_after": 0.5, "pending": 24_000, "schedules": 6}],
    "jobs": 12_000,
    "schedules": 3,
    "bytes": 4 * 1024 * 1024,
    "seconds": 6,
    "jobs_per_s": 2_000,
    "is_measured": False,
    "notes": ["it is added"],
}
BALANCED = Topology(
    epoch=2, strategy="ring", clusters=(ClusterEntry(name="c0", shard=0, nodes=("http://a:1",), weight=2),)
)
BALANCE = {
    "epoch": 1,
    "seconds": 2,
    "clusters": [
        {
            "name": "c0",
            "weight": 1,
            "weight_proposed": 2,
            "load": 9,
            "load_expected": 6,
            "attempts_per_s": 9,
            "creates_per_s": 3,
            "lag_ms": 12,
            "slots_used": 4,
            "slots_max": 100,
            "pending": 7,
        }
    ],
    "share": 0.25,
    "proposal": msgspec.to_builtins(BALANCED),
}


def moving(done: int, left: int, *, counting: bool = False, **fields: Any) -> dict[str, Any]:
    """A status."""
    pair = {"from": "c0", "to": "c1", "jobs_moved": done, "jobs_left": left, "counting": counting}
    pair |= {"schedules_moved": 0, "schedules_left": 0}
    return {"epoch": 2, "state": "moving", "pairs": [pair], "jobs_per_s": 20} | fields


def answer(value: object) -> Answer:
    return Answer(200, msgspec.to_builtins(value))


class ScriptedProxy:
    """A scripted proxy: all that it has and says."""

    def __init__(self, server: ScriptedServer, has: Topology, *, told: dict[str, str] | None = None) -> None:
        self.has = has
        self.told = told or {"c0": "ok"}
        self.statuses: list[dict[str, Any]] = [{"epoch": has.epoch, "state": "stable"}]
        self.plan: dict[str, Any] = PLAN
        self.server = server
        server.script = self.answer

    def answer(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        if path == "/topology" and asked.method == "GET":
            return answer(self.has)
        if path == "/topology":
            self.has = msgspec.convert(asked.json, Topology)
            return Answer(200, {"epoch": asked.json["epoch"], "clusters": self.told, "notes": ["it was added"]})
        if path == "/clusters":
            return answer(ClusterList([Cluster(f"c{n}", n, 1, "n1", [], id="a" * 32) for n in (0, 2)]))
        if path == "/topology/plan":
            return Answer(200, self.plan)
        if path == "/topology/balance":
            return Answer(200, BALANCE)
        return Answer(200, self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    def asked(self, line: str) -> Asked:
        """The only call of that method and path."""
        (found,) = [one for one in self.server.asked if f"{one.method} {one.path}" == line]
        return found
