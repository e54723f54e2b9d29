"""``hookline up``: the whole stack on one machine."""

from pathlib import Path
from typing import Literal

from hookline.cli.node_options import DEFAULT_NODE_OPTIONS, NodeOptions
from hookline.cli.process import run_stack_until_stopped, run_until_stopped
from hookline.errors import InvalidConfig

STACK_FILE = "stack.json"


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
        nodes: How many nodes in each. Three survive the loss of one; they need etcd, which has to be installed.
        proxies: How many proxies. This release runs none.
        options: How the nodes work.
    """
    for option, value, works in (("clusters", clusters, 1), ("proxies", proxies, 0)):
        if value != works:
            raise InvalidConfig(
                f"--{option} {value} is not built into this release yet: --{option} {works}", field=option
            )
    config = options.config(data_dir=data_dir, host="127.0.0.1", port=port)
    if nodes == 1:
        if (data_dir / STACK_FILE).exists():
            raise InvalidConfig(f"{data_dir} holds a cluster of three nodes; start it with --nodes 3", field="nodes")
        return run_until_stopped(config, options)
    return run_stack_until_stopped(config, options)
