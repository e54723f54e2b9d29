"""``hookline up``: the whole stack on one machine."""

from pathlib import Path
from typing import Literal

from hookline.cli.node_options import DEFAULT_NODE_OPTIONS, NodeOptions
from hookline.cli.process import run_until_stopped
from hookline.errors import InvalidConfig


def up(
    *,
    data_dir: Path = Path("hookline-data"),
    port: int = 7070,
    clusters: int = 1,
    nodes: Literal[1, 3] = 1,
    proxies: int = 0,
    options: NodeOptions = DEFAULT_NODE_OPTIONS,
) -> int:
    """Run Hookline on this machine. Prints "ready URL" when it serves; SIGTERM or Ctrl-C stops everything.

    Args:
        data_dir: Where all state is kept.
        port: Where it serves, on 127.0.0.1; 0 takes a free port.
        clusters: How many clusters. This release runs one.
        nodes: How many nodes in each. This release runs one.
        proxies: How many proxies. This release runs none.
        options: How the nodes work.
    """
    for option, value, works in (("clusters", clusters, 1), ("nodes", nodes, 1), ("proxies", proxies, 0)):
        if value != works:
            raise InvalidConfig(
                f"--{option} {value} is not built into this release yet; it runs one node: --{option} {works}",
                field=option,
            )
    return run_until_stopped(options.config(data_dir=data_dir, host="127.0.0.1", port=port), options)
