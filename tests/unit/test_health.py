"""In which order nodes are asked, and whom a proxy takes for the leader."""

from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.protocol.topology import ClusterEntry
from hookline.proxy.health import KnownHealth

URLS = A, B, C = ("http://n:1", "http://n:2", "http://n:3")
NAMES = dict(zip(URLS, ("n1", "n2", "n3"), strict=True))
TRIO = ClusterEntry(name="c0", shard=0, nodes=URLS)
OTHER = ClusterEntry(name="c1", shard=1, nodes=("http://o:1",))


def health() -> KnownHealth:
    """It knows which nodes the clusters have, as after the first round of probes."""
    found = KnownHealth()
    for entry in (TRIO, OTHER):
        found.order(entry)
    return found


def probed(found: KnownHealth, url: str, role: str = "follower", term: int = 1, **said: Any) -> None:
    found.probed(url, is_ready=said.pop("is_ready", True), name=NAMES.get(url, "o1"), role=role, term=term, **said)


def test_what_was_not_heard_of_is_unknown_and_keeps_the_order_of_the_topology() -> None:
    found = KnownHealth()
    assert found.order(TRIO) == URLS
    assert (found.leader(TRIO), found.cluster_state(TRIO)) == (None, "unknown")
    assert found.node(A).state == "unknown"


@pytest.mark.parametrize("states", list(permutations(["leader", "down", "unknown"])))
def test_the_leader_first_then_up_unknown_down(states: tuple[str, ...]) -> None:
    found = health()
    for url, state in zip(URLS, states, strict=True):
        if state == "leader":
            probed(found, url, "leader")
        elif state == "down":
            found.failed(url)
    by_state = dict(zip(states, URLS, strict=True))
    assert found.order(TRIO) == (by_state["leader"], by_state["unknown"], by_state["down"])


def test_a_leader_that_is_down_comes_after_those_that_are_up() -> None:
    found = health()
    probed(found, C, "leader")
    probed(found, B)
    assert found.order(TRIO) == (C, B, A)
    found.failed(C)
    assert found.order(TRIO) == (B, A, C)
    found.succeeded(C)
    assert found.order(TRIO) == (C, B, A), "it is back, and nobody else said that he leads"


# --- who leads --------------------------------------------------------------------------------------------------


def test_the_leader_is_who_says_so() -> None:
    found = health()
    probed(found, B, "leader", 3)
    assert found.leader(TRIO) == B
    probed(found, C, "leader", 4)
    assert found.leader(TRIO) == C
    probed(found, C, "follower", 5)
    assert found.leader(TRIO) is None


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_several_who_say_so_the_newest_term_leads(order: tuple[int, ...]) -> None:
    """The newest term counts, whichever is heard first: an old leader may not know yet that it was replaced."""
    found = health()
    for _ in range(2):
        for number in order:
            probed(found, URLS[number], "leader", term=number + 5)
    assert found.leader(TRIO) == C
    assert found.order(TRIO)[0] == C


def test_an_older_leader_is_believed_again_only_when_the_newer_one_is_down() -> None:
    found = health()
    probed(found, B, "leader", 7)
    probed(found, A, "leader", 6)
    assert found.leader(TRIO) == B
    found.failed(B)
    probed(found, A, "leader", 6)
    assert found.leader(TRIO) == A
    probed(found, B, "leader", 7)
    assert found.leader(TRIO) == B


def test_a_follower_does_not_depose_another_leader() -> None:
    found = health()
    probed(found, B, "leader", 7)
    probed(found, A, "follower", 9)
    assert found.leader(TRIO) == B


def test_the_node_that_did_the_work_leads() -> None:
    found = health()
    for url in URLS:
        probed(found, url)
    found.succeeded(A, "n2")
    assert found.leader(TRIO) == B
    found.succeeded(C, "n3")
    assert found.leader(TRIO) == C
    found.succeeded(A)
    found.succeeded(A, "n9")
    assert found.leader(TRIO) == C, "it says nothing, or a name that nobody has"


def test_a_name_says_nothing_before_it_is_known_whose_it_is() -> None:
    found = health()
    found.succeeded(A, "n1")
    assert (found.leader(TRIO), found.node(A).state) == (None, "up")
    found.succeeded("http://stranger:1", "n1")  # a node of no cluster
    probed(found, "http://stranger:1", "leader")
    assert found.leader(TRIO) is None


def test_the_clusters_do_not_mix() -> None:
    """Nodes of two clusters may have the same name."""
    found = health()
    probed(found, A, "leader")
    found.probed(OTHER.nodes[0], is_ready=True, name="n2", role="leader")
    probed(found, B)
    found.succeeded(OTHER.nodes[0], "n2")
    assert (found.leader(TRIO), found.leader(OTHER)) == (A, OTHER.nodes[0])
    found.succeeded(A, "n2")
    assert (found.leader(TRIO), found.leader(OTHER)) == (B, OTHER.nodes[0])


def test_who_refuses_does_not_lead_but_is_up() -> None:
    found = health()
    probed(found, A, "leader")
    found.refused(B)
    assert found.leader(TRIO) == A
    found.refused(A)
    assert found.leader(TRIO) is None
    assert (found.node(A).state, found.node(A).is_ready) == ("up", False)


# --- clusters ---------------------------------------------------------------------------------------------------


def test_a_cluster_is_up_when_one_node_takes_requests_and_down_when_none_can() -> None:
    found = health()
    for url in URLS[:2]:
        probed(found, url, is_ready=False)
    assert found.cluster_state(TRIO) == "unknown", "the third may"
    found.failed(C)
    assert found.cluster_state(TRIO) == "down"
    probed(found, B)
    assert found.cluster_state(TRIO) == "up"
    found.failed(B)
    assert found.cluster_state(TRIO) == "down"


