from typing import Any

import pytest

from hookline.protocol.commands import RecordOutcome
from hookline.protocol.jobs import Outcome, State
from tests.integration.conftest import StartNode
from tests.integration.node_under_test import NodeUnderTest

URL = "https://example.com/hook"


def test_a_new_job_is_answered_as_it_is_stored(node: NodeUnderTest) -> None:
    answer = node.post("/jobs", {"url": URL, "payload": {"a": 1}, "labels": {"tenant": "a1"}, "priority": 5})
    assert answer.status == 201
    job = answer.json
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert answer.headers["hookline-cluster"] == "c0"
    assert answer.headers["hookline-node"] == "n1"
    assert job["state"] == "pending"
    assert job["attempts_made"] == 0
    assert job["waiting_for"] == {"reason": "slots", "detail": "nobody works here"}
    assert "deduplicated" not in job
    assert node.get(answer.headers["location"]).json == job


def test_the_payload_is_kept_byte_for_byte(node: NodeUnderTest) -> None:
    payload = b'{"b" : 1.50, "a":[ ],"\\u00e9":1e2 }'
    body = b'{"url":"https://example.com/","payload": ' + payload + b" }"
    answer = node.post("/jobs", body)
    assert b'"payload":' + payload in answer.body
    assert b'"payload":' + payload in node.get(answer.headers["location"]).body


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"payload": None}, {"payload": None}),
        ({"payload": "text"}, {"payload": "text"}),
        ({"body_base64": "AP8="}, {"body_base64": "AP8="}),
        ({}, {}),
        ({"method": "put"}, {"method": "PUT"}),
        ({"headers": {"X-Key": "v", "accept": "*/*"}}, {"headers": {"X-Key": "v", "accept": "*/*"}}),
        ({"labels": ["a", "b"]}, {"labels": ["a", "b"]}),
        ({"timeout": "2s"}, {"timeout": "2s"}),
        ({"guarantee": "at_most_once"}, {"guarantee": "at_most_once"}),
        ({"secret": "whsec_" + "a" * 32}, {"signed": True}),
        ({"url": "HTTPS://EXAMPLE.com"}, {"url": "https://example.com/", "destination": "https://example.com:443"}),
    ],
    ids=str,
)
def test_fields_come_back(shared_node: NodeUnderTest, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    answer = shared_node.post("/jobs", {"url": URL} | fields)
    assert answer.status == 201
    for job in (answer.json, shared_node.get(answer.headers["location"]).json):
        assert {name: job[name] for name in expected} == expected
        assert ("payload" in job, "body_base64" in job) == ("payload" in expected, "body_base64" in expected)
        assert "secret" not in job


def test_retry_policy_is_completed(shared_node: NodeUnderTest) -> None:
    retry = shared_node.create(retry={"schedule": ["1s", "1m"]})["retry"]
    assert retry["max_attempts"] == 3
    assert retry["schedule"] == ["1s", "1m"]
    assert shared_node.create()["retry"] == {
        "max_attempts": 25,
        "initial": "5s",
        "factor": 3.0,
        "max": "4h",
        "schedule": [],
        "budget": None,
        "on": ["connection", "timeout", "4xx", "5xx"],
        "not_on": [410],
    }


def test_what_is_retried_is_said_once_however_it_is_ordered(shared_node: NodeUnderTest) -> None:
    answers = [
        shared_node.post("/jobs", {"url": URL, "id": "retried", "retry": {"on": on, "not_on": [410]}})
        for on in ([404, "5xx", "timeout"], ["timeout", "5xx", "404"])
    ]
    assert [answer.status for answer in answers] == [201, 200]
    assert answers[1].json["retry"]["on"] == [404, "5xx", "timeout"]


def test_delay_and_run_at_say_when(shared_node: NodeUnderTest) -> None:
    now_ms = shared_node.clock.wall_ms()
    in_an_hour_ms = _ms(shared_node.create(delay="1h")["run_at"])
    assert now_ms + 3_600_000 <= in_an_hour_ms <= shared_node.clock.wall_ms() + 3_600_000
    assert shared_node.create(run_at="2031-01-01T00:00:00+01:00")["run_at"] == "2030-12-31T23:00:00.000Z"
    past = shared_node.create(run_at="2001-01-01T00:00:00Z")
    assert _ms(past["run_at"]) >= now_ms
    later = shared_node.create(delay=60)
    assert later["next_attempt_at"] == later["run_at"]
    assert later["waiting_for"] is not None


def test_an_attempt_shows_in_job_and_attempts(node: NodeUnderTest) -> None:
    job_id = node.create()["id"]
    node.run(job_id, Outcome.PERMANENT_FAILURE)
    job = node.get(f"/jobs/{job_id}").json
    assert job["state"] == "dead"
    assert job["attempts_made"] == 1
    assert job["next_attempt_at"] is None
    assert job["finished_at"] is not None
    assert job["last_attempt"] | {"started_at": None} == {
        "number": 1,
        "outcome": "permanent_failure",
        "status": 500,
        "error": None,
        "started_at": None,
        "duration_ms": 12,
    }
    (attempt,) = node.get(f"/jobs/{job_id}/attempts").json["data"]
    assert attempt["response_body"] == "ok"
    assert attempt["response_headers"] == {"x-a": "1"}
    assert (attempt["node"], attempt["term"]) == ("n1", 1)


def test_cancel(node: NodeUnderTest) -> None:
    pending, running, done = (node.create()["id"] for _ in range(3))
    node.claim(running)
    node.run(done)
    for job_id in (pending, running, pending):
        answer = node.post(f"/jobs/{job_id}/cancel")
        assert (answer.status, answer.json["state"]) == (200, "cancelled")
    assert node.post(f"/jobs/{done}/cancel").code == "job_finished"
    assert node.post("/jobs/nothing/cancel").code == "job_not_found"


def test_retry_with_overrides(node: NodeUnderTest) -> None:
    job_id = node.create(payload=1)["id"]
    assert node.post(f"/jobs/{job_id}/retry").code == "job_not_retryable"
    node.run(job_id, Outcome.PERMANENT_FAILURE)
    answer = node.post(f"/jobs/{job_id}/retry", {"url": "https://example.org/v2", "labels": {"again": "yes"}})
    assert answer.status == 200
    job = answer.json
    assert (job["state"], job["url"], job["payload"]) == ("pending", "https://example.org/v2", 1)
    assert job["attempts_made"] == 1
    assert [found["id"] for found in node.get("/jobs?label=again=yes").json["data"]] == [job_id]
    node.run(job_id)
    assert node.post(f"/jobs/{job_id}/retry", b"").json["state"] == "pending"
    assert node.post(f"/jobs/{job_id}/cancel").status == 200
    later = node.post(f"/jobs/{job_id}/retry", {"delay": "1h"}).json
    assert _ms(later["next_attempt_at"]) > node.clock.wall_ms() + 3_500_000


def test_run_now(node: NodeUnderTest) -> None:
    job_id = node.create(delay="1h")["id"]
    job = node.post(f"/jobs/{job_id}/run").json
    assert _ms(job["next_attempt_at"]) <= node.clock.wall_ms()
    assert node.post(f"/jobs/{job_id}/run").json == job, "due already: nothing to do"
    node.run(job_id)
    assert node.post(f"/jobs/{job_id}/run").code == "job_not_pending"


def test_patch(node: NodeUnderTest) -> None:
    job = node.create(delay="1h", payload={"a": 1}, labels={"old": "1"})
    path = f"/jobs/{job['id']}"
    changed = node.call("PATCH", path, {"body_base64": "aGk=", "labels": {"new": "1"}, "method": "put"}).json
    assert changed["body_base64"] == "aGk="
    assert "payload" not in changed
    assert changed["run_at"] == job["run_at"]
    assert node.get("/jobs?label=old").json["data"] == []
    assert len(node.get("/jobs?label=new").json["data"]) == 1
    before = node.rows("SELECT revision FROM jobs")
    assert node.call("PATCH", path, {"method": "PUT"}).status == 200
    assert node.rows("SELECT revision FROM jobs") == before, "a change that changes nothing writes nothing"
    node.run(job["id"])
    assert node.call("PATCH", path, {"priority": 1}).code == "job_not_pending"
    assert node.call("PATCH", "/jobs/nothing", {"priority": 1}).code == "job_not_found"


def test_patch_of_a_job_that_waits_for_a_retry_keeps_when_it_was_asked_for(node: NodeUnderTest) -> None:
    from hookline.protocol.commands import ClaimJobs, RecordOutcome
    from tests.node_parts import OWNER

    job = node.create()
    seq, due_ms = node.rows("SELECT seq, due_ms FROM jobs")[0]
    node.propose(ClaimJobs(((seq, due_ms),), due_ms + 30_000, OWNER))
    retry_ms = due_ms + 600_000
    node.propose(RecordOutcome(seq, 1, Outcome.RETRYABLE_FAILURE, State.PENDING, retry_ms, 503, None, due_ms, 1))
    changed = node.call("PATCH", f"/jobs/{job['id']}", {"priority": 7}).json
    assert changed["run_at"] == job["run_at"]
    assert _ms(changed["next_attempt_at"]) == retry_ms


def test_pages_show_every_job_once_newest_first(node: NodeUnderTest) -> None:
    ids = [node.create()["id"] for _ in range(7)]
    seen = [job for page in node.pages("/jobs?limit=3") for job in page]
    assert all("payload" not in job for job in seen)
    assert [job["id"] for job in seen] == ids[::-1]


def test_a_page_of_large_jobs_is_short_and_the_next_one_goes_on(node: NodeUnderTest) -> None:
    large = [{"url": URL, "payload": "x" * 250_000} for _ in range(30)]
    assert node.post("/jobs/batch", {"jobs": large}).status == 200
    pages = node.pages("/jobs?limit=1000")
    assert [len(page) for page in pages] == [8, 8, 8, 6], "2 MiB"
    assert len({job["id"] for page in pages for job in page}) == 30


def test_filters(node: NodeUnderTest) -> None:
    a = node.create(labels={"tenant": "a", "kind": "x"})["id"]
    b = node.create(labels={"tenant": "b"}, url="https://example.org:8443/")["id"]
    c = node.create(labels=["tenant", "plain"])["id"]
    node.run(a, Outcome.PERMANENT_FAILURE)
    node.run(b)

    def found(query: str) -> list[str]:
        return [job["id"] for job in node.get(f"/jobs?{query}").json["data"]]

    assert found("state=dead") == [a]
    assert found("state=succeeded") == [b]
    assert found("state=pending") == [c]
    assert found("state=running") == []
    assert found("label=tenant%3Da") == [a]
    assert found("label=tenant:b") == [b]
    assert found("label=tenant") == [c, b, a]
    assert found("label=plain") == [c]
    assert found("label=tenant&state=succeeded") == [b]
    assert found("label=ten") == []
    assert found("destination=example.org:8443") == [b]
    assert found("destination=https://example.com:443") == [c, a]
    assert found("destination=unknown.example") == []
    assert found("created_after=2020-01-01T00:00:00Z") == [c, b, a]
    assert found("created_after=2030-01-01T00:00:00Z") == []
    assert found("created_before=2030-01-01T00:00:00Z") == [c, b, a]
    assert found("created_before=2020-01-01T00:00:00Z") == []
    assert (found("status=500"), found("status=5xx"), found("status=2XX")) == ([a], [a], [b])
    assert found("status=404") == []
    node.post("/schedules", {"id": "nightly", "cron": "0 3 * * *", "job": {"url": URL}})
    d = node.post("/schedules/nightly/run").json["id"]
    assert found("schedule=nightly") == found("schedule=nightly&state=pending") == [d]
    assert found("schedule=none") == found("schedule=nightly&status=5xx") == []


def test_a_list_says_why_the_last_attempt_failed(node: NodeUnderTest) -> None:
    job_id = node.create()["id"]
    node.claim(job_id)
    seq = node.rows("SELECT seq FROM jobs WHERE id = ?", job_id)[0][0]
    node.propose(RecordOutcome(seq, 1, Outcome.PERMANENT_FAILURE, State.DEAD, None, None, "no such host", 1, 1))
    (job,) = node.get("/jobs?state=dead").json["data"]
    assert job["last_attempt"]["error"] == "no such host"
    other = node.create()["id"]
    node.run(other)

    def found(query: str) -> list[str]:
        return [job["id"] for job in node.get(f"/jobs?{query}").json["data"]]

    assert found("error=such+host") == found("error=NO+SUCH&state=dead") == [job_id]
    assert found("error=refused") == found("error=such&state=succeeded") == []
    assert node.post("/jobs/retry", {"filter": {"error": "no such"}, "dry_run": True}).json["matched"] == 1
    refused = node.get("/jobs?error=" + "x" * 5_000)
    assert (refused.status, refused.json["field"]) == (400, "error")


def test_a_label_with_very_many_values_asks_for_one(node: NodeUnderTest) -> None:
    jobs = [{"url": URL, "labels": {"order": str(number)}} for number in range(101)]
    node.post("/jobs/batch", {"jobs": jobs})
    assert node.get("/jobs?label=order").code == "invalid_request"
    assert len(node.get("/jobs?label=order%3D7").json["data"]) == 1


def test_a_rare_match_behind_many_jobs_is_found(node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from hookline.node.state_machine import reads

    monkeypatch.setattr(reads, "WINDOW_ROWS", 10)
    monkeypatch.setattr(reads, "SCAN_ROWS_MAX", 30)
    rare = node.create(url="https://rare.example/")["id"]
    node.post("/jobs/batch", {"jobs": [{"url": URL}] * 95})
    pages = node.pages("/jobs?destination=rare.example")
    assert [job["id"] for page in pages for job in page] == [rare]
    assert len(pages) == 4, "each page looks at 30 jobs"
    first = node.get("/jobs?destination=rare.example").json
    assert first["data"] == []
    created_at = {job["id"]: job["created_at"] for job in node.get("/jobs").json["data"]}
    assert first["searched_to"] in created_at.values()
    assert "searched_to" not in node.get("/jobs?limit=1").json, "the page is full"


def test_a_search_for_an_answer_looks_at_fewer_jobs_for_a_page(
    node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hookline.node.state_machine import reads

    monkeypatch.setattr(reads, "WINDOW_ROWS", 10)
    monkeypatch.setattr(reads, "SCAN_ROWS_MAX", 30)
    monkeypatch.setattr(reads, "_ANSWERS_AT_ONCE", 4)
    rare = node.create()["id"]
    node.run(rare, Outcome.PERMANENT_FAILURE)
    node.post("/jobs/batch", {"jobs": [{"url": URL}] * 35})
    pages = node.pages("/jobs?status=5xx")
    assert [job["id"] for page in pages for job in page] == [rare]
    assert len(pages) == 4, "to know how an attempt ended costs as much as two jobs"


def test_of_very_many_attempts_all_are_shown_and_the_newest_with_their_bodies(
    node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hookline.node.state_machine import reads

    monkeypatch.setattr(reads, "ATTEMPTS_SHOWN_BYTES_MAX", 5)  # `run` writes "ok"
    monkeypatch.setattr(reads, "_ATTEMPTS_BETWEEN_YIELDS", 2)
    job = node.create()["id"]
    for _ in range(6):
        node.run(job, state=State.DEAD)
        assert node.post(f"/jobs/{job}/retry").status == 200
    attempts = node.get(f"/jobs/{job}/attempts").json["data"]
    assert [attempt["number"] for attempt in attempts] == [1, 2, 3, 4, 5, 6]
    assert [attempt["response_body"] for attempt in attempts] == ["", "", "", "", "ok", "ok"]


def test_a_full_queue_says_when_to_come_back(start_node: StartNode) -> None:
    with start_node(pending_jobs_max=2, pending_bytes_max=10) as node:
        node.create(payload="12345678")
        before = node.stored()
        answer = node.post("/jobs", {"url": URL, "payload": 1})
        assert answer.status == 429
        assert int(answer.headers["retry-after"]) == answer.json["retry_after"] > 0
        assert answer.json | {"detail": ""} == {
            "type": "https://hookline.dev/errors/queue_full",
            "title": answer.json["title"],
            "status": 429,
            "code": "queue_full",
            "detail": "",
            "retryable": True,
            "retry_after": 5,
            "limit_name": "pending_bytes",
            "used": 10,
            "limit": 10,
            "wanted": 1,
        }
        assert node.stored() == before
        node.create()
        assert node.post("/jobs", {"url": URL}).json["limit_name"] == "pending_jobs"
        usage = node.get("/health").json["usage"]
        assert usage["pending_jobs"] == {"used": 2, "limit": 2}
        assert usage["slots"] == {"used": 3, "limit": 100}


def test_health_carries_the_term_which_grows_with_each_leader(start_node: StartNode) -> None:
    for term in (1, 2):
        with start_node() as node:
            health = node.get("/health").json
            assert (health["role"], health["term"]) == ("leader", term)
            node.services.role.is_leading = lambda: False  # type: ignore[method-assign]
            assert node.get("/health").json["role"] == "follower"


def test_health_cluster_and_metrics(node: NodeUnderTest) -> None:
    node.create()
    health = node.get("/health")
    assert (health.status, health.json["status"]) == (200, "ok")
    node.delivery.ready = "the clock has jumped"
    health = node.get("/health")
    assert (health.status, health.json["detail"]) == (503, "the clock has jumped")
    cluster = node.get("/cluster").json
    assert (cluster["name"], cluster["leader"], cluster["nodes"][0]["role"]) == ("c0", "n1", "leader")
    assert cluster["nodes"][0]["applied"] >= 2
    assert b'hookline_jobs{state="pending"} 1.0' in node.get("/metrics").body
    assert node.post("/cluster/handover").code == "conflict"


def test_a_node_is_alive_whatever_goes_on_and_ready_while_it_takes_jobs(node: NodeUnderTest) -> None:
    assert (node.get("/livez").status, node.get("/livez").json["status"]) == (200, "ok")
    assert (node.get("/readyz").status, node.get("/readyz").json["status"]) == (200, "ok")
    node.delivery.ready = "no node leads"
    node.services.role.halted = lambda: "etcd holds no cluster"  # type: ignore[method-assign]
    ready = node.get("/readyz")
    assert (ready.status, ready.json["status"], ready.json["detail"]) == (503, "unavailable", "no node leads")
    assert node.get("/livez").status == 200
    assert node.call("HEAD", "/readyz").status == 503
    node.close_replica()
    assert node.get("/livez").status == 200


def test_a_node_that_stops_is_alive_and_not_ready(node: NodeUnderTest) -> None:
    node.is_stopping = True
    ready = node.get("/readyz")
    assert (ready.status, ready.json["detail"]) == (503, "the node stops; send requests to another one")
    assert (node.get("/livez").status, node.get("/health").status) == (200, 200)


def test_a_node_that_shuts_down_surely_did_not_accept(node: NodeUnderTest) -> None:
    node.close_replica()
    answer = node.post("/jobs", {"url": URL})
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "shutting_down", "1")


def test_head_answers_like_get_without_the_body(shared_node: NodeUnderTest) -> None:
    answer = shared_node.call("HEAD", "/cluster")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_traceparent_is_stored_when_it_is_well_formed(node: NodeUnderTest) -> None:
    from hookline.protocol.jobs import decode_spec

    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    node.post("/jobs", {"url": URL}, traceparent=good)
    node.post("/jobs", {"url": URL}, traceparent="00-xyz")
    specs = [decode_spec(blob) for (blob,) in node.rows("SELECT spec FROM specs ORDER BY seq")]
    assert [spec.traceparent for spec in specs] == [good, None]


def test_a_job_survives_a_restart(start_node: StartNode) -> None:
    with start_node() as node:
        job_id = node.create(payload={"a": 1})["id"]
    with start_node() as node:
        assert node.get(f"/jobs/{job_id}").json["payload"] == {"a": 1}


def _ms(text: str) -> int:
    from hookline.protocol.durations import parse_time

    return parse_time(text)


def test_the_secret_of_a_job_can_be_taken_away(shared_node: NodeUnderTest) -> None:
    secret = "whsec_" + "a" * 32
    made = shared_node.create(secret=secret, delay="1h")
    path = f"/jobs/{made['id']}"
    assert made["signed"]
    assert shared_node.call("PATCH", path, {"priority": 1}).json["signed"]
    assert not shared_node.call("PATCH", path, {"secret": None}).json["signed"]
    assert not shared_node.get(path).json["signed"]
    assert shared_node.call("PATCH", path, {"secret": secret}).json["signed"]
    assert not shared_node.create(secret=None)["signed"]


def test_the_secret_of_a_schedules_job_can_be_taken_away(shared_node: NodeUnderTest) -> None:
    job = {"url": URL, "secret": "whsec_" + "a" * 32}
    path = "/schedules/signed-once"
    assert shared_node.post("/schedules", {"id": "signed-once", "cron": "0 0 1 1 *", "job": job}).status == 201
    assert shared_node.post(f"{path}/run", {}).json["signed"]
    assert shared_node.call("PATCH", path, {"job": job | {"secret": None}}).status == 200
    assert not shared_node.post(f"{path}/run", {}).json["signed"]
