"""A row of the audit log is in the entry that makes the change: killing the leader at that moment loses neither."""

import base64
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.chaos.cluster import AWAY, Cluster, ClusterNode
from tests.end_to_end.processes import until

_ROUNDS = 3
_DELAY_S = 0.1


def test_a_change_whose_leader_is_killed_at_its_commit_has_its_row_and_a_repeat_says_that_nothing_changed(
    tmp_path: Path,
) -> None:
    with Cluster(tmp_path, proxied=True) as cluster, ThreadPoolExecutor(1) as client:
        answered = 0
        for number in range(_ROUNDS):
            tenant, leader = f"tenant-{number}", cluster.leader()
            for way in cluster.proxies[leader.name]:
                way.delay_s = _DELAY_S  # so that it hears of the commit after the kill
            call = client.submit(_change, leader, tenant)
            until(lambda tenant=tenant: _is_in_etcd(cluster, tenant), "it is committed")  # type: ignore[misc]
            leader.kill()
            answered += call.result()
            assert [(row["outcome"], row["changed"]) for row in _rows(cluster, tenant)] == [("done", 1)]
            assert _change(cluster.leader(), tenant), "the client does not know, and repeats it"
            rows = [(row["outcome"], row["changed"]) for row in _rows(cluster, tenant)]
            assert rows == [("unchanged", 0), ("done", 1)], "the repeat is a call of its own, and changed nothing"
            cluster.heal()
        assert answered < _ROUNDS, "some kill came between the commit and the answer"
        wanted = _numbered(cluster.leader())
        for node in cluster.nodes:
            until(lambda node=node: _numbered(node) == wanted, f"{node.name} has the same rows")  # type: ignore[misc]


def _change(node: ClusterNode, tenant: str) -> bool:
    """Is the call answered?"""
    try:
        status, answer = node.call("PUT", f"/tenants/{tenant}", {"pending_jobs": 7})
    except AWAY:
        return False
    return (status, answer["pending_jobs"]) == (200, 7)


def _is_in_etcd(cluster: Cluster, text: str) -> bool:
    everything = json.dumps({"key": "AA==", "range_end": "AA=="}).encode()
    with urllib.request.urlopen(cluster.etcd.endpoints[0] + "/v3/kv/range", everything, timeout=60) as answer:
        return any(text.encode() in base64.b64decode(pair.get("value", "")) for pair in json.load(answer)["kvs"])


def _rows(cluster: Cluster, tenant: str) -> list[dict[str, Any]]:
    status, found = cluster.leader().call("GET", "/audit?action=putTenant&limit=100")
    assert status == 200, found
    return [row for row in found["data"] if row["target"] == tenant]


def _numbered(node: ClusterNode) -> list[tuple[str, str, str]]:
    return [(row["id"], row["target"], row["outcome"]) for row in node.call("GET", "/audit?limit=100")[1]["data"]]
