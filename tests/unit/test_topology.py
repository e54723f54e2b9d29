"""The topology document: read from TOML and JSON, refused with the field named."""

import json
from typing import Any

import msgspec
import pytest

from hookline.errors import InvalidTopology
from hookline.protocol.limits import TOPOLOGY_BYTES_MAX
from hookline.protocol.topology import (
    CLUSTERS_MAX,
    DIGEST_CHARS,
    SHARD_MAX,
    WEIGHT_MAX,
    Placement,
    Topology,
    Version,
    digest_of,
    encode_topology,
    parse_topology,
    parse_topology_file,
    version_of,
)
from tests.proxy_parts import entries

FILE = """
epoch = 7
strategy = "ring"

[[cluster]]
name = "eu-1"
shard = 0
nodes = ["http://10.0.0.1:7070", "http://10.0.0.2:7070"]
weight = 2

[[cluster]]
name = "eu-2"
shard = 1
nodes = ["https://[::1]:7070"]

[previous]
strategy = "modulo"

[[previous.cluster]]
name = "eu-0"
shard = 4
nodes = ["http://old.example:7070"]
"""


def cluster(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {"name": f"c{number}", "shard": number, "nodes": [f"http://c{number}:1"]} | fields


def parse(*clusters: dict[str, Any], epoch: object = 1, **fields: Any) -> Topology:
    return parse_topology(json.dumps({"epoch": epoch, "cluster": clusters} | fields).encode())


def refused(*clusters: dict[str, Any], **fields: Any) -> InvalidTopology:
    with pytest.raises(InvalidTopology) as caught:
        parse(*clusters, **fields)
    return caught.value


def test_the_file_has_everything() -> None:
    found = parse_topology_file(FILE)
    assert (found.epoch, found.strategy) == (7, "ring")
    assert [(entry.name, entry.shard, entry.weight) for entry in found.clusters] == [("eu-1", 0, 2), ("eu-2", 1, 1)]
    assert found.clusters[0].nodes == ("http://10.0.0.1:7070", "http://10.0.0.2:7070")
    assert found.previous is not None
    assert [entry.name for entry in found.previous.clusters] == ["eu-0"]
    assert parse_topology(encode_topology(found)) == found


def test_what_is_left_out() -> None:
    found = parse(cluster())
    assert (found.strategy, found.clusters[0].weight, found.previous) == ("modulo", 1, None)


def test_the_same_topology_is_the_same_bytes() -> None:
    one = parse_topology(b'{"epoch":1,"cluster":[{"name":"a","shard":0,"nodes":["http://a:1"]}]}')
    other = parse_topology(
        b'{"cluster": [{"weight": 1, "nodes": ["http://a:1"], "shard": 0, "name": "a"}],'
        b' "strategy": "modulo", "previous": null, "epoch": 1}'
    )
    assert encode_topology(one) == encode_topology(other)


def test_the_clusters_of_now_come_first_and_hide_what_they_were_before() -> None:
    c0, c1, c2 = entries(1, 1, 1)
    moved = msgspec.structs.replace(c0, nodes=("http://elsewhere:1",))
    found = Topology(epoch=2, clusters=(c1, moved), previous=Placement(strategy="modulo", clusters=(c0, c2)))
    assert found.all_clusters() == [c1, moved, c2]
    assert (found.cluster("c0"), found.cluster("c2"), found.cluster("c9")) == (moved, c2, None)


@pytest.mark.parametrize("epoch", [0, -1, 2**53])
def test_epochs_out_of_range(epoch: int) -> None:
    error = refused(cluster(), epoch=epoch)
    assert error.field == "epoch"
    assert str(epoch) in error.detail


@pytest.mark.parametrize("name", ["", "-a", "a b", "a.b", "ä", "a\n", "x" * 64, "../a"])
def test_names_have_plain_characters(name: str) -> None:
    assert refused(cluster(name=name)).field == "cluster.name"


@pytest.mark.parametrize(
    ("field", "low", "high"), [("shard", 0, SHARD_MAX), ("weight", 1, WEIGHT_MAX)], ids=["shard", "weight"]
)
def test_numbers_have_bounds(field: str, low: int, high: int) -> None:
    for value in (low, high):
        assert getattr(parse(cluster(**{field: value})).clusters[0], field) == value
    for value in (low - 1, high + 1):
        error = refused(cluster(**{field: value}))
        assert error.field == f"cluster.{field}"
        assert str(high) in error.detail


def test_the_weights_have_a_bound_together() -> None:
    """Each weight costs points of the ring: without a bound a valid topology would stop every node for minutes."""
    assert parse(cluster(0, weight=WEIGHT_MAX - 1), cluster(1)).clusters
    error = refused(cluster(0, weight=WEIGHT_MAX - 1), cluster(1, weight=2))
    assert error.field == "cluster.weight"
    assert f"add up to {WEIGHT_MAX + 1}" in error.detail
    most = [cluster(number) for number in range(CLUSTERS_MAX)]
    assert parse(*most).clusters, "as many clusters as may be, of weight 1"


@pytest.mark.parametrize("count", [0, CLUSTERS_MAX + 1])
def test_the_number_of_clusters_has_bounds(count: int) -> None:
    assert refused(*[cluster(number) for number in range(count)]).field == "cluster"


@pytest.mark.parametrize(
    "url",
    ["http://a", "http://a:1", "https://a.example:443", "http://10.0.0.1:7070", "http://[::1]:7070", "http://a_b-c:1"],
)
def test_urls_of_nodes(url: str) -> None:
    assert parse(cluster(nodes=[url])).clusters[0].nodes == (url,)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a:1",
        "ftp://a:1",
        "HTTP://a:1",
        "http://",
        "http://:1",
        "http://a:",
        "http://a:0",
        "http://a:99999",
        "http://a:x",
        "http://a:1/",
        "http://a:1?x",
        "http://a:1#",
        "http://ä:1",
        "http://a b:1",
        "http://a:1\n",
        "http://a\\b:1",
        "http://%61:1",
        "http://user:secret@a:1",
        "http://[::1",
        "http://[::1]x:1",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    assert refused(cluster(nodes=[url])).field == "cluster.nodes"


def test_a_cluster_has_nodes() -> None:
    assert refused(cluster(nodes=[])).field == "cluster.nodes"


@pytest.mark.parametrize(
    ("same", "what"),
    [({"name": "c0"}, "name c0"), ({"shard": 0}, "shard 0"), ({"nodes": ["http://c0:1"]}, "node http")],
)
def test_nothing_is_there_twice(same: dict[str, Any], what: str) -> None:
    error = refused(cluster(0), cluster(1, **same))
    assert error.field == "cluster"
    assert what in error.detail
    assert "2 times" in error.detail


@pytest.mark.parametrize(
    ("previous", "field"),
    [
        ([], "previous.cluster"),
        ([cluster(name="?")], "previous.cluster.name"),
        ([cluster(weight=0)], "previous.cluster.weight"),
        ([cluster(nodes=["c0"])], "previous.cluster.nodes"),
        ([cluster(0, shard=5)], "shard"),
        ([cluster(0, name="other")], "shard"),
        ([cluster(8, nodes=["http://c0:1"])], "previous.cluster"),
    ],
    ids=["none", "name", "weight", "node", "other shard", "other name", "node of another cluster"],
)
def test_what_was_before_is_checked_too(previous: list[dict[str, Any]], field: str) -> None:
    error = refused(cluster(0), previous={"strategy": "modulo", "cluster": previous})
    assert error.field == field


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"epoch":1,"cluster":[],"x":1}',
        b'{"epoch":"1","cluster":[]}',
        b'{"epoch":1}',
        b'{"epoch":1,"strategy":"random","cluster":[{"name":"a","shard":0,"nodes":["http://a:1"]}]}',
        b'{"epoch":1,"cluster":[{"name":"\xff","shard":0,"nodes":["http://a:1"]}]}',
        b'{"epoch":1,"cluster":[{"name":"a","shard":0,"nodes":["http://a:1"],"wieght":2}]}',
        b'{"epoch":' + b"[" * 100_000,
    ],
)
def test_what_is_no_topology_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidTopology, match="cannot be read"):
        parse_topology(data)


