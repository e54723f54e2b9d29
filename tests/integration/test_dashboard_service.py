"""Schedules, destinations, clusters, and the forms that make something, over real sockets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboard_visitor import Visitor
from tests.integration.dashboard_parts import node_with_pages, proxy_with_pages
from tests.integration.keyed_servers import ROOT, Guarded
from tests.integration.node_under_test import NodeUnderTest

JOB = {"url": "https://a.example/tick", "payload": {"n": 1}}
DESTINATION = "https://a.example:443"


@pytest.fixture(scope="module")
def open_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeUnderTest, Visitor]]:
    with node_with_pages(tmp_path_factory.mktemp("open")) as found:
        yield found


def test_a_schedule_is_made_from_a_form_and_steered(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    node, visitor = open_node
    form = visitor.get("/new/schedule")
    sent = {"id": "made", "cron": "0 9 * * *", "timezone": "Europe/Berlin", "url": "https://a.example/tick"}
    made = visitor.submit(form, "/new/schedule", **sent)
    assert made.headers["location"] == "/dashboard/schedule/made?done=made"
    page = visitor.get("/schedule/made")
    assert page.text.count("09:00:00 +0") == 10
    assert "made" in visitor.get("/schedules").text
    for action, paused in (("pause", True), ("resume", False)):
        visitor.submit(visitor.get("/schedule/made"), f"/schedule/made/{action}")
        assert node.get("/schedules/made").json["paused"] is paused
    ran = visitor.submit(page, "/schedule/made/run")
    job = node.get(ran.headers["location"].removeprefix("/dashboard/job/").join(["/jobs/", ""]).split("?")[0]).json
    assert job["schedule"] == "made"
    assert job["id"] in visitor.get("/schedule/made").text
    edit = visitor.get("/schedule/made/edit")
    wrong = visitor.submit(edit, "/schedule/made/edit", cron="61 * * * *")
    assert wrong.status == 400
    assert "cron: " in wrong.text
    assert visitor.submit(edit, "/schedule/made/edit", job="[]").status == 400
    assert (
        visitor.submit(edit, "/schedule/made/edit", cron="5 4 * * *", job='{"url": "https://b.example/"}').status == 303
    )
    changed = node.get("/schedules/made").json
    assert (changed["cron"], changed["job"]["url"]) == ("5 4 * * *", "https://b.example/")
    assert visitor.submit(page, "/schedule/made/delete").headers["location"] == "/dashboard/schedules?done=deleted"
    assert node.get("/schedules/made").status == 404


def test_next_runs_are_those_between_start_and_end(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    node, visitor = open_node
    span = {"start_at": "2090-06-01T09:00:00Z", "end_at": "2090-06-02T10:00:00Z"}
    assert node.post("/schedules", {"id": "span", "cron": "0 9 * * *", "job": JOB, **span}).status == 201
    page = visitor.get("/schedule/span")
    assert [f"2090-06-0{day} 09:00:00" in page.text for day in (1, 2, 3)] == [True, True, False]
    assert node.call("DELETE", "/schedules/span").status == 204


def test_a_job_is_made_from_a_form(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    node, visitor = open_node
    form = visitor.get("/new")
    sent = {"url": "https://a.example/", "payload": '{"n": 1.50}', "labels": "a=b", "delay": "1h", "max_attempts": "2"}
    told = visitor.send("/new/told", form.forms["/dashboard/new"] | sent)
    assert told.text.count("<pre") == 3
    assert "&#34;n&#34;: 1.50" in told.text
    made = visitor.submit(form, "/new", **sent)
    path = made.headers["location"].removeprefix("/dashboard").split("?")[0]
    job = node.get(f"/jobs/{path.removeprefix('/job/')}")
    assert b'{"n": 1.50}' in job.body
    assert (job.json["labels"], job.json["retry"]["max_attempts"]) == ({"a": "b"}, 2)
    assert "The job is accepted" in visitor.follow(made).text
    for changes in ({"url": "ftp://a"}, {"payload": "{"}, {"labels": "x"}, {"delay": "soon"}):
        wrong = visitor.submit(form, "/new", **(sent | changes))
        assert wrong.status == 400
        assert 'role="alert"' in wrong.text
        assert wrong.forms["/dashboard/new"] | changes == wrong.forms["/dashboard/new"], "what was typed stays"


def test_a_schedules_next_runs_are_shown_while_it_is_typed(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    _, visitor = open_node
    form = visitor.get("/new/schedule").forms["/dashboard/new/schedule"]
    assert visitor.send("/new/told", form | {"cron": "0 9 * * *"}).text.count("<li>") == 5
    assert "cron" in visitor.send("/new/told", form | {"cron": "0 9"}).text


def test_a_destination_is_limited_and_paused(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    node, visitor = open_node
    node.create(url="https://a.example/")
    assert DESTINATION in visitor.get("/destinations").text
    page = visitor.get(f"/destination?host={DESTINATION}")
    assert visitor.submit(page, "/destination", concurrency="5", limit="100", per="1m").status == 303
    kept = node.get(f"/destinations/{DESTINATION}").json
    assert (kept["concurrency"], kept["rate"]) == (5, {"limit": 100, "per": "1m"})
    assert visitor.submit(page, "/destination", concurrency="many").status == 400
    for action, paused in (("pause", True), ("resume", False)):
        page = visitor.get(f"/destination?host={DESTINATION}")
        visitor.follow(visitor.submit(page, f"/destination/{action}"))
        assert node.get(f"/destinations/{DESTINATION}").json["paused"] is paused
    assert visitor.submit(page, "/destination", concurrency="", limit="", per="").status == 303
    assert node.get(f"/destinations/{DESTINATION}").json["rate"] is None
    assert visitor.get("/destination").status == 404
    assert visitor.get("/destination?host=https://nobody.example").status == 404


def test_only_an_operator_limits_a_destination(tmp_path: Path) -> None:
    with node_with_pages(tmp_path, root_key=ROOT) as (node, visitor):
        guarded = Guarded("node", node.port)
        guarded.call("POST", "/jobs", {"url": "https://a.example/", "delay": "1h"})
        visitor.submit(visitor.get("/sign-in"), "/sign-in", key=guarded.new("read", "write"))
        page = visitor.get(f"/destination?host={DESTINATION}")
        assert "Pause" not in page.text
        token = page.forms["/dashboard/sign-out"]
        for path in ("/destination", "/destination/pause"):
            assert visitor.send(path, token | {"host": DESTINATION}).status == 403
        assert visitor.get("/clusters").status == 200
        assert "/dashboard/new" in page.text


def test_empty_lists_say_what_to_do(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (_, visitor):
        assert "Make a schedule" in visitor.get("/schedules").text
        assert "No destination yet" in visitor.get("/destinations").text
        assert "n1" in visitor.get("/clusters").text


def test_without_the_right_to_write_there_is_no_form(tmp_path: Path) -> None:
    with node_with_pages(tmp_path, "read-only") as (node, visitor):
        node.post("/schedules", {"id": "s", "cron": "0 9 * * *", "job": JOB})
        assert visitor.get("/new").status == 403
        page = visitor.get("/schedule/s")
        assert page.status == 200
        assert page.forms == {}


def test_a_proxy_shows_shares_and_finds_the_home_of_an_id(tmp_path: Path) -> None:
    with proxy_with_pages(tmp_path) as (clusters, visitor):
        page = visitor.get("/clusters?id=order-1")
        assert page.text.count("50.0 % of new ids") == 2
        assert "by the rule modulo" in page.text
        clusters.stop("c1")
        assert "cannot be reached" in visitor.get("/clusters").text
