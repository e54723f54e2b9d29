"""The dashboard in a browser: with a mouse, by keyboard alone, with a screen reader, in the dark, on a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from hookline.protocol.jobs import Outcome
from tests.integration.dashboard_parts import node_with_pages
from tests.integration.keyed_servers import ROOT, Guarded
from tests.integration.node_under_test import NodeUnderTest

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
HARM = "<script>alert(1)</script>"
DESTINATION = "https://example.com:443"


@pytest.fixture(scope="module")
def pages_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    """A node with a job of each kind, a schedule and a destination with limits."""
    with node_with_pages(tmp_path_factory.mktemp("pages")) as (node, _):
        node.create(id="waits", delay="1h", labels={"team": "a"}, payload={"html": HARM})
        node.create(id="is-dead", labels={HARM: "\u202ex"}, url=f"https://example.com/{quote(HARM)}")
        node.run("is-dead", Outcome.PERMANENT_FAILURE)
        node.post("/schedules", {"id": "nightly", "cron": "0 2 * * *", "job": {"url": "https://example.com/"}})
        node.call("PUT", f"/destinations/{DESTINATION}", {"concurrency": 5})
        yield node


@pytest.fixture
def at(pages_node: NodeUnderTest, page: Page) -> "At":
    return At(pages_node, page)


class At:
    """A page of the dashboard in a browser."""

    def __init__(self, node: NodeUnderTest, page: Page) -> None:
        self.node, self.page = node, page
        self.root = f"http://127.0.0.1:{node.port}/dashboard"

    def open(self, path: str = "") -> Page:
        self.page.goto(self.root + path)
        return self.page

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def tab_to(self, text: str) -> None:
        """Until the focus is on what says this."""
        said = "(() => { const a = document.activeElement; return a.innerText || a.labels?.[0]?.innerText || '' })()"
        for _ in range(60):
            if self.page.evaluate(said).strip() == text:
                return
            self.press("Tab")
        pytest.fail(f"Tab does not lead to {text!r}")

    def state(self, job_id: str) -> str:
        return str(self.node.get(f"/jobs/{job_id}").json["state"])


ALL = [
    *("", "/jobs", "/dead", "/job/waits", "/job/is-dead", "/job/waits/edit", "/bulk?action=retry&state=dead"),
    *("/schedules", "/schedule/nightly", "/schedule/nightly/edit", "/destinations"),
    *(f"/destination?host={DESTINATION}", "/clusters", "/new", "/new/schedule", "/job/nobody"),
]


def serious(page: Page) -> list[str]:
    """The rules that axe-core finds broken, if that keeps somebody from using the page."""
    found: dict[str, Any] = page.evaluate(
        "async source => { if (!window.axe) (0, eval)(source); return axe.run({ resultTypes: ['violations'] }) }", AXE
    )
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_from_using_a_page(at: At, scheme: Any) -> None:
    at.page.emulate_media(color_scheme=scheme)
    found = {}
    for path in ALL:
        page = at.open(path)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        if wrong := serious(page):
            found[path] = wrong
    assert found == {}


def test_no_page_needs_sideways_scrolling_on_a_phone_or_at_twice_the_size(at: At) -> None:
    for path in ALL:
        page = at.open(path)
        for width in (1280, 640, 390):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)


def test_a_job_is_run_changed_cancelled_and_retried_with_the_mouse(at: At) -> None:
    job = at.node.create(delay="1h")["id"]
    page = at.open("/jobs")
    page.locator(f"#job-{job}").click()
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_role("status").first).to_contain_text("as soon as a slot is free")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Url").fill("https://b.example/")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The job is changed.")).to_be_visible()
    assert at.node.get(f"/jobs/{job}").json["url"] == "https://b.example/"
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Cancel").click()
    assert at.state(job) == "pending"
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("The job is cancelled.")).to_be_visible()
    assert at.state(job) == "cancelled"
    page.get_by_role("link", name="Retry with edits").click()
    page.get_by_label("Payload").fill('{"again": true}')
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_text("tried again")).to_be_visible()
    assert at.node.get(f"/jobs/{job}").json["payload"] == {"again": True}


def test_a_job_is_found_run_and_cancelled_with_the_keyboard_alone(at: At) -> None:
    job = at.node.create(delay="1h")["id"]
    page = at.open("/jobs")
    at.press("Tab", "Enter")  # skip to the content
    at.press("/")
    page.keyboard.type(job)
    at.press("Enter")
    page.wait_for_url(f"{at.root}/job/{job}")
    at.tab_to("Run now")
    at.press("Enter")
    expect(page.get_by_text("as soon as a slot is free")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    at.tab_to("Cancel")
    at.press("Enter")
    expect(page.get_by_text("The job is cancelled.")).to_be_visible()
    assert at.state(job) == "cancelled"


def test_a_filter_changes_the_list_and_the_address_without_a_new_page(at: At) -> None:
    page = at.open("/jobs")
    page.evaluate("window.isSamePage = true")
    page.get_by_label("State").select_option("dead")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    assert "state=dead" in page.url
    assert page.evaluate("window.isSamePage")
    page.get_by_label("State").select_option("succeeded")
    expect(page.get_by_role("heading", name="Nothing found")).to_be_visible()
    assert "state=succeeded" in (page.get_by_role("link", name="Cancel all found…").get_attribute("href") or "")


def test_dead_jobs_are_retried_together(at: At) -> None:
    made = [at.node.create(labels={"bulk": "1"})["id"] for _ in range(2)]
    for job in made:
        at.node.run(job, Outcome.PERMANENT_FAILURE)
    page = at.open("/dead?label=bulk%3D1")
    page.get_by_role("link", name="Retry all found…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Retry 2 jobs?")
    assert {at.state(job) for job in made} == {"dead"}
    page.get_by_role("button", name="Retry them").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2 jobs retried")
    assert {at.state(job) for job in made} == {"pending"}


def test_an_open_page_changes_as_the_job_does_and_keeps_the_focus(at: At) -> None:
    job = at.node.create(delay="1h")["id"]
    page = at.open(f"/job/{job}")
    page.get_by_role("button", name="Copy link").focus()
    at.node.claim(job)
    expect(page.locator(".badge.runs").first).to_be_visible()
    assert page.evaluate("document.activeElement.innerText") == "Copy link"
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#said")).to_have_text("Copied")


def test_the_overview_draws_what_happens(at: At) -> None:
    page = at.open()
    expect(page.locator("canvas")).to_have_count(4)
    expect(page.get_by_text("What needs attention")).to_be_visible()
    painted = """found => found.map(one => new Uint32Array(
        one.getContext('2d').getImageData(0, 0, one.width, one.height).data.buffer).some(Boolean))"""
    assert page.locator("canvas").evaluate_all(painted) == [True] * 4


def test_a_schedule_is_paused_and_a_destination_limited(at: At) -> None:
    page = at.open("/schedule/nightly")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert at.node.get("/schedules/nightly").json["paused"] is True
    page = at.open(f"/destination?host={DESTINATION}")
    page.get_by_label("At once, at most").fill("7")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The limits are changed.")).to_be_visible()
    assert at.node.get(f"/destinations/{DESTINATION}").json["concurrency"] == 7


def test_a_job_is_made_from_the_form_which_says_the_same_elsewhere(at: At) -> None:
    page = at.open("/new")
    page.get_by_label("Url").fill("https://typed.example/")
    expect(page.locator("#told")).to_contain_text("hookline jobs create https://typed.example/")
    page.get_by_role("button", name="Make the job").click()
    page.wait_for_url("**/job/*")
    job = at.node.get(f"/jobs/{page.url.split('/job/')[1].split('?')[0]}").json
    assert (job["url"], job["payload"]) == ("https://typed.example/", {"hello": "world"})


def test_whoever_has_a_key_signs_in_and_out(tmp_path: Path, page: Page) -> None:
    with node_with_pages(tmp_path, root_key=ROOT) as (node, _):
        page.goto(f"http://127.0.0.1:{node.port}/dashboard/jobs?state=dead")
        assert serious(page) == []
        page.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("does not hold")
        page.get_by_label("API key").fill(Guarded("node", node.port).new("read"))
        page.keyboard.press("Enter")
        page.wait_for_url("**/dashboard/jobs?state=dead")
        assert page.get_by_role("link", name="New").count() == 0
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/dashboard/sign-in")
