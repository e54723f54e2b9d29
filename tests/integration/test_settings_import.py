"""A cluster that is new in a topology gets the settings of destinations before it: both sides, and through a proxy."""

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.errors import SecretKeyMissing
from hookline.node.api import settings_import
from hookline.node.vault import Vault
from hookline.protocol.internal_http import DestinationsPage
from hookline.protocol.settings import DestinationSettings, encode
from tests.integration.conftest import StartNode
from tests.integration.node_under_test import Answer, NodeUnderTest
from tests.integration.proxy_under_test import Clusters
from tests.integration.test_api_topology import before, document, put

SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()
PAUSED = encode(DestinationSettings(paused=True))


@pytest.fixture
def new_node(start_node: StartNode) -> Iterator[NodeUnderTest]:
    """Of the cluster c1."""
    with start_node(cluster="c1", shard=1) as node:
        yield node


def page(epoch: int, *data: tuple[str, bytes], follows: str | None = None) -> Any:
    return msgspec.to_builtins(DestinationsPage(epoch, [("", *one) for one in data], follows))


def bring(node: NodeUnderTest, body: Any) -> Answer:
    return node.call("PUT", "/internal/destinations", body)


def fetch(node: NodeUnderTest, after: str = "") -> DestinationsPage:
    query = f"?after={after}" if after else ""
    answer = node.call("GET", f"/internal/destinations{query}", headers={"hookline-epoch": "1"})
    assert answer.status == 200, answer
    return msgspec.json.decode(answer.body, type=DestinationsPage)


# --- the new cluster --------------------------------------------------------------------------------------------


def test_a_new_cluster_takes_a_topology_only_after_the_settings(new_node: NodeUnderTest) -> None:
    second = document(2, "c1", previous=before())
    for _ in range(2):
        refused = put(new_node, second, hookline_decided="0")
        assert (refused.status, refused.code, refused.json["epoch"]) == (409, "settings_needed", 2)
        bring(new_node, page(2, ("https://a.example:443", PAUSED), follows="https://a.example:443"))
    assert bring(new_node, page(2)).status == 200
    assert put(new_node, second, hookline_decided="0").status == 200
    assert new_node.get("/destinations/a.example").json["paused"] is True


def test_settings_for_another_epoch_do_not_count(new_node: NodeUnderTest) -> None:
    bring(new_node, page(2))
    refused = put(new_node, document(3, "c1", previous=before()), hookline_decided="0")
    assert refused.code == "settings_needed"


def test_a_topology_that_does_not_list_the_cluster_needs_none_and_the_one_that_does_needs_them(
    new_node: NodeUnderTest,
) -> None:
    assert put(new_node, document(2), hookline_decided="0").status == 200
    assert put(new_node, document(3, "c1", previous=before()), hookline_decided="0").code == "settings_needed"


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_cluster_that_was_listed_before_or_begins_with_the_fleet_needs_none(
    new_node: NodeUnderTest, epoch: int
) -> None:
    assert put(new_node, document(1, "c1"), hookline_decided="0").status == 200
    assert put(new_node, document(epoch, "c1"), hookline_decided="0").status == 200


def test_a_cluster_that_missed_an_epoch_needs_them_again(new_node: NodeUnderTest) -> None:
    """It may have been out of the fleet meanwhile, and settings were acknowledged without it."""
    put(new_node, document(1, "c1"), hookline_decided="0")
    assert put(new_node, document(3, "c1"), hookline_decided="0").code == "settings_needed"


def test_a_cluster_that_joins_needs_them_though_a_losing_topology_had_it(new_node: NodeUnderTest) -> None:
    put(new_node, document(1, "c1"), hookline_decided="1")
    joining = document(2, "c1", previous=before())
    assert put(new_node, joining, hookline_decided="0").code == "settings_needed"
    bring(new_node, page(2))
    assert put(new_node, joining, hookline_decided="0").status == 200
    other_urls = joining | {"epoch": 3}
    assert put(new_node, other_urls, hookline_decided="0").status == 200, "the same change goes on"


