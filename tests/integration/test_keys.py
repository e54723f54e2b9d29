"""API keys over real sockets: every call with every kind of key, at a node, behind a front and at a proxy."""

import http.client
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.http_api import bad_keys
from hookline.protocol.api_keys import KEY_SCOPES, key_id, key_text
from hookline.protocol.calls import Call, Server, calls_of
from hookline.protocol.internal_http import GatheredAnswer, GatheredCreate
from hookline.protocol.proofs import proof_key
from tests.end_to_end.processes import until
from tests.integration.keyed_servers import KINDS, ROOT, Guarded, id_of, running
from tests.integration.node_under_test import Answer, NodeUnderTest, node_config
from tests.integration.proxy_under_test import JOB, Clusters
from tests.proofs import proof_of

STRANGER = key_text(key_id(bytes(10)), bytes(32))


@pytest.fixture(scope="module", params=KINDS)
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with running(request.param, tmp_path_factory.mktemp("keys")) as found:
        yield found.server


@pytest.fixture(scope="module")
def bad(guarded: Guarded) -> dict[str, list[str]]:
    """Headers that are shown in vain, by the reason."""
    known, revoked, rotated = guarded.new("admin"), guarded.new("admin"), guarded.new("admin")
    assert guarded.call("DELETE", f"/keys/{id_of(revoked)}").status == 204
    assert guarded.call("POST", f"/keys/{id_of(rotated)}/rotate", {"overlap": "0s"}).status == 200
    other_secret = key_text(id_of(known), bytes(32))
    return {
        "missing": [],
        "unknown": [f"Bearer {STRANGER}"],
        "another secret": [f"Bearer {other_secret}"],
        "malformed": ["Bearer hookline_x"],
        "wrong checksum": [f"Bearer {known[:-1]}{'a' if known[-1] != 'a' else 'b'}"],
        "another scheme": [f"Basic {known}"],
        "empty": ["Bearer "],
        "twice": [f"Bearer {known}", f"Bearer {known}"],
        "almost the root key": [f"Bearer {ROOT[:-1]}"],
        "expired": [f"Bearer {guarded.new('admin', expires='1ms')}"],
        "revoked": [f"Bearer {revoked}"],
        "rotated away": [f"Bearer {rotated}"],
    }


@pytest.fixture(scope="module")
def by_scope(guarded: Guarded) -> dict[str, str]:
    return {scope: guarded.new(scope) for scope in KEY_SCOPES}


def _ask(guarded: Guarded, call: Call, shown: list[str]) -> Answer:
    """The call, which finds nothing or is refused where it would change something."""
    path = re.sub(r"\{\w+\}", "none", call.path)
    body = {"nonsense": 1} if call.method in ("POST", "PUT", "PATCH") else None
    return guarded.show(call.method, path, shown, body)


def _calls(server: Server) -> list[Call]:
    return [call for call in calls_of(server) if call.name not in ("handover", "handOneOver")]


