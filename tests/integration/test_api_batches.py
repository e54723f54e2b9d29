from typing import Any

from tests.integration.conftest import StartNode
from tests.integration.node_under_test import NodeUnderTest

URL = "https://example.com/hook"


def test_each_item_is_accepted_or_refused_on_its_own(node: NodeUnderTest) -> None:
    jobs = [
        {"url": URL, "payload": 1},
        {"url": "http://10.0.0.1/"},
        {"url": URL, "id": "order-1"},
        {"url": URL, "id": "order-1"},
        {"url": URL, "id": "order-1", "priority": 1},
        {"url": URL, "retries": 3},
        7,
        {"url": URL, "guarantee": "at_most_once", "delay": "1h"},
    ]
    answer = node.post("/jobs/batch", {"jobs": jobs})
    assert answer.status == 200
    results = answer.json["results"]
    assert [result["status"] for result in results] == [201, 400, 201, 200, 422, 400, 400, 201]
    codes = [result["error"]["code"] for result in results if "error" in result]
    assert codes == ["forbidden_destination", "idempotency_mismatch", "unknown_field", "invalid_request"]
    assert results[3]["job"]["deduplicated"] is True
    assert results[2]["job"] | {"run_at": ""} == {
        "id": "order-1",
        "url": URL,
        "method": "POST",
        "state": "pending",
        "run_at": "",
        "guarantee": "at_least_once",
    }
    assert node.stored()["jobs"] == 3
    first = results[0]["job"]
    assert node.get(f"/jobs/{first['id']}").json["run_at"] == first["run_at"]


def test_a_bare_list_is_taken(node: NodeUnderTest) -> None:
    results = node.post("/jobs/batch", [{"url": URL}] * 3).json["results"]
    assert [result["status"] for result in results] == [201] * 3
    assert node.post("/jobs/batch", []).json == {"results": []}


def test_the_same_batch_again_makes_no_new_jobs(node: NodeUnderTest) -> None:
    jobs = [{"url": URL, "id": f"order-{number}", "payload": number} for number in range(1_000)]
    first = node.post("/jobs/batch", {"jobs": jobs}).json["results"]
    again = node.post("/jobs/batch", {"jobs": jobs}).json["results"]
    assert {result["status"] for result in first} == {201}
    assert {result["status"] for result in again} == {200}
    assert [result["job"]["id"] for result in again] == [job["id"] for job in jobs], "in the order of the request"
    assert node.stored()["jobs"] == 1_000


def test_large_items_are_spread_over_entries(node: NodeUnderTest) -> None:
    jobs = [{"url": URL, "payload": "a" * 200_000} for _ in range(20)]
    results = node.post("/jobs/batch", {"jobs": jobs}).json["results"]
    assert [result["status"] for result in results] == [201] * 20
    assert node.replica.applied > 10


def test_a_batch_that_does_not_fit_leaves_nothing_behind(start_node: StartNode) -> None:
    with start_node(pending_jobs_max=5, batch_jobs_max=8) as node:
        before = node.stored()
        answer = node.post("/jobs/batch", {"jobs": [{"url": URL}] * 6})
        assert (answer.status, answer.code, answer.json["wanted"]) == (429, "queue_full", 6)
        assert node.stored() == before
        answer = node.post("/jobs/batch", {"jobs": [{"url": URL}] * 9})
        assert (answer.status, answer.json["limit"]) == (413, 8)
        assert node.post("/jobs/batch", {"jobs": [{"url": URL}] * 5}).status == 200


def test_each_payload_has_its_own_limit(node: NodeUnderTest) -> None:
    jobs: list[dict[str, Any]] = [{"url": URL, "payload": "a" * 1_100_000}, {"url": URL}]
    results = node.post("/jobs/batch", {"jobs": jobs}).json["results"]
    assert [result["status"] for result in results] == [413, 201]
    assert results[0]["error"]["limit"] == 1_048_576
