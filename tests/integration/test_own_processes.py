"""A node learns where the rest of its service listens: the other nodes, the other clusters, the proxies before them."""

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hookline.node.attempts.heard_proxies import HeardProxies
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.own_processes import OwnProcesses, may_matter
from hookline.node.attempts.resolver import Resolver
from hookline.protocol.commands import SetTopology
from hookline.protocol.destination_patterns import parse_patterns
from hookline.protocol.destination_rules import Rules
from hookline.protocol.topology import encode_topology, parse_topology
from tests.integration.proxy_under_test import Clusters
from tests.node_parts import ManualClock

AWAY = "198.51.100.7"


class Dns:
    """Answers that can change."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}

    async def __call__(self, host: str, _port: int) -> list[str]:
        return self.answers.get(host, [])


class Learner:
    """All that ``OwnProcesses`` works with; what it knows can be changed."""

    def __init__(self) -> None:
        self.own = OwnAddresses([])
        self.dns = Dns()
        self.clock = ManualClock()
        self.known: list[str] = []
        self.topology: SetTopology | None = None
        self.processes: OwnProcesses

    def put(self, clusters: Iterable[tuple[str, int, str]]) -> None:
        """The topology of these clusters: name, shard, url of their node."""
        entries = [{"name": name, "shard": shard, "nodes": [url]} for name, shard, url in clusters]
        topology = parse_topology(json.dumps({"epoch": 1, "cluster": entries}).encode())
        self.topology = SetTopology(1, encode_topology(topology), 0)


@asynccontextmanager
async def learner(is_of_interest: Callable[[str], bool] = lambda _: True) -> AsyncIterator[Learner]:
    it = Learner()
    async with Resolver(it.dns, it.clock) as resolver:
        it.processes = OwnProcesses(
            it.own,
            HeardProxies(it.own, it.clock),
            resolver,
            known=lambda: it.known,
            topology=lambda: it.topology,
            cluster="c0",
            is_of_interest=is_of_interest,
        )
        yield it
        await it.processes.close()


@pytest.fixture
def clusters(tmp_path: Path) -> Iterable[Clusters]:
    clusters = Clusters(tmp_path, 2)
    yield clusters
    clusters.close()


async def test_the_nodes_of_its_cluster_and_etcd_are_known_by_name_and_address() -> None:
    async with learner() as it:
        it.known = [f"http://{AWAY}:7070", "http://n3.example:7070", "https://etcd.example", "http://[bad"]
        it.dns.answers = {"n3.example": ["203.0.113.3", "2001:db8::3"], "etcd.example": ["203.0.113.4"]}
        await it.processes.look()
        for place in [(AWAY, 7070), ("n3.example", 7070), ("203.0.113.3", 7070), ("2001:db8::3", 7070)]:
            assert place in it.own
        assert ("203.0.113.4", 443) in it.own
        it.dns.answers = {}
        it.clock.advance(60_000)
        await it.processes.look()
        assert ("203.0.113.3", 7070) in it.own, "a name server that fails takes nothing back"
        it.known = []
        await it.processes.look()
        assert ("203.0.113.3", 7070) not in it.own


async def test_a_node_of_another_cluster_counts_once_it_answered_there(clusters: Clusters) -> None:
    port = clusters.nodes["c1"].port
    async with learner() as it:
        it.dns.answers = {"localhost": ["127.0.0.1"]}
        it.put([("c0", 0, "http://127.0.0.1:1"), ("c1", 1, f"http://localhost:{port}")])
        await it.processes.look()
        assert ("127.0.0.1", port) in it.own
        clusters.stop("c1")
        await it.processes.look()
        assert ("127.0.0.1", port) in it.own, "it comes back"
        it.put([("c0", 0, "http://127.0.0.1:1")])
        await it.processes.look()
        assert ("127.0.0.1", port) not in it.own


@pytest.mark.parametrize(("name", "shard"), [("evil", 1), ("c1", 9)])
async def test_a_topology_that_names_somebodys_host_keeps_no_jobs_from_it(
    clusters: Clusters, name: str, shard: int
) -> None:
    port = clusters.nodes["c1"].port
    async with learner() as it:
        it.put([("c0", 0, "http://127.0.0.1:1"), (name, shard, f"http://127.0.0.1:{port}"), ("x", 7, "http://[::1]:1")])
        await it.processes.look()
        assert ("127.0.0.1", port) not in it.own
        assert ("::1", 1) not in it.own


async def test_a_node_that_is_called_by_a_loopback_address_may_listen_at_all_of_the_machine() -> None:
    async with learner() as it:
        it.known = ["http://127.0.0.1:7071", "http://[::1]:7072"]
        await it.processes.look()
        assert ("127.0.0.9", 7071) in it.own
        assert ("127.0.0.9", 7072) in it.own
        assert (AWAY, 7071) not in it.own


async def test_addresses_that_no_job_may_call_are_not_asked(clusters: Clusters) -> None:
    port = clusters.nodes["c1"].port
    async with learner(is_of_interest=lambda _: False) as it:
        it.put([("c0", 0, "http://127.0.0.1:1"), ("c1", 1, f"http://127.0.0.1:{port}")])
        await it.processes.look()
        assert ("127.0.0.1", port) not in it.own


@pytest.mark.parametrize(
    ("allow", "matters"), [("", False), ("10.2.0.0/16", True), ("10.3.0.0/16", False), ("*.internal", True)]
)
def test_where_an_allowed_job_can_go_our_own_processes_are_looked_for(allow: str, matters: bool) -> None:
    assert may_matter(Rules(parse_patterns(allow, "allow-destinations")), "10.2.0.5") == matters


def test_nodes_know_the_proxies_before_them(clusters: Clusters) -> None:
    anywhere = clusters.start_proxy(host="0.0.0.0", no_auth=True)
    at_one = clusters.start_proxy(host="127.0.0.1")
    for node in clusters.nodes.values():
        assert ("127.0.0.9", anywhere.port) in node.own_addresses
        assert ("127.0.0.1", at_one.port) in node.own_addresses
        assert ("127.0.0.9", at_one.port) not in node.own_addresses
