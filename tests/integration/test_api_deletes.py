"""Jobs and payloads that somebody has a right to see gone."""

import pytest

from hookline.protocol.jobs import Outcome
from tests.integration.node_under_test import NodeUnderTest

URL = "https://example.com/hook"


def _secrets(node: NodeUnderTest) -> int:
    rows = node.rows("SELECT count(*) FROM specs WHERE instr(spec, CAST('alice' AS BLOB)) > 0")
    return int(rows[0][0])


@pytest.mark.parametrize("ends", [None, Outcome.SUCCESS, Outcome.PERMANENT_FAILURE])
def test_a_job_is_deleted_with_all_that_is_known_of_it(node: NodeUnderTest, ends: Outcome | None) -> None:
    job_id = node.create(payload="alice", labels={"user": "alice"})["id"]
    if ends is not None:
        node.run(job_id, ends)
    answer = node.call("DELETE", f"/jobs/{job_id}")
    assert (answer.status, answer.body) == (204, b"")
    assert node.get(f"/jobs/{job_id}").code == "job_not_found"
    assert node.get(f"/jobs/{job_id}/attempts").code == "job_not_found"
    assert node.get("/jobs").json["data"] == node.get("/jobs?label=user").json["data"] == []
    for table in ("jobs", "specs", "labels", "attempts"):
        assert node.rows(f"SELECT count(*) FROM {table}") == [(0,)]
    assert node.call("DELETE", f"/jobs/{job_id}").code == "job_not_found"
    assert node.get("/health").json["usage"]["pending_jobs"]["used"] == 0


def test_a_running_job_has_to_be_cancelled_first(node: NodeUnderTest) -> None:
    job_id = node.create()["id"]
    node.claim(job_id)
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/payload"):
        refused = node.call("DELETE", path)
        assert (refused.status, "cancel" in refused.json["title"]) == (409, True)
    assert node.call("DELETE", f"/jobs/{job_id}").code == "job_running"
    node.post(f"/jobs/{job_id}/cancel")
    assert node.call("DELETE", f"/jobs/{job_id}").status == 204


def test_the_id_and_the_key_of_a_deleted_job_are_free_again(node: NodeUnderTest) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = node.call("POST", "/jobs", {"url": URL}, key).json["id"]
    node.call("DELETE", f"/jobs/{first}")
    again = node.call("POST", "/jobs", {"url": URL + "/other"}, key)
    assert (again.status, again.json["id"] != first) == (201, True)
    named = {"id": "mine", "url": URL}
    assert node.post("/jobs", named).status == 201
    node.call("DELETE", "/jobs/mine")
    assert node.post("/jobs", named).status == 201


def test_the_payload_goes_and_the_record_stays(node: NodeUnderTest) -> None:
    job = node.create(id="mine", payload="alice", headers={"X-User": "alice"}, labels={"tenant": "a"}, secret=SECRET)
    path = f"/jobs/{job['id']}"
    assert node.call("DELETE", f"{path}/payload").code == "job_not_finished"
    node.run(job["id"], Outcome.PERMANENT_FAILURE)
    assert node.get(path).json["payload_removed"] is False
    for _ in range(2):
        answer = node.call("DELETE", f"{path}/payload")
        assert answer.status == 200
        assert answer.json == node.get(path).json
    shown = answer.json
    assert "payload" not in shown
    assert "body_base64" not in shown
    assert (shown["payload_removed"], shown["state"], shown["headers"]) == (True, "dead", {"X-User": ""})
    assert (shown["labels"], shown["url"], shown["signed"]) == ({"tenant": "a"}, URL, False)
    (attempt,) = node.get(f"{path}/attempts").json["data"]
    assert (attempt["status"], attempt["response_body"], attempt["response_headers"]) == (500, "", {})
    assert _secrets(node) == 0
    assert node.get("/jobs").json["data"][0]["payload_removed"] is True
    same = {"id": "mine", "payload": "alice", "headers": {"X-User": "alice"}, "labels": {"tenant": "a"}}
    again = node.post("/jobs", {"url": URL, "secret": SECRET} | same)
    assert (again.status, again.json["deduplicated"]) == (200, True)


SECRET = "whsec_" + "a" * 32


@pytest.mark.parametrize("overrides", [{}, {"payload": "new"}, {"labels": ["x"]}])
def test_what_has_no_payload_is_not_retried(node: NodeUnderTest, overrides: dict[str, object]) -> None:
    gone, other = node.create(payload=1)["id"], node.create(payload=2)["id"]
    for job_id in (gone, other):
        node.run(job_id, Outcome.PERMANENT_FAILURE)
    node.call("DELETE", f"/jobs/{gone}/payload")
    refused = node.post(f"/jobs/{gone}/retry", overrides)
    assert (refused.status, refused.code) == (409, "payload_removed")
    bulk = node.post("/jobs/retry", {"overrides": overrides} if overrides else {}).json
    assert (bulk["matched"], bulk["changed"], bulk["sample"]) == (1, 1, [other])
    assert node.get(f"/jobs/{gone}").json["state"] == "dead"


def test_these_calls_take_no_body(node: NodeUnderTest) -> None:
    job_id = node.create()["id"]
    assert node.call("DELETE", f"/jobs/{job_id}", {"force": True}).code == "invalid_json"
    assert node.call("DELETE", f"/jobs/{job_id}/payload", {"force": True}).code == "invalid_json"
    assert node.call("DELETE", "/jobs/a.b").code == "invalid_id"
    assert node.call("DELETE", "/jobs/none/payload").code == "job_not_found"
