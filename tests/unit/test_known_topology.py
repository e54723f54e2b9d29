"""The topology a proxy goes by only ever gets newer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.protocol.topology import Placement, encode_topology
from hookline.protocol.topology_change import EPOCH_JUMP_MAX
from hookline.proxy.known_topology import KnownTopology
from tests.proxy_parts import topology


def test_what_it_starts_with() -> None:
    known = KnownTopology(topology(2, epoch=3))
    assert (known.epoch, known.topology, known.conflicts) == (3, topology(2, epoch=3), 0)
    assert known.document == encode_topology(topology(2, epoch=3))
    assert known.router.topology is known.topology


def test_a_newer_one_is_taken_as_a_whole() -> None:
    known = KnownTopology(topology(2))
    newer = topology(5, epoch=2, strategy="ring")
    assert known.learn(newer)
    assert (known.epoch, known.topology, known.document) == (2, newer, encode_topology(newer))
    assert known.router.topology is newer
    assert known.router.key_home("a").rule == "ring"


def test_an_older_one_is_not() -> None:
    known = KnownTopology(topology(2, epoch=4))
    assert not known.learn(topology(3, epoch=3))
    assert (known.epoch, known.topology, known.conflicts) == (4, topology(2, epoch=4), 0)


def test_another_one_with_our_epoch_is_counted_and_ours_stays() -> None:
    known = KnownTopology(topology(2))
    router = known.router
    assert not known.learn(topology(2))
    assert known.conflicts == 0, "the same again"
    assert not known.learn(topology(3))
    assert (known.conflicts, known.topology, known.router) == (1, topology(2), router)


def test_a_document_is_read() -> None:
    known = KnownTopology(topology(2))
    assert known.learn_document(encode_topology(topology(3, epoch=2)))
    assert known.topology == topology(3, epoch=2)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b'{"epoch":9,"cluster":[]}', encode_topology(topology(2, epoch=9))[:-1]]
)
def test_what_cannot_be_read_or_does_not_hold_together_changes_nothing(data: bytes) -> None:
    known = KnownTopology(topology(2))
    assert not known.learn_document(data)
    assert (known.epoch, known.conflicts) == (1, 0)


# --- who decided ------------------------------------------------------------------------------------------------


def test_of_two_with_our_epoch_the_one_that_the_smaller_shard_decided_is_taken() -> None:
    known = KnownTopology(topology(2), decided_by=1)
    assert not known.learn(topology(3), 2)
    assert known.topology == topology(2)
    assert known.learn(topology(3), 0)
    assert (known.topology, known.decided_by, known.conflicts) == (topology(3), 0, 0)
    assert not known.learn(topology(2), 1)


def test_the_same_one_may_bring_who_decided() -> None:
    known = KnownTopology(topology(2))
    assert not known.learn(topology(2), 4)
    assert known.decided_by == 4
    known.learn(topology(2))
    assert known.decided_by == 4


# --- a proposal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [4, 5, 9])
def test_whatever_a_cluster_has_takes_the_place_of_a_proposal(epoch: int) -> None:
    known = KnownTopology(topology(2, epoch=5), is_proposal=True)
    assert (known.is_in_force, bool(known.why_not)) == (False, True)
    assert known.learn(topology(3, epoch=epoch), 0)
    assert (known.is_in_force, known.topology, known.why_not) == (True, topology(3, epoch=epoch), None)
    assert known.proposal == (topology(2, epoch=5) if epoch == 4 else None), "it may come next, or never"
    assert known.conflicts == (1 if epoch == 5 else 0)


def test_a_proposal_that_a_cluster_has_is_in_force() -> None:
    known = KnownTopology(topology(2), is_proposal=True)
    known.confirm(0)
    assert (known.is_in_force, known.decided_by, known.proposal, known.why_not) == (True, 0, None, None)


def test_a_file_that_only_lacks_what_was_added_is_no_conflict() -> None:
    before = Placement(strategy="modulo", clusters=topology(2).clusters)
    known = KnownTopology(topology(3, epoch=2), is_proposal=True)
    known.learn(topology(3, epoch=2, previous=before), 0)
    assert (known.conflicts, known.topology.previous) == (0, before)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), max_size=20))
def test_the_epoch_never_goes_back(heard: list[tuple[int, int]]) -> None:
    known = KnownTopology(topology(1))
    for epoch, count in heard:
        before = known.topology
        is_newer = known.learn(topology(count, epoch=epoch))
        assert is_newer == (epoch > before.epoch)
        assert known.topology == (topology(count, epoch=epoch) if is_newer else before)


# --- jumps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [2**53 - 1, 4 + EPOCH_JUMP_MAX + 1])
def test_an_epoch_from_which_none_can_follow_is_not_learnt(epoch: int) -> None:
    known = KnownTopology(topology(2, epoch=4))
    assert not known.learn_document(encode_topology(topology(3, epoch=epoch)), 0)
    assert known.topology == topology(2, epoch=4)
    assert known.learn(topology(3, epoch=4 + EPOCH_JUMP_MAX), 0), "who was away for long"
