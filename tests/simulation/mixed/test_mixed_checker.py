"""The checker is tested by mistakes: with each bug switched on, some of the first seeds must fail."""

from pathlib import Path

import pytest

from tests.simulation.bugs import Bug
from tests.simulation.mixed.bugs import BUGS, SHOWN_BY
from tests.simulation.mixed.checker import violations
from tests.simulation.mixed.world import simulate
from tests.simulation.verdict import judge_bug

SEEDS = 50


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    def wrong_in(seed: int, place: Path) -> list[str]:
        return violations(simulate(seed, place), place)

    judge_bug(bug, monkeypatch, wrong_in, directory, seeds=SEEDS, shown_by=SHOWN_BY.get(bug, 0))
