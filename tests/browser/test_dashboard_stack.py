"""The dashboard of a proxy before three clusters, all of them processes, while jobs run and a node is killed."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.fleet import Fleet, ServedNode, running
from tests.end_to_end.processes import journal_receiver


@pytest.mark.slow
def test_an_open_page_tells_what_happens_to_three_clusters(tmp_path: Path, page: Page) -> None:
    nodes = [ServedNode(tmp_path / f"c{shard}", shard) for shard in range(3)]
    with journal_receiver() as (port, _), running(Fleet(nodes, 1, tmp_path, {})) as fleet:
        proxy = fleet.proxies[0]
        page.goto(f"http://{proxy.address}/dashboard")
        page.evaluate("window.isSamePage = true")
        expect(page.get_by_role("heading", name="All is well")).to_be_visible()
        jobs = [{"url": f"http://127.0.0.1:{port}/"} for _ in range(60)]
        proxy.call("POST", "/jobs/batch", {"jobs": jobs})
        throughput = page.locator(".tile", has_text="Success rate").locator(".figure")
        expect(throughput).to_have_text("100.0 %")

        fleet.nodes["c1"].kill()
        expect(page.get_by_text("The cluster c1 cannot be reached")).to_be_visible()
        expect(page.locator("tr", has_text="cannot be reached")).to_have_count(1)
        fleet.nodes["c1"].start()
        expect(page.get_by_role("heading", name="All is well")).to_be_visible()
        assert page.evaluate("window.isSamePage"), "nobody has loaded it again"

        assert proxy.stop() == 0, "an open page does not keep a proxy from ending"
