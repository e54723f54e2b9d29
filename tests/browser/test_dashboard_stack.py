"""The dashboard of a proxy before three clusters, all of them processes, while jobs run and a node is killed."""

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser.hands import HANDS
from tests.end_to_end.fleet import Fleet, ServedNode, running
from tests.end_to_end.processes import journal_receiver

HARM = "<script>alert(1)</script><img src=x onerror=alert(2)>"
TURNED = "\u202egnp.exe\u2066"
BODY = (f"{HARM}\x1b]0;title\x07\x1b[31m{TURNED}".encode() * 200_000)[:10_000_000]


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


@pytest.mark.slow
@pytest.mark.parametrize("name", HANDS)
def test_what_is_done_while_a_leader_is_away_is_done_or_said_not_to_be(tmp_path: Path, page: Page, name: str) -> None:
    hand = HANDS[name](page)
    page.on("dialog", lambda dialog: dialog.accept())
    nodes = [ServedNode(tmp_path / f"c{shard}", shard) for shard in range(3)]
    with running(Fleet(nodes, 1, tmp_path, {})) as fleet:
        proxy = fleet.proxies[0]
        root = f"http://{proxy.address}/dashboard"
        ids = {cluster: fleet.name_for(cluster) for cluster in ("c0", "c1")}
        for job in ids.values():
            later = {"id": job, "url": "https://example.com/", "delay": "9h", "labels": {"team": "a"}}
            assert proxy.call("POST", "/jobs", later)[0] == 201
        page.goto(f"{root}/job/{ids['c1']}")
        page.evaluate("window.isSamePage = true")
        fleet.nodes["c1"].kill()
        hand.press("Cancel")
        expect(page.get_by_text("cluster_unavailable")).to_be_visible()

        page.goto(f"{root}/job/{ids['c0']}")
        hand.press("Run now")
        expect(page.get_by_text("as soon as a slot is free")).to_be_visible()
        hand.press("Cancel")
        expect(page.locator(".badge").first).to_have_text("cancelled")
        assert proxy.call("GET", f"/jobs/{ids['c0']}")[1]["state"] == "cancelled"

        page.goto(f"{root}/jobs")
        expect(page.get_by_text("missing here: c1")).to_be_visible()
        expect(page.locator(f"#job-{ids['c0']}")).to_be_visible()
        page.evaluate("window.isSamePage = true")
        fleet.nodes["c1"].start()
        expect(page.locator(f"#job-{ids['c1']}")).to_be_visible()
        assert page.evaluate("window.isSamePage"), "nobody has loaded it again"
        page.goto(f"{root}/job/{ids['c1']}")
        hand.press("Cancel")
        expect(page.get_by_text("The job is cancelled.")).to_be_visible()
        assert proxy.call("GET", f"/jobs/{ids['c1']}")[1]["state"] == "cancelled"


class Hostile(BaseHTTPRequestHandler):
    """Answers with 10 MB of markup, escape sequences and characters that turn text around."""

    def do_POST(self) -> None:
        self.send_response(500)
        self.send_header("content-type", "text/html")
        self.send_header("x-evil", HARM)
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        with suppress(ConnectionError):  # whoever calls reads no more than it wants
            self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.slow
def test_what_a_hostile_receiver_answers_is_text_and_no_more(tmp_path: Path, page: Page) -> None:
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    said: list[str] = []

    def refuse(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    node = ServedNode(tmp_path / "c0", 0)
    try:
        node.start()
        job = {"id": "hostile", "url": f"http://127.0.0.1:{receiver.server_port}/{quote(HARM)}", "payload": TURNED}
        labels = {"labels": {"team": TURNED, "x": HARM}, "retry": {"max_attempts": 1}}
        assert node.call("POST", "/jobs", job | labels)[0] == 201
        for path in ("/job/hostile", "/jobs", "/dead", "/job/hostile/edit"):
            page.goto(f"http://{node.address}/dashboard{path}")
            if path == "/job/hostile":
                expect(page.locator(".badge").first).to_have_text("dead")
                page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
                expect(page.get_by_text("alert(1)").first).to_be_visible()
            assert page.evaluate("document.querySelectorAll('main script, main img, main iframe').length") == 0, path
            text = page.evaluate("document.documentElement.outerHTML")
            assert not {"\x1b", "\u202e", "\u2066"} & set(text), path
            assert len(text) < 150_000, path
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        assert said == []
    finally:
        node.kill()
        receiver.shutdown()
        receiver.server_close()
