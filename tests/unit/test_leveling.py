"""How a proxy's file comes into force, and how two documents of one epoch become one: scripted nodes, virtual time."""

from typing import Any

import pytest

from hookline.peers.sender import NotSent, Unclear
from hookline.protocol.topology import ClusterEntry, Topology
from hookline.protocol.topology_change import completed, ended, placement_of
from hookline.proxy.known_topology import KnownTopology
from tests.proxy_parts import C0, C1, problem
from tests.unit.test_prober import A1, A2, B1, DOCUMENT, Fleet, Node

C2 = ClusterEntry(name="c2", shard=2, nodes=("http://c:1",))
FIRST = Topology(epoch=1, clusters=(C1, C0))
NEXT = Topology(epoch=2, strategy="ring", clusters=(C0, C1))
OTHER = Topology(epoch=2, clusters=(C0,))


def started(file: Topology, *, has: Topology | None = None) -> Fleet:
    """A proxy with that file, before clusters that all have the same."""
    fleet = Fleet(KnownTopology(file, is_proposal=True))
    for node in fleet.nodes.values():
        node.has, node.decided_by = has, None if has is None else 0
    return fleet


def puts(fleet: Fleet, rounds: int = 1) -> list[str]:
    return [url for url, method, target in fleet.probe(rounds) if (method, target) == ("PUT", DOCUMENT)]


# --- a fleet that begins ----------------------------------------------------------------------------------------


def test_the_smallest_shard_decides_for_the_first_topology_then_all_get_it() -> None:
    fleet = started(FIRST)
    assert puts(fleet) == [A1, B1]
    assert (fleet.known.is_in_force, fleet.known.decided_by) == (True, 0)
    assert (fleet.nodes[B1].has, fleet.nodes[B1].decided_by) == (FIRST, 0)


def test_a_fleet_may_begin_with_a_dead_cluster() -> None:
    fleet = started(FIRST)
    fleet.nodes[A1].fails = fleet.nodes[A2].fails = NotSent
    assert puts(fleet) == [B1]
    assert (fleet.known.is_in_force, fleet.known.decided_by) == (True, 1)
    fleet.nodes[A1].fails = fleet.nodes[A2].fails = None
    assert puts(fleet) == [A1]


@pytest.mark.parametrize("fails", [Unclear, 0.0])
def test_but_not_while_the_one_that_decides_may_be_alive(fails: Any) -> None:
    fleet = started(FIRST)
    fleet.nodes[A1].fails, fleet.nodes[A2].fails = NotSent, fails
    assert puts(fleet, 3) == []
    assert not fleet.known.is_in_force
    assert "cluster c0" in (fleet.known.why_not or "")
    fleet.nodes[A2].fails = None
    assert puts(fleet)[0] == A2
    assert fleet.known.why_not is None


def test_a_fleet_that_begins_with_a_later_epoch_needs_all_its_clusters() -> None:
    """The one that is away may have settings of destinations, and a topology."""
    fleet = started(Topology(epoch=2, clusters=(C0, C1)))
    fleet.nodes[B1].fails = NotSent
    assert puts(fleet, 2) == []
    assert "c1 cannot be asked" in (fleet.known.why_not or "")
    fleet.nodes[B1].fails = None
    assert puts(fleet) == [A1, B1]


# --- a file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has", [OTHER, NEXT, Topology(epoch=7, clusters=(C1,))])
def test_what_the_clusters_have_wins_over_a_file_that_is_not_newer(has: Topology) -> None:
    fleet = started(NEXT, has=has)
    assert puts(fleet, 2) == []
    assert (fleet.known.topology, fleet.known.why_not, fleet.known.proposal) == (has, None, None)
    assert fleet.known.conflicts == (has == OTHER)