def _same(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    return answer.status, {name: value for name, value in answer.headers.items() if name != "date"}, answer.body


def test_without_a_valid_key_each_call_has_one_and_the_same_answer(guarded: Guarded, bad: dict[str, list[str]]) -> None:
    answers = {
        (call.name, why): _same(_ask(guarded, call, shown))
        for call in _calls(guarded.server)
        if call.needed_scope is not None
        for why, shown in bad.items()
    }
    first = next(iter(answers.values()))
    assert {name: answer for name, answer in answers.items() if answer != first} == {}
    status, headers, body = first
    assert (status, headers["www-authenticate"], headers["content-type"]) == (
        *(401, "Bearer", "application/problem+json"),
    )
    assert b'"code":"unauthorized"' in body
    assert len(answers) > 300


def test_a_valid_key_opens_what_its_scope_allows_and_nothing_else(guarded: Guarded, by_scope: dict[str, str]) -> None:
    found, wanted = {}, {}
    for call in _calls(guarded.server):
        if call.needed_scope is None or call.scope == "internal":
            continue
        for scope, key in by_scope.items():
            answer = _ask(guarded, call, [f"Bearer {key}"])
            assert answer.status != 401, (call.name, scope)
            found[call.name, scope] = answer.status == 403
            wanted[call.name, scope] = scope not in ("admin", call.needed_scope)
            if answer.status == 403:
                assert answer.json["code"] == "forbidden"
                assert answer.json["scope"] == call.needed_scope
    assert found == wanted


def test_probes_and_descriptions_ask_for_no_key(guarded: Guarded) -> None:
    for path in ("/livez", "/readyz", "/health", "/openapi.json", "/docs"):
        assert guarded.call("GET", path, key=None).status == 200, path
    assert guarded.call("GET", "/none", key=None).status == 404


def test_a_key_does_its_work(guarded: Guarded) -> None:
    key = guarded.new("read", "write")
    made = guarded.call("POST", "/jobs", JOB, key)
    assert made.status == 201
    assert guarded.call("GET", f"/jobs/{made.json['id']}", key=key).json["state"] == "pending"
    refused = guarded.call("POST", f"/jobs/{made.json['id']}/cancel", key=key)
    assert (refused.status, refused.code) == (403, "forbidden")
    assert guarded.call("GET", "/keys", key=key).status == 403
    assert guarded.call("GET", "/metrics", key=key).status == 200


def test_a_rotated_key_has_two_texts_for_a_while(guarded: Guarded) -> None:
    old = guarded.new("read", expires="90d")
    made = guarded.call("POST", f"/keys/{id_of(old)}/rotate")
    new = made.json["key"]
    assert (made.status, made.json["id"], new == old) == (200, id_of(old), False)
    assert made.json["previous_until"] is not None
    for key in (old, new):
        assert guarded.call("GET", "/jobs", key=key).status == 200
    last = guarded.call("POST", f"/keys/{id_of(old)}/rotate", {"overlap": 0}).json["key"]
    assert [guarded.call("GET", "/jobs", key=key).status for key in (old, new, last)] == [401, 401, 200]


def test_what_is_shown_of_keys(guarded: Guarded) -> None:
    answer = guarded.call("POST", "/keys", {"name": "shop", "scopes": ["write", "read"], "expires": "90d"})
    made = answer.json
    assert answer.headers["location"] == f"/keys/{made['id']}"
    assert re.fullmatch(r"hookline_[a-z2-7]{16}_[a-z2-7]{59}", made["key"])
    assert (made["scopes"], made["tenant"], made["name"]) == (["read", "write"], "default", "shop")
    shown = guarded.call("GET", f"/keys/{made['id']}").json
    assert shown == {name: made.get(name) for name in shown}
    pages = []
    cursor: str | None = ""
    while cursor is not None:
        page = guarded.call("GET", f"/keys?limit=2{cursor and '&cursor=' + cursor}").json
        pages.append(page["data"])
        cursor = page["next_cursor"]
    listed = [key for page in pages for key in page]
    assert shown in listed
    assert [key["created_at"] for key in listed] == sorted(key["created_at"] for key in listed)
    assert guarded.call("DELETE", f"/keys/{made['id']}").status == 204
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        gone = guarded.call(method, f"/keys/{made['id']}{path}")
        assert (gone.status, gone.code) == (404, "key_not_found"), (method, path)
    assert made["id"] not in [key["id"] for key in guarded.call("GET", "/keys?limit=1000").json["data"]]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "", "scopes": ["read"]}, "name"),
        ({"name": "a\nb", "scopes": ["read"]}, "name"),
        ({"name": "x" * 129, "scopes": ["read"]}, "name"),
        ({"name": "a", "scopes": []}, "scopes"),
        ({"name": "a", "scopes": ["root"]}, "scopes"),
        ({"name": "a", "scopes": ["read"], "tenant": "a/b"}, "tenant"),
        ({"name": "a", "scopes": ["read"], "expires": "1d", "expires_at": "2099-01-01T00:00:00Z"}, "expires"),
        ({"name": "a", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "a", "scopes": ["read"], "expires": "soon"}, "expires"),
    ],
)
def test_a_key_that_cannot_be_is_refused(guarded: Guarded, fields: dict[str, Any], field: str) -> None:
    answer = guarded.call("POST", "/keys", fields)
    assert answer.status == 400
    assert answer.json["field"].startswith(field)


def test_who_tries_many_keys_is_slowed_down_and_nobody_else(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    good = guarded.new("read")
    monkeypatch.setattr(bad_keys, "BURST", 50)
    source = "127.0.0.9"
    answers = [guarded.show("GET", "/jobs", [f"Bearer {STRANGER}"], source=source) for _ in range(300)]
    assert {answer.status for answer in answers} == {401, 429}
    last = answers[-1]
    assert (last.status, last.code) == (429, "too_many_bad_keys")
    assert int(last.headers["retry-after"]) >= 1
    assert guarded.show("GET", "/jobs", [f"Bearer {good}"], source=source).status == 200, "a valid key is served"
    assert guarded.show("GET", "/jobs", [], source="127.0.0.10").status == 401, "others are told as before"


def test_creates_that_travel_together_need_a_key_each(guarded: Guarded) -> None:
    keys = {201: guarded.new("write"), 401: STRANGER, 403: guarded.new("read")}
    if guarded.server == "proxy":
        asked = [*keys] * 20
        with ThreadPoolExecutor(20) as threads:
            told = list(threads.map(lambda status: guarded.call("POST", "/jobs", JOB, keys[status]).status, asked))
        assert told == asked
        return
    body = msgspec.json.encode(JOB)
    shown = [[(b"authorization", f"Bearer {key}".encode())] for key in keys.values()]
    creates = msgspec.msgpack.encode([GatheredCreate(body, headers) for headers in (*shown, [])])
    connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=30)
    proof = proof_of(proof_key(ROOT.encode()), "POST", "/internal/jobs", creates)
    connection.request("POST", "/internal/jobs", creates, {"Content-Type": "application/msgpack", **proof})
    answers = msgspec.msgpack.decode(connection.getresponse().read(), type=list[GatheredAnswer])
    connection.close()
    assert [answer.status for answer in answers] == [*keys, 401]


