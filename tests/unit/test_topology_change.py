"""Changes of a topology: the ones that are allowed, what a proxy adds, and who decides."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from hookline.errors import ChangeOpen, InvalidTopology
from hookline.protocol.topology import ClusterEntry, Move, Placement, Strategy, Topology
from hookline.protocol.topology_change import (
    EPOCH_JUMP_MAX,
    check_change,
    completed,
    decider_of,
    ended,
    is_completed,
    leaving,
    outranks,
    paced,
    placement_of,
    same_homes,
    taken_back,
    with_retired,
)
from tests.proxy_parts import entries

C0, C1, C2 = entries(1, 1, 1)
ONE = Topology(epoch=3, clusters=(C0, C1))
OPEN = Topology(epoch=4, clusters=(C0, C1, C2), previous=placement_of(ONE))


def placed(*clusters: ClusterEntry, strategy: Strategy = "modulo") -> Placement:
    return Placement(strategy=strategy, clusters=clusters)


def at(
    epoch: int, *clusters: ClusterEntry, strategy: Strategy = "modulo", previous: Placement | None = None
) -> Topology:
    return Topology(epoch=epoch, strategy=strategy, clusters=clusters, previous=previous)


def names_of(topology: Topology) -> set[str]:
    return {entry.name for entry in topology.clusters}


def moved(entry: ClusterEntry) -> ClusterEntry:
    """On other machines."""
    return msgspec.structs.replace(entry, nodes=(f"http://new-{entry.name}:1",))


# --- homes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (placed(C0, C1), placed(C0, C1), True),
        (placed(C0, C1), placed(moved(C0), C1), True),
        (placed(C0, C1), placed(C1, C0), False),
        (placed(C0, C1), placed(C0), False),
        (placed(C0, C1), placed(C0, C1, strategy="ring"), False),
        (placed(C0, C1), placed(C0, msgspec.structs.replace(C1, weight=2)), True),
        (placed(C0, C1, strategy="ring"), placed(C1, C0, strategy="ring"), True),
        (placed(C0, strategy="ring"), placed(msgspec.structs.replace(C0, weight=2), strategy="ring"), False),
    ],
    ids=["equal", "urls", "order", "one less", "strategy", "weight of modulo", "order of a ring", "weight of a ring"],
)
def test_homes_are_the_same_when_every_id_stays(one: Placement, other: Placement, same: bool) -> None:
    assert same_homes(one, other) == same_homes(other, one) == same


def test_the_smallest_shard_decides_whatever_the_order() -> None:
    assert decider_of((C2, C0, C1)) == decider_of((C0, C1, C2)) == C0
    assert decider_of((C2, C1)) == C1


def test_of_two_documents_the_one_of_the_smaller_shard_wins_and_one_that_nobody_decided_loses() -> None:
    assert outranks(0, 1)
    assert outranks(5, None)
    for one, other in ((1, 0), (1, 1), (None, 0), (None, None)):
        assert not outranks(one, other)


# --- what the proxy adds ----------------------------------------------------------------------------------------


def test_previous_is_added_where_homes_change_and_only_there() -> None:
    assert completed(ONE, at(4, C0, C1, C2)) == OPEN
    assert completed(ONE, OPEN) is OPEN
    other_urls = at(4, moved(C0), C1)
    assert completed(ONE, other_urls) is other_urls
    closing = at(5, C0, C1, C2)
    assert completed(OPEN, closing) is closing
    back = completed(OPEN, at(5, C0, C1))
    assert back.previous == placement_of(OPEN)
    check_change(OPEN, back)


def test_a_file_that_lacks_what_was_added_is_the_same() -> None:
    assert is_completed(at(4, C0, C1, C2), OPEN)
    assert is_completed(OPEN, OPEN)
    assert not is_completed(at(4, C0, C2, C1), OPEN)
    assert not is_completed(OPEN, at(4, C0, C1, C2))
    assert not is_completed(at(4, C0, C1, C2, previous=placed(C0)), OPEN)


# --- how a change goes on ---------------------------------------------------------------------------------------


def test_a_change_is_paused_goes_on_and_is_taken_back_and_the_way_back_too() -> None:
    paused = paced(OPEN, Move(paused=True, rate=5))
    check_change(OPEN, paused)
    assert (paused.epoch, paused.previous, paused.clusters) == (5, OPEN.previous, OPEN.clusters)
    back = taken_back(paused)
    check_change(paused, back)
    assert (back.epoch, back.clusters, back.previous) == (6, (C0, C1), placement_of(OPEN))
    assert (back.move.aborting, back.move.paused, back.move.rate) == (True, False, 5), "it goes on, as fast as before"
    assert back.move.with_finished, "c2 is taken out, and what finished there would be forgotten"
    assert [entry.name for entry in leaving(back)] == ["c2"]
    forth = taken_back(back)
    check_change(back, forth)
    assert forth == replace(OPEN, epoch=7, move=Move(rate=5, with_finished=True))


def test_the_way_back_takes_finished_jobs_along_only_out_of_what_it_takes_out() -> None:
    removing = completed(ONE, at(4, C0))
    assert not taken_back(removing).move.with_finished


def test_what_a_change_took_out_is_remembered_and_never_used_again() -> None:
    removing = completed(ONE, at(4, C0))
    assert (removing.previous, removing.retired) == (placement_of(ONE), ())
    end = ended(removing)
    check_change(removing, end)
    assert (end.epoch, end.previous, end.retired) == (5, None, (1,))
    for shard_again in (C1, replace(C2, shard=1)):
        again = completed(end, at(6, C0, shard_again))
        with pytest.raises(InvalidTopology, match="never used again"):
            check_change(end, again, is_forced=True)
    assert completed(end, at(6, C0, C2)).retired == (1,)


# --- what may follow --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ONE, at(4, C0, C1)),
        (ONE, at(4, moved(C0), C1)),
        (ONE, OPEN),
        (ONE, at(4, C0, C1, strategy="ring", previous=placed(moved(C0), C1))),
        (OPEN, at(5, C0, C1, C2)),
        (OPEN, at(5, moved(C0), C1, C2, previous=placed(moved(C0), C1))),
        (OPEN, at(5, C0, C1, previous=placed(C0, C1, C2))),
    ],
    ids=["the same", "urls", "a change", "its strategy", "its end", "urls meanwhile", "its way back"],
)
def test_one_step_at_a_time(old: Topology, new: Topology) -> None:
    check_change(old, new)


@pytest.mark.parametrize(
    ("old", "new", "error", "field"),
    [
        (ONE, at(3, C0, C1), InvalidTopology, "epoch"),
        (ONE, at(2, C0, C1), InvalidTopology, "epoch"),
        (ONE, at(2**53 - 1, C0, C1), InvalidTopology, "epoch"),
        (ONE, at(3 + EPOCH_JUMP_MAX + 1, C0, C1), InvalidTopology, "epoch"),
        (ONE, at(5, C0, C1), InvalidTopology, "epoch"),
        (ONE, at(4, C0, C1, C2), InvalidTopology, "previous"),
        (ONE, at(4, C1, C0), InvalidTopology, "previous"),
        (ONE, at(4, C0, C1, strategy="ring"), InvalidTopology, "previous"),
        (ONE, at(4, C0, C1, C2, previous=placed(C0)), InvalidTopology, "previous"),
        (ONE, at(4, C0, C1, previous=placed(C0)), InvalidTopology, "previous"),
        (OPEN, at(5, C0, C1, C2, strategy="ring", previous=placement_of(OPEN)), ChangeOpen, None),
        (OPEN, at(5, C0, C2, previous=placement_of(OPEN)), ChangeOpen, None),
        (OPEN, at(5, C0, C2), ChangeOpen, None),
        (OPEN, at(5, C0, C1, C2, previous=placed(C0)), ChangeOpen, None),
        (OPEN, at(5, C0, C1), ChangeOpen, None),
        (OPEN, at(5, C0, C1, previous=placed(C0)), ChangeOpen, None),
    ],
)
def test_everything_else_is_refused_with_the_cure(
    old: Topology, new: Topology, error: type[Exception], field: str | None
) -> None:
    with pytest.raises(error) as caught:
        check_change(old, new)
    assert getattr(caught.value, "field", None) == field
    if field is None:
        assert "hookline topology abort" in str(caught.value)


def test_force_takes_what_may_make_ids_twice_and_nothing_else() -> None:
    for new in (at(9, C0, C2), at(5, C2, strategy="ring"), at(5, C0, C1)):
        given = with_retired(OPEN, new)
        assert (given.previous, given.retired) == (None, tuple(n for n in (0, 1, 2) if f"c{n}" not in names_of(new)))
        check_change(OPEN, given, is_forced=True)
    for new in (at(4, C0), at(3, C0)):
        with pytest.raises(InvalidTopology, match="not newer than 4"):
            check_change(OPEN, new, is_forced=True)
    check_change(OPEN, at(4 + EPOCH_JUMP_MAX, C0), is_forced=True)
    for epoch in (4 + EPOCH_JUMP_MAX + 1, 2**53 - 1):
        with pytest.raises(InvalidTopology, match="write epoch = 5"):
            check_change(OPEN, at(epoch, C0), is_forced=True)


@pytest.mark.parametrize("changed", [{"shard": 9}, {"name": "c9"}], ids=["shard", "name"])
@pytest.mark.parametrize("position", [0, 2])
@pytest.mark.parametrize("is_forced", [False, True])
def test_a_shard_is_never_given_to_another_cluster(changed: dict[str, Any], position: int, is_forced: bool) -> None:
    """Also when only what was before had it: its ids are still read."""
    old = at(1, C0, C1, previous=placed(C2))
    other = msgspec.structs.replace((C0, C1, C2)[position], nodes=("http://new:1",), **changed)
    for new in (at(2, C1, other), at(2, C1, previous=placed(other))):
        with pytest.raises(InvalidTopology) as caught:
            check_change(old, new, is_forced=is_forced)
        assert caught.value.field == "shard"
