"""The dashboard as a browser without scripts has it: what it loads, who gets in, and which forms are taken."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hookline.dashboard.app import dashboard_routes
from hookline.errors import RouteNotFound
from tests.dashboard_visitor import Visitor
from tests.integration.dashboard_parts import node_with_pages, proxy_with_pages
from tests.integration.keyed_servers import ROOT, Guarded
from tests.integration.node_under_test import NodeUnderTest

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"


@pytest.fixture(scope="module")
def open_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NodeUnderTest, Visitor]]:
    """A node that asks nobody for a key."""
    with node_with_pages(tmp_path_factory.mktemp("open")) as found:
        yield found


@pytest.fixture(scope="module")
def keyed_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    with node_with_pages(tmp_path_factory.mktemp("keyed"), root_key=ROOT) as (node, _):
        yield node


def signed_in(node: NodeUnderTest, *scopes: str) -> Visitor:
    """Somebody with a new key of these scopes; without any, with the root key."""
    key = Guarded("node", node.port).new(*scopes) if scopes else ROOT
    visitor = Visitor(node.port)
    assert visitor.submit(visitor.get("/sign-in"), "/sign-in", key=key).status == 303
    return visitor


def test_without_a_job_the_first_page_says_how_to_make_one(tmp_path: Path) -> None:
    with node_with_pages(tmp_path) as (node, visitor):
        page = visitor.get()
        assert page.status == 200
        assert f"http://127.0.0.1:{node.port}/jobs" in page.text
        assert "No job yet" in page.text


def test_every_page_forbids_what_it_does_not_need(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    _, visitor = open_node
    for path in ("", "/sign-in", "/nothing/here"):
        headers = visitor.get(path).headers
        assert headers["content-security-policy"].startswith(POLICY)
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert headers["hookline-node"] == "n1"
    text = visitor.get().text
    assert not re.search(r"\son\w+=|style=|<style|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_what_a_page_loads_comes_from_here_and_is_kept(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    _, visitor = open_node
    loaded = re.findall(r'(?:src|href)="([^"]+\.(?:js|css|svg))"', visitor.get().text)
    assert len(loaded) >= 4
    for path in loaded:
        assert path.startswith("/dashboard/assets/")
        asset = visitor.get(path.removeprefix("/dashboard"))
        assert asset.status == 200
        assert "immutable" in asset.headers["cache-control"]
    assert visitor.get("/assets/0/dashboard.css").headers["cache-control"] == "no-store"
    assert visitor.get("/assets/0/../app.py").status == 404


def test_unknown_pages_and_methods_say_so(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    _, visitor = open_node
    nothing = visitor.get("/nothing")
    assert nothing.status == 404
    assert f"<h1>{RouteNotFound.title()}</h1>" in nothing.text
    assert visitor.get("/").status == 404
    assert visitor.ask("DELETE", "").status == 405
    assert visitor.ask("HEAD", "").text == ""


def test_where_nobody_is_asked_for_a_key_nobody_signs_in(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    _, visitor = open_node
    assert visitor.get("/sign-in").headers["location"] == "/dashboard"
    assert "Sign out" not in visitor.get().text


@pytest.mark.parametrize("is_behind_a_front", [False, True])
def test_whoever_signs_in_gets_where_they_wanted(tmp_path: Path, is_behind_a_front: bool) -> None:
    with node_with_pages(tmp_path, has_front=is_behind_a_front, root_key=ROOT) as (_, visitor):
        sent_to = visitor.get("?done=nothing")
        assert sent_to.headers["location"] == "/dashboard/sign-in?next=%2Fdashboard%3Fdone%3Dnothing"
        entered = visitor.submit(visitor.follow(sent_to), "/sign-in", key=f" {ROOT} ")
        assert entered.headers["location"] == "/dashboard?done=nothing"
        [session] = entered.cookies
        assert session.startswith("hookline_session=")
        assert "HttpOnly; SameSite=Strict" in session
        assert ROOT not in session
        page = visitor.get()
        assert page.status == 200
        left = visitor.submit(page, "/sign-out")
        assert left.headers["location"] == "/dashboard/sign-in"
        assert visitor.get().status == 303


def test_a_link_from_another_site_does_not_end_a_session(keyed_node: NodeUnderTest) -> None:
    visitor = Visitor(keyed_node.port)
    visitor.submit(visitor.get("/sign-in"), "/sign-in", key=ROOT)
    strict = {name: visitor.cookies.pop(name) for name in list(visitor.cookies) if visitor.same_site[name] == "Strict"}
    assert "hookline_session" in strict
    assert visitor.get().status == 303, "as the browser does with a link of another site"
    visitor.cookies = strict | visitor.cookies
    assert visitor.get().status == 200, "as it does when the page is loaded again"


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/dashboard\\@evil", "/dashboards"])
def test_signing_in_leads_to_no_other_site(keyed_node: NodeUnderTest, elsewhere: str) -> None:
    visitor = Visitor(keyed_node.port)
    entered = visitor.submit(visitor.get("/sign-in"), "/sign-in", key=ROOT, next=elsewhere)
    assert entered.headers["location"] == "/dashboard"


@pytest.mark.parametrize("key", ["", "nonsense", "hl_0123456789_abc", "schlüssel"])
def test_a_wrong_key_signs_nobody_in(keyed_node: NodeUnderTest, key: str) -> None:
    visitor = Visitor(keyed_node.port)
    page = visitor.submit(visitor.get("/sign-in"), "/sign-in", key=key)
    assert page.status in (401, 429)
    assert "hookline_session" not in visitor.cookies


def test_a_key_that_may_not_read_is_of_no_use(keyed_node: NodeUnderTest) -> None:
    visitor = Visitor(keyed_node.port)
    key = Guarded("node", keyed_node.port).new("write")
    page = visitor.submit(visitor.get("/sign-in"), "/sign-in", key=key)
    assert page.status == 403
    assert "scope read" in page.text


def test_a_session_ends_with_its_key(keyed_node: NodeUnderTest) -> None:
    guarded = Guarded("node", keyed_node.port)
    key = guarded.new("read")
    visitor = Visitor(keyed_node.port)
    visitor.submit(visitor.get("/sign-in"), "/sign-in", key=key)
    assert visitor.get().status == 200
    assert guarded.call("DELETE", f"/keys/{key.split('_')[1]}").status == 204
    assert visitor.get().headers["location"] == "/dashboard/sign-in"


def test_a_session_whose_key_is_gone_leads_to_signing_in_however_often_it_is_shown(
    keyed_node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookline.http_api.bad_keys.BURST", 3)
    guarded = Guarded("node", keyed_node.port)
    key = guarded.new("read")
    visitor = Visitor(keyed_node.port)
    visitor.submit(visitor.get("/sign-in"), "/sign-in", key=key)
    kept = dict(visitor.cookies)
    guarded.call("DELETE", f"/keys/{key.split('_')[1]}")
    for _ in range(8):
        visitor.cookies = dict(kept)
        assert visitor.get("/jobs").status == 303


def test_a_session_is_of_no_use_with_another_visitors_cookie(keyed_node: NodeUnderTest) -> None:
    visitor, other = signed_in(keyed_node), Visitor(keyed_node.port)
    other.get("/sign-in")
    other.cookies["hookline_session"] = visitor.cookies["hookline_session"]
    assert other.get().status == 303


def test_a_form_of_another_site_does_nothing(keyed_node: NodeUnderTest) -> None:
    visitor = signed_in(keyed_node)
    [form] = [fields for path, fields in visitor.get().forms.items() if path.endswith("/sign-out")]
    other = Visitor(keyed_node.port)
    other.get("/sign-in")
    for sent in (
        visitor.send("/sign-out", {}),
        visitor.send("/sign-out", {"token": "0" * 64}),
        visitor.send("/sign-out", other.get("/sign-in").forms["/dashboard/sign-in"]),
        visitor.send("/sign-out", form, Sec_Fetch_Site="cross-site"),
    ):
        assert sent.status == 400
    assert visitor.get().status == 200
    assert visitor.send("/sign-out", form, Sec_Fetch_Site="same-origin").status == 303


def test_a_form_that_is_too_long_is_not_read_to_its_end(open_node: tuple[NodeUnderTest, Visitor]) -> None:
    _, visitor = open_node
    assert visitor.ask("POST", "/sign-out", "a=" + "x" * 8_000_000).status == 413


def test_switched_off_there_is_nothing(tmp_path: Path) -> None:
    with node_with_pages(tmp_path, "off") as (node, visitor):
        assert visitor.get().status == 404
        assert node.get("/dashboard").code == "route_not_found"


def test_a_proxy_has_it_too_and_a_session_of_one_opens_at_another(tmp_path: Path) -> None:
    with proxy_with_pages(tmp_path, root_key=ROOT) as (clusters, visitor):
        visitor.submit(visitor.get("/sign-in"), "/sign-in", key=ROOT)
        page = visitor.get()
        assert page.status == 200
        assert page.headers["hookline-proxy"] == "1"
        other = Visitor(clusters.start_proxy(routes=dashboard_routes("on"), root_key=ROOT).port)
        assert other.get().status == 303
        other.cookies = visitor.cookies
        assert other.get().status == 200
