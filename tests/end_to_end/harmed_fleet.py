"""Three clusters behind two proxies, one of them reached over a network that does harm, and what became of each job."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.end_to_end.callers import journal_marks
from tests.end_to_end.fleet import Fleet, ServedNode, running
from tests.end_to_end.processes import Journal, journal_receiver, until
from tests.faulty_http import FaultyHttpProxy

ENDLESS = 1_000_000
# Long enough to say something about a cluster that is silent so long.
SHORT: dict[str, Any] = {"hookline-timeout-ms": "1200"}
MINTED_MAX = 60  # a third of them go to each cluster

Reply = tuple[int, Any]  # (status, parsed body)


@dataclass(frozen=True, slots=True)
class HarmedFleet:
    """c0, c1 and c2; the proxies reach c2 through ``network``.

    Each job carries a mark, its id if the client chose that, so that the receiver's journal tells the jobs apart.
    """

    fleet: Fleet
    network: FaultyHttpProxy
    journal: Journal
    hook: str
    _marks: Iterator[int] = field(default_factory=count)

    def call(self, method: str, path: str, body: Any = None, *, proxy: int = 0, **headers: str) -> Reply:
        """One request to a proxy."""
        return self.fleet.proxies[proxy].call(method, path, body, timeout_s=60, **headers)

    def create(self, mark: str, fields: dict[str, Any], proxy: int = 0, **headers: str) -> Reply:
        """One job without an id, unless it is among the fields."""
        job = {"url": self.hook, "payload": {"mark": mark}} | fields
        return self.call("POST", "/jobs", job, proxy=proxy, **headers)

    def create_named(self, name: str, proxy: int = 0, **headers: str) -> Reply:
        """One job with that id."""
        return self.create(name, {"id": name}, proxy, **headers)

    def create_at(self, *clusters: str) -> list[str]:
        """Jobs at home there, whose ids are returned; through both proxies, and none fails."""
        names = [self.fleet.name_for(cluster) for cluster in clusters]
        for number, name in enumerate(names):
            status, job = self.create_named(name, number % 2)
            assert (status, job["id"]) == (201, name)
        return names

    def create_minted(self, is_last: Callable[[Reply], bool], **headers: str) -> dict[str, Reply]:
        """Jobs without an id through both proxies, by mark, until there is one as wanted."""
        replies: dict[str, Reply] = {}
        for number in range(MINTED_MAX):
            mark = self.mark()
            replies[mark] = reply = self.create(mark, {}, number % 2, **headers)
            if is_last(reply):
                return replies
        raise AssertionError(f"{MINTED_MAX} jobs, and none as wanted: {replies}")

    def mark(self) -> str:
        """A fresh one."""
        return f"minted-{next(self._marks)}"

    def check_delivered(self, expected: dict[str, str]) -> None:
        """By mark, the id of the job: each came, and came once."""
        until(lambda: expected.keys() <= journal_marks(self.journal).keys(), "all jobs were delivered")
        until(self._is_idle, "nothing is pending")
        marks = journal_marks(self.journal)
        assert {mark: marks[mark] for mark in expected} == {mark: [job_id] for mark, job_id in expected.items()}

    def check_not_delivered(self, marks: list[str]) -> None:
        """Nothing came of them, and nothing will."""
        until(self._is_idle, "nothing is pending")
        assert not set(marks) & journal_marks(self.journal).keys()

    def breaker(self, cluster: str, proxy: int = 0) -> str:
        """Its state at that proxy."""
        _, health = self.call("GET", "/health", proxy=proxy)
        return str(next(one["breaker"] for one in health["clusters"] if one["name"] == cluster))

    def unanswered(self, cluster: str, proxy: int = 0) -> int:
        """How many tries of that proxy got no answer there, so far."""
        _, text = self.fleet.proxies[proxy].raw_call("GET", "/metrics", None, {})
        name = rb'hookline_proxy_ambiguous_failures_total{cluster="%b"} ([0-9.]+)' % cluster.encode()
        found = re.search(name, text)
        return 0 if found is None else int(float(found[1]))

    def recover(self) -> None:
        """End all harm, and wait until both proxies reach all clusters again."""
        self.network.heal()
        for proxy in range(len(self.fleet.proxies)):
            for cluster in self.fleet.nodes:
                until(lambda p=proxy, c=cluster: self._is_reached(p, c), f"{cluster} is reached")  # type: ignore[misc]

    def _is_reached(self, proxy: int, cluster: str) -> bool:
        return self.call("GET", f"/jobs/{self.fleet.name_for(cluster)}", proxy=proxy, **SHORT)[0] == 404

    def _is_idle(self) -> bool:
        healths = [node.call("GET", "/health")[1] for node in self.fleet.nodes.values()]
        return all(health["usage"]["pending_jobs"]["used"] == 0 for health in healths)


@contextmanager
def harmed_fleet(directory: Path) -> Iterator[HarmedFleet]:
    """All of it, running."""
    nodes = [ServedNode(directory / f"c{shard}", shard) for shard in range(3)]
    with journal_receiver() as (port, journal), FaultyHttpProxy(nodes[2].address) as network:
        doors = {"c2": f"127.0.0.1:{network.port}"}
        with running(Fleet(nodes, 2, directory, doors)) as fleet:
            yield HarmedFleet(fleet, network, journal, f"http://127.0.0.1:{port}/hook")
