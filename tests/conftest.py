"""Settings of every test: hypothesis without a stopwatch, and how to replay a failed run."""

import gc
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from typing import get_args

import pytest
import structlog
from hypothesis import settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

import hookline
from hookline.telemetry.area_log import set_log_levels
from hookline.telemetry.log_events import LogArea

# The machine may be busy, so a slow example is not a failure; pytest-timeout bounds the whole test.
settings.register_profile("hookline", deadline=None, print_blob=True)
settings.load_profile("hookline")


@pytest.fixture(autouse=True)
def _uncovered(request: pytest.FixtureRequest) -> Iterator[None]:
    """Measuring coverage takes longer than the rest of a test that goes through the same lines again and again."""
    tracer = sys.gettrace()
    if request.node.get_closest_marker("uncovered") is None:
        yield
        return
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A test that sets up logging, as a process does, must not hide the lines that a later one looks for."""
    yield
    structlog.reset_defaults()
    set_log_levels(dict.fromkeys(get_args(LogArea), "debug"))


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps a module in one process; simulated runs share nothing, and would keep one process busy for minutes."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith("tests/simulation/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Shares out by modules where ``--dist loadscope`` asks for it."""
    return ByModule(config, log) if config.getoption("dist") == "loadscope" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the folders of ``testpaths`` that take longest first, so that no long test is the last one to run."""
    order = {folder: number for number, folder in enumerate(config.getini("testpaths"))}
    items.sort(key=lambda item: order.get("/".join(item.nodeid.split("/", 2)[:2]), 0))


def pytest_sessionstart() -> None:
    """Imports all of the product: a module that comes in during a test would keep what that test has replaced."""
    for module in pkgutil.walk_packages(hookline.__path__, "hookline."):
        importlib.import_module(module.name)


def pytest_collection_finish() -> None:
    """Eight thousand tests stay: nobody needs to look for cycles in them again and again."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """After a failure, says how to get the same order and the same random numbers again."""
    seed = config.getoption("randomly_seed", default=None)
    if terminalreporter.stats.get("failed") and isinstance(seed, int):
        terminalreporter.write_line(f"the same order and random numbers again: pytest --randomly-seed={seed}")
