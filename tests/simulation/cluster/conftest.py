"""Measuring coverage doubles the time of a simulated run, and a thousand of them show no lines that ten do not."""

import sys
from collections.abc import Iterator

import pytest

SEEDS_COVERED = 10


@pytest.fixture(autouse=True)
def _uncovered(request: pytest.FixtureRequest) -> Iterator[None]:
    params = getattr(request.node, "callspec", None)
    tracer = sys.gettrace()
    is_measured = params is None or params.params.get("cluster_seed", SEEDS_COVERED) < SEEDS_COVERED
    if not is_measured:
        sys.settrace(None)
    yield
    if not is_measured:
        sys.settrace(tracer)
