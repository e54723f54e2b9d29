"""The topology a proxy goes by only ever gets newer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.protocol.topology import encode_topology
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


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), max_size=20))
def test_the_epoch_never_goes_back(heard: list[tuple[int, int]]) -> None:
    known = KnownTopology(topology(1))
    for epoch, count in heard:
        before = known.topology
        is_newer = known.learn(topology(count, epoch=epoch))
        assert is_newer == (epoch > before.epoch)
        assert known.topology == (topology(count, epoch=epoch) if is_newer else before)
