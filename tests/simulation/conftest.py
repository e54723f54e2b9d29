"""Options of the simulation: ``--seed 7`` replays one run, ``--seeds 500`` makes that many."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

SEEDS_DEFAULT = 300  # about half a minute on one core
_MEMORY = Path("/dev/shm")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, help="replay the simulated run of this seed, and nothing else")
    group.addoption("--seeds", type=int, default=SEEDS_DEFAULT, help="how many seeds the simulation runs")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        only = metafunc.config.getoption("--seed")
        seeds = range(metafunc.config.getoption("--seeds")) if only is None else [only]
        metafunc.parametrize("seed", seeds)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--seed") is not None:
        others = [item for item in items if "seed" not in getattr(item, "fixturenames", ())]
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=others)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """For state files: in memory if the machine has such a place, since nothing here is about disks."""
    if not os.access(_MEMORY, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(prefix="hookline-", dir=_MEMORY) as name:
        yield Path(name)
