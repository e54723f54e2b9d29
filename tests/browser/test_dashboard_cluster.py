"""The dashboard of a follower, while its cluster's leader hands over and is killed, with a page open."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.hands import HANDS
from tests.chaos.cluster import Cluster
from tests.end_to_end.processes import until


@pytest.mark.slow
def test_an_open_page_and_its_buttons_outlive_two_leaders(tmp_path: Path, page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    hand = HANDS["keys"](page)
    # The browser's event loop is this thread's: what needs one of its own to start goes to another.
    with ThreadPoolExecutor(1) as elsewhere, closing(Cluster(tmp_path)) as cluster:
        elsewhere.submit(cluster.__enter__).result()
        first = cluster.leader()
        watched = cluster.followers()[0]
        assert watched.call("POST", "/jobs", {"id": "a", "url": "https://example.com/", "delay": "9h"})[0] == 201
        page.goto(f"{watched.url}/dashboard/clusters")
        hand.press("Hand over c0")
        expect(page.get_by_text("another node leads in a moment")).to_be_visible()
        until(lambda: cluster.leader() is not first, "another node leads")
        assert first.is_ok(), "it has not ended"

        if cluster.leader() is watched:  # then it hands over too, so that the page stays where it is
            assert watched.call("POST", "/cluster/handover")[0] == 202
            until(lambda: cluster.leader() is not watched, "another node leads")
        page.goto(f"{watched.url}/dashboard/job/a")
        page.evaluate("window.isSamePage = true")
        cluster.leader().kill()
        cluster.wait_until_serving()
        assert watched.call("POST", "/jobs/a/cancel")[0] == 200
        expect(page.locator(".badge").first).to_have_text("cancelled")
        assert page.evaluate("window.isSamePage"), "nobody has loaded it again"
        hand.press("Retry")
        expect(page.get_by_text("tried again")).to_be_visible()
        state = watched.call("GET", "/jobs/a")[1]["state"]
        assert state in ("pending", "running", "succeeded", "dead"), "it is not cancelled any more"
