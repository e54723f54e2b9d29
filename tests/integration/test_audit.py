"""The audit log over real sockets: each audited call leaves one row, at a node, behind a front and at a proxy."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hookline.http_api import guard as guarding
from hookline.protocol.api_keys import ApiKey, KeySecret, encode_key
from hookline.protocol.calls import calls_of
from tests.integration.keyed_servers import KINDS, ROOT, Guarded, id_of, running
from tests.integration.node_under_test import Answer, NodeUnderTest, node_config
from tests.integration.proxy_under_test import JOB

SECRET = "whsec_" + "cGxhbnRlZC1wbGFudGVkLXBsYW50ZWQtcGxhbnRlZA=="


class Audited(NamedTuple):
    """A server that asks for keys, and the nodes behind it."""

    server: Guarded
    nodes: list[NodeUnderTest]
    topology: dict[str, Any] | None

    def rows(self, **filters: str) -> list[dict[str, Any]]:
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        answer = self.server.call("GET", f"/audit?limit=1000&{query}")
        assert answer.status == 200, answer
        found: list[dict[str, Any]] = answer.json["data"]
        return found

    def new_rows(self, act: Callable[[], Answer], status: int = 200) -> list[dict[str, Any]]:
        """Those that a call leaves, the newest first; a proxy brings keys to clusters at any moment, by itself."""
        known = {row["id"] for row in self.rows()}
        answer = act()
        assert answer.status == status, answer
        rows = [row for row in self.rows() if row["id"] not in known]
        return [row for row in rows if (row["action"], row["actor"]) != ("takeKeys", "")]


@pytest.fixture(scope="module", params=KINDS)
def audited(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    with running(request.param, tmp_path_factory.mktemp("audit")) as found:
        yield Audited(*found)


@pytest.fixture(scope="module")
def admin(audited: Audited) -> str:
    made = audited.server.call("POST", "/keys", {"name": "operator", "scopes": ["admin"]})
    assert made.status == 201
    return str(made.json["key"])


def check(audited: Audited, rows: list[dict[str, Any]], admin: str, action: str, clusters: int, **wanted: Any) -> None:
    assert len(rows) == clusters, rows
    assert {row["cluster"] for row in rows} == {f"c{number}" for number in range(clusters)}
    outcome = wanted.pop("outcome", "done")
    for row in rows:
        assert row["outcome"] == (outcome or ("done" if row["changed"] else "unchanged"))
        assert {name: row[name] for name in wanted} == wanted
        assert (row["action"], row["actor"], row["actor_name"]) == (action, id_of(admin), "operator")
        assert (row["tenant"], row["address"]) == ("default", "127.0.0.1")
        assert row["via"] == ("127.0.0.1" if audited.topology else "")


def test_each_audited_call_leaves_one_row_in_each_cluster_it_changes(audited: Audited, admin: str) -> None:
    server, every = audited.server, len(audited.nodes)
    seen = set()

    def left(action: str, method: str, path: str, body: object = None, status: int = 200, **wanted: Any) -> Answer:
        answers: list[Answer] = []

        def act() -> Answer:
            answers.append(server.call(method, path, body, admin))
            return answers[0]

        clusters = wanted.pop("clusters", every)
        rows = audited.new_rows(act, status)
        check(audited, rows, admin, action, clusters, **wanted)
        seen.add(action)
        return answers[0]

    key = left("createKey", "POST", "/keys", {"name": "k", "scopes": ["read"]}, 201, summary="name k; scopes read").json
    left("rotateKey", "POST", f"/keys/{key['id']}/rotate", {"overlap": "0s"}, target=key["id"], changed=1)
    left("revokeKey", "DELETE", f"/keys/{key['id']}", None, 204, target=key["id"])
    shop = "/destinations/https:%2F%2Fshop.example"
    left("putDestination", "PUT", shop, {"concurrency": 3}, target="https://shop.example:443", summary="concurrency 3")
    left("putDestination", "PUT", shop, {"concurrency": 3}, outcome="unchanged", changed=0)
    left("deleteDestination", "DELETE", shop, None, 204, summary="settings deleted")
    acme = {"pending_jobs": 7, "weight": 2}
    left("putTenant", "PUT", "/tenants/acme", acme, target="acme", summary="pending jobs 7; weight 2")
    left("putTenant", "PUT", "/tenants/acme", acme, outcome="unchanged", changed=0)
    left("deleteTenant", "DELETE", "/tenants/acme", None, 204, target="acme", summary="settings deleted")
    for _ in range(4):
        assert server.call("POST", "/jobs", JOB | {"labels": {"a": "1"}}, admin).status == 201
    chosen = {"filter": {"label": "a=1", "state": "pending"}}
    rows = audited.new_rows(lambda: server.call("POST", "/jobs/cancel", chosen, admin))
    assert sum(row["changed"] for row in rows) == 4
    check(audited, rows, admin, "cancelJobs", every, summary="state pending; label a=1", outcome=None)
    overrides = {"overrides": {"secret": SECRET, "headers": {"authorization": "planted"}}}
    rows = audited.new_rows(
        lambda: server.call("POST", "/jobs/retry", {"filter": {"state": "cancelled"}} | overrides, admin)
    )
    assert sum(row["changed"] for row in rows) == 4
    check(
        *(audited, rows, admin, "retryJobs", every),
        summary="state cancelled; overrides headers, secret",
        outcome=None,  # all of the jobs may be in one cluster
    )
    left("retryJobs", "POST", "/jobs/retry", {"filter": {"label": "none"}}, outcome="unchanged")
    seen |= {"cancelJobs"}
    if audited.topology is None:
        left("changeCluster", "PATCH", "/cluster", {"mode": "hybrid"}, summary="mode hybrid")
        left("changeCluster", "PATCH", "/cluster", {"mode": "hybrid"}, outcome="unchanged")
        left("changeCluster", "PATCH", "/cluster", {"mode": "leader"}, summary="mode leader")
        left("trustClock", "POST", "/cluster/clock", {"trust": True}, target="node n1")
        expected = {call.name for call in calls_of("node") if call.audited == "always"} - {"handover"}
    else:
        left("changeCluster", "PATCH", "/clusters/c0", {"mode": "hybrid"}, clusters=1, summary="mode hybrid")
        left("changeCluster", "PATCH", "/clusters/c0", {"mode": "leader"}, clusters=1)
        new = audited.topology | {"epoch": 2, "strategy": "ring"}
        left("putTopology", "PUT", "/topology", new, target="epoch 2")
        left("pauseMove", "POST", "/topology/pause", target="epoch 3")
        left("resumeMove", "POST", "/topology/resume", {"rate": 5}, target="epoch 4")
        left("abortMove", "POST", "/topology/abort", target="epoch 5")
        expected = {call.name for call in calls_of("proxy") if call.audited == "always"}
        expected -= {"handover", "handOneOver", "changeOneCluster"}
    assert seen == expected


@pytest.mark.parametrize(
    ("status", "method", "path", "body"),
    [
        (200, "POST", "/jobs/cancel", {"filter": {}, "dry_run": True}),
        (200, "POST", "/jobs/retry", {"filter": {}, "dry_run": True}),
        (400, "POST", "/keys", {"name": ""}),
        (404, "DELETE", "/keys/aaaaaaaaaaaaaaaa", None),
        (400, "PUT", "/destinations/shop.example", {"concurrency": 0}),
        (200, "GET", "/keys", None),
    ],
)
def test_what_changes_nothing_leaves_no_row(
    audited: Audited, admin: str, status: int, method: str, path: str, body: object
) -> None:
    assert audited.new_rows(lambda: audited.server.call(method, path, body, admin), status) == []


def test_a_key_that_lacks_the_scope_leaves_a_row_but_cannot_fill_the_log(
    audited: Audited,
) -> None:
    reader = audited.server.new("read")
    rows = audited.new_rows(lambda: audited.server.call("DELETE", "/keys/aaaaaaaaaaaaaaaa", key=reader), 403)
    assert [(row["action"], row["outcome"], row["code"], row["actor"]) for row in rows] == [
        ("revokeKey", "refused", "forbidden", id_of(reader))
    ]
    assert (rows[0]["summary"], rows[0]["address"]) == ("the key lacks the scope admin", "127.0.0.1")
    for _ in range(30):
        assert audited.server.call("DELETE", "/keys/aaaaaaaaaaaaaaaa", key=reader).status == 403
    assert len(audited.rows(actor=id_of(reader))) == guarding.NOTED_AT_ONCE
    assert audited.new_rows(lambda: audited.server.call("GET", "/keys", key=reader), 403) == [], "it changes nothing"
    assert audited.new_rows(lambda: audited.server.call("POST", "/keys", {}, key="nobody"), 401) == []


def test_the_log_is_for_admins_and_has_pages_and_filters(audited: Audited, admin: str) -> None:
    assert audited.server.call("GET", "/audit", key=audited.server.new("read", "write", "cancel")).status == 403
    found = audited.rows()
    assert [row["at"] for row in found] == sorted((row["at"] for row in found), reverse=True)
    assert {row["action"] for row in audited.rows(action="createKey")} == {"createKey"}
    assert {row["actor"] for row in audited.rows(actor="root")} == {"root"}
    middle = found[len(found) // 2]["at"]
    assert {row["id"] for row in audited.rows(after=middle)} == {row["id"] for row in found if row["at"] > middle}
    paged: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = audited.server.call("GET", f"/audit?limit=3{cursor and '&cursor=' + cursor}", key=admin).json
        paged += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
    assert sorted(paged) == sorted(row["id"] for row in found)
    for query in ("limit=0", "cursor=x", "after=soon", "nonsense=1"):
        assert audited.server.call("GET", f"/audit?{query}").status == 400


def test_what_a_client_says_of_itself_does_not_hide_where_it_is(audited: Audited) -> None:
    rows = audited.new_rows(
        lambda: audited.server.show(
            *("PUT", "/destinations/https:%2F%2Fforged.example", [f"Bearer {ROOT}"], {"concurrency": 1}),
            others={"Hookline-Addresses": "203.0.113.5", "Hookline-Actor": "createKey somebody", "X-Request-Id": "r-7"},
        )
    )
    assert len(rows) == len(audited.nodes)
    for row in rows:
        assert (row["action"], row["actor"], row["trace"]) == ("putDestination", "root", "r-7")
        assert "127.0.0.1" in (row["via"] or row["address"])
    if audited.topology is not None:
        assert {row["address"] for row in rows} == {"127.0.0.1"}, "a proxy believes nobody"


def test_no_planted_secret_is_in_a_row(audited: Audited, admin: str) -> None:
    server = audited.server
    body = {"secrets": [SECRET], "concurrency": 2}
    assert server.call("PUT", "/destinations/https:%2F%2Fplanted.example", body, admin).status == 200
    key = server.new("read")
    shown = json.dumps(audited.rows()) + "".join(
        str(row) for node in audited.nodes for row in node.rows("SELECT * FROM audit")
    )
    for planted in (SECRET, SECRET[6:], key, key.rpartition("_")[2], ROOT, admin, "planted", "cGxhbnRlZA"):
        assert planted not in shown.replace("planted.example", ""), planted


def test_keys_that_are_known_already_leave_no_row(audited: Audited) -> None:
    node = Guarded("node", audited.nodes[0].port)
    keys = [one[:2] for one in node.call("GET", "/internal/keys").json["keys"]]
    assert audited.new_rows(lambda: node.call("PUT", "/internal/keys", {"keys": keys})) == []


def test_a_key_that_somebody_brings_by_the_inner_door_leaves_a_row(audited: Audited) -> None:
    node = Guarded("node", audited.nodes[0].port)
    record = base64.b64encode(encode_key(ApiKey("", "brought", ("admin",), (KeySecret(b"h"),), 1))).decode()
    rows = audited.new_rows(lambda: node.call("PUT", "/internal/keys", {"keys": [["k" * 16, record]]}))
    assert ("takeKeys", "root", "k" * 16, "name brought; scopes admin") in [
        (row["action"], row["actor"], row["target"], row["summary"]) for row in rows
    ]


def test_where_nobody_is_asked_for_a_key_the_actor_is_empty(tmp_path: Path) -> None:
    with NodeUnderTest(node_config(tmp_path / "n1"), None).running() as node:
        assert node.call("PUT", "/destinations/https:%2F%2Fshop.example", {"paused": True}).status == 200
        (row,) = node.get("/audit").json["data"]
        assert (row["actor"], row["actor_name"], row["summary"], row["address"]) == ("", "", "paused", "127.0.0.1")
        assert node.post("/cluster/handover").status == 409
        assert len(node.get("/audit").json["data"]) == 1
