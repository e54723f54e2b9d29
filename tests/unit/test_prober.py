"""The rounds of probes, with scripted nodes on virtual time."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from hookline.clock import Clock
from hookline.errors import ClusterUnavailable, InvalidTopology
from hookline.http_api.forwarded_headers import DECIDED
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol import http
from hookline.protocol.topology import (
    ClusterEntry,
    Placement,
    Topology,
    encode_topology,
    parse_topology,
    version_of,
)
from hookline.proxy.assembly import ProxyParts, build
from hookline.proxy.config import ProxyConfig
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.testing import virtual_time
from hookline.testing.clock import SimulatedClock
from tests.proxy_parts import C0, C1, LoopClock, ScriptedSender, topology

A1, A2, B1 = *C0.nodes, *C1.nodes
DOCUMENT = "/internal/topology"


@dataclass
class Node:
    """A scripted node's words on itself; ``fails`` instead of everything, ``says`` instead of its health."""

    role: Literal["leader", "follower"] = "follower"
    term: int = 1
    status: int = 200
    has: Topology | None = None
    fails: type[Exception] | float | None = None
    says: NodeAnswer | None = None
    decided_by: int | None = None
    cluster: str | None = None
    shard: int | None = None
    born: str | None = None  # its cluster's id
    asks_for_keys: bool = False
    refuses: NodeAnswer | None = None  # what it says to a topology
    moved: int = 0
    is_free: bool = False  # it can be switched off


@dataclass
class Fleet:
    """A prober and all it works with; the nodes can be changed while it runs."""

    known: KnownTopology = field(default_factory=lambda: KnownTopology(Topology(epoch=1, clusters=(C0, C1))))
    clock: Clock = field(default_factory=LoopClock)
    config: ProxyConfig = field(default_factory=lambda: ProxyConfig(topology=Path("t.toml")))

    def __post_init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        for entry in self.known.topology.all_clusters():
            for url in entry.nodes:
                self.nodes[url] = Node("leader" if url == entry.nodes[0] else "follower", has=self.known.topology)
        self.sender = ScriptedSender(self.script)
        self.start(KnownHealth())

    def start(self, health: KnownHealth) -> None:
        """A proxy that knows so much of the nodes."""
        proxy = build(ProxyParts(self.config, self.clock, self.sender, self.known, health))
        self.health, self.forwarder, self.prober = proxy.health, proxy.forwarder, proxy.prober

    def script(self, url: str, call: NodeCall) -> NodeAnswer | type[Exception] | float:
        node = self.nodes[url]
        if node.fails is not None:
            return node.fails
        if call.method == "PUT":
            if node.refuses is not None:
                return node.refuses
            node.has = parse_topology(call.body)
            mark = dict(call.headers).get(DECIDED)
            shards = [one.shard for one in self.known.topology.all_clusters() if url in one.nodes]
            shard = shards[0] if shards else None
            node.decided_by = shard if mark is None else int(mark) if mark.isdigit() else None
            return NodeAnswer(200)
        if call.target == DOCUMENT:
            mark = b"unknown" if node.decided_by is None else b"%d" % node.decided_by
            return (
                NodeAnswer(200, encode_topology(node.has), headers=((DECIDED, mark),)) if node.has else NodeAnswer(404)
            )
        epoch = node.has.epoch if node.has else 0
        status: Literal["ok", "unavailable"] = "ok" if node.status == 200 else "unavailable"
        body = msgspec.to_builtins(
            http.Health(status, node.role, {"slots": http.Usage(1, 100)}, None, epoch, node.term)
        ) | {
            "topology": version_of(node.has).digest if node.has else None,
            "decided_by": node.decided_by,
            "cluster": node.cluster,
            "shard": node.shard,
            "cluster_id": node.born,
            "moved": node.moved,
            "can_be_switched_off": node.is_free,
            "asks_for_keys": node.asks_for_keys,
        }
        name = (b"hookline-node", f"n{url[-1]}".encode())
        return node.says or NodeAnswer(node.status, msgspec.json.encode(body), headers=(name,))

    def probe(self, rounds: int = 1) -> list[tuple[str, str, str]]:
        """Make rounds; what was asked meanwhile but for the health."""
        self.sender.sent.clear()

        async def main() -> None:
            for _ in range(rounds):
                await self.prober.probe_all()

        virtual_time.run(main())
        return [(url, call.method, call.target) for url, call in self.sender.sent if call.target != "/health"]


