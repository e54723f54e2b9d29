"""Mixes up a cluster of real processes, as operators do at 3 a.m., and shows what can be seen of it afterwards."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hookline.cli import app
from tests.chaos.cluster import AWAY, Cluster, ClusterNode
from tests.end_to_end.processes import Journal, NodeProcess, journal_receiver, until


class MixedUp:
    """A cluster with a receiver, and the jobs that it has acknowledged.

    Attributes:
        acknowledged: ids.
    """

    def __init__(self, cluster: Cluster, port: int, journal: Journal) -> None:
        self.cluster = cluster
        self.journal = journal
        self.acknowledged: list[str] = []
        self._url = f"http://127.0.0.1:{port}/"

    @property
    def nodes(self) -> Sequence[ClusterNode]:
        return self.cluster.nodes

    def create(self, count: int, *, delay: str = "0s", node: ClusterNode | None = None) -> list[str]:
        """Have jobs acknowledged, at a node or at whoever leads."""
        node = node or self.cluster.leader()
        jobs = [{"url": self._url, "delay": delay, "payload": {"amount": "100.00"}} for _ in range(count)]
        status, answer = node.call("POST", "/jobs/batch", {"jobs": jobs})
        assert status == 200, answer
        ids = [one["job"]["id"] for one in answer["results"]]
        self.acknowledged += ids
        return ids

    def delivered(self, ids: Sequence[str]) -> None:
        """Wait until each arrived."""
        until(lambda: all(self.journal.count(job_id) for job_id in ids), "all jobs are delivered")

    def level(self) -> None:
        """Wait until all running nodes have the same entries."""

        def look() -> bool:
            applied = {node.applied() for node in self.nodes if node.is_running}
            return len(applied) == 1 and -1 not in applied

        until(look, "all nodes are level")

    def newest(self) -> str:
        """The running node with most entries: after ``level`` the leader may have had one more for what it did."""
        return max((node for node in self.nodes if node.is_running), key=ClusterNode.applied).name

    def stop_nodes(self) -> None:
        """All, in good order or not."""
        for node in self.nodes:
            node.kill()

    def spawn(self, *nodes: ClusterNode) -> None:
        """Start processes without waiting until they are ready: they may have to wait for a person."""
        for node in nodes or self.nodes:
            node.data_dir.mkdir(exist_ok=True)
            node.spawn()

    def halted(self, node: ClusterNode, *words: str) -> str:
        """Wait until the node waits for a person, and says so with these words; the whole sentence."""
        found: list[str] = []

        def look() -> bool:
            health = node.health()
            if health is not None and health.get("role") == "halted":
                found[:] = [health["detail"]]
            return bool(found)

        until(look, f"{node.name} waits for a person")
        for word in words:
            assert word in found[0], found[0]
        assert node.health()["status"] == "unavailable"
        return found[0]

    def nothing_is_accepted(self) -> None:
        """No node takes a job."""
        for node in self.nodes:
            if node.is_running:
                try:
                    status, answer = node.call("POST", "/jobs", {"url": self._url}, timeout_s=60)
                except AWAY:
                    continue
                assert status == 503, answer

    def all_are_there(self) -> None:
        """Every acknowledged job can be read through every node, and none arrived twice."""
        self.cluster.wait_until_serving()
        for node in self.nodes:
            for job_id in self.acknowledged:
                status, answer = node.call("GET", f"/jobs/{job_id}")
                assert status == 200, (node.name, job_id, answer)
        twice = [job_id for job_id in self.acknowledged if self.journal.count(job_id) > 1]
        assert not twice
        self.level()

    def recover(self, source: str, *options: str) -> None:
        """Surveys the nodes, and goes on with the one that the operator chose."""
        self.cluster.run("survey")
        self.cluster.run("recover", "--from", source, *options)


@contextmanager
def mixed_up(directory: Path, *options: str) -> Iterator[MixedUp]:
    """A cluster that serves, and a receiver."""
    with journal_receiver() as (port, journal), Cluster(directory, *options) as cluster:
        yield MixedUp(cluster, port, journal)


class LoneNode(NodeProcess):
    """``hookline serve`` without etcd."""

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "hookline.cli.app", "serve", "--listen", f"{self.host}:{self.port}"),
            *("--data-dir", str(self.data_dir), "--allow-private-destinations", *self._options),
        ]

    def refused(self) -> str:
        """Start it; it must end by itself. What it said."""
        before = len(self.log.read_text()) if self.log.exists() else 0
        self.spawn()
        return self.failed()[before:]


def hookline(*tokens: str) -> int:
    """One command; its exit code."""
    return app.run(list(tokens))
