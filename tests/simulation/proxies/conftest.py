"""Measuring coverage makes a simulated run several times slower, and hundreds of them show no lines that ten do not."""

import sys
from collections.abc import Iterator

import pytest

SEEDS_COVERED = 10


@pytest.fixture(autouse=True)
def _uncovered(request: pytest.FixtureRequest) -> Iterator[None]:
    params = getattr(request.node, "callspec", None)
    tracer = sys.gettrace()
    is_measured = params is None or params.params.get("proxy_seed", SEEDS_COVERED) < SEEDS_COVERED
    if not is_measured:
        sys.settrace(None)
    yield
    if not is_measured:
        sys.settrace(tracer)
