"""Jobs and schedules through a proxy: where they go, and what is said when that place is down."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.node_under_test import read_all
from tests.integration.proxy_under_test import JOB, Clusters, FrontDoor


def _id_at(door: FrontDoor, cluster: str, prefix: str = "order") -> str:
    """An id of a client whose home is that cluster."""
    names = (f"{prefix}-{number}" for number in range(1_000))
    return next(name for name in names if door.get(f"/topology/route?id={name}").json["cluster"] == cluster)


def test_a_minted_id_names_the_cluster_that_took_it(three: Clusters) -> None:
    first, second = three.start_proxy(), three.start_proxy()
    taken = set()
    for _ in range(30):
        created = first.post("/jobs", JOB)
        assert created.status == 201, created
        cluster = created.headers["hookline-cluster"]
        taken.add(cluster)
        assert created.headers["location"] == f"/jobs/{created.json['id']}"
        assert created.json["id"].endswith(f"-{three.names.index(cluster)}")
        read = second.get(f"/jobs/{created.json['id']}")
        assert (read.status, read.headers["hookline-cluster"]) == (200, cluster)
        assert "hookline-proxy" not in read.headers
    assert taken == set(three.names)


def test_a_chosen_id_is_created_once_and_at_its_home(three: Clusters) -> None:
    door = three.start_proxy()
    for cluster in three.names:
        job = {"id": _id_at(door, cluster)} | JOB
        created, again = door.post("/jobs", job), door.post("/jobs", job)
        assert (created.status, again.status) == (201, 200)
        assert created.headers["hookline-cluster"] == again.headers["hookline-cluster"] == cluster
        assert again.json["deduplicated"] is True
        assert door.post("/jobs", job | {"priority": 3}).code == "idempotency_mismatch"


def test_every_call_about_one_job(three: Clusters) -> None:
    door = three.start_proxy()
    for job_id in (door.post("/jobs", JOB).json["id"], door.post("/jobs", {"id": "mine"} | JOB).json["id"]):
        assert door.call("PATCH", f"/jobs/{job_id}", {"priority": 7}).json["priority"] == 7
        assert door.get(f"/jobs/{job_id}/attempts").json == {"data": []}
        assert door.post(f"/jobs/{job_id}/run").json["state"] == "pending"
        assert door.post(f"/jobs/{job_id}/cancel").json["state"] == "cancelled"
        assert door.post(f"/jobs/{job_id}/cancel").status == 200
        assert door.post(f"/jobs/{job_id}/run").code == "job_not_pending"
        assert door.post(f"/jobs/{job_id}/retry", {"delay": "2h"}).json["state"] == "pending"
        assert door.call("DELETE", f"/jobs/{job_id}/payload").code == "job_not_finished"
        door.post(f"/jobs/{job_id}/cancel")
        for _ in range(2):
            assert door.call("DELETE", f"/jobs/{job_id}/payload").json["payload_removed"] is True
        assert door.post(f"/jobs/{job_id}/retry").code == "payload_removed"
        assert door.call("DELETE", f"/jobs/{job_id}").status == 204
        assert door.call("DELETE", f"/jobs/{job_id}").code == "job_not_found"
        assert door.get(f"/jobs/{job_id}").code == "job_not_found"
    assert door.get("/jobs/none").code == "job_not_found"
    assert door.get("/jobs/0192f0c1-0000-7000-8000-000000000000-1").code == "job_not_found"
    assert door.get("/jobs/a.b").code == "invalid_id"


def test_every_call_about_schedules(three: Clusters) -> None:
    door = three.start_proxy()
    schedule = {"cron": "0 3 * * *", "job": {"url": JOB["url"]}}
    minted = door.post("/schedules", schedule)
    named = [door.post("/schedules", {"id": f"s{number}"} | schedule) for number in range(6)]
    assert [answer.status for answer in (minted, *named)] == [201] * 7
    assert len({answer.headers["hookline-cluster"] for answer in named}) > 1
    assert door.post("/schedules", {"id": "s1"} | schedule).json["deduplicated"] is True
    assert door.post("/schedules", {"id": "s1", "overlap": "skip"} | schedule).code == "schedule_exists"
    listed = door.get("/schedules?limit=3").json
    assert len(listed["data"]) == 3
    rest = door.get(f"/schedules?cursor={listed['next_cursor']}").json
    ids = [one["id"] for one in listed["data"] + rest["data"]]
    assert ids == sorted([minted.json["id"], *(f"s{number}" for number in range(6))])
    assert rest["next_cursor"] is None
    assert door.post("/schedules/s1/pause").json["paused"] is True
    assert door.post("/schedules/s1/resume").json["paused"] is False
    made = door.post("/schedules/s1/run")
    assert door.get(f"/jobs/{made.json['id']}").json["schedule"] == "s1"
    assert door.call("PATCH", "/schedules/s1", {"cron": "1 3 * * *"}).json["cron"] == "1 3 * * *"
    assert door.call("DELETE", "/schedules/s1").status == 204
    assert door.get("/schedules/s1").code == "schedule_not_found"
    assert door.get("/schedules/preview?cron=0+3+*+*+*&count=2").json["ticks"][1:]
    assert door.get("/schedules/preview?cron=nonsense").code == "invalid_cron"


def test_a_chosen_id_waits_for_its_home_unless_told_otherwise(three: Clusters) -> None:
    door = three.start_proxy()
    lost, kept = _id_at(door, "c1"), _id_at(door, "c0")
    three.stop("c1")
    refused = door.post("/jobs", {"id": lost} | JOB)
    assert (refused.status, refused.code) == (503, "cluster_unavailable")
    assert "c1" in refused.json["detail"]
    assert refused.headers["retry-after"]
    assert refused.headers["hookline-proxy"] == "1"
    assert door.post("/jobs", {"id": kept} | JOB).status == 201
    assert door.post("/jobs", {"id": lost} | JOB, Hookline_Fallback="perhaps").code == "invalid_request"
    elsewhere = door.post("/jobs", {"id": lost} | JOB, Hookline_Fallback="allow")
    assert (elsewhere.status, elsewhere.headers["hookline-cluster"] != "c1") == (201, True)
    assert door.get(f"/jobs/{lost}").status == 200
    unknown = door.get(f"/jobs/{_id_at(door, 'c1', 'other')}")
    assert (unknown.status, unknown.code) == (503, "cluster_unavailable"), "whether it is there is not known"
    fallen = door.get(f"/jobs/{_id_at(door, 'c0', 'other')}")
    assert (fallen.status, fallen.code) == (503, "cluster_unavailable"), "c1 may have taken it in the place of c0"
    assert door.get("/jobs/0192f0c1-0000-7000-8000-000000000000-0").code == "job_not_found", "it can only be at c0"
    assert all(door.post("/jobs", JOB).status == 201 for _ in range(10)), "jobs without an id go elsewhere"


def test_with_no_cluster_it_is_said_so(three: Clusters) -> None:
    door = three.start_proxy()
    three.stop(*three.names)
    assert door.post("/jobs", JOB).code == "all_clusters_unavailable"
    assert door.get("/jobs").code == "all_clusters_unavailable"
    assert door.get("/jobs").headers["retry-after"]
    assert door.get("/clusters").code == "all_clusters_unavailable"
    assert door.post("/jobs/cancel", {}).code == "all_clusters_unavailable"
    health = door.get("/health")
    assert (health.status, health.json["status"], health.json["role"]) == (503, "unavailable", "proxy")


def test_fifty_equal_requests_through_two_proxies_are_one_job(three: Clusters) -> None:
    doors = [three.start_proxy(), three.start_proxy()]
    with ThreadPoolExecutor(50) as threads:
        answers = list(
            threads.map(lambda number: doors[number % 2].post("/jobs", JOB, Idempotency_Key="once"), range(50))
        )
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sorted(answer.status for answer in answers) == [200] * 49 + [201]
    assert sum(node.stored()["jobs"] for node in three.nodes.values()) == 1
    assert doors[0].post("/jobs", JOB | {"priority": 1}, Idempotency_Key="once").code == "idempotency_mismatch"


def test_a_key_goes_to_its_home(three: Clusters) -> None:
    door = three.start_proxy()
    for number in range(12):
        home = door.get(f"/topology/route?key=k{number}").json["cluster"]
        assert door.post("/jobs", JOB, Idempotency_Key=f"k{number}").headers["hookline-cluster"] == home


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"url"', "invalid_json"),
        (b"[]", "invalid_request"),
        (b'{"id":null,"url":"https://example.com"}', "invalid_request"),
        (b'{"id":"../x","url":"https://example.com"}', "invalid_id"),
        (b'{"id":"a","id":"b","url":"https://example.com"}', "invalid_json"),
        (b'{"url":"https://example.com","url":"https://example.org"}', "invalid_json"),
        (b'{"url":"ftp://example.com"}', "invalid_url"),
        (b'{"url":"https://example.com","colour":1}', "unknown_field"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        (b'{"url":"https://example.com","payload":"\xff"}', "invalid_json"),
        (b'{"payload":' + b"[" * 100_000, "invalid_json"),
        (b"{}", "invalid_request"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_as_by_a_node(three: Clusters, body: bytes, code: str) -> None:
    door = three.start_proxy()
    answer = door.post("/jobs", body)
    assert (answer.code, 400 <= answer.status < 500) == (code, True), answer
    assert all(node.stored()["jobs"] == 0 for node in three.nodes.values())


def test_internal_headers_of_a_client_do_not_reach_a_node(three: Clusters) -> None:
    door = three.start_proxy()
    headers = {"Hookline_Epoch": "999", "Hookline_Forwarded": "1"}
    assert door.post("/jobs", {"id": "a"} | JOB, **headers).status == 201
    assert door.get("/jobs/a", **headers).status == 200
    assert door.get("/jobs/a", Hookline_Timeout_Ms="soon").code == "invalid_request"


def test_the_server_is_as_strict_as_a_nodes(three: Clusters) -> None:
    door = three.start_proxy()
    head = b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", door.port), timeout=60) as connection:
        connection.sendall(head)
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")
    assert door.get("/none").code == "route_not_found"
    assert door.call("DELETE", "/jobs").code == "method_not_allowed"
    assert door.post("/jobs", b"x" * 17_000_000).status == 413
    assert door.get("/internal/topology").code == "route_not_found"
    assert door.get("/openapi.json").status == 200
