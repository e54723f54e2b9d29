from typing import Any

import pytest

from hookline.protocol.commands import RecordTicks
from hookline.protocol.durations import format_time, parse_time
from hookline.protocol.ticks import tick_job_id
from tests.integration.node_under_test import NodeUnderTest

URL = "https://example.com/hook"
NIGHTLY: dict[str, Any] = {"id": "nightly", "cron": "0 3 * * *", "timezone": "Europe/Berlin", "job": {"url": URL}}


def tick(node: NodeUnderTest) -> int:
    """Play the leader for one tick; returns its instant."""
    seq, revision, due_ms = node.rows("SELECT seq, revision, next_tick_ms FROM schedules")[0]
    node.propose(RecordTicks(seq, revision, due_ms, ((due_ms, due_ms, f"tick-{due_ms}"),), 0, due_ms + 86_400_000))
    return int(due_ms)


def test_create_and_get(node: NodeUnderTest) -> None:
    answer = node.post("/schedules", NIGHTLY | {"jitter": "30s", "overlap": "skip", "catch_up": {"policy": "all"}})
    assert answer.status == 201
    assert answer.headers["location"] == "/schedules/nightly"
    schedule = answer.json
    assert schedule["next_tick_at"].endswith((":00:00.000Z", "T02:00:00.000Z"))
    assert (schedule["jitter"], schedule["overlap"]) == ("30s", "skip")
    assert schedule["catch_up"] == {"policy": "all", "window": "1d"}
    assert schedule["job"]["url"] == URL
    assert (schedule["jobs_made"], schedule["last_job_id"], schedule["paused"]) == (0, None, False)
    assert node.get("/schedules/nightly").json == schedule


def test_the_same_again_and_a_different_one(node: NodeUnderTest) -> None:
    secret = {"job": {"url": URL, "secret": "whsec_" + "a" * 32}}
    assert node.post("/schedules", NIGHTLY | secret).status == 201
    again = node.post("/schedules", NIGHTLY | secret)
    assert (again.status, again.json["deduplicated"]) == (200, True)
    assert node.post("/schedules", NIGHTLY | {"cron": "0 4 * * *"}).code == "schedule_exists"
    assert node.post("/schedules", NIGHTLY).code == "schedule_exists", "the secret is missing"


def test_an_id_is_minted(node: NodeUnderTest) -> None:
    body = {name: value for name, value in NIGHTLY.items() if name != "id"}
    assert node.post("/schedules", body).json["id"].endswith("-0")
    assert node.post("/schedules", body).status == 201


def test_a_secret_is_never_shown(node: NodeUnderTest) -> None:
    secret = "whsec_" + "a" * 32
    answer = node.post("/schedules", NIGHTLY | {"job": {"url": URL, "secret": secret}})
    assert secret.encode() not in answer.body
    assert secret.encode() not in b"".join(blob for (blob,) in node.rows("SELECT work FROM schedules"))
    assert secret.encode() not in b"".join(blob for (blob,) in node.rows("SELECT entry FROM log_entries"))


def test_a_page_of_large_schedules_is_short_and_the_next_one_goes_on(node: NodeUnderTest) -> None:
    for number in range(30):
        job = {"url": URL, "payload": "x" * 250_000}
        assert node.post("/schedules", NIGHTLY | {"id": f"s{number:02}", "job": job}).status == 201
    pages = node.pages("/schedules?limit=1000")
    assert [len(page) for page in pages] == [8, 8, 8, 6], "2 MiB"
    assert [schedule["id"] for page in pages for schedule in page] == [f"s{number:02}" for number in range(30)]


def test_pages(node: NodeUnderTest) -> None:
    for name in "bca":
        node.post("/schedules", NIGHTLY | {"id": name})
    page = node.get("/schedules?limit=2").json
    assert [schedule["id"] for schedule in page["data"]] == ["a", "b"]
    page = node.get(f"/schedules?limit=2&cursor={page['next_cursor']}").json
    assert ([schedule["id"] for schedule in page["data"]], page["next_cursor"]) == (["c"], None)


def test_patch(node: NodeUnderTest) -> None:
    node.post("/schedules", NIGHTLY)
    changed = node.call("PATCH", "/schedules/nightly", {"cron": "0 4 * * *", "job": {"url": URL, "payload": 1}}).json
    assert (changed["cron"], changed["timezone"], changed["job"]["payload"]) == ("0 4 * * *", "Europe/Berlin", 1)
    before = node.rows("SELECT revision FROM schedules")
    assert node.call("PATCH", "/schedules/nightly", {"cron": "0 4 * * *"}).status == 200
    assert node.rows("SELECT revision FROM schedules") == before
    assert node.call("PATCH", "/schedules/other", {"cron": "0 4 * * *"}).code == "schedule_not_found"
    ended = node.call("PATCH", "/schedules/nightly", {"end_at": "2001-01-01T00:00:00Z"}).json
    assert ended["next_tick_at"] is None
    assert node.call("PATCH", "/schedules/nightly", {"end_at": None}).json["next_tick_at"] is not None