def test_a_round_asks_every_node_and_says_what_came() -> None:
    fleet = Fleet()
    fleet.nodes[A1].role, fleet.nodes[A2].role = "follower", "leader"
    fleet.nodes[A2].term = 3
    assert fleet.probe() == []
    assert sorted(fleet.sender.urls) == [A1, A2, B1]
    node = fleet.health.node(A2)
    assert (node.state, node.is_ready, node.name, node.role, node.term, node.epoch) == (
        "up",
        True,
        "n2",
        "leader",
        3,
        1,
    )
    assert fleet.health.order(C0) == (A2, A1)
    assert fleet.health.leader(C1) == B1


def test_the_clusters_from_before_a_change_are_asked_too() -> None:
    before = Placement(strategy="modulo", clusters=(C1,))
    fleet = Fleet(KnownTopology(Topology(epoch=2, clusters=(C0,), previous=before)))
    fleet.probe()
    assert fleet.health.cluster_state(C1) == "up"


def _locked_out(fleet: Fleet) -> str:
    return fleet.health.why_locked_out or ""


def test_nodes_that_ask_for_keys_get_nothing_but_probes_of_a_proxy_without_a_root_key() -> None:
    fleet = Fleet()
    fleet.nodes[A1].asks_for_keys = fleet.nodes[A2].asks_for_keys = True
    fleet.nodes[A1].has = None  # it would be given the topology
    assert fleet.probe() == []
    assert (fleet.health.order(C0), fleet.health.order(C1)) == ((), (B1,))
    assert fleet.health.why_silent(C0).startswith(f"{A1} asks for API keys, and this proxy has no root key")
    assert not _locked_out(fleet), "it serves what it can"
    fleet.nodes[B1].asks_for_keys = True
    fleet.probe()
    assert "has no root key" in _locked_out(fleet)
    for node in fleet.nodes.values():
        node.asks_for_keys = False
    fleet.probe()
    assert (_locked_out(fleet), fleet.health.order(C0)) == ("", (A1, A2))


def test_nodes_that_refuse_the_proof_of_a_probe_have_another_root_key() -> None:
    fleet = Fleet()
    for node in fleet.nodes.values():
        node.says = NodeAnswer(401, b'{"code": "unauthorized"}', b"application/problem+json")
    assert fleet.probe() == []
    assert "has another root key" in _locked_out(fleet)


@pytest.mark.parametrize("fails", [NotSent, Unclear, 0.0], ids=["refused", "unclear", "silent"])
def test_a_node_that_does_not_answer_is_down_until_it_does(fails: type[Exception] | float) -> None:
    fleet = Fleet()
    fleet.nodes[B1].fails = fails
    fleet.probe(2)
    assert [fleet.health.node(url).state for url in (A1, A2, B1)] == ["up", "up", "down"]
    assert fleet.health.cluster_state(C1) == "down"
    fleet.nodes[B1].fails = None
    fleet.probe()
    assert fleet.health.cluster_state(C1) == "up"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b'{"term":"x"}', b'{"role":"\xff"}', b'{"usage":' + b"[" * 100_000],
    ids=["empty", "html", "list", "null", "type", "not UTF-8", "nested deeply"],
)
def test_whatever_a_node_answers_the_round_goes_on(body: bytes) -> None:
    """Another server may have its port by now: that is not a reason for the proxy to end."""
    fleet = Fleet()
    fleet.nodes[A1].says = NodeAnswer(200, body)
    fleet.probe()
    assert [fleet.health.node(url).state for url in (A1, A2, B1)] == ["down", "up", "up"]


