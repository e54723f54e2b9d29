from typing import Any

import pytest

from hookline.protocol.jobs import Outcome
from tests.integration.conftest import StartNode
from tests.integration.node_under_test import NodeUnderTest

URL = "https://example.com/hook"


def batch(node: NodeUnderTest, count: int, **fields: object) -> list[str]:
    results = node.post("/jobs/batch", {"jobs": [{"url": URL} | fields] * count}).json["results"]
    return [result["job"]["id"] for result in results]


def states(node: NodeUnderTest) -> dict[str, int]:
    return {name: count for name, count in node.replica.counters.items() if count and name != "pending_bytes"}


def test_cancel_by_label(node: NodeUnderTest) -> None:
    batch(node, 4)
    mine = batch(node, 3, labels={"tenant": "a"})
    node.claim(mine[0])
    node.run(mine[1])
    answer = node.post("/jobs/cancel", {"filter": {"label": "tenant=a"}}).json
    assert (answer["matched"], answer["changed"], answer["more"]) == (2, 2, False)
    assert set(answer["sample"]) == {mine[0], mine[2]}
    assert states(node) == {"pending": 4, "cancelled": 2, "succeeded": 1}


def test_dry_run_only_counts(node: NodeUnderTest) -> None:
    batch(node, 5)
    applied = node.replica.applied
    answer = node.post("/jobs/cancel", {"dry_run": True}).json
    assert (answer["matched"], answer["changed"], answer["dry_run"]) == (5, 0, True)
    assert node.replica.applied == applied
    assert states(node) == {"pending": 5}


def test_more_says_that_the_limit_was_reached(node: NodeUnderTest) -> None:
    batch(node, 1_000)
    batch(node, 200)
    answer = node.post("/jobs/cancel", {"limit": 700}).json
    assert (answer["matched"], answer["changed"], answer["more"]) == (700, 700, True)
    answer = node.post("/jobs/cancel", {"limit": 500}).json
    assert (answer["matched"], answer["changed"], answer["more"]) == (500, 500, False)
    assert states(node) == {"cancelled": 1_200}


def test_retry_takes_the_dead_ones_unless_told_otherwise(node: NodeUnderTest) -> None:
    dead, done, cancelled = batch(node, 3)
    node.run(dead, Outcome.PERMANENT_FAILURE)
    node.run(done)
    node.post(f"/jobs/{cancelled}/cancel")
    answer = node.post("/jobs/retry", {}).json
    assert answer["sample"] == [dead]
    assert node.get(f"/jobs/{dead}").json["state"] == "pending"
    answer = node.post("/jobs/retry", {"filter": {"state": "cancelled"}}).json
    assert answer["sample"] == [cancelled]
    assert states(node) == {"pending": 2, "succeeded": 1}


@pytest.mark.parametrize(
    "overrides",
    [
        {"method": "BREW IT"},
        {"secret": "short"},
        {"url": "ftp://example.org/"},
        {"headers": {"host": "x"}},
        {"timeout": "1y"},
        {"priority": 1_000_000},
        {"retry": {"max_attempts": 0}},
        {"payload": 1, "body_base64": "AA=="},
    ],
    ids=str,
)
def test_overrides_are_checked_also_when_no_job_matches(node: NodeUnderTest, overrides: dict[str, Any]) -> None:
    answer = node.post("/jobs/retry", {"filter": {"label": "nobody"}, "overrides": overrides, "dry_run": True})
    assert answer.status in (400, 422), answer


def test_retry_with_overrides_changes_each_job(node: NodeUnderTest) -> None:
    ids = batch(node, 120, payload=1)
    node.post("/jobs/cancel", {})
    overrides = {"url": "https://example.org/new", "headers": {"x-again": "1"}, "delay": "1h"}
    answer = node.post("/jobs/retry", {"filter": {"state": "cancelled"}, "overrides": overrides}).json
    assert (answer["matched"], answer["changed"]) == (120, 120)
    job = node.get(f"/jobs/{ids[7]}").json
    assert (job["url"], job["headers"], job["payload"]) == ("https://example.org/new", {"x-again": "1"}, 1)
    assert job["waiting_for"] is not None
    assert states(node) == {"pending": 120}


def test_retry_by_filter_respects_the_limits(start_node: StartNode) -> None:
    with start_node(pending_jobs_max=10) as node:
        batch(node, 10)
        node.post("/jobs/cancel", {})
        batch(node, 5)
        answer = node.post("/jobs/retry", {"filter": {"state": "cancelled"}})
        assert (answer.status, answer.code) == (429, "queue_full")
        assert states(node) == {"cancelled": 10, "pending": 5}


def test_many_are_retried_by_how_they_failed_and_when(node: NodeUnderTest) -> None:
    failed, other = node.create()["id"], node.create()["id"]
    for job_id in (failed, other):
        node.run(job_id, Outcome.PERMANENT_FAILURE)
    wanted = {"status": "5xx", "created_before": "2100-01-01T00:00:00Z"}
    assert node.post("/jobs/retry", {"filter": wanted | {"status": 404}}).json["matched"] == 0
    assert node.post("/jobs/retry", {"filter": wanted | {"schedule": "none"}}).json["matched"] == 0
    assert node.post("/jobs/retry", {"filter": wanted | {"status": 500}, "dry_run": True}).json["matched"] == 2
    assert node.post("/jobs/retry", {"filter": wanted}).json["changed"] == 2
    refused = node.post("/jobs/cancel", {"filter": {"status": 42}})
    assert (refused.code, refused.json["field"]) == ("invalid_request", "status")
    assert node.post("/jobs/cancel", {"filter": {"status": True}}).status == 400


@pytest.mark.parametrize("path", ["/jobs/retry", "/jobs/cancel"])
def test_filters_combine(node: NodeUnderTest, path: str) -> None:
    (one,) = batch(node, 1, labels={"a": "1"}, url="https://one.example/")
    batch(node, 2, labels={"a": "1"})
    if path == "/jobs/retry":
        node.post("/jobs/cancel", {})
    state = {"state": "cancelled"} if path == "/jobs/retry" else {}
    wanted = {"label": "a", "destination": "one.example", "created_after": "2020-01-01T00:00:00Z"} | state
    assert node.post(path, {"filter": wanted}).json["sample"] == [one]
