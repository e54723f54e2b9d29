"""The checker is tested by mistakes: with each bug switched on, some of the first seeds must fail."""

from pathlib import Path

import pytest

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.checker import violations
from tests.simulation.world import simulate

SEEDS = 50


def _first_failure(directory: Path) -> tuple[int, str] | None:
    for chosen in range(SEEDS):
        place = directory / str(chosen)
        place.mkdir()
        try:
            wrong = violations(simulate(chosen, place), place)
        except Exception as error:  # noqa: BLE001 - a node that broke down is a bug that was found
            return chosen, repr(error)
        if wrong:
            return chosen, wrong[0]
    return None


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    bug(monkeypatch)
    found = _first_failure(directory)
    assert found is not None, f"{SEEDS} seeds were content with it"
    print(f"seed {found[0]}: {found[1]}")
