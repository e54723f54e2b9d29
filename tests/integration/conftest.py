"""Nodes to talk to over HTTP."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from hookline.http_api.connection_limits import ConnectionLimits
from tests.integration.live_clusters import LiveClusters
from tests.integration.node_under_test import NodeUnderTest, node_config
from tests.integration.proxy_under_test import Clusters

StartNode = Callable[..., AbstractContextManager[NodeUnderTest]]


# Their tests run twice: against a node itself, and against one behind a front.
BOTH_WAYS = {
    "test_answers_to_writes",
    "test_api_batches",
    "test_api_jobs",
    "test_api_snapshots",
    "test_api_topology",
    "test_idempotency",
    "test_return_minimal",
    "test_why_waiting",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "has_front" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in BOTH_WAYS:
        metafunc.parametrize("has_front", [False, True], ids=["node", "front"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def has_front(request: pytest.FixtureRequest) -> bool:
    """Is a front before the node?"""
    return getattr(request, "param", False)


@pytest.fixture
def start_node(tmp_path: Path, has_front: bool) -> StartNode:
    """Start a node with settings: ``with start_node(pending_jobs_max=2) as node``; again: the same data directory."""

    def start(limits: ConnectionLimits | None = None, **settings: Any) -> AbstractContextManager[NodeUnderTest]:
        return NodeUnderTest(node_config(tmp_path / "node", **settings), limits, has_front=has_front).running()

    return start


@pytest.fixture
def node(start_node: StartNode) -> Iterator[NodeUnderTest]:
    """A node of the test's own."""
    with start_node() as running:
        yield running


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory, has_front: bool) -> Iterator[NodeUnderTest]:
    """One node for all tests of a module that leave nothing behind, or do not mind what is there."""
    with NodeUnderTest(node_config(tmp_path_factory.mktemp("node")), None, has_front=has_front).running() as running:
        yield running


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Clusters]:
    """Three clusters of the test's own, without a proxy yet."""
    with closing(Clusters(tmp_path, 3)) as clusters:
        yield clusters


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LiveClusters]:
    """Two clusters that deliver and move jobs, of the test's own."""
    with closing(LiveClusters(tmp_path, 2)) as clusters:
        yield clusters
