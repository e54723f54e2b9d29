"""The checker is tested by mistakes: with each bug switched on, some of the first seeds must fail."""

from pathlib import Path

import pytest

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.checker import violations
from tests.simulation.verdict import judge_bug
from tests.simulation.world import simulate

SEEDS = 50


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    def wrong_in(seed: int, place: Path) -> list[str]:
        return violations(simulate(seed, place), place)

    judge_bug(bug, monkeypatch, wrong_in, directory, seeds=SEEDS)
