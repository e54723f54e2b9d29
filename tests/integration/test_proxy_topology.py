"""The topology through a proxy, and what users see while it changes."""

import pytest

from tests.integration.proxy_under_test import JOB, Clusters, Door, same


def test_a_route_is_explained(three: Clusters) -> None:
    door = three.start_proxy()
    route = door.get("/topology/route?id=order-1").json
    assert (route["id"], route["rule"], route["hash"]) == ("order-1", "modulo", 729795949)
    assert (route["cluster"], route["shard"]) == (f"c{729795949 % 3}", 729795949 % 3)
    assert len(route["steps"]) == 3
    hinted = door.get("/topology/route?id=0192f0c1-0000-7000-8000-000000000000-2").json
    assert (hinted["rule"], hinted["hash"], hinted["cluster"]) == ("hint", None, "c2")
    assert door.get("/topology/route").code == "invalid_request"
    assert door.get("/topology/route?id=a&key=b").code == "invalid_request"
    assert door.get("/topology/route?id=a.b").code == "invalid_id"


def test_a_topology_is_applied_once_and_by_one(three: Clusters) -> None:
    first = three.topology(1)
    door, other = three.start_proxy(first), three.start_proxy(first)
    assert same(first, door.get("/topology").body)
    second = three.topology(2, strategy="ring")
    applied = door.call("PUT", "/topology", second)
    assert (applied.json["epoch"], applied.json["clusters"]) == (2, dict.fromkeys(three.names, "ok"))
    assert ["`previous` was added" in note for note in applied.json["notes"]] == [True]
    whole = second | {"previous": {"strategy": "modulo", "cluster": first["cluster"]}}
    assert same(whole, door.get("/topology").body)
    assert door.call("PUT", "/topology", second).status == 200
    assert door.call("PUT", "/topology", three.topology(2)).code == "epoch_taken"
    assert door.call("PUT", "/topology", first).code == "invalid_topology"
    assert door.call("PUT", "/topology", b"{").code == "invalid_topology"
    assert door.call("PUT", "/topology", b"epoch = ", Content_Type="application/toml").code == "invalid_topology"
    # The other proxy decides by the old one until a node tells it better; nothing goes wrong by that.
    for number in range(10):
        assert other.post("/jobs", {"id": f"r{number}"} | JOB).status == 201
    assert same(whole, other.get("/topology").body)
    for number in range(10):
        home = door.get(f"/topology/route?id=r{number}").json["cluster"]
        assert door.get(f"/jobs/r{number}").headers["hookline-cluster"] == home


def test_of_two_who_apply_at_once_one_wins(three: Clusters) -> None:
    one, two = three.start_proxy(probe_interval_ms=60_000), three.start_proxy(probe_interval_ms=60_000)
    assert one.call("PUT", "/topology", three.topology(2, strategy="ring")).status == 200
    late = two.call("PUT", "/topology", three.topology(2, ["c0", "c1"]))
    assert (late.status, late.code) == (409, "epoch_taken")


def test_a_change_loses_nothing_and_makes_nothing_twice(three: Clusters) -> None:
    before = three.topology(1, ["c0", "c1"])
    door, other = three.start_proxy(before), three.start_proxy(before)
    ids = [f"m{number}" for number in range(24)]
    for job_id in ids:
        assert door.post("/jobs", {"id": job_id} | JOB).status == 201
        assert door.post("/jobs", JOB, Idempotency_Key=job_id).status == 201
    minted = door.post("/jobs", JOB).json["id"]
    after = three.topology(2, previous={"strategy": "modulo", "cluster": before["cluster"]})
    assert door.call("PUT", "/topology", after).status == 200
    stored = {name: node.stored()["jobs"] for name, node in three.nodes.items()}
    for through in (door, other):
        assert through.get(f"/jobs/{minted}").status == 200
        for job_id in ids:
            assert through.get(f"/jobs/{job_id}").status == 200
            again = through.post("/jobs", {"id": job_id} | JOB)
            assert (again.status, again.json["deduplicated"]) == (200, True), again
            assert through.post("/jobs", JOB, Idempotency_Key=job_id).status == 200
        batch = [{"id": job_id} | JOB for job_id in ids]
        assert {result["status"] for result in through.post("/jobs/batch", batch).json["results"]} == {200}
    assert {name: node.stored()["jobs"] for name, node in three.nodes.items()} == stored
    fresh = [{"id": f"f{number}"} | JOB for number in range(24)]
    assert {result["status"] for result in other.post("/jobs/batch", fresh).json["results"]} == {201}
    for number in range(24):
        home = door.get(f"/topology/route?id=f{number}").json["cluster"]
        assert door.get(f"/jobs/f{number}").headers["hookline-cluster"] == home


def test_while_the_old_home_is_away_nothing_that_moves_is_created(three: Clusters) -> None:
    before = three.topology(1, ["c0", "c1"])
    door = three.start_proxy(before)
    after = three.topology(2, previous={"strategy": "modulo", "cluster": before["cluster"]})
    assert door.call("PUT", "/topology", after).status == 200
    routes = {f"m{number}": door.get(f"/topology/route?id=m{number}").json for number in range(40)}
    moving = [name for name, route in routes.items() if any("it was at home at c1" in step for step in route["steps"])]
    assert moving
    three.stop("c1")
    refused = door.post("/jobs", {"id": moving[0]} | JOB)
    assert (refused.status, refused.code) == (503, "cluster_unavailable")
    assert "c1" in refused.json["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/destinations/../internal/topology",
        "/destinations/%2e%2e/internal/topology",
        "/destinations/.%2E/internal/topology",
        "/destinations/x/../../internal/topology",
        "/destinations/..\\internal\\topology",
        "/destinations/x#/internal/topology",
    ],
)
def test_no_path_leads_a_proxy_or_a_node_to_another_call(three: Clusters, path: str) -> None:
    door = three.start_proxy(probe_interval_ms=60_000)
    node = three.nodes["c0"]
    for client in (door, Door(node.port)):
        refused = client.call("PUT", path, three.topology(9))
        assert 400 <= refused.status < 500, refused
    assert door.post("/jobs", {"id": "a"} | JOB).status == 201, "the epoch is still ours"
    assert Door(node.port).get("/health").json["epoch"] == 1
