"""Finds what is wrong with a run, and words it for a test."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.simulation.bugs import Bug
from tests.simulation.presets import simulate

_JOURNAL_LINES_SHOWN = 400
_MISFITS = ("AttributeError", "TypeError", "NameError", "BindingsError", "SQLError")


def report(preset: str, seed: int, directory: Path) -> None:
    """Fail when something is wrong: with the journal, and how to see it again."""
    world = simulate(preset, seed, directory)
    if wrong := world.violated():
        print(*world.history.journal.lines[-_JOURNAL_LINES_SHOWN:], sep="\n")
        again = f"make simulate PRESET={preset} SEED={seed}"
        pytest.fail(f"{preset} seed {seed}; again: {again}\n  " + "\n  ".join(wrong[:10]), pytrace=False)


def journal(preset: str, seed: int, directory: Path) -> list[str]:
    """The lines of a run."""
    with TemporaryDirectory(dir=directory) as name:
        return simulate(preset, seed, Path(name)).history.journal.lines


def is_rotten(wrong: str) -> bool:
    """A planted bug does not fit the code any more: the run broke down, and no promise did."""
    return any(name in wrong for name in _MISFITS)


def first_wrong(preset: str, seed: int, directory: Path, bug: Bug | None = None) -> str | None:
    """The first thing that is seen to be wrong, with a bug or without; None when every promise is kept."""
    with TemporaryDirectory(dir=directory) as name, _planted(bug):
        try:
            world = simulate(preset, seed, Path(name), stops=True)
            wrong = next(iter(world.violated()), None)
        except Exception as error:  # noqa: BLE001 - a world that broke down is a bug that was found
            wrong = repr(error)
    if wrong is not None:
        gc.collect()  # the tasks of a world that broke off are thrown away here, and not in the midst of another run
    return wrong


@contextmanager
def _planted(bug: Bug | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if bug is not None:
            bug(patch)
        yield
