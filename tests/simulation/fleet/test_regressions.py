"""Tells the bugs that the simulation of proxies has found, each as the shortest story that shows it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hookline.http_api.forwarded_headers import EPOCH
from hookline.http_api.messages import PROBLEM_JSON
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.topology import ClusterEntry, Placement, Topology, encode_topology
from hookline.proxy.assembly import ProxyParts, build
from hookline.proxy.config import ProxyConfig
from hookline.proxy.known_topology import KnownTopology
from hookline.testing.clock import SimulatedClock
from hookline.testing.virtual_time import run
from tests.simulation.asgi import exchange

C0 = ClusterEntry(name="c0", shard=0, nodes=("http://c0:1",))
C1 = ClusterEntry(name="c1", shard=1, nodes=("http://c1:1",))
OLD = Topology(epoch=1, clusters=(C0,))
NEW = Topology(epoch=2, clusters=(C1,), previous=Placement(strategy="modulo", clusters=(C0,)))
JSON_TYPE = (b"content-type", b"application/json")

Script = Callable[[str, NodeCall], NodeAnswer]


class Scripted:
    """A ``Sender``; whoever is asked under the old topology brings the new one."""

    def __init__(self, script: Script) -> None:
        self.asked: list[tuple[str, str]] = []
        self._script = script

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        self.asked.append((url, f"{call.method} {call.target}"))
        return self._script(url, call)


def ok(body: Any) -> NodeAnswer:
    return NodeAnswer(200, msgspec.json.encode(body))


def outdated(call: NodeCall) -> NodeAnswer | None:
    if (EPOCH, b"2") in call.headers:
        return None
    newer = msgspec.Raw(encode_topology(NEW))
    return NodeAnswer(421, msgspec.json.encode({"code": "misdirected", "topology": newer}), PROBLEM_JSON)


def ask_an_old_proxy(
    sender: Scripted, method: str, target: str, body: bytes = b"", topology: Topology = OLD
) -> NodeAnswer:
    async def main() -> NodeAnswer:
        clock = SimulatedClock(asyncio.get_running_loop().time)
        app = build(ProxyParts(ProxyConfig(topology=Path("topology.toml")), clock, sender, KnownTopology(topology))).app
        return await exchange(app, NodeCall(method, target, (JSON_TYPE,), body))

    return run(main())


def through_an_old_proxy(sender: Scripted, method: str, target: str, body: bytes = b"") -> Any:
    """The body of its good answer."""
    answer = ask_an_old_proxy(sender, method, target, body)
    assert answer.status == 200
    return msgspec.json.decode(answer.body)


def test_a_list_asks_the_clusters_of_a_topology_that_it_learns_on_the_way() -> None:
    """Seed 273: the jobs of a new cluster were missing, without a word, in the first list of an old proxy."""

    def script(url: str, call: NodeCall) -> NodeAnswer:
        job = {"id": url, "created_at": "2026-01-01T00:00:00.000Z"}
        return outdated(call) or ok({"data": [job], "next_cursor": None, "cursors": ["1"]})

    page = through_an_old_proxy(Scripted(script), "GET", "/jobs")
    assert sorted(job["id"] for job in page["data"]) == ["http://c0:1", "http://c1:1"]


def test_a_list_does_not_end_at_a_proxy_that_knows_fewer_clusters_than_its_cursor() -> None:
    """Seed 91: c1 was down, which the first page said; the next was asked of an old proxy, for which all was said."""

    def script(url: str, _call: NodeCall) -> NodeAnswer:
        if url in C1.nodes:
            raise NotSent
        return ok({"data": [], "next_cursor": None, "cursors": []})

    first = msgspec.json.decode(ask_an_old_proxy(Scripted(script), "GET", "/jobs", topology=NEW).body)
    assert first["incomplete"] == ["c1"]
    second = ask_an_old_proxy(Scripted(script), "GET", f"/jobs?cursor={first['next_cursor']}")
    assert (second.code, second.problem["clusters"]) == ("cluster_unavailable", ["c1"])


def test_a_bulk_call_reaches_the_clusters_of_a_topology_that_it_learns_on_the_way() -> None:
    """As the list: an acknowledged cancel left the jobs of a new cluster as they were."""
    done = {"matched": 1, "changed": 1, "dry_run": False, "more": False, "sample": []}
    sender = Scripted(lambda _url, call: outdated(call) or ok(done))
    assert through_an_old_proxy(sender, "POST", "/jobs/cancel", b'{"filter":{"label":"a=b"}}')["changed"] == 2


def _unclear_then_outdated() -> Scripted:
    failures = iter([Unclear("no answer")])

    def script(url: str, call: NodeCall) -> NodeAnswer:
        for failure in failures:
            raise failure
        return outdated(call) or ok({"results": [{"status": 421, "error": {"code": "misdirected"}}]})

    return Scripted(script)


def test_a_batch_that_is_moved_after_an_unclear_try_may_have_been_accepted() -> None:
    """Seed 183: it was sent again by the new topology, and its jobs refused as misdirected: surely not accepted."""
    sender = _unclear_then_outdated()
    body = b'{"jobs":[{"id":"job-1","url":"http://a/"}]}'
    batch = through_an_old_proxy(sender, "POST", "/jobs/batch", body)
    assert [(one["status"], one["error"]["code"]) for one in batch["results"]] == [(504, "deadline_exceeded")]


def test_after_an_unclear_try_nobody_is_asked_by_a_newer_topology() -> None:
    """Seed 156: a change and its reversal came during one request. Its cluster was the home again and created the job,
    without the word of the home between, which had it."""
    sender = _unclear_then_outdated()
    answer = ask_an_old_proxy(sender, "POST", "/jobs", b'{"id":"job-1","url":"http://a/"}')
    assert (answer.status, answer.problem["id"]) == (504, "job-1")
    assert sender.asked == [("http://c0:1", "POST /jobs")] * 2
