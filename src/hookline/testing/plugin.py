"""The pytest plugin, found by pytest where Hookline is installed. It costs nothing until a fixture is used."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hookline import testing

if TYPE_CHECKING:
    from hookline import AsyncClient, Client
    from hookline.testing.blocking import BlockingNode, BlockingReceiver


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "hookline(react=…, seed=…, start_ms=…, **settings): how the node of the fixture hookline_node is made",
    )


@pytest.fixture
def hookline_node(request: pytest.FixtureRequest) -> "Iterator[BlockingNode]":
    """A whole node on virtual time, fresh for each test."""
    marker = request.node.get_closest_marker("hookline")
    with testing.BlockingNode(**(marker.kwargs if marker else {})) as node:
        yield node


@pytest.fixture
def hookline_receiver(hookline_node: "BlockingNode") -> "BlockingReceiver":
    """Receives the node's requests, and answers as the test said."""
    return hookline_node.receiver


@pytest.fixture
def hookline_client(hookline_node: "BlockingNode") -> "Client":
    """A blocking client of the node."""
    return hookline_node.client


@pytest.fixture
def hookline_async_client(hookline_node: "BlockingNode") -> "AsyncClient":
    """A client of the node for code on an event loop."""
    return hookline_node.async_client
