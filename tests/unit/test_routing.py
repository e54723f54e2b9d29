"""The router under one topology: homes, hints, changes under way, and how a decision is explained."""

import pytest

from hookline.protocol.routing import Router, fnv1a_32, ring_hash
from hookline.protocol.topology import ClusterEntry, Placement, Strategy, Topology
from hookline.proxy.api.topology import explain_id, explain_key
from tests.proxy_parts import entries, topology

MINTED = "0192f0c1-5e6f-7abc-8def-0123456789ab"
SAMPLE = [f"order-{number}" for number in range(200)]


def changing(
    before: tuple[ClusterEntry, ...], after: tuple[ClusterEntry, ...], strategy: Strategy = "modulo"
) -> Router:
    previous = Placement(strategy=strategy, clusters=before)
    return Router(Topology(epoch=2, strategy=strategy, clusters=after, previous=previous))


# --- homes ------------------------------------------------------------------------------------------------------


def test_modulo_counts_in_the_order_of_the_topology() -> None:
    c0, c1, c2 = entries(1, 1, 1)
    router = Router(Topology(epoch=1, clusters=(c2, c0, c1)))
    for text in SAMPLE:
        route = router.home(text)
        assert (route.rule, route.hash) == ("modulo", fnv1a_32(text.encode()))
        assert route.cluster == (c2, c0, c1)[fnv1a_32(text.encode()) % 3]


def test_known_homes_stay_where_they_are() -> None:
    """A release that places ids otherwise loses sight of the jobs of the one before."""
    names = ["order-1", "order-2", "user:7", MINTED, "ä"]
    modulo, ring = Router(topology(5)), Router(topology(5, strategy="ring"))
    assert [fnv1a_32(name.encode()) for name in names] == [729795949, 679463092, 1931105341, 2627922371, 429777122]
    assert [modulo.home(name).cluster.shard for name in names] == [4, 2, 1, 1, 2]
    assert [ring_hash(name) for name in names] == [2844098414, 2107476248, 2391910011, 2024205766, 481761668]
    assert [ring.home(name).cluster.shard for name in names] == [3, 4, 4, 2, 0]


def test_a_hint_needs_a_shard_that_exists() -> None:
    router = Router(topology(3))
    assert (router.home(f"{MINTED}-2").rule, router.home(f"{MINTED}-2").cluster.name) == ("hint", "c2")
    assert router.home(f"{MINTED}-3") == router.key_home(f"{MINTED}-3")
    assert router.hinted(f"{MINTED}-3") is None
    assert router.hinted("order-2") is None


def test_shards_are_numbers_and_no_positions() -> None:
    found = Router(Topology(epoch=1, clusters=(ClusterEntry(name="late", shard=40, nodes=("http://a:1",)),)))
    assert found.home(f"{MINTED}-40").rule == "hint"
    assert found.home(f"{MINTED}-0").rule == "modulo"


# --- a change under way -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["modulo", "ring"])
def test_only_what_moved_has_a_previous_home(strategy: Strategy) -> None:
    before, after = entries(1, 1), entries(1, 1, 1)
    router = changing(before, after, strategy)
    old, new = Router(topology(2, strategy=strategy)), Router(topology(3, strategy=strategy))
    moved = 0
    for text in SAMPLE:
        was, now = old.key_home(text), new.key_home(text)
        for is_key in (False, True):
            previous = router.previous_home(text, is_key=is_key)
            assert (previous is None) == (was.cluster.name == now.cluster.name)
            if previous is not None:
                assert (previous.cluster, previous.rule, previous.hash) == (was.cluster, "previous", was.hash)
                moved += 1
        assert router.home(text) == now
    assert 40 < moved < 360


def test_a_cluster_that_only_got_other_nodes_is_the_same_home() -> None:
    c0, c1 = entries(1, 1)
    elsewhere = ClusterEntry(name="c0", shard=0, nodes=("http://new:1",))
    router = changing((c0, c1), (elsewhere, c1))
    assert [router.previous_home(text) for text in SAMPLE] == [None] * len(SAMPLE)


