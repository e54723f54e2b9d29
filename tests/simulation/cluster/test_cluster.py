"""Many seeds, each a cluster with its own troubles, and every promise that a cluster can break checked in each."""

from pathlib import Path

import pytest

from tests.simulation.cluster.checker import violations
from tests.simulation.cluster.world import simulate
from tests.simulation.verdict import judge, judge_same


def test_a_cluster_keeps_every_promise(cluster_seed: int, directory: Path) -> None:
    world = simulate(cluster_seed, directory)
    wrong = violations(world, directory)
    judge("cluster", cluster_seed, world, wrong)


@pytest.mark.parametrize("chosen", [5, 12])
def test_the_same_seed_is_the_same_run(chosen: int, directory: Path) -> None:
    judge_same(simulate, chosen, directory)
