"""The checker of proxies is tested by mistakes: with each bug switched on, some of the first seeds must fail."""

from pathlib import Path

import pytest

from tests.simulation.bugs import Bug
from tests.simulation.proxies.bugs import BUGS, SHOWN_BY
from tests.simulation.proxies.checker import violations
from tests.simulation.proxies.world import simulate
from tests.simulation.verdict import judge_bug

SEEDS = 200


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    def wrong_in(seed: int, place: Path) -> list[str]:
        return violations(simulate(seed, place))

    judge_bug(bug, monkeypatch, wrong_in, directory, seeds=SEEDS, shown_by=SHOWN_BY.get(bug, 0))
