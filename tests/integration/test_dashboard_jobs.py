"""Jobs on the dashboard: found, shown harmlessly, changed by whoever may, one by one and many at once."""

import http.client
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest

from hookline.node.state_machine import reads
from hookline.protocol.commands import RecordOutcome
from hookline.protocol.jobs import Outcome, State
from tests.dashboard_visitor import Visitor
from tests.integration.dashboard_parts import node_with_pages, proxy_with_pages
from tests.integration.keyed_servers import ROOT, Guarded
from tests.integration.node_under_test import NodeUnderTest

HARM = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def open_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeUnderTest, Visitor]]:
    with node_with_pages(tmp_path_factory.mktemp("open")) as found:
        yield found


def dead(node: NodeUnderTest, **fields: object) -> str:
    """A job that failed for good."""
    job = node.create(**fields)
    node.run(job["id"], Outcome.PERMANENT_FAILURE)
    return str(job["id"])


def state_of(node: NodeUnderTest, job_id: str) -> str:
    return str(node.get(f"/jobs/{job_id}").json["state"])


def test_the_list_shows_jobs_and_finds_them(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    node, visitor = open_node
    first = node.create(id="find-1", labels={"find": "1"}, url="https://one.example/a")
    node.create(id="find-2", labels={"find": "2"}, url="https://two.example/b")
    for question in (
        "label=find%3D1",
        "q=https://one.example/a%3Fb",
        "destination=https://one.example",
        "label=find=1&age=1h",
    ):
        text = visitor.get(f"/jobs?{question}").text
        assert "find-1" in text, question
        assert "find-2" not in text, question
    assert visitor.get("/jobs?q=find-1").headers["location"] == "/dashboard/job/find-1"
    assert visitor.get("/jobs?q=find-1", HX_Request="true").headers["hx-redirect"] == "/dashboard/job/find-1"
    assert "No job has that id" in visitor.get("/jobs?q=nobody").text
    assert "Nothing found" in visitor.get("/jobs?label=nothing").text
    wrong = visitor.get("/jobs?state=odd")
    assert wrong.status == 400
    assert "state" in wrong.text
    assert first["id"] in visitor.get("/jobs?state=pending&label=find").text


def test_a_long_list_goes_on(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (node, visitor):
        node.post("/jobs/batch", {"jobs": [{"id": f"j{n:03}", "url": "https://a.example/"} for n in range(60)]})
        page = visitor.get("/jobs")
        assert page.text.count("/dashboard/job/j") == 50
        older = page.text.split('href="/dashboard/jobs?cursor=')[1].split('"')[0]
        rest = visitor.get(f"/jobs?cursor={older}")
        assert rest.text.count("/dashboard/job/j") == 10
        assert "Newest" in rest.text


def test_an_empty_service_says_what_to_do(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (_, visitor):
        assert "curl -X POST" in visitor.get("/jobs").text
        assert "No job is dead" in visitor.get("/dead").text


def test_whatever_users_and_receivers_chose_is_shown_harmlessly(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    node, visitor = open_node
    job = node.create(
        url=f"https://h.example/{quote(HARM)}",
        labels={HARM: "\u202eabc", "x": '"><img src=x onerror=alert(1)>'},
        headers={"x-note": f"</pre>{HARM}"},
        payload={"a": HARM, "b": "\u202e\u0007", "n": 12345678901234567890},
    )
    node.claim(job["id"])
    [(seq,)] = node.rows("SELECT seq FROM jobs WHERE id = ?", job["id"])
    harm = f"{HARM}\x1b]0;title\x07\u202e" + "x" * 20_000
    now_ms = node.clock.wall_ms()
    node.propose(
        RecordOutcome(
            *(seq, 1, Outcome.PERMANENT_FAILURE, State.DEAD, None, 500, harm[:200], now_ms, 12),
            *((("x-evil", HARM),), harm.encode()[:16_000], "n1", 1),
        )
    )
    for path in (f"/job/{job['id']}", f"/job/{job['id']}/edit", f"/jobs?label={quote(HARM)}", f"/jobs?q={quote(HARM)}"):
        text = visitor.get(path).text
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
        assert not {"\x1b", "\x07", "\u202e"} & set(text), path
    text = visitor.get(f"/job/{job['id']}").text
    assert r"&lt;script&gt;alert(1)&lt;/script&gt;\x1b]0;title\x07\u202e" in text
    assert "12345678901234567890" in text


def test_a_job_can_be_run_changed_cancelled_and_retried(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    node, visitor = open_node
    job = node.post("/jobs", b'{"url": "https://a.example/", "delay": "1h", "payload": {"n": 1.50}}').json
    path = f"/job/{job['id']}"
    ran = visitor.submit(visitor.get(path), f"{path}/run")
    assert "as soon as a slot is free" in visitor.follow(ran).text
    assert node.get(f"/jobs/{job['id']}").json["run_at"] < job["run_at"]

    edit = visitor.get(f"{path}/edit")
    assert edit.forms[f"/dashboard{path}/edit"]["payload"] == '{"n": 1.50}'
    wrong = visitor.submit(edit, f"{path}/edit", url="ftp://x", payload="[2]")
    assert wrong.status == 400
    assert "url: " in wrong.text
    assert wrong.forms[f"/dashboard{path}/edit"]["payload"] == "[2]", "what was typed stays"
    assert visitor.submit(edit, f"{path}/edit", url="https://b.example/").status == 303
    changed = node.get(f"/jobs/{job['id']}")
    assert changed.json["url"] == "https://b.example/"
    assert b'{"n": 1.50}' in changed.body, "what nobody changed is as it was"

    assert visitor.submit(visitor.get(path), f"{path}/cancel").status == 303
    assert state_of(node, job["id"]) == "cancelled"
    retried = visitor.submit(visitor.get(f"{path}/edit"), f"{path}/edit", payload="[3]", headers="x-b: 2")
    assert "tried again" in visitor.follow(retried).text
    again = node.get(f"/jobs/{job['id']}").json
    assert (again["state"], again["payload"], again["headers"]) == ("pending", [3], {"x-b": "2"})
    assert visitor.submit(visitor.get(path), f"{path}/cancel").status == 303
    assert visitor.submit(visitor.get(path), f"{path}/retry").status == 303
    assert state_of(node, job["id"]) == "pending"


def test_what_comes_too_late_says_why(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    node, visitor = open_node
    job = node.create()
    page = visitor.get(f"/job/{job['id']}")
    node.run(job["id"])
    late = visitor.submit(page, f"/job/{job['id']}/cancel")
    assert late.status == 409
    assert "job_finished" in late.text
    assert visitor.get("/job/nobody").status == 404


def test_dead_jobs_are_counted_and_then_retried(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (node, visitor):
        mine = [dead(node, labels={"team": "a"}) for _ in range(3)]
        other = dead(node, labels={"team": "b"})
        counted = visitor.get("/bulk?action=retry&state=dead&label=team%3Da")
        assert "Retry 3 jobs?" in counted.text
        assert {state_of(node, one) for one in [*mine, other]} == {"dead"}
        assert "3 jobs retried" in visitor.submit(counted, "/bulk").text
        assert {state_of(node, one) for one in mine} == {"pending"}
        assert state_of(node, other) == "dead"
        cancelled = visitor.submit(visitor.get("/bulk?action=cancel&label=team%3Da"), "/bulk")
        assert "3 jobs cancelled" in cancelled.text
        assert {state_of(node, one) for one in mine} == {"cancelled"}
        assert visitor.get("/bulk?action=delete").status == 400


@pytest.mark.parametrize(
    ("scopes", "there", "missing"),
    [
        (["read"], [], ["Run now", "Edit", "Cancel this job"]),
        (["read", "cancel"], ["Cancel this job"], ["Run now", "Edit"]),
        (["read", "write"], ["Run now", "Edit"], ["Cancel this job"]),
    ],
)
def test_a_key_decides_which_buttons_there_are(
    tmp_path: Path, scopes: list[str], there: list[str], missing: list[str]
) -> None:
    with node_with_pages(tmp_path, root_key=ROOT) as (node, visitor):
        guarded = Guarded("node", node.port)
        job = guarded.call("POST", "/jobs", {"url": "https://a.example/", "delay": "1h"}).json
        entered = visitor.submit(visitor.get("/sign-in"), "/sign-in", key=guarded.new(*scopes))
        token = visitor.follow(entered).forms["/dashboard/sign-out"]
        text = visitor.get(f"/job/{job['id']}").text
        assert [word for word in (*there, *missing) if word in text] == there
        for action, scope in (("run", "write"), ("cancel", "cancel"), ("retry", "write"), ("edit", "write")):
            if scope not in scopes:
                assert visitor.send(f"/job/{job['id']}/{action}", token).status == 403
        if "write" not in scopes:
            assert visitor.send("/bulk", token | {"action": "retry"}).status == 403
        assert guarded.call("GET", f"/jobs/{job['id']}").json["state"] == "pending"


def test_read_only_changes_nothing_whatever_the_key_may_do(tmp_path: Path) -> None:
    with node_with_pages(tmp_path, "read-only") as (node, visitor):
        job = node.create(delay="1h")
        page = visitor.get(f"/job/{job['id']}")
        assert "Read-only" in page.text
        assert "Run now" not in page.text
        for action in ("run", "cancel", "edit"):
            assert visitor.send(f"/job/{job['id']}/{action}", {"token": "x"}).status == 403
        assert "read-only" in visitor.get("/bulk?action=retry").text
        assert state_of(node, job["id"]) == "pending"


def test_a_page_that_is_open_gets_what_changes(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    node, visitor = open_node
    job = node.create(delay="1h", labels={"live": "1"})
    for path in (f"/job/{job['id']}", "/jobs?label=live"):
        live = visitor.get(path).text.split('data-live="')[1].split('"')[0].replace("&amp;", "&")
        connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
        connection.request("GET", live)
        stream = connection.getresponse()
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.readline() == b"retry: 3000\n"
        node.call("PATCH", f"/jobs/{job['id']}", {"url": f"https://live.example{path.split('?')[0]}"})
        lines = iter(stream.readline, b"")
        assert next(line for line in lines if line.startswith(b"event")) == b"event: part\n"
        assert any(b"https://live.example" in line for line in lines)
        connection.close()


def opened(port: int, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    return connection, connection.getresponse()


def test_a_stream_goes_through_a_front_and_ends_with_its_client(tmp_path: Path) -> None:
    with node_with_pages(tmp_path, has_front=True) as (node, _):
        path = f"/dashboard/job/{node.create(delay='1h')['id']}/stream"
        for _ in range(3):  # of 40 are more than there may be at once
            streams: list[tuple[http.client.HTTPConnection, http.client.HTTPResponse]] = []
            while len(streams) < 40:
                connection, stream = opened(node.port, path)
                if stream.status == 204:  # the node has not heard yet that the others are gone
                    connection.close()
                    continue
                assert b"event: part\n" in iter(stream.readline, b"")
                streams.append((connection, stream))
            for connection, stream in streams:
                stream.close()
                connection.close()


def test_streams_are_bounded_and_end_with_the_process(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (node, visitor):
        job = node.create(delay="1h")
        streams = []
        for _ in range(100):
            connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
            connection.request("GET", f"/dashboard/job/{job['id']}/stream")
            stream = connection.getresponse()
            assert stream.readline()
            streams.append((connection, stream))
        assert visitor.get(f"/job/{job['id']}/stream").status == 204
        node.is_stopping = True
        for connection, stream in streams:
            assert stream.read()
            connection.close()


def test_a_search_says_how_far_it_came_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "WINDOW_ROWS", 10)
    monkeypatch.setattr(reads, "SCAN_ROWS_MAX", 10)
    with proxy_with_pages(tmp_path) as (clusters, visitor):
        rare = [node.create(url="https://rare.example/")["id"] for node in clusters.nodes.values()]
        for node in clusters.nodes.values():
            node.post("/jobs/batch", {"jobs": [{"url": "https://example.com/"}] * 15})
        text = visitor.get("/jobs?destination=https://rare.example").text
        assert "Nothing found so far" in text
        (path,) = re.findall(r'<a class="button main" href="/dashboard([^"]*)">Search on</a>', text)
        found = visitor.get(unescape(path)).text
        assert [one in found for one in rare] == [True, True]
        assert "Search on" not in found


def test_a_proxy_shows_the_jobs_of_all_clusters(tmp_path: Path) -> None:
    with proxy_with_pages(tmp_path) as (clusters, visitor):
        made = [node.create(id=f"at-{name}") for name, node in clusters.nodes.items()]
        assert len(made) == 2
        text = visitor.get("/jobs").text
        assert "at-c0" in text
        assert "at-c1" in text
        clusters.stop("c1")
        page = visitor.get("/jobs")
        assert "at-c0" in page.text
        assert "missing here: c1" in page.text