def test_a_cluster_that_gets_other_nodes() -> None:
    found = health()
    probed(found, A, "leader")
    changed = ClusterEntry(name="c0", shard=0, nodes=(B, "http://n:4"))
    assert (found.order(changed), found.leader(changed)) == ((B, "http://n:4"), None)
    found.succeeded("http://n:4")
    assert found.order(changed) == ("http://n:4", B)
    found.keep([changed])
    assert found.node(A).state == "unknown", "forgotten"
    assert found.node("http://n:4").state == "up"


def test_what_is_kept_and_what_is_forgotten() -> None:
    found = health()
    probed(found, A, "leader")
    probed(found, OTHER.nodes[0], "leader")
    found.keep([TRIO])
    assert (found.leader(TRIO), found.node(A).name) == (A, "n1")
    assert (found.cluster_state(OTHER), found.leader(OTHER)) == ("unknown", None)


events = st.lists(
    st.tuples(
        st.sampled_from(["leader", "follower", "succeeded", "refused", "failed"]),
        st.sampled_from(URLS),
        st.integers(1, 4),
        st.sampled_from(["", "n1", "n2", "n3"]),
    ),
    max_size=40,
)


@given(events)
def test_whatever_happens_the_order_is_of_all_nodes_and_by_what_is_known(
    events: list[tuple[str, str, int, str]],
) -> None:
    """The order is kept between changes: it must never be one from before."""
    found = health()
    ranks = {"up": 0, "unknown": 1, "down": 2}
    for event, url, term, name in events:
        if event in ("leader", "follower"):
            probed(found, url, event, term)
        elif event == "succeeded":
            found.succeeded(url, name)
        else:
            getattr(found, event)(url)
        order = found.order(TRIO)
        leader = found.leader(TRIO)
        expected = sorted(URLS, key=lambda each: (ranks[found.node(each).state], each != leader))
        assert list(order) == expected
        assert found.node(url).state == ("down" if event == "failed" else "up")


# --- silence, and nodes of others -------------------------------------------------------------------------------


def test_a_cluster_is_silent_when_every_node_missed_two_probes_in_a_row() -> None:
    found = health()
    for url in URLS:
        found.missed(url, is_refusing=True)
    assert not found.is_silent(TRIO)
    for url in URLS:
        found.missed(url, is_refusing=False)
    assert found.is_silent(TRIO)
    assert not found.is_silent(OTHER)
    found.refused(B)
    assert not found.is_silent(TRIO), "it answered something"
    found.missed(B, is_refusing=False)
    assert not found.is_silent(TRIO), "one since then"


def test_where_connections_are_refused_a_try_costs_nothing() -> None:
    found = health()
    for _ in range(2):
        for url in URLS:
            found.missed(url, is_refusing=True)
    assert (found.is_silent(TRIO), found.is_refusing(TRIO)) == (False, True)
    found.missed(B, is_refusing=False)
    assert (found.is_silent(TRIO), found.is_refusing(TRIO)) == (True, False), "one that may swallow the call"


def test_what_is_heard_is_counted() -> None:
    found = health()
    before = found.heard(TRIO)
    found.missed(A, is_refusing=False)
    found.failed(B)
    assert found.heard(TRIO) == before
    probed(found, A)
    found.succeeded(B)
    assert found.heard(TRIO) == before + 2


def test_a_node_of_another_cluster_is_not_asked_until_it_is_ours() -> None:
    found = health()
    probed(found, A, "leader")
    found.is_stranger(A, "it belongs to c7")
    assert (found.node(A).state, found.leader(TRIO), found.order(TRIO)) == ("down", None, (B, C))
    for url in (B, C):
        found.is_stranger(url, "so does it")
    assert found.is_silent(TRIO)
    assert found.why_silent(TRIO) == "it belongs to c7; so does it; so does it"
    probed(found, A, "leader")
    assert (found.node(A).state, found.leader(TRIO), found.order(TRIO)) == ("up", A, (A,))


# --- newcomers --------------------------------------------------------------------------------------------------


def test_a_node_that_no_operator_named_is_sent_nothing_until_it_was_met() -> None:
    found = KnownHealth([TRIO])
    assert found.order(TRIO) == TRIO.nodes
    assert (found.order(OTHER), found.is_silent(OTHER), found.unmet(OTHER)) == ((), True, list(OTHER.nodes))
    found.meet(OTHER, OTHER.nodes[0])
    assert (found.order(OTHER), found.is_silent(OTHER), found.unmet(OTHER)) == (OTHER.nodes, False, [])


def test_a_new_url_of_a_known_cluster_is_a_newcomer_too() -> None:
    found = KnownHealth([TRIO])
    grown = msgspec.structs.replace(TRIO, nodes=(*TRIO.nodes, "http://new:1"))
    assert set(found.order(grown)) == set(TRIO.nodes)
    found.meet(grown, "http://new:1")
    assert set(found.order(grown)) == set(grown.nodes)


def test_who_left_the_topology_has_to_be_met_again() -> None:
    found = KnownHealth([TRIO, OTHER])
    found.keep([TRIO])
    found.keep([TRIO, OTHER])
    assert found.order(OTHER) == ()


def test_a_newcomer_that_did_not_answer_is_not_asked_again_for_a_call() -> None:
    found = KnownHealth(())
    found.missed(OTHER.nodes[0], is_refusing=False)
    assert found.unmet(OTHER) == []
    assert found.is_silent(OTHER)
