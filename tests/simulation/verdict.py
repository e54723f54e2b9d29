"""What the tests of all kinds of simulated worlds do with a run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import pytest

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
