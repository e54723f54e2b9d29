"""Calls that concern all clusters at once: batches, lists, changes by filter, destinations, clusters, metrics."""

from typing import Any

from tests.integration.proxy_under_test import JOB, Clusters, FrontDoor


def _ids(door: FrontDoor, limit: int) -> list[str]:
    found: list[str] = []
    page = door.get(f"/jobs?limit={limit}").json
    while True:
        found += [job["id"] for job in page["data"]]
        if page["next_cursor"] is None:
            return found
        page = door.get(f"/jobs?limit={limit}&cursor={page['next_cursor']}").json


def _batch(door: FrontDoor, count: int) -> Any:
    answer = door.post("/jobs/batch", {"jobs": [{"id": f"b{number}"} | JOB for number in range(count)]})
    assert answer.status == 200, answer
    return answer.json["results"]


def test_a_batch_is_split_by_home_and_comes_back_in_order(three: Clusters) -> None:
    door = three.start_proxy()
    items: list[Any] = [{"id": f"b{number}"} | JOB for number in range(20)]
    items[3:3] = [JOB, {"url": 3}, "nonsense", {"id": "a.b"} | JOB, {"id": "b1"} | JOB]
    results = door.post("/jobs/batch", items).json["results"]
    statuses = [result["status"] for result in results]
    assert statuses == [201] * 4 + [400] * 3 + [200] + [201] * 17
    assert results[3]["job"]["id"][:2] != "b1"
    assert [result["job"]["id"] for result in results[8:]] == [f"b{number}" for number in range(3, 20)]
    assert all(node.stored()["jobs"] for node in three.nodes.values())
    for result in results[8:]:
        job_id = result["job"]["id"]
        home = door.get(f"/topology/route?id={job_id}").json["cluster"]
        assert door.get(f"/jobs/{job_id}").headers["hookline-cluster"] == home


def test_a_batch_that_is_none_is_explained(three: Clusters) -> None:
    door = three.start_proxy()
    assert door.post("/jobs/batch", b"{").code == "invalid_json"
    assert door.post("/jobs/batch", {"jobs": 1}).code == "invalid_request"
    assert door.post("/jobs/batch", {"jobs": [JOB] * 1_001}).code == "batch_too_large"
    assert door.post("/jobs/batch", {"jobs": []}).json == {"results": []}


def test_one_bad_cluster_takes_only_its_own_items(three: Clusters) -> None:
    door = three.start_proxy()
    three.stop("c2")
    results = _batch(door, 30)
    failed = [f"b{number}" for number, result in enumerate(results) if result["status"] == 503]
    assert failed
    for number, result in enumerate(results):
        home = door.get(f"/topology/route?id=b{number}").json["cluster"]
        assert result["status"] == (503 if home == "c2" else 201)
        if home == "c2":
            assert result["error"]["code"] == "cluster_unavailable"
            assert "c2" in result["error"]["detail"]
    minted = door.post("/jobs/batch", {"jobs": [JOB, JOB]}).json["results"]
    assert [result["status"] for result in minted] == [201, 201]


def test_lists_are_merged_newest_first(three: Clusters) -> None:
    door = three.start_proxy()
    for number in range(20):
        door.post("/jobs", {"id": f"l{number}"} | JOB)
    created = [door.get(f"/jobs/l{number}").json for number in range(20)]  # the answer to a POST can be a ms earlier
    newest_first = [job["id"] for job in sorted(created, key=lambda job: job["created_at"], reverse=True)]
    for limit in (1, 3, 7, 50):
        assert _ids(door, limit) == newest_first
    page = door.get("/jobs?limit=5").json
    assert "incomplete" not in page
    assert "cursors" not in page
    assert door.get(f"/jobs?state=dead&cursor={page['next_cursor']}").code == "invalid_cursor"
    assert door.get("/jobs?cursor=xyz").code == "invalid_cursor"
    assert door.get("/jobs?state=odd").code == "invalid_request"
    assert door.get("/jobs?limit=0").code == "invalid_request"
    assert door.get("/jobs?state=dead").json == {"data": [], "next_cursor": None}


def test_every_filter_goes_through_to_all_clusters(three: Clusters) -> None:
    door = three.start_proxy()
    made = [door.post("/jobs", JOB).json["id"] for _ in range(6)]
    before, after = "created_before=2100-01-01T00:00:00Z", "created_before=2001-01-01T00:00:00Z"
    assert {job["id"] for job in door.get(f"/jobs?{before}").json["data"]} == set(made)
    assert door.get(f"/jobs?{after}").json["data"] == []
    assert door.get(f"/jobs?{before}&status=5xx").json["data"] == []
    assert door.get("/jobs?status=x").code == "invalid_request"
    schedules = [door.post("/schedules", {"id": f"s{n}", "cron": "0 3 * * *", "job": JOB_ONLY}) for n in range(3)]
    assert {answer.status for answer in schedules} == {201}
    ran = door.post("/schedules/s1/run").json["id"]
    assert [job["id"] for job in door.get("/jobs?schedule=s1").json["data"]] == [ran]
    wanted = {"filter": {"schedule": "s1", "created_before": "2100-01-01T00:00:00Z"}}
    assert door.post("/jobs/cancel", wanted).json["changed"] == 1