def test_a_node_that_takes_no_requests_is_up_and_not_ready() -> None:
    fleet = Fleet()
    fleet.nodes[B1].status = 503
    fleet.probe()
    assert (fleet.health.node(B1).state, fleet.health.cluster_state(C1)) == ("up", "down")


@pytest.mark.parametrize(("old", "new"), [(A1, A2), (A2, A1)])
def test_a_leader_of_an_older_term_is_not_believed(old: str, new: str) -> None:
    fleet = Fleet()
    fleet.nodes[old].role = fleet.nodes[new].role = "leader"
    fleet.nodes[old].term, fleet.nodes[new].term = 4, 5
    fleet.probe(3)
    assert fleet.health.leader(C0) == new


def test_silent_nodes_are_waited_for_side_by_side() -> None:
    fleet = Fleet()
    for node in fleet.nodes.values():
        node.fails = 0.0

    async def main() -> float:
        await fleet.prober.probe_all()
        return asyncio.get_running_loop().time()

    assert virtual_time.run(main()) == pytest.approx(fleet.config.probe_timeout_ms / 1_000)


# --- the topology -----------------------------------------------------------------------------------------------


def test_a_newer_topology_is_learned_and_its_clusters_are_asked_next() -> None:
    fleet = Fleet()
    newer = Topology(epoch=5, clusters=(C0, ClusterEntry(name="c2", shard=2, nodes=("http://c:1",))))
    fleet.nodes["http://c:1"] = Node("leader", has=newer)
    fleet.nodes[A2].has = newer
    assert (A2, "GET", DOCUMENT) in fleet.probe()
    assert fleet.known.topology == newer
    assert fleet.probe() == []
    assert fleet.health.node("http://c:1").state == "up"
    assert not [url for url in fleet.sender.urls if url == B1], "it is no more"


def test_a_cluster_with_an_older_topology_is_given_ours_through_its_leader() -> None:
    fleet = Fleet(KnownTopology(Topology(epoch=4, clusters=(C0, C1))))
    fleet.nodes[A1].role, fleet.nodes[A2].role = "follower", "leader"
    fleet.nodes[A1].has, fleet.nodes[A2].has = topology(1), None
    assert fleet.probe() == [(A2, "PUT", DOCUMENT)]
    assert fleet.nodes[A2].has == fleet.known.topology
    fleet.nodes[A1].has = fleet.known.topology
    assert fleet.probe(3) == [], "once is enough"


def test_a_node_that_is_behind_alone_is_no_reason_to_give_it() -> None:
    fleet = Fleet(KnownTopology(Topology(epoch=4, clusters=(C0, C1))))
    fleet.nodes[A2].has = topology(1)
    assert fleet.probe(3) == []


def test_a_cluster_that_was_down_gets_it_when_it_is_back() -> None:
    fleet = Fleet()
    fleet.nodes[B1].fails = NotSent
    fleet.known.learn(Topology(epoch=2, clusters=(C0, C1)))
    assert {url for url, method, _ in fleet.probe(2) if method == "PUT"} == {A1}
    assert fleet.nodes[B1].has == Topology(epoch=1, clusters=(C0, C1))
    fleet.nodes[B1].fails = None
    assert (B1, "PUT", DOCUMENT) in fleet.probe()
    assert fleet.nodes[B1].has == fleet.known.topology


@pytest.mark.parametrize(
    "said",
    [NotSent, Unclear, 0.0, NodeAnswer(404), NodeAnswer(200, b"{"), NodeAnswer(200, b'{"cluster":[{"name":"\xff"}]}')],
)
def test_what_cannot_be_learned_changes_nothing(said: Any) -> None:
    fleet = Fleet()
    fleet.nodes[A2].has = topology(3, epoch=9)
    sound = fleet.script
    fleet.sender.script = lambda url, call: said if call.target == DOCUMENT else sound(url, call)
    fleet.probe(2)
    assert fleet.known.epoch == 1