def test_a_file_with_the_next_epoch_is_put_to_the_decider_then_given_to_all() -> None:
    fleet = started(NEXT, has=FIRST)
    assert puts(fleet) == [A1, B1]
    whole = completed(FIRST, NEXT)
    assert whole.previous == placement_of(FIRST)
    assert fleet.known.topology == fleet.nodes[A1].has == fleet.nodes[B1].has == whole
    assert puts(fleet, 2) == []
    assert fleet.known.conflicts == 0


@pytest.mark.parametrize("fails", [NotSent, Unclear, 0.0])
def test_while_the_decider_is_away_the_old_one_stays_in_force(fails: Any) -> None:
    fleet = started(NEXT, has=FIRST)
    fleet.nodes[A1].fails = fleet.nodes[A2].fails = fails
    assert set(puts(fleet, 3)) <= {A1, A2}
    assert (fleet.known.topology, fleet.known.why_not) == (FIRST, None), "the proxy works"
    fleet.nodes[A1].fails = fleet.nodes[A2].fails = None
    assert puts(fleet, 2)[:1] == [A1]
    assert fleet.known.epoch == 2


@pytest.mark.parametrize("refusal", [problem(409, "epoch_taken"), problem(400, "invalid_topology")])
def test_a_file_that_is_refused_is_put_aside(refusal: Any) -> None:
    fleet = started(NEXT, has=FIRST)
    fleet.nodes[A1].refuses = refusal
    assert puts(fleet, 4) == [A1]
    assert (fleet.known.topology, fleet.known.proposal) == (FIRST, None)


@pytest.mark.parametrize(
    "file", [Topology(epoch=3, clusters=(C0, C1)), Topology(epoch=2, clusters=(C0,), previous=placement_of(NEXT))]
)
def test_a_file_that_breaks_the_rules_is_not_even_put(file: Topology) -> None:
    fleet = started(file, has=FIRST)
    fleet.nodes[B1] = Node("leader", has=FIRST)
    assert puts(fleet, 2) == []
    assert (fleet.known.topology, fleet.known.proposal) == (FIRST, None)


# --- two documents of one epoch -----------------------------------------------------------------------------------


def test_the_decided_one_takes_the_place_of_the_other_in_proxies_and_clusters() -> None:
    fleet = Fleet(KnownTopology(OTHER, decided_by=1))
    fleet.nodes[B1] = Node("leader", has=OTHER, decided_by=1)
    fleet.known.learn(OTHER, 1)
    for url in (A1, A2):
        fleet.nodes[url].has, fleet.nodes[url].decided_by = NEXT, 0
    fleet.probe()
    assert (fleet.known.topology, fleet.known.decided_by, fleet.known.conflicts) == (NEXT, 0, 0)
    assert puts(fleet) == [B1]
    assert fleet.nodes[B1].has == NEXT


def test_a_proxy_that_cannot_fetch_the_decided_one_is_not_ready() -> None:
    fleet = Fleet(KnownTopology(OTHER, decided_by=1))
    fleet.nodes[A1].has, fleet.nodes[A1].decided_by = NEXT, 0
    sound = fleet.script
    fleet.sender.script = lambda url, call: NotSent if call.target == DOCUMENT else sound(url, call)
    fleet.probe()
    assert "that was decided is another one" in (fleet.known.why_not or "")
    fleet.sender.script = sound
    fleet.probe()
    assert (fleet.known.topology, fleet.known.why_not) == (NEXT, None)


def test_two_that_nobody_decided_stay_and_are_counted() -> None:
    """From releases that did not write it down: the next epoch ends it."""
    fleet = Fleet(KnownTopology(OTHER))
    fleet.nodes[A1].has = fleet.nodes[A2].has = NEXT
    assert puts(fleet, 2) == []
    assert (fleet.known.topology, fleet.known.conflicts) == (OTHER, 2)


# --- the end of a change ----------------------------------------------------------------------------------------


def in_change() -> Fleet:
    """C1 leaves; nothing has moved yet."""
    return Fleet(KnownTopology(Topology(epoch=2, clusters=(C0,), previous=placement_of(FIRST)), decided_by=0))


