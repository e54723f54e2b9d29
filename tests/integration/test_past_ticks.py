"""The past ticks of a schedule, and what became of each: in the API and in the calendar of its page."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hookline.protocol.commands import RecordTicks
from hookline.protocol.durations import format_time
from hookline.protocol.ticks import tick_job_id
from tests.integration.dashboard_parts import node_with_pages
from tests.integration.node_under_test import NodeUnderTest

HOUR = 3_600_000
HOURLY: dict[str, Any] = {"id": "hourly", "cron": "0 * * * *", "timezone": "Asia/Tokyo", "job": {"url": "https://a.b/"}}


def decide(node: NodeUnderTest, *made: int, skipped: int = 0) -> int:
    """Play the leader: of the ticks that are due, make those, counted from the first; returns the first."""
    seq, revision, due_ms = node.rows("SELECT seq, revision, next_tick_ms FROM schedules")[0]
    instants = [due_ms + HOUR * number for number in made]
    ticks = tuple((instant, instant, tick_job_id("hourly", instant, 0)) for instant in instants)
    next_ms = due_ms + HOUR * (len(made) + skipped)
    assert next_ms > node.clock.wall_ms()
    node.propose(RecordTicks(seq, revision, due_ms, ticks, skipped, next_ms))
    return int(due_ms)


def outcomes(node: NodeUnderTest, query: str = "") -> list[str]:
    return [one["outcome"] for one in node.get(f"/schedules/hourly/ticks{query}").json["data"]]


def with_three_ticks(node: NodeUnderTest) -> int:
    """One caught up, one skipped, one made in time."""
    node.post("/schedules", HOURLY)
    (first,) = node.rows("SELECT next_tick_ms FROM schedules")[0]
    node.clock.shift_ms += first - node.clock.wall_ms() + 2 * HOUR + 1_000
    return decide(node, 0, 2, skipped=1)


def test_each_tick_that_was_decided_is_told_with_its_job(node: NodeUnderTest) -> None:
    first = with_three_ticks(node)
    page = node.get("/schedules/hourly/ticks").json
    assert [one["outcome"] for one in page["data"]] == ["caught_up", "skipped", "made"]
    assert page["next_cursor"] is None
    late, skipped, made = page["data"]
    assert late["at"].endswith(":00:00+09:00")
    assert datetime.fromisoformat(late["at"]) == datetime.fromtimestamp(first / 1_000, UTC)
    assert (late["job"], late["state"]) == (tick_job_id("hourly", first, 0), "pending")
    assert (skipped["job"], skipped["state"], skipped["made_at"]) == (None, None, None)
    assert node.get(f"/jobs/{made['job']}").json["created_at"] == made["made_at"]


def test_pages_of_ticks_go_on_and_begin_when_asked(node: NodeUnderTest) -> None:
    first = with_three_ticks(node)
    page = node.get("/schedules/hourly/ticks?limit=2").json
    assert [one["outcome"] for one in page["data"]] == ["caught_up", "skipped"]
    assert outcomes(node, f"?limit=2&cursor={page['next_cursor']}") == ["made"]
    assert outcomes(node, f"?from={format_time(first + 1)}") == ["skipped", "made"]
    assert node.get(f"/schedules/hourly/ticks?limit=2&cursor={page['next_cursor']}&from=2020-01-01T00:00:00Z").code == (
        "invalid_cursor"
    )
    assert node.get("/schedules/nobody/ticks").code == "schedule_not_found"


def test_a_tick_that_is_not_decided_yet_is_not_told_and_a_paused_schedule_skips(node: NodeUnderTest) -> None:
    with_three_ticks(node)
    node.clock.shift_ms += 2 * HOUR
    assert len(outcomes(node)) == 3, "the leader has still to decide about two"
    seq = node.rows("SELECT seq FROM schedules")[0][0]
    decide(node, 0, 1)
    node.post("/schedules/hourly/pause")
    node.clock.shift_ms += HOUR
    assert outcomes(node)[3:] == ["caught_up", "made", "skipped"]
    assert node.rows("SELECT seq FROM schedules")[0][0] == seq


def test_what_may_be_gone_is_not_called_skipped(node: NodeUnderTest) -> None:
    with_three_ticks(node)
    node.clock.shift_ms += 24 * 8 * HOUR
    assert outcomes(node) == ["caught_up", "unknown", "made"], "finished jobs are kept for seven days"


def test_the_calendar_shows_them(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (node, visitor):
        with_three_ticks(node)
        made = node.get("/schedules/hourly/ticks").json["data"][-1]["job"]
        text = visitor.get("/schedule/hourly").text
    assert "the last two days" in text
    assert f'class="tick good" href="/dashboard/job/{made}"' in text
    assert text.count("caught up at") == 2, "said once to who points at it, and once to who hears it"
    assert text.count('class="tick off" role="img"') == 1
