"""Pushing our topology to nodes and taking theirs, with a scripted sender on virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from hookline.http_api.forwarded_headers import CLUSTER, DECIDED, EPOCH
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.internal_http import DestinationsPage
from hookline.protocol.topology import encode_topology
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.proxy.pusher import TopologyPusher
from hookline.testing import virtual_time
from tests.proxy_parts import LoopClock, Script, ScriptedSender, problem, topology

URL = "http://c0:1"
NEWER = topology(3, epoch=9)


def parts(script: Script) -> tuple[TopologyPusher, ScriptedSender, KnownTopology]:
    sender, known = ScriptedSender(script), KnownTopology(topology(2, epoch=4), decided_by=1)
    return TopologyPusher(sender, known, LoopClock(), KnownHealth()), sender, known


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return virtual_time.run(main)


def misdirected() -> NodeAnswer:
    return problem(421, "misdirected", topology=msgspec.json.decode(encode_topology(NEWER)))


def test_a_node_is_put_the_document() -> None:
    pusher, sender, known = parts(lambda url, call: NodeAnswer(200))
    assert run(pusher.push(URL))
    [(url, call)] = sender.sent
    assert (url, call.method, call.target, call.body) == (URL, "PUT", "/internal/topology", known.document)
    assert call.headers == ((b"content-type", b"application/json"), (DECIDED, b"1"), (CLUSTER, b"c0"))


def test_what_no_cluster_has_is_not_pushed() -> None:
    sender = ScriptedSender(lambda url, call: NodeAnswer(200))
    known = KnownTopology(topology(2), is_proposal=True)
    pusher = TopologyPusher(sender, known, LoopClock(), KnownHealth())
    assert not run(pusher.push(URL))
    assert sender.sent == []
    known.confirm(None)
    assert run(pusher.push(URL))
    assert (DECIDED, b"unknown") in sender.sent[0][1].headers


@pytest.mark.parametrize(
    "said", [NotSent, Unclear, 0.0, problem(409, "epoch_taken"), problem(503, "no_leader"), NodeAnswer(502, b"<html>")]
)
def test_it_says_when_the_node_does_not_have_it(said: Any) -> None:
    pusher, _, known = parts(lambda url, call: said)
    assert not run(pusher.push(URL))
    assert known.epoch == 4


def test_what_a_node_has_newer_is_taken() -> None:
    pusher, _, known = parts(lambda url, call: misdirected())
    assert not run(pusher.push(URL))
    assert known.topology == NEWER


@pytest.mark.parametrize(
    "answer",
    [
        problem(421, "misdirected"),
        problem(421, "misdirected", topology={"epoch": 9}),
        problem(421, "misdirected", topology="x"),
        problem(409, "epoch_taken", topology=msgspec.json.decode(encode_topology(NEWER))),
        NodeAnswer(421, misdirected().body),
    ],
    ids=["without one", "no topology", "a text", "another problem", "no problem"],
)
def test_everything_else_teaches_nothing(answer: NodeAnswer) -> None:
    pusher, _, known = parts(lambda url, call: answer)
    pusher.learn_from(answer)
    assert known.epoch == 4


def test_calls_that_meet_a_node_at_once_share_one_attempt() -> None:
    for said, is_taken in ((NodeAnswer(200), True), (problem(503, "no_leader"), False)):
        pusher, sender, _ = parts(lambda url, call, said=said: said)  # type: ignore[misc]

        async def main(pusher: TopologyPusher = pusher) -> list[bool]:
            return await asyncio.gather(*[pusher.push(URL, since_ms=0) for _ in range(20)])

        assert run(main()) == [is_taken] * 20
        assert len(sender.sent) == 1


def test_an_attempt_from_before_does_not_count() -> None:
    pusher, sender, known = parts(lambda url, call: NodeAnswer(200))

    async def main() -> None:
        await pusher.push(URL)
        pushed_ms = LoopClock().boot_ms()
        await pusher.push(URL, since_ms=pushed_ms)
        assert len(sender.sent) == 1
        await pusher.push(URL, since_ms=pushed_ms + 1)
        assert len(sender.sent) == 2, "it came too early to help"
        await pusher.push(URL)
        assert len(sender.sent) == 3, "nobody asked to share"
        known.learn(NEWER)
        await pusher.push(URL, since_ms=0)
        assert sender.sent[-1][1].body == encode_topology(NEWER), "another topology by now"
        await pusher.push("http://b:1", since_ms=0)
        assert len(sender.sent) == 5, "another node"

    run(main())


# --- settings of destinations -----------------------------------------------------------------------------------


class NewCluster:
    """c2 is new in a topology that c1 decided; c1 has two pages of settings."""

    def __init__(self) -> None:
        self.pages = [DestinationsPage(4, [("", "https://a:443", b"x")], "7"), DestinationsPage(4, [])]
        self.taken: list[bytes] = []
        self.says: dict[tuple[str, str], Any] = {}
        self.sender = ScriptedSender(self.script)
        self.known = KnownTopology(topology(3, epoch=4), decided_by=1)
        self.health = KnownHealth()
        self.pusher = TopologyPusher(self.sender, self.known, LoopClock(), self.health)

    def script(self, url: str, call: NodeCall) -> Any:
        said = self.says.get((url, call.method))
        if said is not None:
            return said
        if call.method == "GET":
            assert (EPOCH, b"4") in call.headers
            return NodeAnswer(200, msgspec.json.encode(self.pages["after=" in call.target]))
        if call.target == "/internal/destinations":
            self.taken.append(call.body)
            return NodeAnswer(200)
        return NodeAnswer(200) if len(self.taken) == 2 else problem(409, "settings_needed")

    def push(self) -> str:
        return str(run(self.pusher.push_cluster(self.known.topology.clusters[2])))


def test_a_new_cluster_gets_the_settings_before_the_topology() -> None:
    fleet = NewCluster()
    assert fleet.push() == "ok"
    assert fleet.taken == [msgspec.json.encode(page) for page in fleet.pages]
    asked = [(url, call.method, call.target) for url, call in fleet.sender.sent]
    assert asked == [
        ("http://c2:1", "PUT", "/internal/topology"),
        ("http://c1:1", "GET", "/internal/destinations"),
        ("http://c2:1", "PUT", "/internal/destinations"),
        ("http://c1:1", "GET", "/internal/destinations?after=7"),
        ("http://c2:1", "PUT", "/internal/destinations"),
        ("http://c2:1", "PUT", "/internal/topology"),
    ]


@pytest.mark.parametrize("said", [NotSent, Unclear, 0.0, problem(409, "epoch_unknown"), NodeAnswer(200, b"{")])
def test_where_the_decider_does_not_give_them_another_one_does(said: Any) -> None:
    fleet = NewCluster()
    fleet.says["http://c1:1", "GET"] = said
    assert fleet.push() == "ok"
    assert "http://c0:1" in fleet.sender.urls


def test_without_anybody_who_has_them_it_waits() -> None:
    fleet = NewCluster()
    for url in ("http://c0:1", "http://c1:1"):
        fleet.says[url, "GET"] = NotSent
    assert "no cluster with the new topology can be reached" in fleet.push()
    assert fleet.taken == []


def test_a_fleet_that_is_behind_as_a_whole_begins_with_the_smallest_shard() -> None:
    """As after a restore: nobody has newer settings than its own."""
    fleet = NewCluster()
    for url in ("http://c0:1", "http://c1:1", "http://c2:1"):
        fleet.health.probed(url, is_ready=True, name="n1", role="leader", epoch=3)
        fleet.says[url, "GET"] = problem(409, "epoch_unknown")
    assert "no cluster with the new topology" in fleet.push()
    fleet.taken = [b""]  # one page will do
    assert run(fleet.pusher.push_cluster(fleet.known.topology.clusters[0])) == "ok"
    assert fleet.taken[1] == msgspec.json.encode(DestinationsPage(4, []))


@pytest.mark.parametrize("said", [NotSent, Unclear, 0.0, problem(503, "no_leader"), NodeAnswer(200, b"{")])
def test_an_outdated_probe_does_not_make_a_fleet_behind_as_a_whole(said: Any) -> None:
    """The decider took the topology after its last probe, and its settings do not arrive."""
    fleet = NewCluster()
    for url in ("http://c0:1", "http://c1:1", "http://c2:1"):
        fleet.health.probed(url, is_ready=True, name="n1", role="leader", epoch=3)
        fleet.says[url, "GET"] = problem(409, "epoch_unknown")
    fleet.says["http://c1:1", "GET"] = said
    assert "no cluster with the new topology" in run(fleet.pusher.push_cluster(fleet.known.topology.clusters[0]))
    assert fleet.taken == []


def test_why_a_cluster_does_not_take_them_is_said() -> None:
    fleet = NewCluster()
    detail = "give its nodes the key of the other clusters in HOOKLINE_SECRET_KEY"
    sound = fleet.script
    fleet.sender.script = lambda url, call: (
        problem(409, "secret_key_differs", detail=detail)
        if (call.method, call.target) == ("PUT", "/internal/destinations")
        else sound(url, call)
    )
    assert fleet.push() == detail


def test_somebody_else_may_be_faster() -> None:
    fleet = NewCluster()
    sound = fleet.script

    def script(url: str, call: NodeCall) -> Any:
        if (call.method, call.target) == ("PUT", "/internal/destinations"):
            fleet.taken = [b"", b""]
            return problem(421, "misdirected")
        return sound(url, call)

    fleet.sender.script = script
    assert fleet.push() == "ok"


def test_a_cluster_that_is_silent_is_not_waited_for() -> None:
    fleet = NewCluster()
    for _ in range(2):
        fleet.health.missed("http://c2:1", is_refusing=False)
    assert fleet.push() == "none of its nodes answered the last probes"
    assert fleet.sender.sent == []