def test_a_change_of_the_job_does_not_undo_a_tick_in_between(
    node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hookline.node.api import schedule_requests

    node.post("/schedules", NIGHTLY)
    put = schedule_requests.put_command

    def put_after_a_tick(*args: Any, **kwargs: Any) -> Any:
        if not node.rows("SELECT made FROM schedules")[0][0]:
            seq, revision, due_ms = node.rows("SELECT seq, revision, next_tick_ms FROM schedules")[0]
            ticks = ((due_ms, due_ms, "tick-1"),)
            node.services.replica.propose([RecordTicks(seq, revision, due_ms, ticks, 0, due_ms + 86_400_000)])
        return put(*args, **kwargs)

    due_ms = node.rows("SELECT next_tick_ms FROM schedules")[0][0]
    monkeypatch.setattr(schedule_requests, "put_command", put_after_a_tick)
    changed = node.call("PATCH", "/schedules/nightly", {"jitter": "1m"}).json
    assert changed["jobs_made"] == 1
    assert parse_time(changed["next_tick_at"]) == due_ms + 86_400_000


def test_pause_and_resume(node: NodeUnderTest) -> None:
    node.post("/schedules", NIGHTLY)
    paused = node.post("/schedules/nightly/pause").json
    assert (paused["paused"], paused["next_tick_at"]) == (True, None)
    assert node.post("/schedules/nightly/pause").json == paused
    node.clock.shift_ms = 10 * 86_400_000
    resumed = node.post("/schedules/nightly/resume").json
    assert parse_time(resumed["next_tick_at"]) > node.clock.wall_ms(), "ticks during the pause are not caught up"
    assert node.post("/schedules/other/pause").code == "schedule_not_found"


CHANGES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("PATCH", "", {"cron": "30 3 * * *"}),
    ("PATCH", "", {"timezone": "UTC"}),
    ("PATCH", "", {"start_at": "2199-01-01T00:00:00Z"}),
    ("PATCH", "", {"end_at": "2001-01-01T00:00:00Z", "job": {"url": URL, "payload": 1}}),
    ("POST", "/pause", None),
]


def pass_a_tick(node: NodeUnderTest, late_ms: int = 5) -> int:
    """Let the next tick come due, unseen by a leader; returns its instant."""
    due_ms = int(node.rows("SELECT next_tick_ms FROM schedules")[0][0])
    node.clock.shift_ms += due_ms + late_ms - node.clock.wall_ms()
    return due_ms


@pytest.mark.parametrize(("method", "path", "change"), CHANGES)
def test_a_change_right_after_a_tick_makes_the_tick_first_by_the_old_rule(
    node: NodeUnderTest, method: str, path: str, change: dict[str, Any] | None
) -> None:
    node.post("/schedules", NIGHTLY)
    due_ms = pass_a_tick(node)
    seq, revision = node.rows("SELECT seq, revision FROM schedules")[0]
    changed = node.call(method, f"/schedules/nightly{path}", change).json
    assert changed["jobs_made"] == 1
    job = node.get(f"/jobs/{changed['last_job_id']}").json
    assert job["run_at"] == format_time(due_ms)
    assert job["id"] == tick_job_id("nightly", due_ms, 0)
    node.propose(RecordTicks(seq, revision, due_ms, ((due_ms, due_ms, job["id"]),), 0, due_ms + 86_400_000))
    assert node.get("/schedules/nightly").json == changed, "the leader's own attempt comes too late"


