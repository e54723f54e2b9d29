"""The promises are tested by mistakes: with each planted bug, a run must break one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulation.bugs import OUTDATED, PLANTED, Planted
from tests.simulation.presets import PRESETS
from tests.simulation.verdict import first_wrong, is_rotten

# A world with a bug is broken off where it is wrong; what its tasks say when they are thrown away is of no interest.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SEEDS = 200  # to be tried when the one that is known is content: the code has changed, and with it every run


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_the_bug_is_caught(planted: Planted, directory: Path, record_property: Callable[[str, object], None]) -> None:
    bug, preset, shown_by = planted
    tried = ((seed, first_wrong(preset, seed, directory, bug)) for seed in (shown_by, *range(SEEDS)))
    found = next(((seed, wrong) for seed, wrong in tried if wrong is not None), None)
    assert found is not None, f"{SEEDS} seeds were content with it"
    if found[0] != shown_by:
        record_property(OUTDATED, planted.name)
    print(f"seed {found[0]}: {found[1]}")
    assert not is_rotten(found[1]), f"it does not fit the code: {found[1]}"
    if found[0] >= PRESETS[preset].seeds:  # the others run without bugs anyhow
        assert first_wrong(preset, found[0], directory) is None, "without the bug it fails as well"
