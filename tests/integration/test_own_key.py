"""The caller's own key, told by the API and used by the dashboard, where an operator acts for a tenant."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboard_visitor import Visitor
from tests.integration.dashboard_parts import node_with_pages, proxy_with_pages
from tests.integration.keyed_servers import ROOT, Guarded
from tests.integration.node_under_test import NodeUnderTest
from tests.integration.test_dashboard import signed_in

JOB = {"url": "https://example.com/"}


@pytest.fixture(scope="module")
def keyed_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    with node_with_pages(tmp_path_factory.mktemp("keyed"), root_key=ROOT) as (node, _):
        yield node


def shown(key: str, tenant: str | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} | ({} if tenant is None else {"Hookline-Tenant": tenant})


def test_a_key_is_told_what_it_is(keyed_node: NodeUnderTest) -> None:
    made = keyed_node.post(
        "/keys", {"name": "shop", "scopes": ["read"], "tenant": "acme", "expires": "1h"}, **shown(ROOT)
    )
    own = keyed_node.call("GET", "/keys/self", headers=shown(made.json["key"])).json
    assert own == {
        "id": made.json["id"],
        "name": "shop",
        "scopes": ["read"],
        "tenant": "acme",
        "acts_for": "acme",
        "is_operator": False,
        "expires_at": made.json["expires_at"],
    }
    root = keyed_node.call("GET", "/keys/self", headers=shown(ROOT, "acme")).json
    assert (root["id"], root["tenant"], root["acts_for"], root["is_operator"]) == ("root", "default", "acme", True)
    assert keyed_node.call("GET", "/keys/self").code == "unauthorized"
    assert keyed_node.call("GET", "/keys/self", headers=shown(made.json["key"], "other")).code == "forbidden"


def test_a_proxy_tells_the_same_and_where_no_key_is_asked_for_there_is_none(tmp_path: Path) -> None:
    with proxy_with_pages(tmp_path, root_key=ROOT) as (_, visitor):
        guarded = Guarded("proxy", visitor.port)
        key = guarded.new("write", "read")
        found = guarded.call("GET", "/keys/self", key=key).json
        assert (sorted(found["scopes"]), found["tenant"], found["is_operator"]) == (["read", "write"], "default", False)
    with node_with_pages(tmp_path / "open") as (node, _):
        found = node.get("/keys/self").json
        assert (found["id"], found["is_operator"], found["acts_for"]) == (None, True, "default")


def test_pages_say_whose_key_it_is(keyed_node: NodeUnderTest) -> None:
    made = keyed_node.post("/keys", {"name": "<b>shop", "scopes": ["read"], "expires": "2h"}, **shown(ROOT)).json
    visitor = Visitor(keyed_node.port)
    visitor.submit(visitor.get("/sign-in"), "/sign-in", key=made["key"])
    text = visitor.get("/jobs").text
    assert "&lt;b&gt;shop" in text
    assert "it expires" in text
    assert "Act for a tenant" not in text


def test_an_operator_acts_for_a_tenant_until_they_stop(keyed_node: NodeUnderTest) -> None:
    theirs = keyed_node.post("/jobs", JOB | {"delay": "1h"}, **shown(ROOT, "acme")).json["id"]
    visitor = signed_in(keyed_node, "admin")
    assert theirs not in visitor.get("/jobs").text
    page = visitor.follow(visitor.submit(visitor.get("/jobs"), "/act-for", tenant="acme"))
    assert "You act for the tenant" in page.text
    assert theirs in visitor.get("/jobs").text
    assert visitor.submit(visitor.get(f"/job/{theirs}"), f"/job/{theirs}/cancel").status == 303
    found = keyed_node.call("GET", f"/jobs/{theirs}", headers=shown(ROOT, "acme")).json
    assert found["state"] == "cancelled"
    visitor.submit(visitor.get("/jobs"), "/act-for")
    assert theirs not in visitor.get("/jobs").text


def test_nobody_else_acts_for_a_tenant_whatever_their_browser_sends(keyed_node: NodeUnderTest) -> None:
    theirs = keyed_node.post("/jobs", JOB | {"delay": "1h"}, **shown(ROOT, "acme")).json["id"]
    visitor = signed_in(keyed_node, "read", "write")
    token = visitor.get("/new").forms["/dashboard/new"]["token"]
    assert visitor.send("/act-for", {"token": token, "tenant": "acme"}).status == 403
    visitor.cookies["hookline_acts_for"] = "acme"
    page = visitor.get("/jobs")
    assert (page.status, theirs in page.text, "You act for" in page.text) == (200, False, False)
    assert any(one.startswith("hookline_acts_for=;") and "Max-Age=0" in one for one in page.cookies)
    assert visitor.get(f"/job/{theirs}").status == 404


def test_a_name_that_no_tenant_has_is_refused_and_signing_out_ends_it(keyed_node: NodeUnderTest) -> None:
    visitor = signed_in(keyed_node)
    assert visitor.submit(visitor.get("/jobs"), "/act-for", tenant="a b").status == 400
    visitor.submit(visitor.get("/jobs"), "/act-for", tenant="acme")
    assert visitor.cookies["hookline_acts_for"] == "acme"
    visitor.submit(visitor.get("/jobs"), "/sign-out")
    assert visitor.cookies["hookline_acts_for"] == ""
