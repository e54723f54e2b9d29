"""Options of the simulation: ``--seed 7`` replays one run, ``--seeds 500`` makes that many."""

import pytest

SEEDS_DEFAULT = 300  # about half a minute on one core


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, help="replay the simulated run of this seed only")
    group.addoption("--seeds", type=int, default=SEEDS_DEFAULT, help="how many seeds the simulation runs")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        only = metafunc.config.getoption("--seed")
        seeds = range(metafunc.config.getoption("--seeds")) if only is None else [only]
        metafunc.parametrize("seed", seeds)
