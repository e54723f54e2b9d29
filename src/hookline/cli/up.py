"""``hookline up``: the whole stack on one machine."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from hookline.cli.node_options import DEFAULT_NODE_OPTIONS, NodeOptions
from hookline.cli.own_certificate import with_own_certificate
from hookline.cli.parameters import ConfigFile, Flag, NamedPath
from hookline.cli.process import run_cluster_until_stopped, run_fleet_until_stopped, run_until_stopped
from hookline.cli.root_key import with_root_key
from hookline.cli.tls_options import DEFAULT_TLS_OPTIONS, TlsOptions
from hookline.errors import InvalidConfig
from hookline.protocol.modes import Mode

STACK_FILE = "stack.json"
FLEET_FILE = "fleet.json"
_AT_MOST = 50


def up(
    *,
    data_dir: Annotated[NamedPath, Parameter(env_var="HOOKLINE_DATA_DIR")] = Path("hookline-data"),
    port: int = 7070,  # not from HOOKLINE_PORT, which Kubernetes sets to a url where a service is called hookline
    host: str = "127.0.0.1",
    clusters: int = 1,
    nodes: Literal[1, 3] = 1,
    proxies: int = 0,
    mode: Mode | None = None,
    auth: Flag = False,
    with_tls: Annotated[Flag, Parameter(name="--tls")] = False,
    config: ConfigFile = None,
    options: NodeOptions = DEFAULT_NODE_OPTIONS,
    tls: TlsOptions = DEFAULT_TLS_OPTIONS,
) -> int:
    """Run Hookline on this machine. Prints "ready URL" when it serves; SIGTERM or Ctrl-C stops everything.

    For example, on a laptop: hookline up --allow-private-destinations

    Or clusters of three nodes each behind proxies: hookline up --clusters 2 --nodes 3 --proxies 2 --port 7000

    Args:
        data_dir: Where all state is kept.
        port: Where it serves; 0 takes a free port. Further nodes and proxies take the free ones behind it.
        host: The address it serves at; 0.0.0.0 or [::] for all, as in a container.
        clusters: How many clusters.
        nodes: How many nodes in each. Three survive the loss of one; they need etcd, which has to be installed.
        proxies: How many proxies; the first is the front door. Several clusters have at least one.
        mode: Which processes make attempts: the leader's, those of all nodes (hybrid), or only those of hookline worker
            (workers). Without it the mode stays as it was, at first leader.
        auth: Ask for a key also on this machine. Without --root-key-file one is made: root.key, beside the data.
        with_tls: Speak TLS without --tls-cert: an authority and a certificate for this machine are made, beside the
            data.
        config: A file of settings; its table [node] is read, for all nodes.
        options: How the nodes work.
        tls: Certificates of your own; all parts share them, so they have to be for 127.0.0.1, too.
    """
    del config  # it was read before
    for option, value, least in (("clusters", clusters, 1), ("proxies", proxies, 0)):
        if not least <= value <= _AT_MOST:
            raise InvalidConfig(f"--{option} is {value}; use {least} to {_AT_MOST}", field=option)
    host = host.removeprefix("[").removesuffix("]")
    if auth:
        options = with_root_key(options, data_dir)
    files = with_own_certificate(tls.files(), data_dir, host) if with_tls else tls.files()
    alone = nodes == clusters == 1 and not proxies
    checked = options.config(data_dir=data_dir, host=host, port=port, mode=mode if alone else None, tls=files)
    if clusters > 1 or proxies:
        return run_fleet_until_stopped(checked, options, clusters, nodes, max(1, proxies), mode=mode)
    if (data_dir / FLEET_FILE).exists():
        raise InvalidConfig(
            f"{data_dir} holds clusters behind proxies; start it with the --clusters and --proxies it had",
            field="clusters",
        )
    if nodes == 1:
        if (data_dir / STACK_FILE).exists():
            raise InvalidConfig(f"{data_dir} holds a cluster of three nodes; start it with --nodes 3", field="nodes")
        return run_until_stopped(checked, options, greet=True)
    return run_cluster_until_stopped(checked, options, mode)
