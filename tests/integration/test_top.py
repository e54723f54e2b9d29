"""`hookline top` in a real terminal, with keys, against real nodes and a proxy."""

import http.server
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import UNMEASURED, NodeProcess, answer_ok, journal_receiver, running_node, until
from tests.etcd_members import free_ports
from tests.integration.live_clusters import LiveClusters
from tests.terminal_screen import DOWN, ENTER, ESCAPE, TerminalScreen

HARM = "\x1b[2J\x1b]0;owned\x07\u202eevil"


def fail(handler: http.server.BaseHTTPRequestHandler, _body: bytes) -> None:
    handler.send_response(500)
    text = HARM.encode()
    handler.send_header("content-length", str(len(text)))
    handler.end_headers()
    handler.wfile.write(text)


class TopPlace:
    """A node with jobs that succeeded, and one that failed."""

    def __init__(self, node: NodeProcess, good: str, bad: str) -> None:
        self.node, self.good, self.bad = node, good, bad
        self.url = f"http://127.0.0.1:{node.port}"
        self.failed = self.make(bad, retry={"max_attempts": 1})
        until(lambda: node.call("GET", f"/jobs/{self.failed}")[1]["state"] == "dead", "it is dead")

    def make(self, url: str, **fields: Any) -> str:
        status, job = self.node.call("POST", "/jobs", {"url": f"{url}/hook", **fields})
        assert status == 201, job
        return str(job["id"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TopPlace]:
    with (
        journal_receiver(answer_ok) as (good, _),
        journal_receiver(fail) as (bad, _),
        running_node(tmp_path_factory.mktemp("node") / "data") as node,
    ):
        yield TopPlace(node, f"http://127.0.0.1:{good}", f"http://127.0.0.1:{bad}")


def command(url: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "hookline.cli.app", "top", "--url", url, "--interval", "0.2", *options]


def top(url: str, *options: str, columns: int = 100, lines: int = 30, **environment: str) -> TerminalScreen:
    return TerminalScreen(command(url, *options), columns, lines, UNMEASURED | {"TERM": "xterm-256color"} | environment)


def rows(shown: str) -> list[str]:
    """The rows of the clusters and the destinations."""
    return [line[2:] for line in shown.splitlines() if line.startswith(("▸ ", "  ")) and line[2:3].strip()]


def test_keys_lead_from_all_clusters_to_the_story_of_a_job_and_back(place: TopPlace) -> None:
    with top(place.url) as screen:
        shown = screen.until("▸ c0")
        assert "ok" in shown
        assert "slots 0/100" in shown
        assert place.bad in shown
        screen.type(ENTER)
        assert "cluster c0 · shard 0" in (shown := screen.until("RUNNER"))
        assert "n1" in shown
        screen.type(ESCAPE)
        screen.until("▸ c0")
        screen.type(DOWN)
        shown = screen.until("▸ http://")
        while f"▸ {place.bad}" not in shown:
            screen.type(DOWN)
            shown = screen.until(lambda now, before=shown: now != before)  # type: ignore[misc]
        screen.type(ENTER)
        shown = screen.until(f"▸ {place.failed}")
        assert "dead" in shown
        assert "500" in shown
        screen.type("l")
        shown = screen.until("Dead: it is not tried again by itself")
        assert "Attempt 1 failed" in shown
        assert "\\x1b[2J\\x1b]0;owned\\x07\\u202eevil" in shown  # what a receiver says is shown, and obeyed by nothing
        assert b"\x1b]0;owned" not in screen.sent
        screen.type(ESCAPE)
        screen.until(f"▸ {place.failed}")
        screen.type("h")
        screen.until("CLUSTER")
        screen.type("q")
        assert screen.ended() == 0
        assert screen.is_as_before()


def test_it_shows_what_happens_while_it_runs(place: TopPlace) -> None:
    with top(place.url) as screen:
        screen.until("attempts/s")
        for _ in range(20):
            place.make(place.good)
        screen.until(lambda shown: "100.0% succeed" in shown and "lag p50 -" not in shown)
        place.make(place.good, delay="1h")
        screen.until(lambda shown: "backlog 0" not in shown)


def test_a_paused_picture_stays_until_it_goes_on(place: TopPlace) -> None:
    with top(place.url) as screen:
        screen.until("attempts/s")
        screen.type(" ")
        before = screen.until("paused")
        place.make(place.good, delay="1h")
        for _ in range(20):  # keys still do; by then it would have looked again
            screen.type(DOWN)
            assert backlog(screen.until("▸ http://")) == backlog(before)
            screen.type("k")
            assert backlog(screen.until("▸ c0")) == backlog(before)
        screen.type("p")
        screen.until(lambda shown: "  paused" not in shown and backlog(shown) != backlog(before))
        screen.type("\x03")
        assert screen.ended() == 130
        assert screen.is_as_before()


def backlog(shown: str) -> str:
    return shown.partition("backlog ")[2].split()[0]


def test_a_narrow_terminal_shows_less_and_one_that_grows_more(place: TopPlace) -> None:
    with top(place.url, columns=40, lines=12) as screen:
        shown = screen.until("▸ c0")
        assert "BACKLOG" in shown
        assert "LEADER" not in shown
        screen.resize(120, 40)
        screen.until("LEADER")


def test_without_colour_what_is_chosen_still_shows(place: TopPlace) -> None:
    with top(place.url) as screen:
        screen.until("▸ c0")
        assert screen.colours() > {"default"}
    with top(place.url, NO_COLOR="1") as screen:
        screen.until("▸ c0")
        assert screen.colours() == {"default"}


def test_a_service_that_goes_away_is_told_and_one_that_never_was_too(tmp_path: Path) -> None:
    with running_node(tmp_path / "data") as node, top(f"http://127.0.0.1:{node.port}") as screen:
        screen.until("▸ c0")
        node.stop()
        assert "▸ c0" in screen.until("no answer: ")  # what was seen last stays
    with top(f"http://127.0.0.1:{free_ports(1)[0]}") as screen:
        screen.until("no answer: ")
        screen.type("q")
        assert screen.ended() == 0


def test_where_there_is_no_terminal_it_prints_one_picture(place: TopPlace) -> None:
    done = subprocess.run(command(place.url), capture_output=True, text=True, check=True, env=UNMEASURED)
    assert "\x1b" not in done.stdout
    assert "CLUSTER" in done.stdout
    assert place.bad in done.stdout
    with top(place.url, "--once") as screen:
        screen.until("DESTINATION")
        assert screen.ended() == 0
        assert b"\x1b[?1049h" not in screen.sent  # not on a screen of its own


def test_its_json_is_one_document(place: TopPlace) -> None:
    done = subprocess.run(command(place.url, "--json"), capture_output=True, text=True, check=True, env=UNMEASURED)
    found = json.loads(done.stdout)
    assert found["clusters"][0] | {"name": "c0", "state": "ok", "leader": "n1", "slots": 100} == found["clusters"][0]
    assert found["total"]["dead"] >= 1
    assert {one["host"] for one in found["destinations"]} >= {place.bad}
    assert any("dead" in one["text"] for one in found["concerns"])


def test_a_service_that_is_not_there_is_an_error_of_one_picture() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    done = subprocess.run(command(url, "--once"), capture_output=True, text=True, check=False, env=UNMEASURED)
    assert done.returncode == 1
    assert "code: connection_failed" in done.stderr


def test_a_proxy_shows_all_clusters_with_the_one_that_is_down_and_sorts_them(tmp_path: Path) -> None:
    clusters = LiveClusters(tmp_path, 3)
    try:
        door = clusters.open_proxy(clusters.topology(1, "c0", "c1", "c2"))
        for number in range(3):
            clusters.doors["c1"].post("/jobs", {"url": "https://example.com/", "delay": "1h", "id": f"j{number}"})
        with top(f"http://127.0.0.1:{door.port}") as screen:
            shown = screen.until(lambda now: all(f" {name} " in now for name in ("c0", "c1", "c2")))
            assert [row.split()[0] for row in rows(shown) if row.startswith("c")][:3] == ["c0", "c1", "c2"]
            screen.type("s")
            screen.until(lambda now: [row.split()[0] for row in rows(now) if row.startswith("c")][:1] == ["c1"])
            clusters.stop("c2")
            shown = screen.until("unreachable")
            assert "The cluster c2 cannot be reached" in shown
    finally:
        clusters.close()
