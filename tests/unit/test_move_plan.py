"""Foreseen: the shares of ids that move, and what the clusters say of their jobs."""

import pytest

from hookline.protocol.http_moves import PairPlan
from hookline.protocol.internal_http import ClusterMoves, ClusterPlan, MovedPair, PlannedPair
from hookline.protocol.routing import Router
from hookline.protocol.topology import Move, Strategy, Topology
from hookline.proxy.move_plan import ASSUMED_JOBS_PER_S, Speed, fastest_of, plan_of, shares
from tests.proxy_parts import entries


def topology(*weights: int, strategy: Strategy = "modulo", epoch: int = 1) -> Topology:
    return Topology(epoch=epoch, strategy=strategy, clusters=entries(*weights))


def routers(strategy: Strategy) -> tuple[Router, Router]:
    old, new = topology(1, 1, 1, strategy=strategy), topology(1, 1, 1, 1, strategy=strategy, epoch=2)
    return Router(old), Router(new)


def test_a_ring_moves_the_share_of_the_new_cluster_and_only_to_it() -> None:
    found = shares(*routers("ring"))
    assert {after for _, after in found.moving} == {"c3"}
    assert sum(found.moving.values()) == pytest.approx(0.25, abs=0.05)
    assert found.before["c0"] == pytest.approx(0.33, abs=0.05)
    assert set(found.after) == {"c0", "c1", "c2", "c3"}
    assert sum(found.before.values()) == pytest.approx(1)
    assert sum(found.after.values()) == pytest.approx(1)


def test_modulo_moves_most() -> None:
    assert sum(shares(*routers("modulo")).moving.values()) == pytest.approx(0.75, abs=0.05)


def test_clusters_count_and_the_slowest_says_how_long() -> None:
    old, new = routers("ring")
    planned: dict[str, ClusterPlan | str] = {
        "c0": ClusterPlan("c0", 9_000, 5, [PlannedPair("c3", 2_500, 1, 70)]),
        "c1": ClusterPlan("c1", 8_000, 4, [PlannedPair("c3", 4_100, 2, 30)]),
        "c2": "it is down",
    }
    plan = plan_of(new.topology, shares(old, new), planned, Speed(), [], ["so it is"])
    assert (plan.jobs, plan.schedules, plan.bytes, plan.unreachable) == (6_600, 3, 100, ["c2"])
    assert (plan.seconds, plan.jobs_per_s, plan.is_measured) == (3, ASSUMED_JOBS_PER_S, False)
    assert [(pair.source, pair.jobs) for pair in plan.pairs] == [("c0", 2_500), ("c1", 4_100), ("c2", None)]
    assert [(one.name, one.pending) for one in plan.clusters] == [
        ("c0", 9_000),
        ("c1", 8_000),
        ("c2", None),
        ("c3", None),
    ]
    measured = plan_of(new.topology, shares(old, new), planned, Speed(5_000, is_measured=True), [], [])
    assert (measured.seconds, measured.is_measured) == (1, True)


def test_a_pair_of_which_no_sampled_id_moves_is_there_if_a_job_does() -> None:
    """As minted ids of a cluster that leaves."""
    one = Router(topology(1, 1))
    planned = {"c0": ClusterPlan("c0", 1, 0, [PlannedPair("c1", 1, 0, 0)])}
    plan = plan_of(one.topology, shares(one, one), planned, Speed(), [], [])
    assert plan.pairs == [PairPlan("c0", "c1", 0.0, 1, 0, 0)]


def test_a_rate_makes_it_slower_and_never_faster() -> None:
    assert Speed().at_most(None) == Speed()
    assert Speed().at_most(10**6) == Speed()
    assert Speed(5_000, is_measured=True).at_most(100) == Speed(100, is_measured=True)


def test_a_speed_is_measured_only_where_many_jobs_moved_as_fast_as_they_could() -> None:
    def told(moved: int, speed: float) -> ClusterMoves:
        return ClusterMoves("c0", 2, "", False, False, 0, speed, "", [MovedPair("c1", moved, 0, 0, 0)])

    assert fastest_of(Move(), [told(5_000, 900.0), told(5_000, 1_200.0), told(35, 9_000.0)]) == 1_200
    assert fastest_of(Move(rate=5), [told(5_000, 5.0)]) == 0
    assert fastest_of(Move(), [told(35, 26.0)]) == 0
