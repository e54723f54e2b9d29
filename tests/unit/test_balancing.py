"""Weights that are proposed from what clusters did."""

import pytest

from hookline.protocol.topology import Strategy, Topology
from hookline.protocol.topology_change import placement_of
from hookline.proxy.balancing import LoadReading, WorkRate, balance_of, reading_of, work_between
from tests.proxy_parts import entries

METRICS = """# HELP hookline_jobs Jobs by state.
# TYPE hookline_jobs gauge
hookline_jobs{state="pending"} 40.0
hookline_jobs{state="running"} 3.0
hookline_tenant_jobs{tenant="a",state="pending"} 40.0
hookline_attempts_total{outcome="success"} 100.0
hookline_attempts_total{outcome="retryable_failure"} 1e+02
hookline_create_seconds_count 50.0
hookline_create_seconds_bucket{le="0.1"} 50.0
hookline_due_lag_seconds_sum 0.5
hookline_due_lag_seconds_count 100.0
hookline_slots_used 7.0
hookline_slots_max 100.0
"""


def ring(*weights: int, strategy: Strategy = "ring") -> Topology:
    return Topology(epoch=4, strategy=strategy, clusters=entries(*weights))


def works(*loads: float) -> dict[str, WorkRate]:
    return {f"c{number}": WorkRate(load, 0, 0, LoadReading()) for number, load in enumerate(loads)}


def test_what_a_leader_measures_is_read() -> None:
    first = reading_of(METRICS)
    assert first == LoadReading(200, 50, 0.5, 100, 7, 100, 40)
    last = LoadReading(250, 150, 1.5, 150, 9, 100, 60)
    assert work_between(first, last, 5) == WorkRate(10, 20, 20, last)
    assert work_between(first, last, 5).load == 20, "more comes than is attempted"


def test_a_leader_that_began_anew_meanwhile_did_nothing() -> None:
    assert work_between(LoadReading(200, 50, 0.5, 100), LoadReading(3, 1, 0.1, 3), 5).load == 0


def test_a_hot_cluster_gets_less_and_the_others_more() -> None:
    found = balance_of(ring(10, 10, 10), works(60, 20, 20), 5)
    weights = {one.name: one.weight_proposed for one in found.clusters}
    assert weights["c0"] < 10 < weights["c1"]
    assert max(one.load_expected for one in found.clusters) < 0.9 * 60
    assert 0 < found.share < 0.5
    assert found.proposal is not None
    assert found.proposal["epoch"] == 5
    assert sum(one.load_expected for one in found.clusters) == pytest.approx(100, abs=0.1)


def test_weights_keep_their_scale() -> None:
    found = balance_of(ring(1, 1), works(40, 10), 5)
    assert [one.weight_proposed for one in found.clusters] == [1, 2]
    coarse = balance_of(ring(1, 1), works(30, 20), 5)
    assert coarse.proposal is None
    assert "can only be changed by a lot" in coarse.notes[1]


def test_an_idle_cluster_gets_no_more_than_twice_its_weight() -> None:
    found = balance_of(ring(10, 10), works(90, 0), 5)
    assert [one.weight_proposed for one in found.clusters] == [5, 20]


@pytest.mark.parametrize(
    ("topology", "loads", "why"),
    [
        (ring(1, 1, strategy="modulo"), works(90, 10), "modulo, which has no weights"),
        (ring(1, 1), works(90), "c1 cannot be asked"),
        (ring(1), works(90), "there is one cluster"),
        (ring(1, 1), works(0.3, 0.1), "too little work"),
        (ring(10, 10), works(50, 50), "leave them as they are"),
        (
            Topology(epoch=5, strategy="ring", clusters=entries(1, 1), previous=placement_of(ring(1))),
            works(90, 10),
            "a change is under way",
        ),
    ],
)
def test_nothing_is_proposed_where_nothing_would_help(topology: Topology, loads: dict[str, WorkRate], why: str) -> None:
    found = balance_of(topology, loads, 5)
    assert (found.proposal, found.share) == (None, 0)
    assert why in found.notes[0]
    assert all(one.weight == one.weight_proposed for one in found.clusters)
