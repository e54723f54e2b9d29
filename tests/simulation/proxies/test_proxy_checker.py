"""The checker of proxies is tested by mistakes: with each bug switched on, some of the first seeds must fail."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.simulation.bugs import Bug
from tests.simulation.proxies.bugs import BUGS
from tests.simulation.proxies.checker import violations
from tests.simulation.proxies.world import simulate

SEEDS = 200


def is_wrong(chosen: int, directory: Path) -> bool:
    with TemporaryDirectory(dir=directory) as name:
        try:
            return bool(violations(simulate(chosen, Path(name))))
        except Exception:  # noqa: BLE001 - a world that broke down is a bug that was found
            return True


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_the_bug_is_caught(bug: Bug, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    bug(monkeypatch)
    found = next((chosen for chosen in range(SEEDS) if is_wrong(chosen, directory)), None)
    assert found is not None, f"{SEEDS} seeds were content with it"
    monkeypatch.undo()
    assert not is_wrong(found, directory), "without the bug it fails as well"
