"""Nodes to talk to over HTTP."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from hookline.http_api.connection_limits import ConnectionLimits
from tests.integration.node_under_test import NodeUnderTest, node_config
from tests.integration.proxy_under_test import Clusters

StartNode = Callable[..., AbstractContextManager[NodeUnderTest]]


@pytest.fixture
def start_node(tmp_path: Path) -> StartNode:
    """Start a node with settings: ``with start_node(pending_jobs_max=2) as node``; again: the same data directory."""

    def start(limits: ConnectionLimits | None = None, **settings: Any) -> AbstractContextManager[NodeUnderTest]:
        return NodeUnderTest(node_config(tmp_path / "node", **settings), limits).running()

    return start


@pytest.fixture
def node(start_node: StartNode) -> Iterator[NodeUnderTest]:
    """A node of the test's own."""
    with start_node() as running:
        yield running


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    """One node for all tests of a module that leave nothing behind, or do not mind what is there."""
    with NodeUnderTest(node_config(tmp_path_factory.mktemp("node")), None).running() as running:
        yield running


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Clusters]:
    """Three clusters of the test's own, without a proxy yet."""
    clusters = Clusters(tmp_path, 3)
    try:
        yield clusters
    finally:
        clusters.close()
