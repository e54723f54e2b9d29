"""The page of clusters: how far a move is, and what an operator does about it, about a leader and about the mode."""

from pathlib import Path

from hookline.dashboard.app import dashboard_routes
from tests.dashboard_visitor import PageOf, Visitor
from tests.end_to_end.processes import until
from tests.integration.dashboard_parts import node_with_pages, proxy_with_pages
from tests.integration.keyed_servers import ROOT
from tests.integration.live_clusters import LiveClusters, status
from tests.integration.proxy_under_test import FrontDoor
from tests.integration.test_dashboard import signed_in


def homes(door: FrontDoor) -> set[str]:
    return {door.get(f"/jobs/j{number}").headers["hookline-cluster"] for number in range(40)}


def acted(visitor: Visitor, path: str) -> PageOf:
    """The page after one of its buttons was pressed."""
    return visitor.follow(visitor.submit(visitor.get("/clusters"), path))


def test_a_move_is_followed_paused_taken_back_and_let_go_on(fleet: LiveClusters) -> None:
    door = fleet.open_proxy(fleet.topology(1, "c0"), routes=dashboard_routes("on"))
    visitor = Visitor(door.port)
    assert "No change is under way" in visitor.get("/clusters").text
    for number in range(40):
        door.post("/jobs", {"id": f"j{number}", "url": "https://example.com/", "delay": "9h"})
    assert door.call("PUT", "/topology", fleet.topology(2, "c0", "c1", move={"paused": True})).status == 200
    page = visitor.get("/clusters")
    assert "A change is under way" in page.text
    assert "Nothing moves until it is resumed." in page.text
    assert '<td data-name="from">c0</td><td data-name="to">c1</td>' in page.text
    assert '<td class="tight number" data-name="jobs moved">0</td>' in page.text
    assert "/dashboard/clusters/move/pause" not in page.forms
    assert "It goes on." in acted(visitor, "/clusters/move/resume").text
    until(lambda: status(door)["state"] == "stable", "all has moved")
    assert homes(door) == {"c0", "c1"}
    epoch = status(door)["epoch"] + 1
    assert door.call("PUT", "/topology", fleet.topology(epoch, "c0", move={"rate": 1})).status == 200
    assert "Nothing moves until it is resumed." in acted(visitor, "/clusters/move/pause").text
    assert status(door)["state"] == "paused"
    assert "What has moved goes back." in acted(visitor, "/clusters/move/abort").text
    until(lambda: status(door)["state"] == "stable", "all is back")
    assert homes(door) == {"c0", "c1"}
    assert "No change is under way" in visitor.get("/clusters").text


def test_an_operator_changes_the_mode_of_a_node_and_of_a_cluster(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (node, visitor):
        visitor.submit(visitor.get("/clusters"), "/clusters/mode", mode="workers")
        assert node.get("/cluster").json["mode"] == "workers"
        refused = visitor.submit(visitor.get("/clusters"), "/clusters/mode", mode="nobody")
        assert (refused.status, node.get("/cluster").json["mode"]) == (400, "workers")
        page = visitor.get("/clusters")
        assert "/dashboard/clusters/handover" not in page.forms, "there is nobody to hand over to"
        given_up = visitor.send("/clusters/handover", page.forms["/dashboard/clusters/mode"])
        assert given_up.status == 409
        assert "there is no other to hand over to" in given_up.text
    with proxy_with_pages(tmp_path / "proxy") as (clusters, visitor):
        form = visitor.get("/clusters").forms["/dashboard/clusters/mode"] | {"name": "c1", "mode": "hybrid"}
        assert visitor.send("/clusters/mode", form).status == 303
        door = clusters.start_proxy()
        assert [one["mode"] for one in door.get("/clusters").json["data"]] == ["leader", "hybrid"]


def test_without_the_scope_there_is_no_button_and_no_way_around(tmp_path: Path) -> None:
    with node_with_pages(tmp_path, root_key=ROOT) as (node, _):
        visitor = signed_in(node, "read", "write", "cancel")
        assert "/dashboard/clusters/mode" not in visitor.get("/clusters").forms
        token = visitor.get("/new").forms["/dashboard/new"]["token"]
        for path in ("mode", "handover", "move/pause", "move/resume", "move/abort"):
            form = {"token": token, "name": "c0", "mode": "workers"}
            assert visitor.send(f"/clusters/{path}", form).status == 403
        assert "leader" in visitor.get("/clusters").text