def test_a_tick_that_the_leader_made_meanwhile_is_not_made_again_by_a_change(
    node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hookline.node.api import schedule_requests

    node.post("/schedules", NIGHTLY)
    due_ms = pass_a_tick(node)
    decide = schedule_requests.due_ticks

    def decide_after_the_leader(row: Any, now_ms: int, shard: int) -> Any:
        due = decide(row, now_ms, shard)
        if due is not None and not node.rows("SELECT made FROM schedules")[0][0]:
            node.services.replica.propose([due])
        return due

    monkeypatch.setattr(schedule_requests, "due_ticks", decide_after_the_leader)
    changed = node.call("PATCH", "/schedules/nightly", {"cron": "0 4 * * *"}).json
    assert changed["jobs_made"] == 1
    assert parse_time(changed["next_tick_at"]) > due_ms


def test_a_change_makes_missed_ticks_as_the_old_policy_says(node: NodeUnderTest) -> None:
    node.post("/schedules", NIGHTLY | {"catch_up": {"policy": "skip"}})
    pass_a_tick(node, late_ms=3_600_000)
    changed = node.call("PATCH", "/schedules/nightly", {"cron": "0 4 * * *"}).json
    assert (changed["jobs_made"], changed["ticks_skipped"]) == (0, 1)


def test_a_change_makes_all_of_a_backlog_first(node: NodeUnderTest) -> None:
    every_minute = {"cron": "* * * * *", "catch_up": {"policy": "all", "window": "7d"}}
    node.post("/schedules", NIGHTLY | every_minute)
    pass_a_tick(node, late_ms=1_199 * 60_000)
    changed = node.call("PATCH", "/schedules/nightly", {"cron": "0 4 * * *"}).json
    assert (changed["jobs_made"], changed["ticks_skipped"]) == (1_200, 0)
    assert changed["cron"] == "0 4 * * *"


def test_a_job_that_is_sent_back_without_its_secret_keeps_it_until_that_is_null(node: NodeUnderTest) -> None:
    signed = {"url": URL, "secret": "whsec_" + "c2VjcmV0" * 4}
    node.post("/schedules", NIGHTLY | {"job": signed})
    shown = node.get("/schedules/nightly").json["job"]
    assert "secret" not in shown
    assert node.call("PATCH", "/schedules/nightly", {"job": shown | {"payload": 2}}).status == 200
    assert node.post("/schedules", NIGHTLY | {"job": signed | {"payload": 2}}).status == 200, "it is that very one"
    assert node.call("PATCH", "/schedules/nightly", {"job": shown | {"secret": None}}).status == 200
    assert node.post("/schedules", NIGHTLY | {"job": signed}).status == 409
    assert node.post("/schedules", NIGHTLY | {"job": {"url": URL}}).status == 200


def test_a_change_of_a_paused_schedule_makes_no_tick(node: NodeUnderTest) -> None:
    node.post("/schedules", NIGHTLY)
    node.post("/schedules/nightly/pause")
    pass_a_tick(node)
    assert node.call("PATCH", "/schedules/nightly", {"cron": "0 4 * * *"}).json["jobs_made"] == 0
    assert node.post("/schedules/nightly/resume").json["jobs_made"] == 0


def test_created_paused(node: NodeUnderTest) -> None:
    assert node.post("/schedules", NIGHTLY | {"paused": True}).json["paused"] is True


def test_a_tick_shows(node: NodeUnderTest) -> None:
    node.post("/schedules", NIGHTLY)
    instant = tick(node)
    schedule = node.get("/schedules/nightly").json
    assert (schedule["jobs_made"], schedule["last_tick_at"]) == (1, format_time(instant))
    assert node.get(f"/jobs/{schedule['last_job_id']}").json["schedule"] == "nightly"


def test_run_now(node: NodeUnderTest) -> None:
    node.post("/schedules", NIGHTLY | {"job": {"url": URL, "payload": {"a": 1}, "labels": {"x": "y"}}})
    before = node.get("/schedules/nightly").json["next_tick_at"]
    answer = node.post("/schedules/nightly/run")
    assert answer.status == 201
    assert (answer.json["schedule"], answer.json["payload"]) == ("nightly", {"a": 1})
    assert answer.headers["location"] == f"/jobs/{answer.json['id']}"
    assert node.get("/jobs?label=x").json["data"][0]["id"] == answer.json["id"]
    assert node.get("/schedules/nightly").json["next_tick_at"] == before
    assert node.post("/schedules/other/run").code == "schedule_not_found"


def test_delete_keeps_its_jobs(node: NodeUnderTest) -> None:
    node.post("/schedules", NIGHTLY)
    job_id = node.post("/schedules/nightly/run").json["id"]
    answer = node.call("DELETE", "/schedules/nightly")
    assert (answer.status, answer.body) == (204, b"")
    assert node.get("/schedules/nightly").code == "schedule_not_found"
    assert node.call("DELETE", "/schedules/nightly").code == "schedule_not_found"
    assert node.get(f"/jobs/{job_id}").json["schedule"] is None


def test_preview_shows_the_offset_of_the_zone(shared_node: NodeUnderTest) -> None:
    query = "cron=30%202%20*%20*%20*&timezone=Europe/Berlin&count=3&from=2026-03-28T00:00:00Z"
    assert shared_node.get(f"/schedules/preview?{query}").json == {
        "ticks": ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    }
    assert len(shared_node.get("/schedules/preview?cron=@hourly").json["ticks"]) == 10
    from_a_tick = shared_node.get("/schedules/preview?cron=@daily&count=1&from=2026-01-01T00:00:00Z").json
    assert from_a_tick["ticks"] == ["2026-01-01T00:00:00+00:00"], "the first tick may be the start itself"
