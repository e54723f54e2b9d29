"""What the tests of all kinds of simulated worlds do with a run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pytest

from tests.simulation.bugs import Bug
from tests.simulation.history import History

_JOURNAL_LINES_SHOWN = 400


class World(Protocol):
    """A run that has ended."""

    @property
    def history(self) -> History:
        """What happened."""


def judge(kind: str, seed: int, world: World, wrong: Sequence[str]) -> None:
    """Fail when something is wrong: with the journal, and how to see it again."""
    if wrong:
        print(*world.history.lines[-_JOURNAL_LINES_SHOWN:], sep="\n")
        again = f"make simulate SEED={seed}"
        pytest.fail(f"{kind} seed {seed}; again: {again}\n  " + "\n  ".join(wrong[:10]), pytrace=False)


def judge_same(simulate: Callable[[int, Path], World], seed: int, directory: Path) -> None:
    """Run a seed twice; the journals are the same."""
    journals = []
    for name in ("first", "second"):
        place = directory / name
        place.mkdir()
        journals.append(simulate(seed, place).history.journal())
    assert journals[0] == journals[1]


def judge_bug(
    bug: Bug,
    patch: pytest.MonkeyPatch,
    wrong_in: Callable[[int, Path], Sequence[str]],
    directory: Path,
    *,
    seeds: int,
    shown_by: int = 0,
) -> None:
    """Fail unless a seed shows the bug, and nothing without it: of so many seeds, after the one that is known to."""

    def first_wrong(seed: int) -> str | None:
        with TemporaryDirectory(dir=directory) as name:
            try:
                return next(iter(wrong_in(seed, Path(name))), None)
            except Exception as error:  # noqa: BLE001 - a world that broke down is a bug that was found
                return repr(error)

    bug(patch)
    tried = ((seed, first_wrong(seed)) for seed in (shown_by, *range(seeds)))
    found = next(((seed, wrong) for seed, wrong in tried if wrong is not None), None)
    assert found is not None, f"{seeds} seeds were content with it"
    print(f"seed {found[0]}: {found[1]}")
    patch.undo()
    assert first_wrong(found[0]) is None, "without the bug it fails as well"