def test_a_minted_id_does_not_move_but_a_key_of_that_form_does() -> None:
    router = changing(entries(1, 1), entries(1, 1, 1))
    minted = [f"{MINTED[:-2]}{number:02}-1" for number in range(50)]
    assert [router.previous_home(text) for text in minted] == [None] * 50
    assert any(router.previous_home(text, is_key=True) for text in minted)


def test_without_a_change_nothing_was_elsewhere() -> None:
    assert Router(topology(3)).previous_home("a") is None


def test_what_is_new_goes_to_no_cluster_that_is_on_its_way_out() -> None:
    router = changing(entries(1, 1, 1), entries(1, 1))
    minted = f"{MINTED}-2"
    assert (router.home(minted).rule, router.home(minted).cluster.name) == ("hint", "c2"), "it is read there"
    assert router.new_home(minted) == router.key_home(minted)
    assert router.new_home(f"{MINTED}-1") == router.home(f"{MINTED}-1")
    assert {router.new_home(text).cluster.name for text in SAMPLE} == {"c0", "c1"}


def test_a_cluster_that_is_gone_gives_no_hint() -> None:
    gone = Router(topology(2, epoch=3))
    assert gone.home(f"{MINTED}-2").rule == "modulo"


# --- the explanation --------------------------------------------------------------------------------------------


def test_modulo_is_explained() -> None:
    number = fnv1a_32(b"order-1")
    assert explain_id(Router(topology(3)), "order-1") == {
        "id": "order-1",
        "rule": "modulo",
        "hash": number,
        "cluster": f"c{number % 3}",
        "shard": number % 3,
        "steps": [
            "the id is not a minted one, so the strategy decides",
            f"FNV-1a hash {number} modulo 3 clusters is {number % 3}",
            f"cluster number {number % 3} of the topology, counted from 0, is c{number % 3}",
        ],
    }


def test_the_ring_is_explained() -> None:
    router = Router(topology(3, strategy="ring"))
    found, home = explain_id(router, "order-1"), router.home("order-1")
    assert (found["rule"], found["hash"], found["cluster"]) == ("ring", ring_hash("order-1"), home.cluster.name)
    step = f"hash {home.hash}: the next point on the ring of 3 belongs to {home.cluster.name}"
    assert found["steps"] == ["the id is not a minted one, so the strategy decides", step]


def test_a_hint_is_explained_and_one_that_leads_nowhere() -> None:
    router = Router(topology(3))
    found = explain_id(router, f"{MINTED}-2")
    assert (found["rule"], found["hash"], found["cluster"], found["shard"]) == ("hint", None, "c2", 2)
    assert found["steps"] == ["the id was minted for shard 2, which is cluster c2"]
    lost = explain_id(router, f"{MINTED}-8")
    assert lost["rule"] == "modulo"
    assert lost["steps"][0] == "the id was minted for shard 8, which no cluster has"
    assert len(lost["steps"]) == 3


def test_a_key_is_explained_and_is_no_hint() -> None:
    found = explain_key(Router(topology(3)), f"{MINTED}-2")
    assert (found["key"], found["rule"]) == (f"{MINTED}-2", "modulo")
    assert "id" not in found
    assert found["steps"][0] == "the strategy decides for keys"


def test_a_change_is_explained() -> None:
    router = changing(entries(1, 1, 1), entries(1, 1))
    moved = next(text for text in SAMPLE if router.previous_home(text))
    previous = router.previous_home(moved)
    assert previous is not None
    last = f"a change is under way: it was at home at {previous.cluster.name}, which is asked too"
    assert explain_id(router, moved)["steps"][-1] == last
    assert explain_key(router, moved)["steps"][-1] == last
    leaving = explain_id(router, f"{MINTED}-2")["steps"]
    assert leaving[-1].startswith("cluster c2 is on its way out: a new job with this id goes to c")
