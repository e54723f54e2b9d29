"""Calls that go to all clusters do not wait long for one that says nothing, and wait for one that is merely slow."""

import asyncio
from typing import Any

import msgspec
import pytest

from hookline.http_api.messages import PROBLEM_JSON
from hookline.peers.sender import NodeAnswer, NodeCall
from tests.proxy_app import ScriptedProxy
from tests.proxy_parts import topology

PAGE = NodeAnswer(200, b'{"data":[],"next_cursor":null,"cursors":[]}')
VIEW = NodeAnswer(200, b'{"name":"c0","shard":0,"term":1,"leader":"n1","nodes":[]}')
MISSING = NodeAnswer(404, b'{"code":"job_not_found"}', PROBLEM_JSON)


def silent_c1(answer: NodeAnswer) -> ScriptedProxy:
    """c1 takes connections and says nothing."""
    return ScriptedProxy(lambda url, call: 0.0 if url == "http://c1:1" else answer, topology(2))


def known_to_be_silent(proxy: ScriptedProxy, url: str = "http://c1:1") -> None:
    for _ in range(2):
        proxy.health.missed(url, is_refusing=False)


@pytest.mark.parametrize(("path", "answer"), [("/jobs", PAGE), ("/schedules", PAGE), ("/clusters", VIEW)])
def test_a_silent_cluster_is_named_after_the_time_for_lists(path: str, answer: NodeAnswer) -> None:
    proxy = silent_c1(answer)
    status, body = proxy.call("GET", path)
    assert (status, body["incomplete"]) == (200, ["c1"])
    assert proxy.now_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(("path", "answer"), [("/jobs", PAGE), ("/schedules", PAGE), ("/clusters", VIEW)])
def test_one_that_is_known_to_be_silent_is_not_waited_for(path: str, answer: NodeAnswer) -> None:
    proxy = silent_c1(answer)
    known_to_be_silent(proxy)
    status, body = proxy.call("GET", path)
    assert (status, body["incomplete"]) == (200, ["c1"])
    assert proxy.now_s < 0.1
    assert "http://c1:1" not in proxy.sender.urls


def test_a_job_of_a_silent_home_is_refused_at_once_and_nothing_is_sent() -> None:
    proxy = silent_c1(MISSING)
    known_to_be_silent(proxy)
    for method, body in (("GET", None), ("POST", {"url": "http://a/"})):
        path = "/jobs/01890000-0000-7000-8000-000000000000-1" + ("/cancel" if method == "POST" else "")
        status, answer = proxy.call(method, path, body)
        assert (status, answer["code"]) == (503, "cluster_unavailable")
        assert proxy.now_s < 0.1
    assert proxy.sender.sent == []


def test_who_may_have_changed_jobs_when_it_fell_silent_is_unclear() -> None:
    done = NodeAnswer(
        200, msgspec.json.encode({"matched": 1, "changed": 1, "dry_run": False, "more": False, "sample": []})
    )
    proxy = silent_c1(done)
    status, body = proxy.call("POST", "/jobs/cancel", {})
    assert (status, body["unclear"]) == (200, ["c1"])
    assert proxy.now_s == pytest.approx(2.0, abs=0.1)


def test_a_slow_cluster_whose_nodes_answer_probes_is_waited_for() -> None:
    proxy = ScriptedProxy(lambda url, call: PAGE, topology(2))
    send = proxy.sender.send

    async def slow(url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        if url == "http://c1:1":
            for _ in range(4):
                await asyncio.sleep(0.9)
                proxy.health.probed(url, is_ready=True, name="n1", role="leader")
        return await send(url, call, timeout_s)

    proxy.sender.send = slow  # type: ignore[method-assign]
    status, body = proxy.call("GET", "/jobs")
    assert status == 200
    assert "incomplete" not in body
    assert proxy.now_s == pytest.approx(3.6, abs=0.1)


def test_health_and_clusters_say_whose_a_node_is(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = ScriptedProxy(lambda url, call: VIEW, topology(2))
    proxy.health.order(topology(2).clusters[1])
    why = "http://c1:1 belongs to cluster c7, the topology lists it under c1"
    proxy.health.is_stranger("http://c1:1", why)
    _, health = proxy.call("GET", "/health")
    nodes: list[Any] = health["clusters"][1]["nodes"]
    assert nodes == [{"url": "http://c1:1", "state": "down", "detail": why}]
    _, clusters = proxy.call("GET", "/clusters")
    assert (clusters["incomplete"], clusters["reasons"]) == (["c1"], {"c1": why})


def test_a_proxy_whose_topology_is_not_in_force_is_not_ready_and_takes_no_other() -> None:
    proxy = ScriptedProxy(lambda url, call: VIEW, topology(1))
    proxy.health.probed("http://c0:1", is_ready=True, name="n1", role="leader")
    assert proxy.call("GET", "/health")[0] == 200
    proxy.known.is_in_force, proxy.known.why_not = False, "cluster c0 decides and does not answer"
    status, health = proxy.call("GET", "/health")
    assert (status, health["detail"]) == (503, "cluster c0 decides and does not answer")
    status, ready = proxy.call("GET", "/readyz")
    assert (status, ready["detail"]) == (503, "cluster c0 decides and does not answer")
    assert proxy.call("GET", "/livez")[0] == 200
    applied = proxy.call(
        "PUT", "/topology", {"epoch": 2, "cluster": [{"name": "c0", "shard": 0, "nodes": ["http://c0:1"]}]}
    )
    assert (applied[0], applied[1]["code"]) == (503, "unavailable")
    assert proxy.sender.sent == []


def test_a_proxy_whose_topology_is_not_in_force_does_not_drop_a_cluster_from_a_list() -> None:
    _, first = silent_c1(PAGE).call("GET", "/jobs")
    other = ScriptedProxy(lambda url, call: PAGE, topology(1))  # by its file, with the same epoch, there is no c1
    path = f"/jobs?cursor={first['next_cursor']}"
    assert other.call("GET", path)[0] == 200, "c1 was taken out of the topology"
    other.known.is_in_force = False
    status, refusal = other.call("GET", path)
    assert (status, refusal["code"], refusal["clusters"]) == (503, "cluster_unavailable", ["c1"])
