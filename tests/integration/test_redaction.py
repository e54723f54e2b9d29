"""Credentials in a job's headers are sent, and never shown."""

from typing import Any

import pytest

from hookline.protocol.jobs import JobSpec, decode_spec, decode_work
from tests.integration.node_under_test import NodeUnderTest

SECRET = "Bearer s3cr3t-t0ken"
HEADERS = {"Authorization": SECRET, "x_API-key": "k-123456", "X-Tenant": "t-98765", "X-Plain": "seen"}
JOB: dict[str, Any] = {
    "id": "a",
    "url": "https://example.com/",
    "headers": HEADERS,
    "redact": ["x-TENANT", "X-tenant"],
    "delay": "1h",
}
SCHEDULE: dict[str, Any] = {
    "id": "s",
    "cron": "0 3 * * *",
    "job": {name: JOB[name] for name in ("url", "headers", "redact")},
}
SHOWN = {"Authorization": "***", "x_API-key": "***", "X-Tenant": "***", "X-Plain": "seen"}
HIDDEN = (b"s3cr3t", b"k-123456", b"t-98765")


def stored(node: NodeUnderTest) -> JobSpec:
    return decode_spec(node.rows("SELECT spec FROM specs")[0][0])


def test_no_read_shows_them(node: NodeUnderTest) -> None:
    answers = [
        node.post("/jobs", JOB),
        node.post("/jobs", JOB),
        node.post("/jobs/batch", {"jobs": [JOB, JOB | {"id": "b"}]}),
        node.get("/jobs/a"),
        node.get("/jobs"),
        node.get("/jobs/a/attempts"),
        node.call("PATCH", "/jobs/a", {"priority": 1}),
        node.post("/schedules", SCHEDULE),
        node.get("/schedules/s"),
        node.get("/schedules"),
        node.post("/schedules/s/run"),
        node.post("/jobs/a/cancel"),
    ]
    assert [answer.status for answer in answers if answer.status >= 300] == []
    assert [hidden for answer in answers for hidden in HIDDEN if hidden in answer.body] == []
    assert node.get("/jobs/b").json["headers"] == SHOWN
    assert node.get("/jobs/b").json["redact"] == ["x-tenant"]
    assert node.get("/schedules/s").json["job"]["headers"] == SHOWN


def test_what_is_stored_to_be_sent_is_what_was_given(node: NodeUnderTest) -> None:
    node.post("/jobs", JOB)
    assert dict(stored(node).headers) == HEADERS


def test_a_mask_that_is_sent_back_stands_for_what_it_hides(node: NodeUnderTest) -> None:
    node.post("/jobs", JOB)
    shown = node.get("/jobs/a").json["headers"]
    changed = node.call("PATCH", "/jobs/a", {"headers": shown | {"X-Plain": "***", "X-More": "1"}})
    assert changed.status == 200
    assert dict(stored(node).headers) == HEADERS | {"X-Plain": "***", "X-More": "1"}


def test_a_mask_stays_one_when_the_list_is_taken_away_with_it(node: NodeUnderTest) -> None:
    node.post("/jobs", JOB)
    assert node.call("PATCH", "/jobs/a", {"headers": {"x-tenant": "***"}, "redact": []}).status == 200
    assert dict(stored(node).headers) == {"x-tenant": "t-98765"}


def test_a_schedule_that_is_sent_back_keeps_them(node: NodeUnderTest) -> None:
    node.post("/schedules", SCHEDULE)
    job = node.get("/schedules/s").json["job"]
    assert node.call("PATCH", "/schedules/s", {"job": job | {"priority": 3}}).status == 200
    kept = decode_spec(decode_work(node.rows("SELECT work FROM schedules")[0][0]).spec)
    assert (dict(kept.headers), kept.priority, kept.redact) == (HEADERS, 3, ("x-tenant",))


@pytest.mark.parametrize("name", ["Authorization", "cookie", "X-Tenant"])
def test_a_mask_of_nothing_is_refused(node: NodeUnderTest, name: str) -> None:
    masked = {"headers": {name: "***"}, "redact": ["x-tenant"]}
    assert node.post("/jobs", {"url": JOB["url"]} | masked).code == "invalid_header"
    assert node.post("/schedules", SCHEDULE | {"job": {"url": JOB["url"]} | masked}).code == "invalid_header"
    node.post("/jobs", {"url": JOB["url"], "id": "plain", "delay": "1h"})
    assert node.call("PATCH", "/jobs/plain", masked).code == "invalid_header"
    assert node.stored()["jobs"] == 1


def test_a_payload_can_be_hidden_and_is_kept(node: NodeUnderTest) -> None:
    hidden = JOB | {"redact": ["payload", "Response_Body"]}
    body = {"payload": {"card": "4242-planted"}}
    answers = [
        node.post("/jobs", hidden | body),
        node.post("/jobs", hidden | {"id": "b", "body_base64": "cGxhbnRlZA=="}),
        node.post("/schedules", SCHEDULE | {"job": {"url": JOB["url"], "redact": ["payload"]} | body}),
        node.get("/schedules/s"),
        node.call("PATCH", "/jobs/a", {"payload": "***", "priority": 1}),
        node.call("PATCH", "/schedules/s", {"job": node.get("/schedules/s").json["job"] | {"priority": 2}}),
        node.get("/jobs/a"),
    ]
    assert [answer.status for answer in answers if answer.status >= 300] == []
    assert [answer.body for answer in answers if b"planted" in answer.body or b"cGxh" in answer.body] == []
    assert answers[-1].json["payload"] == node.get("/jobs/b").json["payload"] == "***"
    assert answers[-1].json["redact"] == ["payload", "response_body"]
    assert stored(node).body == b'{"card": "4242-planted"}'
    kept = decode_spec(decode_work(node.rows("SELECT work FROM schedules")[0][0]).spec)
    assert (kept.body, kept.priority) == (b'{"card": "4242-planted"}', 2)
    assert node.post("/jobs", {"url": JOB["url"], "redact": ["payload"], "payload": "***"}).json["field"] == "payload"


@pytest.mark.parametrize("redact", [["a b"], [""], ["ü"], ["a"] * 101])
def test_only_names_of_headers_can_be_listed(node: NodeUnderTest, redact: list[str]) -> None:
    refused = node.post("/jobs", {"url": JOB["url"], "redact": redact})
    assert (refused.code, refused.json["field"]) == ("invalid_header", "redact")
