"""The topology through a proxy, and what users see while it changes."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.end_to_end.processes import until
from tests.integration.proxy_under_test import JOB, Clusters, FrontDoor, same


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
    for client in (door, FrontDoor(node.port)):
        refused = client.call("PUT", path, three.topology(9))
        assert 400 <= refused.status < 500, refused
    assert door.post("/jobs", {"id": "a"} | JOB).status == 201, "the epoch is still ours"
    assert FrontDoor(node.port).get("/health").json["epoch"] == 1


# --- what a stranger may write ----------------------------------------------------------------------------------


class Stranger:
    """Answers every request with ``{}``, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(f"{self.command} {self.path}")
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_POST = do_PUT = do_GET

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    stranger = Stranger()
    thread = threading.Thread(target=stranger.server.serve_forever)
    thread.start()
    yield stranger
    stranger.server.shutdown()
    thread.join()
    stranger.server.server_close()


@pytest.mark.parametrize("epoch", [2**53 - 1, 3])
@pytest.mark.parametrize("path", ["/topology", "/topology?force=true"])
def test_no_epoch_locks_the_topology(three: Clusters, epoch: int, path: str) -> None:
    door = three.start_proxy()
    jump = door.call("PUT", path, three.topology(epoch))
    assert jump.code == "invalid_topology" or epoch == 3
    assert door.call("PUT", "/topology", three.topology(4 if jump.status == 200 else 2)).status == 200


def test_a_node_takes_no_jump_decided_or_not(three: Clusters) -> None:
    door = three.start_proxy()
    for headers in ({}, {"hookline-decided": "0"}):
        for query in ("", "?force=true"):
            jump = three.nodes["c0"].call("PUT", f"/internal/topology{query}", three.topology(2**53 - 1), headers)
            assert jump.code == "invalid_topology"
    assert door.call("PUT", "/topology", three.topology(2)).status == 200


@pytest.mark.parametrize("way", ["proxy", "force", "decided"])
def test_whoever_a_stranger_names_is_asked_for_its_health_and_nothing_else(
    three: Clusters, stranger: Stranger, way: str
) -> None:
    door = three.start_proxy(probe_interval_ms=50, try_timeout_ms=10_000, request_timeout_ms=20_000)
    evil = {"name": "evil", "shard": 9, "nodes": [stranger.url], "weight": 900}
    before = {"strategy": "modulo", "cluster": three.topology(1)["cluster"]}
    document = {"epoch": 2, "strategy": "ring", "cluster": [*before["cluster"], evil], "previous": before}
    if way == "decided":
        three.nodes["c0"].call("PUT", "/internal/destinations", {"epoch": 2, "data": []})
        given = three.nodes["c0"].call("PUT", "/internal/topology", document, {"hookline-decided": "0"})
        assert given.status == 200
    else:
        put = door.call("PUT", "/topology" if way == "proxy" else "/topology?force=true", document)
        assert put.code == ("invalid_topology" if way == "proxy" else None)
    until(lambda: bool(stranger.asked), "the proxy has asked the one it was told of")
    answers = [door.post("/jobs", JOB | {"id": f"e{number}"}) for number in range(20)]
    answers += [door.post("/jobs", JOB) for _ in range(20)]
    assert {answer.headers.get("hookline-cluster") for answer in answers} <= {*three.names, None}
    # 200: the proxy had to repeat it; 504: on a busy machine it was not known in time whether it was taken.
    assert {answer.status for answer in answers} <= {200, 201, 503, 504}
    assert 201 in {answer.status for answer in answers[20:]}, "without an id another cluster takes it"
    assert set(stranger.asked) == {"GET /health"}