# --- several processes ------------------------------------------------------------------------------------------------


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[Clusters]:
    clusters = Clusters(tmp_path, 2, root_key=ROOT)
    yield clusters
    clusters.close()


def test_each_cluster_and_each_proxy_has_the_same_keys(clusters: Clusters) -> None:
    one, two = (Guarded("proxy", clusters.start_proxy(root_key=ROOT).port) for _ in range(2))
    nodes = [Guarded("node", node.port) for node in clusters.nodes.values()]
    key = one.new("read")
    for each in (one, two, *nodes):
        assert each.call("GET", "/jobs", key=key).status == 200
    at_a_node = nodes[0].new("read")
    assert one.call("GET", "/keys/" + id_of(at_a_node)).status == 200
    until(
        lambda: {each.call("GET", "/jobs", key=at_a_node).status for each in (one, two, *nodes)} == {200}, "it is there"
    )
    assert two.call("DELETE", f"/keys/{id_of(key)}").status == 204
    for each in (two, *nodes, one):
        assert each.call("GET", "/jobs", key=key).status == 401


def test_a_cluster_that_was_away_gets_what_it_missed(clusters: Clusters, tmp_path: Path) -> None:
    proxy = Guarded("proxy", clusters.start_proxy(root_key=ROOT).port)
    before = proxy.new("read")
    clusters.stop("c1")
    made = proxy.call("POST", "/keys", {"name": "t", "scopes": ["read"]}).json
    assert made["incomplete"] == ["c1"]
    assert proxy.call("GET", "/keys").json["incomplete"] == ["c1"]
    refused = proxy.call("DELETE", f"/keys/{id_of(before)}")
    assert (refused.status, refused.json["clusters"]) == (503, ["c1"])
    assert proxy.call("GET", "/jobs", key=before).status == 401, "here it is over all the same"
    config = node_config(tmp_path / "c1", cluster="c1", shard=1, root_key=ROOT)
    back = NodeUnderTest(config, None)
    with back.running():
        node = Guarded("node", back.port)
        assert node.call("GET", "/jobs", key=before).status == 200
        topology = proxy.call("GET", "/topology").json
        topology["epoch"] = 2
        topology["cluster"][1]["nodes"] = [f"http://127.0.0.1:{back.port}"]
        assert proxy.call("PUT", "/topology", topology).status == 200
        until(lambda: node.call("GET", "/jobs", key=made["key"]).status == 200, "the cluster has the new key")
        assert node.call("GET", "/jobs", key=before).status == 401
        assert proxy.call("DELETE", f"/keys/{id_of(before)}").status == 404


def test_a_new_cluster_has_the_keys_before_anybody_is_sent_there(clusters: Clusters) -> None:
    topology = clusters.topology(1, ["c0"])
    proxy = Guarded("proxy", clusters.start_proxy(topology, root_key=ROOT).port)
    key = proxy.new("read")
    node = Guarded("node", clusters.nodes["c1"].port)
    assert node.call("GET", "/jobs", key=key).status == 401
    assert proxy.call("PUT", "/topology", clusters.topology(2)).status == 200
    assert node.call("GET", "/jobs", key=key).status == 200


def test_no_text_of_a_key_is_on_a_disk(clusters: Clusters, tmp_path: Path) -> None:
    proxy = Guarded("proxy", clusters.start_proxy(root_key=ROOT).port)
    node = Guarded("node", clusters.nodes["c0"].port)
    keys = [proxy.new("read", "write"), node.new("admin")]
    keys += [proxy.call("POST", f"/keys/{id_of(keys[0])}/rotate").json["key"]]
    for key in keys:
        proxy.call("POST", "/jobs", JOB, key)
        assert node.call("GET", "/jobs", key=key).status == 200
    assert node.call("GET", "/internal/snapshot?max_age=0").status == 200
    planted = [text.encode() for key in (*keys, ROOT) for text in (key, key.rpartition("_")[2])]
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(b"api_keys" in file.read_bytes() for file in files)
    assert [(file.name, text) for file in files for text in planted if text in file.read_bytes()] == []
