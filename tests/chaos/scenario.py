"""One run: a cluster under load, faults, then calm and the account of every job."""

import http.server
import random
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from tests.chaos.checker import Arrival, Findings, HeldJob, check
from tests.chaos.clients import ClusterClient, History
from tests.chaos.cluster import Cluster, ClusterNode
from tests.chaos.networks import OUTSIDE
from tests.end_to_end.processes import CLOCK, Journal, answer_ok, journal_receiver, until

SLOTS = 20
_CLIENTS = 6  # so that some go on while others wait for a node that is silent
_PACE_S = 0.06
_SETTLE_S = 90  # claims of a leader whose death is not proven are open for 15 s
_STATES = ("pending", "running", "succeeded", "dead", "cancelled", "unknown")


def answer_in_time(handler: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
    """200 after the milliseconds that the path says."""
    threading.Event().wait(int(handler.path.strip("/") or 0) / 1_000)
    answer_ok(handler, body)


@dataclass
class Run:
    """A cluster, its receiver and the clients; what a fault is given.

    Attributes:
        chance: seeded; all choices of the nemesis come from it.
        failovers_ms: from each loss of a leader to the first request of a later term.
        acted: what shows that the faults acted.
        timeout: of jobs; a claim ends 5 s after that.
        runners_lost: workers that were lost while the leader's term went on.
        slots: in all.
    """

    cluster: Cluster
    journal: Journal
    url: str
    chance: random.Random
    history: History = field(default_factory=History)
    failovers_ms: list[int] = field(default_factory=list)
    acted: list[str] = field(default_factory=list)
    timeout: str = "10s"
    runners_lost: int = 0
    slots: int = SLOTS
    loaded_ms: list[tuple[int, int]] = field(default_factory=list)
    _seen: int = 0
    _arrivals: list[Arrival] = field(default_factory=list)

    @contextmanager
    def load(self, pace_s: float = _PACE_S) -> Iterator[None]:
        """Clients at work, from the first requests on until the block ends."""
        nodes = self.cluster.nodes
        clients = [
            ClusterClient(nodes, self.url, self.chance.getrandbits(32), self.history, pace_s, self.timeout)
            for _ in range(_CLIENTS)
        ]
        for client in clients:
            client.start()
        try:
            self.wait_for_requests(30)
            from_ms = CLOCK.wall_ms()
            yield
            self.loaded_ms.append((from_ms, CLOCK.wall_ms()))
        finally:
            for client in clients:
                client.stop()

    def rest(self, seconds: float) -> None:
        """Let a fault act for so long."""
        threading.Event().wait(seconds)

    def rest_a_moment(self) -> None:
        """So that a fault meets another moment of the work each time."""
        self.rest(self.chance.uniform(0.05, 0.4))

    def arrivals(self) -> list[Arrival]:
        """All requests so far."""
        requests = self.journal.requests
        for job_id, at_s, headers, _ in requests[self._seen :]:
            self._seen += 1
            attempt, term = int(headers["hookline-attempt"]), int(headers["hookline-term"])
            self._arrivals.append(Arrival(job_id, round(at_s * 1_000), attempt, term))
        return self._arrivals

    def term(self) -> int:
        """Of the newest request."""
        return max((arrival.term for arrival in self.arrivals()[-200:]), default=0)

    def wait_for_requests(self, count: int, seconds: float = 60) -> None:
        """Until so many more have arrived."""
        goal = len(self.journal.requests) + count
        with self.journal.arrived:
            came = self.journal.arrived.wait_for(lambda: len(self.journal.requests) >= goal, seconds)
        assert came, f"{count} requests did not arrive in {seconds} s; see {self.cluster.directory}"

    def wait_for_later_term(self, term: int, lost_ms: int, seconds: float = 60) -> int:
        """Until a request of a later term than ``term`` arrives; notes and returns how long after ``lost_ms``."""
        found: list[Arrival] = []

        def look() -> bool:
            found[:] = [arrival for arrival in self.arrivals()[-2_000:] if arrival.term > term][:1]
            return bool(found)

        until(look, f"a term after {term} delivers; see {self.cluster.directory}", seconds)
        took_ms = found[0].at_ms - lost_ms
        self.failovers_ms.append(took_ms)
        return took_ms

    def settle_and_check(self, *, early_ms: int = 0) -> Findings:
        """End all faults, wait until every job is over and all nodes are level, and account for everything."""
        assert self.loaded_ms, "a run without load counts for nothing"
        cluster = self.cluster
        cluster.heal()
        until(lambda: _open_jobs(cluster.leader()) == 0, f"all jobs are over; see {cluster.directory}", _SETTLE_S)
        positions = self._level_positions(cluster.leader().applied())
        held = {f"database of {node.name}": database_jobs(node) for node in cluster.nodes}
        held |= {node.name: _answered_jobs(node) for node in cluster.nodes}
        findings = check(
            self.history,
            self.arrivals(),
            held,
            slots=self.slots,
            quiet_ms=self.loaded_ms,
            early_ms=early_ms,
            runners_lost=self.runners_lost
            + (sum(it.losses for it in cluster.nodes) if cluster.mode == "hybrid" else 0),
        )
        if len(set(positions.values())) > 1:
            findings.nodes_differ.append(f"digests: {positions}")
        return findings

    def _level_positions(self, at_least: int) -> dict[str, tuple[int, str]]:
        """The positions of all databases, once they are at the same entry, ``at_least`` that one."""
        positions: dict[str, tuple[int, str]] = {}

        def are_level() -> bool:
            positions.update((node.name, _position(node)) for node in self.cluster.nodes)
            indices = {index for index, _ in positions.values()}
            return len(indices) == 1 and min(indices) >= at_least

        until(are_level, f"all databases are level at entry {at_least} or later", 30)
        return positions


@contextmanager
def running(cluster: Cluster, seed: int) -> Iterator[Run]:
    """A started cluster with a receiver, gone at the end."""
    host = OUTSIDE if cluster.network is not None else "127.0.0.1"
    with journal_receiver(answer_in_time, host) as (port, journal), cluster:
        cluster.wait_until_serving()
        yield Run(cluster, journal, f"http://{host}:{port}", random.Random(seed))


def _open_jobs(node: ClusterNode) -> int:
    health = node.health()
    return -1 if health is None else int(health["usage"]["pending_jobs"]["used"])


def _position(node: ClusterNode) -> tuple[int, str]:
    """(applied index, rolling digest), from the node's database."""
    with closing(_open(node)) as database:
        meta = dict(database.execute("SELECT name, value FROM meta"))
    return meta.get("applied", 0), bytes(meta.get("digest", b"")).hex()


def _open(node: ClusterNode) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{node.data_dir / 'state.db'}?mode=ro", uri=True, timeout=10)


def database_jobs(node: ClusterNode) -> Mapping[str, HeldJob]:
    """All jobs, from the node's database."""
    sql = (
        "SELECT id, state, attempts, run_at_ms, at_most_once,"
        " (SELECT label FROM labels WHERE labels.seq = jobs.seq AND label LIKE 'key=%') FROM jobs"
    )
    with closing(_open(node)) as database:
        return {
            job_id: HeldJob(_STATES[state], attempts, run_at_ms, bool(once), label and label.removeprefix("key="))
            for job_id, state, attempts, run_at_ms, once, label in database.execute(sql)
        }


def _answered_jobs(node: ClusterNode) -> Mapping[str, HeldJob]:
    """All jobs, as the node answers from its own state."""
    jobs: dict[str, HeldJob] = {}
    cursor: str | None = ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        status, page = node.call("GET", f"/jobs?limit=1000&consistency=local{more}", timeout_s=30)
        assert status == 200, page
        for job in page["data"]:
            run_at_ms = round(datetime.fromisoformat(job["run_at"]).timestamp() * 1_000)
            once = job["guarantee"] == "at_most_once"
            jobs[job["id"]] = HeldJob(job["state"], job["attempts_made"], run_at_ms, once, job["labels"].get("key"))
        cursor = page["next_cursor"]
    return jobs