def test_a_late_page_changes_nothing(new_node: NodeUnderTest) -> None:
    bring(new_node, page(2))
    put(new_node, document(2, "c1", previous=before()), hookline_decided="0")
    new_node.call("PUT", "/destinations/a.example", {"paused": False})
    late = bring(new_node, page(2, ("https://a.example:443", PAUSED)))
    assert (late.status, late.code) == (421, "misdirected")
    assert new_node.get("/destinations/a.example").json["paused"] is False


def test_a_secret_that_cannot_be_opened_is_refused_and_the_key_setting_named(new_node: NodeUnderTest) -> None:
    sealed = Vault([bytes(32)]).seal(SECRET, nonce=bytes(12))
    blob = encode(DestinationSettings(sealed_secrets=(sealed,)))
    refused = bring(new_node, page(2, ("https://a.example:443", blob)))
    assert (refused.status, refused.code) == (409, "secret_key_differs")
    assert "HOOKLINE_SECRET_KEY or --secret-key-file" in refused.json["detail"]
    assert put(new_node, document(2, "c1", previous=before()), hookline_decided="0").code == "settings_needed"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"epoch":2}',
        b'{"epoch":2,"data":[["nonsense url","AA=="]]}',
        b'{"epoch":2,"data":[["https://a","AA=="]]}',
    ],
)
def test_a_page_that_is_none_is_refused(new_node: NodeUnderTest, body: bytes) -> None:
    assert bring(new_node, body).status == 400


# --- the one that has them --------------------------------------------------------------------------------------


def test_settings_are_given_in_pages_with_secrets_still_sealed(
    node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_import, "PAGE_ROWS", 2)
    put(node, document(1))
    for name in ("a", "b", "c"):
        node.call("PUT", f"/destinations/{name}.example", {"secrets": [SECRET], "concurrency": 3})
    node.create(url="https://d.example/")  # a destination without settings
    first = fetch(node)
    assert [name for _, name, _ in first.data] == ["https://a.example:443", "https://b.example:443"]
    assert first.next is not None
    rest = fetch(node, first.next)
    assert ([name for _, name, _ in rest.data], rest.next) == (["https://c.example:443"], None)
    assert SECRET.encode() not in first.data[0][2]


def test_a_page_fits_an_entry_of_the_log(node: NodeUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_import, "PAGE_BYTES", 100)
    put(node, document(1))
    for name in ("a", "b"):
        node.call("PUT", f"/destinations/{name}.example", {"secrets": [SECRET]})
    assert len(fetch(node).data) == 1


def test_settings_are_read_under_an_epoch_only(node: NodeUnderTest) -> None:
    assert node.get("/internal/destinations").code == "invalid_request"
    for epoch, code in (("0", "epoch_unknown"), ("1", "epoch_unknown")):
        assert node.call("GET", "/internal/destinations", headers={"hookline-epoch": epoch}).code == code
    put(node, document(2))
    assert node.call("GET", "/internal/destinations", headers={"hookline-epoch": "1"}).code == "misdirected"


def test_no_setting_is_acknowledged_under_an_older_topology_and_missing_in_what_is_read(node: NodeUnderTest) -> None:
    """The race: an outdated proxy sets while the new topology comes and its settings are read at once."""
    put(node, document(1))
    said: dict[str, int] = {}
    some = threading.Event()

    def set_all() -> None:
        for number in range(30):
            name = f"h{number:02d}"
            headers = {"hookline-epoch": "1"}
            said[name] = node.call("PUT", f"/destinations/{name}.example", {"paused": True}, headers).status
            if number == 5:
                some.set()

    thread = threading.Thread(target=set_all)
    thread.start()
    assert some.wait(60)
    put(node, document(2, "c1", previous=before()))
    answer = node.call("GET", "/internal/destinations", headers={"hookline-epoch": "2"})
    thread.join(60)
    read = {name for _, name, _ in msgspec.json.decode(answer.body, type=DestinationsPage).data}
    assert read == {f"https://{name}.example:443" for name, status in said.items() if status == 200}


