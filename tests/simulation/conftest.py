"""Options of the simulation: ``--seed 7`` replays one run, ``--seeds 500`` makes that many."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.simulation.bugs import OUTDATED
from tests.simulation.presets import PRESETS

SEEDS_COVERED = 3
_MEMORY = Path("/dev/shm")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--preset", help="run simulated worlds of this kind only")
    group.addoption("--seed", type=int, help="replay the simulated run of this seed, of each kind, and nothing else")
    group.addoption("--seeds", type=int, help="how many seeds the simulation runs, of each kind")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        given = metafunc.config.getoption
        presets = [it for it in PRESETS.values() if given("--preset") in (None, it.name)]
        only, count = given("--seed"), given("--seeds")
        runs = [(it.name, seed) for it in presets for seed in (range(count or it.seeds) if only is None else [only])]
        metafunc.parametrize(("preset", "seed"), runs)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--seed") is not None or config.getoption("--preset") is not None:
        others = [item for item in items if "seed" not in getattr(item, "fixturenames", ())]
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=others)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which planted bugs are shown by other seeds than those that are written down."""
    passed = terminalreporter.getreports("passed")
    names = [str(value) for report in passed for name, value in report.user_properties if name == OUTDATED]
    if names:
        terminalreporter.write_line(f"a minute of CPU each: make mutations ARGS='--write {' '.join(sorted(names))}'")


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
    is_measured = "planted" not in params and params.get("seed", 0) < SEEDS_COVERED
    tracer = sys.gettrace()
    if not is_measured:
        sys.settrace(None)
    yield
    if not is_measured:
        sys.settrace(tracer)
