"""``Prefer: return=minimal`` at a node and through a proxy: ids and states, and a header that says so, once."""

import http.client
import json
from typing import Any

import pytest

from hookline import Client
from hookline.http_api.openapi import openapi_document
from tests.integration.node_under_test import Answer, NodeUnderTest
from tests.integration.proxy_under_test import JOB, Clusters, FrontDoor

APPLIED = "preference-applied"


def _is_brief(result: dict[str, Any]) -> bool:
    return result.keys() <= {"status", "job", "error"} and result.get("job", {}).keys() <= {
        "id",
        "state",
        "deduplicated",
    }


def _post(door: FrontDoor, path: str, body: object) -> Answer:
    return door.post(path, body, Prefer="return=minimal")


@pytest.fixture
def one(node: NodeUnderTest) -> FrontDoor:
    """A node of the test's own."""
    return FrontDoor(node.port)


def test_a_create_is_answered_with_id_and_state(one: FrontDoor) -> None:
    made = _post(one, "/jobs", JOB)
    assert (made.status, made.headers[APPLIED]) == (201, "return=minimal")
    assert made.json == {"id": made.json["id"], "state": "pending"}
    assert made.headers["location"] == f"/jobs/{made.json['id']}"
    assert one.get(made.headers["location"]).json["url"] == JOB["url"]
    assert APPLIED not in one.post("/jobs", JOB).headers


def test_one_that_was_there_has_the_state_it_is_in(one: FrontDoor) -> None:
    job = {"id": "order-1"} | JOB
    assert _post(one, "/jobs", job).json == {"id": "order-1", "state": "pending"}
    one.post("/jobs/order-1/cancel")
    again = _post(one, "/jobs", job)
    assert (again.status, again.headers[APPLIED]) == (200, "return=minimal")
    assert again.json == {"id": "order-1", "state": "cancelled", "deduplicated": True}
    assert again.headers["location"] == "/jobs/order-1"
    refused = _post(one, "/jobs", job | {"priority": 1})
    assert (refused.code, APPLIED in refused.headers) == ("idempotency_mismatch", False)


def test_a_batch_is_answered_with_ids_and_states(one: FrontDoor) -> None:
    items = [JOB, {"id": "a"} | JOB, {"id": "a"} | JOB, {"url": "http://10.0.0.1/"}, {"id": "a", "priority": 1} | JOB]
    answer = _post(one, "/jobs/batch", items)
    assert (answer.status, answer.headers[APPLIED]) == (200, "return=minimal")
    first, named, known, forbidden, differs = answer.json["results"]
    assert first == {"status": 201, "job": {"id": first["job"]["id"], "state": "pending"}}
    assert named == {"status": 201, "job": {"id": "a", "state": "pending"}}
    assert known == {"status": 200, "job": {"id": "a", "state": "pending", "deduplicated": True}}
    assert (forbidden["status"], forbidden["error"]["code"]) == (400, "forbidden_destination")
    assert (differs["status"], differs["error"]["code"]) == (422, "idempotency_mismatch")
    assert APPLIED not in one.post("/jobs/batch", items).headers


@pytest.mark.parametrize("wish", ["return=representation", "respond-async", 'return="minimal', "return=minimal=x"])
def test_anything_else_changes_nothing(one: FrontDoor, wish: str) -> None:
    made = one.post("/jobs", JOB, Prefer=wish)
    assert (made.status, made.json["url"], APPLIED in made.headers) == (201, JOB["url"], False)


def test_through_a_proxy_it_is_the_same(three: Clusters) -> None:
    door = three.start_proxy()
    made = _post(door, "/jobs", JOB)
    assert (made.status, made.headers[APPLIED]) == (201, "return=minimal")
    assert made.json == {"id": made.json["id"], "state": "pending"}
    assert door.get(f"/jobs/{made.json['id']}").json["url"] == JOB["url"]
    _post(door, "/jobs", {"id": "mine"} | JOB)
    assert _post(door, "/jobs", {"id": "mine"} | JOB).json["deduplicated"] is True


def test_a_batch_that_a_proxy_splits_says_it_once(three: Clusters) -> None:
    door = three.start_proxy()
    items: list[Any] = [JOB, {"url": 3}, *({"id": f"b{number}"} | JOB for number in range(20)), {"id": "b1"} | JOB]
    answer = _post(door, "/jobs/batch", items)
    assert answer.headers[APPLIED] == "return=minimal"
    results = answer.json["results"]
    assert [result["status"] for result in results] == [201, 400, *[201] * 20, 200]
    assert all(map(_is_brief, results))
    assert results[3]["job"] == {"id": "b1", "state": "pending"}
    assert len({door.get(f"/jobs/b{number}").headers["hookline-cluster"] for number in range(20)}) == 3
    three.stop("c1")
    half = _post(door, "/jobs/batch", [{"id": f"c{number}"} | JOB for number in range(20)])
    assert {result["status"] for result in half.json["results"]} == {201, 503}
    assert (all(map(_is_brief, half.json["results"])), half.headers[APPLIED]) == (True, "return=minimal")
    assert APPLIED not in door.post("/jobs/batch", items).headers


def test_it_is_said_once(three: Clusters) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", three.start_proxy().port, timeout=60)
    body = json.dumps([{"id": f"b{number}"} | JOB for number in range(20)])
    connection.request("POST", "/jobs/batch", body, {"Prefer": "return=minimal"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.headers.get_all(APPLIED) == ["return=minimal"]


def test_jobs_that_a_change_moves_are_brief_too(three: Clusters) -> None:
    door = three.start_proxy(three.topology(1, ["c0", "c1"]))
    assert door.call("PUT", "/topology", three.topology(2)).status == 200
    answer = _post(door, "/jobs/batch", [{"id": f"m{number}"} | JOB for number in range(30)])
    assert answer.headers[APPLIED] == "return=minimal"
    assert all(map(_is_brief, answer.json["results"]))
    assert {result["status"] for result in answer.json["results"]} == {201}


def test_the_sdk_gives_ids_and_states(one: FrontDoor) -> None:
    with Client(f"http://127.0.0.1:{one.port}") as client:
        made, bad = client.create_jobs([{"url": JOB["url"], "id": "x", "delay": 60}, {"url": "x:"}], minimal=True)
        assert made.job is not None
        assert made.as_dict() == {
            "status": 201,
            "job": {"id": "x", "state": "pending", "deduplicated": False},
            "error": None,
        }
        assert (bad.status, bad.job, (bad.error or {})["code"]) == (400, None, "invalid_url")
        (full,) = client.create_jobs([{"url": JOB["url"], "id": "x", "delay": 60}])
        assert full.job is not None
        assert (full.job.url, full.job.deduplicated) == (JOB["url"], True)


@pytest.mark.parametrize("path", ["/jobs", "/jobs/batch"])
def test_it_is_described(path: str) -> None:
    for server in ("node", "proxy"):
        call = openapi_document(server)["paths"][path]["post"]
        assert "Prefer" in [parameter["name"] for parameter in call["parameters"]]
        good = [response for status, response in call["responses"].items() if status in ("200", "201")]
        assert all(APPLIED in response["headers"] for response in good)
        schemas = [response["content"]["application/json"]["schema"]["anyOf"] for response in good]
        assert all(schema[1]["$ref"].rpartition("/")[2].startswith("Brief") for schema in schemas)
