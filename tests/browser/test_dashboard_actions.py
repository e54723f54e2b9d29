"""Each action of the dashboard by mouse and by keyboard alone, and what the API says afterwards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from hookline.protocol.jobs import Outcome
from tests.browser.hands import HANDS, Mouse
from tests.browser.test_dashboard import serious
from tests.integration.dashboard_parts import node_with_pages
from tests.integration.keyed_servers import ROOT, Guarded
from tests.integration.node_under_test import NodeUnderTest
from tests.integration.test_past_ticks import with_three_ticks

NIGHTLY: dict[str, Any] = {"cron": "0 2 * * *", "job": {"url": "https://example.com/"}}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    with node_with_pages(tmp_path_factory.mktemp("acting")) as (node, _):
        yield node


@pytest.fixture(params=HANDS)
def hand(request: pytest.FixtureRequest, page: Page) -> Mouse:
    """A hand that says yes to all questions."""
    page.on("dialog", lambda dialog: dialog.accept())
    return HANDS[request.param](page)


def opened(hand: Mouse, node: NodeUnderTest, path: str) -> Page:
    hand.page.goto(f"http://127.0.0.1:{node.port}/dashboard{path}")
    return hand.page


def test_a_job_runs_is_edited_cancelled_and_retried(hand: Mouse, node: NodeUnderTest) -> None:
    job = node.create(delay="1h")["id"]
    page = opened(hand, node, f"/job/{job}")
    before = node.get(f"/jobs/{job}").json["run_at"]
    hand.press("Run now")
    expect(page.get_by_text("as soon as a slot is free")).to_be_visible()
    assert node.get(f"/jobs/{job}").json["run_at"] < before
    hand.press("Edit")
    hand.fill("Url", "https://b.example/")
    hand.choose("Method", "PUT")
    hand.press("Save")
    expect(page.get_by_text("The job is changed.")).to_be_visible()
    assert [node.get(f"/jobs/{job}").json[name] for name in ("url", "method")] == ["https://b.example/", "PUT"]
    hand.press("Cancel")
    expect(page.get_by_text("The job is cancelled.")).to_be_visible()
    assert node.get(f"/jobs/{job}").json["state"] == "cancelled"
    hand.press("Retry")
    expect(page.get_by_text("tried again")).to_be_visible()
    assert node.get(f"/jobs/{job}").json["state"] == "pending"
    hand.press("Cancel")
    expect(page.get_by_text("The job is cancelled.")).to_be_visible()
    hand.press("Retry with edits")
    hand.fill("Headers, one a line", "x-again: yes")
    hand.press("Retry")
    expect(page.get_by_text("tried again")).to_be_visible()
    assert node.get(f"/jobs/{job}").json["headers"] == {"x-again": "yes"}


def test_many_jobs_are_cancelled_and_retried(hand: Mouse, node: NodeUnderTest) -> None:
    label = {"many": type(hand).__name__}
    waiting = node.create(delay="1h", labels=label)["id"]
    dead = node.create(labels=label)["id"]
    node.run(dead, Outcome.PERMANENT_FAILURE)
    page = opened(hand, node, f"/jobs?label=many%3D{label['many']}")
    hand.press("Cancel all found…")
    hand.press("Cancel them")
    expect(page.get_by_role("heading", level=1)).to_have_text("1 job cancelled")
    assert node.get(f"/jobs/{waiting}").json["state"] == "cancelled"
    opened(hand, node, f"/dead?label=many%3D{label['many']}")
    hand.press("Retry all found…")
    hand.press("Retry them")
    expect(page.get_by_role("heading", level=1)).to_have_text("1 job retried")
    assert node.get(f"/jobs/{dead}").json["state"] == "pending"


def test_a_job_and_a_schedule_are_made(hand: Mouse, node: NodeUnderTest) -> None:
    page = opened(hand, node, "/new")
    hand.fill("Url", "https://made.example/")
    hand.fill("Wait before it runs", "2h")
    hand.press("Make the job")
    page.wait_for_url("**/job/*")
    job = node.get(f"/jobs/{page.url.split('/job/')[1].split('?')[0]}").json
    assert (job["url"], job["state"]) == ("https://made.example/", "pending")
    opened(hand, node, "/new/schedule")
    hand.fill("Cron: minute, hour, day, month, weekday", "5 4 * * *")
    hand.fill("Url", "https://ticks.example/")
    hand.press("Make the schedule")
    page.wait_for_url("**/schedule/*")
    schedule = node.get(f"/schedules/{page.url.split('/schedule/')[1].split('?')[0]}").json
    assert (schedule["cron"], schedule["job"]["url"]) == ("5 4 * * *", "https://ticks.example/")


def test_a_schedule_is_paused_resumed_run_changed_and_deleted(hand: Mouse, node: NodeUnderTest) -> None:
    name = f"nightly-{type(hand).__name__}"
    node.post("/schedules", NIGHTLY | {"id": name})
    page = opened(hand, node, f"/schedule/{name}")
    hand.press("Pause")
    expect(page.get_by_text("it makes no more jobs")).to_be_visible()
    assert node.get(f"/schedules/{name}").json["paused"] is True
    hand.press("Resume")
    expect(page.get_by_text("goes on with its next tick")).to_be_visible()
    assert node.get(f"/schedules/{name}").json["paused"] is False
    hand.press("Edit")
    hand.fill("Cron: minute, hour, day, month, weekday", "0 3 * * *")
    hand.press("Save")
    expect(page.get_by_text("The schedule is changed.")).to_be_visible()
    assert node.get(f"/schedules/{name}").json["cron"] == "0 3 * * *"
    hand.press("Run once now")
    page.wait_for_url("**/job/*")
    assert [job["schedule"] for job in node.get(f"/jobs?schedule={name}").json["data"]] == [name]
    opened(hand, node, f"/schedule/{name}")
    hand.press("Delete")
    expect(page.get_by_text("The schedule is deleted")).to_be_visible()
    assert node.get(f"/schedules/{name}").status == 404


def test_a_destination_is_limited_paused_and_resumed(hand: Mouse, node: NodeUnderTest) -> None:
    host = f"https://{type(hand).__name__.lower()}.example:443"
    node.create(url=f"{host}/", delay="1h")
    page = opened(hand, node, f"/destination?host={host}")
    hand.fill("At once, at most", "7")
    hand.fill("Attempts that start", "30")
    hand.fill("in each", "1m")
    hand.press("Save")
    expect(page.get_by_text("The limits are changed.")).to_be_visible()
    found = node.get(f"/destinations/{host}").json
    assert (found["concurrency"], found["rate"]) == (7, {"limit": 30, "per": "1m"})
    hand.press("Pause")
    expect(page.get_by_text("its jobs wait")).to_be_visible()
    assert node.get(f"/destinations/{host}").json["paused"] is True
    hand.press("Resume")
    expect(page.get_by_text("gets its jobs again")).to_be_visible()
    assert node.get(f"/destinations/{host}").json["paused"] is False


def test_the_mode_of_a_cluster_is_changed(hand: Mouse, node: NodeUnderTest) -> None:
    page = opened(hand, node, "/clusters")
    for mode in ("hybrid", "leader"):
        hand.choose("Attempts by", mode)
        hand.press("Change the mode of c0")
        expect(page.get_by_text("The mode is changed.")).to_be_visible()
        assert node.get("/cluster").json["mode"] == mode
        page.reload()


@pytest.mark.parametrize("hand", ["keys"], indirect=True)
def test_the_calendar_of_a_schedule_is_heard_and_followed(hand: Mouse, tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (node, _):
        with_three_ticks(node)
        page = opened(hand, node, "/schedule/hourly")
        assert serious(page) == []
        ticks = node.get("/schedules/hourly/ticks").json["data"]
        expect(page.locator(".calendar .tick")).to_have_count(3)
        expect(page.get_by_role("img", name="skipped")).to_have_count(1)
        page.locator(".calendar a.tick").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/job/{ticks[-1]['job']}")


@pytest.mark.parametrize("hand", ["keys"], indirect=True)
def test_an_operator_signs_in_acts_for_a_tenant_and_signs_out(
    hand: Mouse, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with node_with_pages(tmp_path_factory.mktemp("keyed"), root_key=ROOT) as (node, _):
        theirs = Guarded("node", node.port).new("write", "read", tenant="acme")
        made = node.post("/jobs", {"url": "https://acme.example/"}, Authorization=f"Bearer {theirs}").json["id"]
        page = opened(hand, node, "/jobs")
        hand.fill("API key", Guarded("node", node.port).new("admin"))
        hand.press("Sign in")
        expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
        expect(page.locator(f"#job-{made}")).to_have_count(0)
        hand.press("Act for a tenant")
        hand.fill("Its name", "acme")
        hand.press("Act for it")
        expect(page.get_by_text("You act for the tenant acme")).to_be_visible()
        opened(hand, node, "/jobs")
        expect(page.locator(f"#job-{made}")).to_be_visible()
        hand.press("Stop")
        expect(page.get_by_text("You act for the tenant acme")).to_have_count(0)
        hand.press("Sign out")
        page.wait_for_url("**/dashboard/sign-in")
