"""``hookline serve``: one node."""

from pathlib import Path

from hookline.cli import inputs
from hookline.cli.node_options import DEFAULT_NODE_OPTIONS, NodeOptions
from hookline.cli.process import run_until_stopped
from hookline.errors import InvalidConfig


def serve(
    *,
    data_dir: Path,
    cluster: str = "c0",
    shard: int = 0,
    node: str = "n1",
    listen: str = "127.0.0.1:7070",
    etcd: str | None = None,
    options: NodeOptions = DEFAULT_NODE_OPTIONS,
) -> int:
    """Run one node. Prints "ready URL" when it serves; SIGTERM or Ctrl-C stops it cleanly.

    Args:
        data_dir: Where the node keeps its state.
        cluster: Name of its cluster.
        shard: Number of its cluster; never use one again for another cluster.
        node: Its own name.
        listen: HOST:PORT to serve at; port 0 takes a free one.
        etcd: URLs of the etcd members, separated by commas.
        options: How it works.
    """
    if etcd is not None:
        raise InvalidConfig(
            "--etcd is not built into this release yet: a node runs alone, on its own log. Leave --etcd out.",
            field="etcd",
        )
    host, port = inputs.address(listen)
    config = options.config(data_dir=data_dir, host=host, port=port, cluster=cluster, shard=shard, node=node)
    return run_until_stopped(config, options)