def test_what_belongs_to_clusters_that_are_gone_is_forgotten() -> None:
    fleet = Fleet()
    fleet.nodes[B1].fails = NotSent

    async def fail() -> None:
        with pytest.raises(ClusterUnavailable):
            await fleet.forwarder.to_cluster(C1, NodeCall("POST", "/jobs"), 10_000)

    virtual_time.run(fail())
    fleet.known.learn(Topology(epoch=2, clusters=(C0,)))
    fleet.probe()
    assert "c1" not in fleet.forwarder.breakers
    assert fleet.health.node(B1).state == "unknown"


# --- nodes of other clusters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"cluster": "c1"}, "http://a:1 belongs to cluster c1, the topology lists it under c0"),
        ({"cluster": "c0", "shard": 7}, "http://a:1 has shard 7, the topology says that c0 has 0"),
        (
            {"born": "b" * 32},
            f"http://a:1 belongs to a cluster c0 with the id {'b' * 32}, the topology says {'a' * 32}",
        ),
    ],
    ids=["cluster", "shard", "id"],
)
def test_a_node_of_another_cluster_is_down_and_it_is_said_why(said: dict[str, Any], why: str) -> None:
    c0 = ClusterEntry(name="c0", shard=0, nodes=C0.nodes, id="a" * 32)
    fleet = Fleet(KnownTopology(Topology(epoch=1, clusters=(c0, C1))))
    for name, value in said.items():
        setattr(fleet.nodes[A1], name, value)
    fleet.probe()
    node = fleet.health.node(A1)
    assert (node.state, node.stranger) == ("down", why)
    assert fleet.health.order(c0) == (A2,)
    fleet.nodes[A1].cluster, fleet.nodes[A1].shard, fleet.nodes[A1].born = "c0", 0, "a" * 32
    fleet.probe()
    assert (node.state, node.stranger) == ("up", "")


# --- when -------------------------------------------------------------------------------------------------------


def rounds_begun(fleet: Fleet, seconds: float) -> list[float]:
    """When the first node was asked, while it runs for that long."""
    times: list[float] = []
    sound = fleet.script

    def script(url: str, call: NodeCall) -> NodeAnswer | type[Exception] | float:
        if url == A1:
            times.append(asyncio.get_running_loop().time())
        return sound(url, call)

    fleet.sender.script = script

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fleet.prober.run(), seconds)

    virtual_time.run(main())
    return times


def test_every_second_with_a_jitter() -> None:
    fleet = Fleet(clock=SimulatedClock(lambda: 0.0, seed=3))
    times = rounds_begun(fleet, 200.5)
    waits = [after - before for before, after in pairwise(times)]
    assert sum(waits) / len(waits) == pytest.approx(1.0, rel=0.03)
    assert 0.85 <= min(waits) < 0.9
    assert 1.1 < max(waits) <= 1.151


def test_a_round_that_took_long_is_followed_at_once() -> None:
    config = ProxyConfig(topology=Path("t.toml"), probe_interval_ms=1_000, probe_timeout_ms=3_000)
    fleet = Fleet(config=config)
    fleet.nodes[B1].fails = 0.0
    assert rounds_begun(fleet, 10) == [0.0, 3.0, 6.0, 9.0]


# --- jumps and newcomers ----------------------------------------------------------------------------------------


def test_one_node_with_an_epoch_far_ahead_does_not_lock_the_fleet() -> None:
    fleet = Fleet()
    fleet.nodes[B1].has = topology(2, epoch=2**53 - 1)
    fleet.probe(2)
    assert fleet.known.epoch == 1
    fleet = Fleet(known=KnownTopology(Topology(epoch=1, clusters=(C0, C1)), is_proposal=True))
    fleet.nodes[A1].has = fleet.nodes[A2].has = Topology(epoch=3, clusters=(C0, C1))
    fleet.nodes[B1].has = topology(2, epoch=2**53 - 1)
    fleet.probe(2)
    assert (fleet.known.epoch, fleet.known.is_in_force) == (3, True)


def newcomer(**said: Any) -> Fleet:
    """A fleet that an operator named c0 of; c1 came with a document."""
    fleet = Fleet()
    fleet.start(KnownHealth([C0]))
    for name, value in said.items():
        setattr(fleet.nodes[B1], name, value)
    return fleet


