"""A call that writes answers what a reader sees right after it, however much time passes in between."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookline.protocol.calls import calls_of
from tests.integration.node_under_test import Answer, NodeUnderTest
from tests.integration.proxy_under_test import Clusters

URL = "https://example.com/hook"
JOB = {"url": URL, "payload": {"n": 1}, "labels": {"a": "b"}}
SCHEDULE = {"cron": "0 9 * * *", "timezone": "Europe/Berlin", "job": JOB}
HOST = "/destinations/example.com"

NEW_JOBS: tuple[dict[str, Any], ...] = (
    {},
    {"delay": "1h"},
    {"run_at": "2001-01-01T00:00:00Z"},
    {"run_at": "2031-01-01T00:00:00+01:00"},
    {"id": "same"},
    {"guarantee": "at_most_once", "priority": 5, "timeout": "2s", "method": "PUT"},
    {"retry": {"max_attempts": 3, "on": ["5xx"]}, "headers": {"Authorization": "x", "A": "b"}, "redact": ["a"]},
    {"labels": ["a", "b"], "secret": "whsec_" + "a" * 32},
)
# (operation, method, path behind the job's or the schedule's, body)
Write = tuple[str, str, str, Any]
JOB_WRITES: tuple[Write, ...] = (
    ("updateJob", "PATCH", "", {"delay": "2h"}),
    ("updateJob", "PATCH", "", {"run_at": "2031-02-01T00:00:00Z", "url": "https://other.example/"}),
    ("updateJob", "PATCH", "", {"priority": 3, "payload": [1, 2], "labels": ["c"], "retry": {"max_attempts": 2}}),
    ("cancelJob", "POST", "/cancel", None),
    ("retryJob", "POST", "/retry", None),
    ("retryJob", "POST", "/retry", {"delay": "5m", "timeout": "9s"}),
    ("runJob", "POST", "/run", None),
    ("deletePayload", "DELETE", "/payload", None),
)
SCHEDULE_WRITES: tuple[Write, ...] = (
    ("updateSchedule", "PATCH", "", {"cron": "*/5 * * * *"}),
    ("updateSchedule", "PATCH", "", {"job": {"url": "https://other.example/", "payload": None}, "jitter": "5s"}),
    ("updateSchedule", "PATCH", "", {"end_at": "2001-01-01T00:00:00Z"}),
    ("pauseSchedule", "POST", "/pause", None),
    ("resumeSchedule", "POST", "/resume", None),
    ("runSchedule", "POST", "/run", None),
)
DESTINATION_WRITES: tuple[Any, ...] = (
    {"rate": {"limit": 5, "per": "1s"}},
    {"paused": True, "concurrency": 3},
    {"paused": False, "secrets": ["whsec_" + "b" * 32]},
    {"retry": {"max_attempts": 2}},
    {"rate": None, "retry": None, "secrets": None},
)
# They answer how many they changed, or nothing at all.
NO_RECORD = {"retryJobs", "cancelJobs", "deleteJob", "deleteSchedule", "deleteDestination", "deleteTenant"}
ELSEWHERE = {"createJob", "createBatch", "createSchedule", "putDestination", "putTenant"}
NOT_OF_RECORDS = {"handover", "trustClock", "changeCluster", "changeLogLevels"}
KEYS = {"createKey", "rotateKey", "revokeKey"}  # see test_keys.py

few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def node(shared_node: NodeUnderTest) -> Iterator[NodeUnderTest]:
    """Its clock tells a later time whenever it is asked."""
    shared_node.clock.step_ms = 7
    yield shared_node
    shared_node.clock.step_ms = 0


def assert_kept(node: NodeUnderTest, answer: Answer, path: str) -> None:
    """It answered what ``path`` shows now."""
    said = answer.json
    said.pop("deduplicated", None)
    assert node.get(answer.headers.get("location", path)).json == said


def test_every_call_that_writes_is_tried_here() -> None:
    tried = {name for name, *_ in (*JOB_WRITES, *SCHEDULE_WRITES)} | ELSEWHERE | NO_RECORD | NOT_OF_RECORDS | KEYS
    assert {call.name for call in calls_of("node") if call.method != "GET" and call.scope != "internal"} == tried


@pytest.mark.parametrize("fields", NEW_JOBS, ids=str)
def test_a_new_job_is_answered_as_it_is_kept(node: NodeUnderTest, fields: dict[str, Any]) -> None:
    for status in (201, 200):
        answer = node.post("/jobs", JOB | fields, Idempotency_Key=f"key {fields}")
        assert answer.status == status
        assert_kept(node, answer, "")


@pytest.mark.parametrize(
    "fields", [{"pending_jobs": 5}, {"weight": 3}, {"pending_jobs": None, "creates_per_second": 7}]
)
def test_the_settings_of_a_tenant_are_answered_as_they_are_kept(node: NodeUnderTest, fields: dict[str, Any]) -> None:
    assert_kept(node, node.call("PUT", "/tenants/acme", fields), "/tenants/acme")


def test_the_jobs_of_a_batch_are_answered_as_they_are_kept(node: NodeUnderTest) -> None:
    jobs = [JOB | fields | {"id": f"of-a-batch-{number}"} for number, fields in enumerate(NEW_JOBS)]
    results = node.post("/jobs/batch", {"jobs": [*jobs, JOB, *jobs]}).json["results"]
    for result in results:
        said = result["job"]
        said.pop("deduplicated", None)
        kept = node.get(f"/jobs/{said['id']}").json
        assert {name: kept[name] for name in said} == said


@few
@given(st.lists(st.sampled_from((*JOB_WRITES, "claimed", "attempted")), min_size=1, max_size=6))
def test_a_changed_job_is_answered_as_it_is_kept(node: NodeUnderTest, steps: list[Write | str]) -> None:
    job_id = node.create(delay="1h")["id"]
    for step in steps:
        if isinstance(step, str):
            if node.get(f"/jobs/{job_id}").json["state"] == "pending":
                (node.claim if step == "claimed" else node.run)(job_id)
            continue
        _, method, behind, body = step
        answer = node.call(method, f"/jobs/{job_id}{behind}", body)
        assert answer.status in (200, 409)
        if answer.status == 200:
            assert_kept(node, answer, f"/jobs/{job_id}")


@few
@given(st.lists(st.sampled_from(SCHEDULE_WRITES), max_size=5))
def test_a_schedule_is_answered_as_it_is_kept(node: NodeUnderTest, steps: list[Write]) -> None:
    answer = node.post("/schedules", SCHEDULE)
    path = answer.headers["location"]
    assert_kept(node, answer, path)
    for _, method, behind, body in steps:
        answer = node.call(method, path + behind, body)
        assert answer.status in (200, 201)
        assert_kept(node, answer, path)


@few
@given(st.lists(st.sampled_from(DESTINATION_WRITES), min_size=1, max_size=4))
def test_a_destination_is_answered_as_it_is_kept(node: NodeUnderTest, steps: list[Any]) -> None:
    for body in steps:
        answer = node.call("PUT", HOST, body)
        assert answer.status == 200
        assert_kept(node, answer, HOST)


def test_a_proxy_answers_a_write_as_it_is_kept(three: Clusters) -> None:
    for one in three.nodes.values():
        one.clock.step_ms = 7
    door = three.start_proxy()
    for body in (JOB, JOB | {"id": "mine"}, JOB | {"delay": "1h"}):
        answer = door.post("/jobs", body)
        assert answer.status == 201
        assert door.get(answer.headers["location"]).json == answer.json
