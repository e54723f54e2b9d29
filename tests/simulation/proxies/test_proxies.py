"""Many seeds, each some proxies before some clusters with their own troubles; the promises checked in each."""

from pathlib import Path

import pytest

from tests.simulation.proxies.checker import violations
from tests.simulation.proxies.world import simulate
from tests.simulation.verdict import judge, judge_same


def test_proxies_keep_every_promise(proxy_seed: int, directory: Path) -> None:
    world = simulate(proxy_seed, directory)
    wrong = violations(world)
    judge("proxy", proxy_seed, world, wrong)


@pytest.mark.parametrize("chosen", [5, 12])
def test_the_same_seed_is_the_same_run(chosen: int, directory: Path) -> None:
    judge_same(simulate, chosen, directory)