def send_to_c1(fleet: Fleet) -> list[tuple[str, str]]:
    """Creates one job there, and lists what is sent for it."""
    fleet.sender.sent.clear()

    async def main() -> None:
        with suppress(ClusterUnavailable):
            await fleet.forwarder.to_cluster(C1, NodeCall("POST", "/jobs"), 5_000)

    virtual_time.run(main())
    return [(call.method, call.target) for url, call in fleet.sender.sent if url == B1]


@pytest.mark.parametrize(
    "said",
    [{}, {"cluster": "other"}, {"cluster": "c1", "shard": 9}, {"says": NodeAnswer(200, b"{}")}, {"fails": NotSent}],
)
def test_whoever_does_not_say_that_it_is_a_node_of_the_cluster_gets_only_probes(said: dict[str, Any]) -> None:
    fleet = newcomer(has=None, **said)
    assert send_to_c1(fleet) == [("GET", "/health")], "the first call asks"
    assert [what for url, *what in fleet.probe(2) if url == B1] == []
    assert send_to_c1(fleet) == []


def test_a_newcomer_that_is_a_node_of_the_cluster_serves_the_first_call() -> None:
    fleet = newcomer(cluster="c1", shard=1)
    assert send_to_c1(fleet) == [("GET", "/health"), ("POST", "/jobs")]
    assert send_to_c1(fleet) == [("POST", "/jobs")]


def check(fleet: Fleet, new: Topology) -> None:
    fleet.sender.sent.clear()
    virtual_time.run(fleet.prober.check_newcomers(fleet.known.topology, new))


NEW = ClusterEntry(name="c2", shard=2, nodes=("http://n:1", "http://n:2", "http://n:3"))


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([Node(fails=NotSent)] * 3, "no node of c2 answers at http://n:1"),
        ([Node(cluster="c2", shard=2), Node(cluster="c7"), Node(fails=NotSent)], "belongs to cluster c7"),
        ([Node(cluster="c2", shard=3)] * 3, "has shard 3"),
        ([Node(says=NodeAnswer(200, b"{}"))] * 3, "does not say that it is a node of c2"),
        ([Node(says=NodeAnswer(200, b"<html>"))] * 3, "no node of c2 answers"),
        ([Node(cluster="c2", shard=2), Node(fails=NotSent), Node(fails=0.0)], None),
        ([Node(cluster="c2", shard=2)] * 3, None),
    ],
)
def test_a_new_cluster_is_taken_when_a_node_of_it_answers(nodes: list[Node], why: str | None) -> None:
    fleet = Fleet()
    fleet.nodes |= dict(zip(NEW.nodes, nodes, strict=True))
    new = Topology(epoch=2, clusters=(C0, C1, NEW))
    if why is None:
        check(fleet, new)
    else:
        with pytest.raises(InvalidTopology, match=why):
            check(fleet, new)
    assert {(url, call.target) for url, call in fleet.sender.sent} == {(url, "/health") for url in NEW.nodes}


def test_a_new_url_of_a_cluster_has_to_answer() -> None:
    fleet = Fleet()
    new = Topology(epoch=2, clusters=(msgspec.structs.replace(C0, nodes=(*C0.nodes, "http://n:1")), C1))
    fleet.nodes["http://n:1"] = Node(fails=NotSent)
    with pytest.raises(InvalidTopology, match="no node of c0 answers at http://n:1"):
        check(fleet, new)
    fleet.nodes["http://n:1"] = Node(cluster="c0", shard=0)
    check(fleet, new)


def test_a_document_that_names_many_strangers_is_refused_after_the_first_cluster() -> None:
    fleet = Fleet()
    strangers = tuple(ClusterEntry(name=f"e{n}", shard=n, nodes=(f"http://e:{n}",)) for n in range(2, 500))
    fleet.nodes |= {entry.nodes[0]: Node(fails=NotSent) for entry in strangers}
    with pytest.raises(InvalidTopology):
        check(fleet, Topology(epoch=2, clusters=(C0, C1, *strangers)))
    assert len(fleet.sender.sent) == 1
