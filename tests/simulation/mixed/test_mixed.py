"""Many seeds, each a cluster in which something is mixed up, and every promise checked after an operator has acted."""

from pathlib import Path

import pytest

from tests.simulation.mixed.checker import violations
from tests.simulation.mixed.world import simulate
from tests.simulation.verdict import judge, judge_same


def test_a_mixed_up_cluster_keeps_every_promise(mixed_seed: int, directory: Path) -> None:
    world = simulate(mixed_seed, directory)
    wrong = violations(world, directory)
    judge("mixed", mixed_seed, world, wrong)


@pytest.mark.parametrize("chosen", [3, 8])
def test_the_same_seed_is_the_same_run(chosen: int, directory: Path) -> None:
    judge_same(simulate, chosen, directory)