def test_a_document_has_bounds() -> None:
    with pytest.raises(InvalidTopology, match=str(TOPOLOGY_BYTES_MAX)):
        parse_topology(b" " * (TOPOLOGY_BYTES_MAX + 1))


@pytest.mark.parametrize("text", ["epoch = ", "epoch = 1\nepoch = 2", "", 'epoch = "1"', FILE + "\ncolour = 1"])
def test_what_is_no_topology_file_is_refused(text: str) -> None:
    with pytest.raises(InvalidTopology, match="cannot be read"):
        parse_topology_file(text)


def test_an_id_of_a_cluster_is_optional_and_the_document_without_it_is_as_it_was() -> None:
    """Else every stored document would be another one after an upgrade."""
    born = "0123456789abcdef" * 2
    assert parse(cluster(id=born)).clusters[0].id == born
    assert b'"id"' not in encode_topology(parse(cluster()))
    for wrong in ("", "x" * 32, born.upper(), born + "0"):
        assert refused(cluster(id=wrong)).field == "cluster.id"


def test_a_document_has_a_short_name() -> None:
    one, other = parse(cluster(0), cluster(1)), parse(cluster(1), cluster(0))
    assert version_of(one) == Version(1, digest_of(encode_topology(one)))
    assert len(version_of(one).digest) == DIGEST_CHARS
    assert version_of(one) != version_of(other)
    assert version_of(one) == version_of(parse_topology(encode_topology(one)))
