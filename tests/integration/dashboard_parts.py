"""Servers with a dashboard, each with a visitor."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from hookline.dashboard.app import dashboard_routes
from hookline.dashboard.oidc.settings import OidcSettings
from hookline.dashboard.settings import DashboardMode
from tests.dashboard_visitor import Visitor
from tests.integration.node_under_test import NodeUnderTest, node_config
from tests.integration.proxy_under_test import Clusters


@contextmanager
def node_with_pages(
    directory: Path,
    mode: DashboardMode = "on",
    *,
    has_front: bool = False,
    oidc: OidcSettings | None = None,
    **settings: Any,
) -> Iterator[tuple[NodeUnderTest, Visitor]]:
    """Start a node."""
    node = NodeUnderTest(node_config(directory / "node", **settings), None, has_front=has_front)
    node.routes = dashboard_routes(mode, oidc)
    with node.running():
        yield node, Visitor(node.port)


@contextmanager
def proxy_with_pages(
    directory: Path, count: int = 2, *, oidc: OidcSettings | None = None, **settings: Any
) -> Iterator[tuple[Clusters, Visitor]]:
    """Start a proxy before so many clusters."""
    with closing(Clusters(directory, count, **settings)) as clusters:
        door = clusters.start_proxy(routes=dashboard_routes("on", oidc), **settings)
        yield clusters, Visitor(door.port)