def test_a_change_ends_when_all_clusters_say_that_everything_has_moved() -> None:
    fleet = in_change()
    before = fleet.known.topology
    assert puts(fleet, 2) == []
    fleet.nodes[A1].moved = 2
    assert puts(fleet, 2) == []
    fleet.nodes[B1].moved = 1
    assert puts(fleet, 2) == [], "by another epoch"
    fleet.nodes[B1].moved = 2
    assert puts(fleet)[0] == A1, "its decider"
    assert fleet.known.topology == ended(before)
    assert (fleet.known.topology.previous, fleet.known.topology.retired) == (None, (1,))


@pytest.mark.parametrize("harm", ["away", "another document"])
def test_a_change_does_not_end_without_a_word_of_each_cluster(harm: str) -> None:
    fleet = in_change()
    fleet.nodes[A1].moved = fleet.nodes[B1].moved = 2
    if harm == "away":
        fleet.nodes[B1].fails = NotSent
    else:
        fleet.nodes[B1].has = Topology(epoch=2, clusters=(C1,), previous=placement_of(FIRST))
    fleet.probe()
    assert fleet.known.epoch == 2


def test_that_the_end_was_refused_is_said_and_it_is_tried_again() -> None:
    fleet = in_change()
    fleet.nodes[A1].moved = fleet.nodes[B1].moved = 2
    fleet.nodes[A1].refuses = fleet.nodes[A2].refuses = problem(409, "epoch_taken", detail="no")
    assert puts(fleet, 2) == [A1, A1]
    fleet.nodes[A1].refuses = None
    fleet.probe()
    assert fleet.known.epoch == 3


def test_a_file_that_would_end_a_change_too_early_waits() -> None:
    fleet = in_change()
    fleet.known.proposal = Topology(epoch=3, clusters=(C0,))
    assert puts(fleet, 2) == []
    assert fleet.known.proposal is not None
    fleet.nodes[A1].moved = fleet.nodes[B1].moved = 2
    assert puts(fleet)[0] == A1
    assert (fleet.known.epoch, fleet.known.topology.previous) == (3, None)


# --- a cluster that was taken out -------------------------------------------------------------------------------


def left() -> Fleet:
    """C1 is out, and does not know it yet."""
    fleet = in_change()
    fleet.nodes[B1].cluster = "c1"
    fleet.probe()
    fleet.nodes[A1].moved = fleet.nodes[B1].moved = 2
    fleet.probe()
    assert fleet.known.epoch == 3
    return fleet


def test_a_cluster_that_was_taken_out_is_told_and_says_that_it_is_free() -> None:
    fleet = left()
    assert (fleet.nodes[B1].has or FIRST).epoch == 3
    assert fleet.prober.farewell.free == []
    fleet.nodes[B1].is_free = True
    fleet.probe()
    assert fleet.prober.farewell.free == ["c1"]
    fleet.probe(2)
    assert fleet.sender.urls.count(B1) == 0, "it is asked no more"


def test_what_is_switched_off_already_is_given_up() -> None:
    fleet = left()
    fleet.nodes[B1].fails = NotSent
    fleet.probe(100)
    fleet.nodes[B1].fails = None
    fleet.probe(2)
    assert fleet.sender.urls.count(B1) == 0


def test_who_is_free_is_forgotten_when_the_next_change_begins() -> None:
    fleet = left()
    fleet.nodes[B1].is_free = True
    fleet.probe()
    now = fleet.known.topology
    fleet.known.learn(completed(now, Topology(epoch=4, strategy="ring", clusters=(C0,))), 0)
    fleet.probe()
    assert fleet.prober.farewell.free == []


def test_another_process_at_its_place_is_told_nothing() -> None:
    fleet = left()
    fleet.nodes[B1].cluster, fleet.nodes[B1].is_free = "c9", True
    fleet.probe(2)
    assert fleet.prober.farewell.free == []
