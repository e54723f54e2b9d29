"""``hookline serve``: one node."""

from typing import Annotated

from cyclopts import Parameter

from hookline.cli import inputs
from hookline.cli.etcd_options import DEFAULT_ETCD_OPTIONS, EtcdOptions
from hookline.cli.launch import Launch
from hookline.cli.node_options import DEFAULT_NODE_OPTIONS, NodeOptions
from hookline.cli.parameters import ConfigFile, Listen, NamedPath
from hookline.cli.process import run_until_stopped
from hookline.cli.tls_options import DEFAULT_TLS_OPTIONS, TlsOptions


def serve(
    *,
    data_dir: Annotated[NamedPath, Parameter(env_var="HOOKLINE_DATA_DIR")],
    cluster: Annotated[str, Parameter(env_var="HOOKLINE_CLUSTER")] = "c0",
    shard: Annotated[int, Parameter(env_var="HOOKLINE_SHARD")] = 0,
    node: Annotated[str, Parameter(env_var="HOOKLINE_NODE")] = "n1",
    listen: Annotated[Listen, Parameter(env_var="HOOKLINE_LISTEN")] = "127.0.0.1:7070",
    listen_internal: Annotated[Listen | None, Parameter(env_var="HOOKLINE_LISTEN_INTERNAL")] = None,
    config: ConfigFile = None,
    quorum: EtcdOptions = DEFAULT_ETCD_OPTIONS,
    options: NodeOptions = DEFAULT_NODE_OPTIONS,
    tls: TlsOptions = DEFAULT_TLS_OPTIONS,
) -> Launch:
    """Run one node. Prints "ready URL" when it serves; SIGTERM or Ctrl-C stops it cleanly.

    For example: hookline serve --node n1 --listen 10.0.0.1:7070 --data-dir /var/lib/hookline --etcd
    http://10.0.0.1:2379,http://10.0.0.2:2379,http://10.0.0.3:2379 --secret-key-file /etc/hookline/secret.key

    Args:
        data_dir: Where the node keeps its state.
        cluster: Name of its cluster.
        shard: Number of its cluster; never use one again for another cluster.
        node: Its own name.
        listen: HOST:PORT to serve at; port 0 takes a free one.
        listen_internal: HOST:PORT for nodes, proxies and workers, which then make their calls only there. The topology
            and --advertise name it. [that of --listen]
        config: A file of settings; its tables [node] and [cluster] are read.
        quorum: How it reaches the others.
        options: How it works.
        tls: Its certificates.
    """
    del config  # it was read before
    host, port = inputs.address(listen)
    internal_host, internal_port = (None, 0) if listen_internal is None else inputs.address(listen_internal)
    reached_at = (host, port) if internal_host is None else (internal_host, internal_port)
    files = tls.files()
    checked = options.config(
        data_dir=data_dir,
        host=host,
        port=port,
        internal_host=internal_host,
        internal_port=internal_port,
        cluster=cluster,
        shard=shard,
        node=node,
        tls=files,
        **quorum.settings(*reached_at, files.scheme),
    )
    return Launch(checked, lambda: run_until_stopped(checked, options))
