"""Many seeds, each a world with its own troubles, and every promise checked in each."""

from pathlib import Path

import pytest

from tests.simulation.checker import violations
from tests.simulation.verdict import judge, judge_same
from tests.simulation.world import simulate


def test_every_promise_is_kept(seed: int, directory: Path) -> None:
    world = simulate(seed, directory)
    wrong = violations(world, directory)
    judge("single node", seed, world, wrong)


@pytest.mark.parametrize("chosen", [3, 17, 61])
def test_the_same_seed_is_the_same_run(chosen: int, directory: Path) -> None:
    judge_same(simulate, chosen, directory)


def test_the_runs_have_trouble_and_work(directory: Path) -> None:
    """A checker that sees nothing agrees with everything: these are what a few seeds must contain."""
    arrivals, outages, unsure, refused, made = 0, 0, 0, 0, 0
    for chosen in range(25):
        place = directory / str(chosen)
        place.mkdir()
        history = simulate(chosen, place).history
        arrivals += len(history.arrivals)
        outages += len(history.outages) - 1  # the last one is the end
        unsure += sum(call.outcome == "unknown" for call in history.calls)
        refused += sum(call.code == "idempotency_mismatch" for call in history.calls)
        made += sum(call.kind == "schedule" and call.is_ok for call in history.calls)
    assert arrivals > 500
    assert outages > 10
    assert min(unsure, refused, made) > 0