# --- through a proxy --------------------------------------------------------------------------------------------


def test_settings_reach_a_cluster_that_is_added(three: Clusters) -> None:
    door = three.start_proxy(three.topology(1, ["c0", "c1"]))
    wanted = {"paused": True, "concurrency": 7, "rate": {"limit": 5, "per": "1m"}}
    assert door.call("PUT", "/destinations/a.example", wanted).status == 200
    applied = door.call("PUT", "/topology", three.topology(2))
    assert applied.json["clusters"] == dict.fromkeys(three.names, "ok")
    found = three.nodes["c2"].get("/destinations/a.example").json
    assert (found["paused"], found["concurrency"], found["rate"]) == (True, 7, {"limit": 5, "per": "1m"})


def test_a_cluster_without_the_key_of_a_secret_is_named_with_the_cure(
    three: Clusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_vault: Vault, _sealed: bytes) -> str:
        raise SecretKeyMissing

    monkeypatch.setattr(Vault, "open_bytes", missing)
    door = three.start_proxy(three.topology(1, ["c0"]))
    assert door.call("PUT", "/destinations/a.example", {"secrets": [SECRET]}).status == 200
    applied = door.call("PUT", "/topology", three.topology(2, ["c0", "c1"]))
    assert applied.json["clusters"]["c0"] == "ok"
    assert "HOOKLINE_SECRET_KEY" in applied.json["clusters"]["c1"]


def test_settings_come_also_with_a_call_that_meets_the_new_cluster_first(three: Clusters, tmp_path: Path) -> None:
    door = three.start_proxy(three.topology(1, ["c0", "c1"]), probe_interval_ms=60_000)
    assert door.call("PUT", "/destinations/a.example", {"paused": True}).status == 200
    other = three.start_proxy(three.topology(1, ["c0", "c1"]), probe_interval_ms=60_000)
    three.nodes["c0"].call("PUT", "/internal/topology", three.topology(2, previous=_before(three)))
    assert other.call("PUT", "/destinations/b.example", {"paused": True}).status == 200
    for name in three.names:
        for host in ("a", "b"):
            assert three.nodes[name].get(f"/destinations/{host}.example").json["paused"] is True, (name, host)
    assert three.nodes["c2"].get("/health").json["epoch"] == 2


def _before(three: Clusters) -> dict[str, Any]:
    return {"strategy": "modulo", "cluster": three.topology(1, ["c0", "c1"])["cluster"]}


def test_a_deletion_reaches_a_cluster_that_joins_with_settings_of_before(three: Clusters) -> None:
    door = three.start_proxy(three.topology(1, ["c0", "c1"]))
    for host in ("a", "b"):
        assert door.call("PUT", f"/destinations/{host}.example", {"paused": True}).status == 200
    assert three.nodes["c2"].call("PUT", "/destinations/a.example", {"paused": True}).status == 200
    assert door.call("DELETE", "/destinations/a.example").status == 204
    assert door.get("/destinations/a.example").code == "destination_not_found"
    assert three.nodes["c2"].get("/destinations/a.example").json["paused"] is True
    applied = door.call("PUT", "/topology", three.topology(2))
    assert applied.json["clusters"] == dict.fromkeys(three.names, "ok")
    assert door.get("/destinations/a.example").code == "destination_not_found"
    assert [one["host"] for one in door.get("/destinations").json["data"]] == ["https://b.example:443"]


def test_a_deletion_that_a_cluster_did_not_take_is_said_and_can_be_repeated(three: Clusters) -> None:
    door = three.start_proxy()
    three.nodes["c1"].call("PUT", "/destinations/a.example", {"paused": True})
    assert door.call("DELETE", "/destinations/a.example").status == 204, "the others never knew it"
    assert door.call("DELETE", "/destinations/a.example").status == 204
    assert door.call("DELETE", "/destinations/nobody.example").code == "destination_not_found"
    three.stop("c2")
    refused = door.call("DELETE", "/destinations/a.example")
    assert (refused.status, refused.code, refused.json["clusters"]) == (503, "cluster_unavailable", ["c2"])
