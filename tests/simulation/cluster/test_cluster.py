"""Many seeds, each a cluster with its own troubles, and every promise that a cluster can break checked in each."""

from pathlib import Path

import pytest

from tests.simulation.cluster.checker import violations
from tests.simulation.cluster.world import simulate

_JOURNAL_LINES_SHOWN = 400


def test_a_cluster_keeps_every_promise(cluster_seed: int, directory: Path) -> None:
    world = simulate(cluster_seed, directory)
    wrong = violations(world, directory)
    if wrong:
        print(*world.history.lines[-_JOURNAL_LINES_SHOWN:], sep="\n")
        again = f"make simulate SEED={cluster_seed}"
        pytest.fail(f"cluster seed {cluster_seed}; again: {again}\n  " + "\n  ".join(wrong[:10]), pytrace=False)


@pytest.mark.parametrize("chosen", [5, 12])
def test_the_same_seed_is_the_same_run(chosen: int, directory: Path) -> None:
    journals = []
    for name in ("first", "second"):
        place = directory / name
        place.mkdir()
        journals.append(simulate(chosen, place).history.journal())
    assert journals[0] == journals[1]
