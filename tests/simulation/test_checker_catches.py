"""The checker is tested by mistakes: with each bug switched on, some of the first seeds must fail."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.checker import violations
from tests.simulation.world import simulate

SEEDS = 50


def _what_is_wrong(chosen: int, directory: Path) -> str | None:
    with TemporaryDirectory(dir=directory) as name:
        try:
            return next(iter(violations(simulate(chosen, Path(name)), Path(name))), None)
        except Exception as error:  # noqa: BLE001 - a node that broke down is a bug that was found
            return repr(error)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    bug(monkeypatch)
    failures = ((chosen, _what_is_wrong(chosen, directory)) for chosen in range(SEEDS))
    found = next(((chosen, wrong) for chosen, wrong in failures if wrong is not None), None)
    assert found is not None, f"{SEEDS} seeds were content with it"
    print(f"seed {found[0]}: {found[1]}")
    monkeypatch.undo()
    assert _what_is_wrong(found[0], directory) is None, "without the bug it fails as well"