JOB_ONLY = {"url": JOB["url"]}


def test_a_cluster_that_is_down_is_named_and_the_rest_is_not_called_the_end(three: Clusters) -> None:
    door = three.start_proxy()
    _batch(door, 30)
    at_c1 = {f"b{n}" for n in range(30) if door.get(f"/topology/route?id=b{n}").json["cluster"] == "c1"}
    three.stop("c1")
    page = door.get("/jobs?limit=100").json
    assert page["incomplete"] == ["c1"]
    assert {job["id"] for job in page["data"]} == {f"b{number}" for number in range(30)} - at_c1
    rest = door.get(f"/jobs?limit=100&cursor={page['next_cursor']}")
    assert (rest.status, rest.code) == (503, "cluster_unavailable")
    assert "c1" in rest.json["detail"]


def test_changes_by_filter_go_to_all_clusters(three: Clusters) -> None:
    door = three.start_proxy()
    _batch(door, 30)
    counted = door.post("/jobs/cancel", {"dry_run": True}).json
    assert (counted["matched"], counted["changed"], counted["dry_run"]) == (30, 0, True)
    some = door.post("/jobs/cancel", {"limit": 25}).json
    assert (some["matched"], some["changed"], some["more"]) == (25, 25, True)
    assert door.post("/jobs/cancel", {"limit": 25}).json["changed"] == 5
    retried = door.post("/jobs/retry", {"filter": {"state": "cancelled"}, "overrides": {"priority": 4}}).json
    assert retried["changed"] == 30
    assert door.get("/jobs/b1").json["priority"] == 4
    assert door.post("/jobs/retry", {"filter": {"state": "pending"}}).code == "invalid_request"
    assert door.post("/jobs/cancel", {"limit": 0}).code == "invalid_request"
    assert door.post("/jobs/cancel", b'{"limit":1,"limit":2}').code == "invalid_json"
    assert door.post("/jobs/cancel", {"colour": 1}).code == "unknown_field"
    three.stop("c0")
    assert door.post("/jobs/cancel", {}).json["incomplete"] == ["c0"]


def test_destinations_are_set_on_all(three: Clusters) -> None:
    door = three.start_proxy()
    _batch(door, 30)
    name = "https://example.com:443"
    assert door.call("PUT", "/destinations/example.com", {"concurrency": 4}).json["concurrency"] == 4
    for node in three.nodes.values():
        assert node.get(f"/destinations/{name}").json["concurrency"] == 4
    listed = door.get("/destinations").json
    assert [view["host"] for view in listed["data"]] == [name]
    assert listed["data"][0] == door.get("/destinations/example.com").json
    assert door.get("/destinations/nobody.example").code == "destination_not_found"
    assert door.call("PUT", "/destinations/example.com", {"concurrency": 0}).code == "invalid_request"
    three.stop("c2")
    refused = door.call("PUT", "/destinations/example.com", {"concurrency": 5})
    assert (refused.code, "c2" in refused.json["detail"]) == ("cluster_unavailable", True)
    assert door.get("/destinations/example.com").json["incomplete"] == ["c2"]
    assert door.get("/destinations").json["incomplete"] == ["c2"]


def test_clusters_health_and_metrics(three: Clusters) -> None:
    door = three.start_proxy()
    assert [view["name"] for view in door.get("/clusters").json["data"]] == three.names
    assert door.get("/clusters/c1").json["shard"] == 1
    assert door.get("/clusters/c9").code == "cluster_not_found"
    assert door.get("/cluster").code == "invalid_request"
    assert door.post("/clusters/c1/handover").code == "conflict"
    health = door.get("/health")
    assert (health.status, health.json["role"], health.json["epoch"]) == (200, "proxy", 1)
    assert [(one["name"], one["state"], one["breaker"]) for one in health.json["clusters"]] == [
        (name, "up", "closed") for name in three.names
    ]
    assert b'hookline_proxy_requests_total{cluster="c1",outcome="2xx"}' in door.get("/metrics").body
    three.stop("c1")
    listed = door.get("/clusters").json
    assert (listed["incomplete"], list(listed["reasons"])) == (["c1"], ["c1"])
    assert door.get("/clusters/c1").code == "cluster_unavailable"
    assert door.get("/health").status == 200
    assert (door.get("/livez").status, door.get("/readyz").status) == (200, 200)
    assert door.call("PUT", "/topology?force=true", three.topology(2, ["c0"])).status == 200
    assert door.get("/cluster").json["name"] == "c0"
