"""Options of the simulation: ``--seed 7`` replays one run, ``--seeds 500`` makes that many."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

# How many runs there are of each kind, by the name of the test's parameter: a minute and a half. SEEDS=1000 for more.
SEEDS_DEFAULT = {"seed": 100, "cluster_seed": 60, "mixed_seed": 30, "proxy_seed": 60, "changed_seed": 3}
SEEDS_COVERED = 3
_MEMORY = Path("/dev/shm")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, help="replay the simulated run of this seed, and nothing else")
    group.addoption("--seeds", type=int, help="how many seeds the simulation runs, of each kind")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    only, count = metafunc.config.getoption("--seed"), metafunc.config.getoption("--seeds")
    for name, default in SEEDS_DEFAULT.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, range(count or default) if only is None else [only])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--seed") is not None:
        others = [item for item in items if not SEEDS_DEFAULT.keys() & set(getattr(item, "fixturenames", ()))]
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


@pytest.fixture(autouse=True)
def _mostly_uncovered(request: pytest.FixtureRequest) -> Iterator[None]:
    """Measuring coverage makes a run several times slower, and a thousand show few lines that three do not."""
    params = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    seeds = [params[name] for name in SEEDS_DEFAULT if name in params]
    is_measured = "bug" not in params and all(seed < SEEDS_COVERED for seed in seeds)
    tracer = sys.gettrace()
    if not is_measured:
        sys.settrace(None)
    yield
    if not is_measured:
        sys.settrace(tracer)
