"""How far a change of the topology is, joined from what each cluster says; and why it cannot end yet."""

from typing import Any

import pytest

from hookline.protocol.http_moves import PairStatus
from hookline.protocol.internal_http import ClusterMoves, MovedPair
from hookline.protocol.topology import Move, Topology, version_of
from hookline.protocol.topology_change import placement_of
from hookline.proxy.move_status import state_of, status_of, unfinished
from tests.proxy_parts import entries

BEFORE = Topology(epoch=3, clusters=entries(1, 1))
OPEN = Topology(epoch=4, clusters=entries(1, 1, 1), previous=placement_of(BEFORE))
VERSION = version_of(OPEN)
PAIR = MovedPair("c2", 5, 7, 1, 2)


def moves(cluster: str, *pairs: MovedPair, **fields: Any) -> ClusterMoves:
    told: dict[str, Any] = {"epoch": VERSION.epoch, "digest": VERSION.digest, "is_done": False, "has_left": False}
    told |= {"longest_freeze_ms": 0, "jobs_per_s": 0.0, "waits_for": ""}
    return ClusterMoves(cluster=cluster, pairs=list(pairs), **(told | fields))


@pytest.mark.parametrize(
    ("topology", "state"),
    [
        (BEFORE, "stable"),
        (OPEN, "moving"),
        (Topology(epoch=4, clusters=OPEN.clusters, previous=OPEN.previous, move=Move(aborting=True)), "aborting"),
        (
            Topology(epoch=4, clusters=OPEN.clusters, previous=OPEN.previous, move=Move(paused=True, aborting=True)),
            "paused",
        ),
    ],
)
def test_the_state_is_what_the_document_says(topology: Topology, state: str) -> None:
    assert state_of(topology) == state


def test_all_clusters_are_joined() -> None:
    told: dict[str, ClusterMoves | str] = {
        "c1": moves("c1", PAIR, jobs_per_s=7.0, waits_for="a job runs", longest_freeze_ms=20),
        "c0": moves("c0", MovedPair("c2", 1, 30, 0, 0), jobs_per_s=10.04, longest_freeze_ms=9),
        "c2": "it is down",
    }
    status = status_of(OPEN, VERSION, told, ["c9"])
    assert status.pairs == [PairStatus("c0", "c2", 1, 30, 0, 0), PairStatus("c1", "c2", 5, 7, 1, 2)]
    assert (status.epoch, status.state, status.longest_freeze_ms, status.jobs_per_s) == (4, "moving", 20, 17.0)
    assert status.seconds_left == 3, "they work side by side, so the slowest counts"
    assert (status.waits_for, status.unreachable, status.can_be_switched_off) == (["c1: a job runs"], ["c2"], ["c9"])


@pytest.mark.parametrize(
    "pair", [MovedPair("c2", 5, None, 1, None), MovedPair("c2", 5, 7, 1, None)], ids=["nothing counted", "half"]
)
def test_what_is_still_counted_is_a_number_and_said(pair: MovedPair) -> None:
    status = status_of(OPEN, VERSION, {"c0": moves("c0", pair, jobs_per_s=5.0)}, [])
    assert status.pairs == [PairStatus("c0", "c2", 5, 0, 1, 0, counting=True)]
    assert status.seconds_left is None


def test_a_cluster_that_is_behind_is_said() -> None:
    told = {"c0": moves("c0", PAIR, epoch=3, waits_for="of before", is_done=True)}
    status = status_of(OPEN, VERSION, told, [])
    assert (status.waits_for, status.pairs[0].counting) == (["c0: it has not got epoch 4 yet"], True)
    assert unfinished(VERSION, told) == ["c0 has not got epoch 4 yet"]


def test_without_a_speed_nobody_knows_how_long() -> None:
    assert status_of(OPEN, VERSION, {"c0": moves("c0", PAIR)}, []).seconds_left is None


def test_what_is_left_is_named() -> None:
    told: dict[str, ClusterMoves | str] = {
        "c0": moves("c0", PAIR, MovedPair("c1", 0, 1, 0, 0), waits_for="a job runs"),
        "c1": moves("c1", MovedPair("c2", 0, None, 0, None)),
        "c2": "it is down",
        "c3": moves("c3", is_done=True),
        "c4": moves("c4", is_done=True, digest="another"),
    }
    assert unfinished(VERSION, told) == [
        "c0 has 8 jobs and 2 schedules left (a job runs)",
        "c1 has jobs it still counts left",
        "c2 does not say how far it is (it is down)",
        "c4 has not got epoch 4 yet",
    ]
    assert unfinished(VERSION, {"c3": told["c3"]}) == []
