"""Promise 5: the same key or id and the same body are the same job; another body is refused."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.conftest import StartNode
from tests.integration.node_under_test import NodeUnderTest

JOB = {"url": "https://example.com/hook", "payload": {"order": 1}, "delay": "1h"}
KEY = {"Idempotency-Key": "order 1, paid"}
WAYS: list[tuple[dict[str, Any], dict[str, str]]] = [
    (JOB, KEY),
    (JOB | {"id": "order-1"}, {}),
    (JOB | {"id": "o"}, KEY),
]


@pytest.mark.parametrize(("body", "headers"), WAYS, ids=["key", "id", "both"])
def test_the_same_again(node: NodeUnderTest, body: dict[str, Any], headers: dict[str, str]) -> None:
    first = node.call("POST", "/jobs", body, headers)
    again = node.call("POST", "/jobs", body, headers)
    assert (first.status, again.status) == (201, 200)
    assert again.headers["location"] == first.headers["location"]
    assert again.json["deduplicated"] is True
    assert again.json["id"] == first.json["id"]
    assert node.stored()["jobs"] == 1


@pytest.mark.parametrize(("body", "headers"), WAYS, ids=["key", "id", "both"])
@pytest.mark.parametrize("change", [{"payload": {"order": 2}}, {"delay": "2h"}, {"priority": 1}, {"method": "PUT"}])
def test_another_body(
    node: NodeUnderTest, body: dict[str, Any], headers: dict[str, str], change: dict[str, Any]
) -> None:
    node.call("POST", "/jobs", body, headers)
    before = node.stored()
    refused = node.call("POST", "/jobs", body | change, headers)
    assert (refused.status, refused.code) == (422, "idempotency_mismatch")
    assert node.stored() == before


@pytest.mark.parametrize(("body", "headers"), WAYS, ids=["key", "id", "both"])
def test_fifty_at_once_make_one_job(node: NodeUnderTest, body: dict[str, Any], headers: dict[str, str]) -> None:
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda _: node.call("POST", "/jobs", body, headers), range(50)))
    assert sorted(answer.status for answer in answers) == [200] * 49 + [201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert node.stored()["jobs"] == 1


def test_two_bodies_at_once_under_one_key(node: NodeUnderTest) -> None:
    bodies = [JOB | {"payload": number % 2} for number in range(30)]
    with ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(lambda body: node.call("POST", "/jobs", body, KEY), bodies))
    assert sorted(answer.status for answer in answers) == [200] * 14 + [201] + [422] * 15
    assert node.stored()["jobs"] == 1


def test_field_order_and_spacing_do_not_matter_but_the_payload_is_bytes(node: NodeUnderTest) -> None:
    node.call("POST", "/jobs", b'{"url":"https://example.com/","payload":{"a":1},"headers":{"x":"1","y":"2"}}', KEY)
    same = b'{ "headers": {"y": "2", "x": "1"}, "payload": {"a":1}, "url": "https://example.com/" }'
    assert node.call("POST", "/jobs", same, KEY).status == 200
    other = b'{"url":"https://example.com/","payload":{"a": 1},"headers":{"x":"1","y":"2"}}'
    assert node.call("POST", "/jobs", other, KEY).status == 422


def test_a_key_is_remembered_for_its_window(start_node: StartNode) -> None:
    with start_node(key_window_ms=60_000) as node:
        first = node.call("POST", "/jobs", JOB, KEY).json["id"]
        node.clock.shift_ms = 59_000
        assert node.call("POST", "/jobs", JOB, KEY).json["id"] == first
        node.clock.shift_ms = 61_000
        again = node.call("POST", "/jobs", JOB, KEY)
        assert (again.status, again.json["id"] != first) == (201, True)


def test_a_finished_job_is_still_recognised(node: NodeUnderTest) -> None:
    job_id = node.call("POST", "/jobs", JOB | {"delay": 0}, KEY).json["id"]
    node.run(job_id)
    again = node.call("POST", "/jobs", JOB | {"delay": 0}, KEY)
    assert (again.status, again.json["state"]) == (200, "succeeded")


def test_keys_survive_a_restart(start_node: StartNode) -> None:
    with start_node() as node:
        first = node.call("POST", "/jobs", JOB, KEY).json["id"]
    with start_node() as node:
        assert node.call("POST", "/jobs", JOB, KEY).json["id"] == first


def test_without_key_or_id_each_request_is_a_job(node: NodeUnderTest) -> None:
    assert node.post("/jobs", JOB).json["id"] != node.post("/jobs", JOB).json["id"]


@pytest.mark.parametrize(("body", "headers"), WAYS, ids=["key", "id", "both"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"labels": ["a", "b"]}, {"labels": ["b", "a"]}),
        ({"labels": ["b", "a"]}, {"labels": ["a", "b", "a"]}),
        ({"labels": {"a": "1", "b": ""}}, {"labels": {"b": "", "a": "1"}}),
        ({"headers": {"A": "1", "B": "2"}}, {"headers": {"B": "2", "A": "1"}}),
        ({"redact": ["A", "b"]}, {"redact": ["B", "a", "A"]}),
    ],
)
def test_what_has_no_order(
    node: NodeUnderTest, body: dict[str, Any], headers: dict[str, str], one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert node.call("POST", "/jobs", body | one, headers).status == 201
    assert node.call("POST", "/jobs", body | other, headers).status == 200
    schedule: dict[str, Any] = {"id": "s", "cron": "0 3 * * *", "job": {"url": JOB["url"]}}
    assert node.post("/schedules", schedule | {"job": schedule["job"] | one}).status == 201
    assert node.post("/schedules", schedule | {"job": schedule["job"] | other}).status == 200


def test_labels_that_differ(node: NodeUnderTest) -> None:
    node.call("POST", "/jobs", JOB | {"labels": ["a", "b"]}, KEY)
    for labels in (["a"], ["a", "b", "c"], {"a": "", "b": ""}):
        assert node.call("POST", "/jobs", JOB | {"labels": labels}, KEY).status == 422
