"""Running a process of Hookline until it is told to stop."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from hookline.cli.failures import readable
from hookline.cli.first_words import say_ready
from hookline.cli.node_options import NodeOptions
from hookline.cli.output import announce, stderr, waiting
from hookline.dashboard.settings import DashboardMode
from hookline.http_api.access import is_loopback
from hookline.memory import loading
from hookline.protocol.modes import Mode

if TYPE_CHECKING:
    from hookline.dashboard.oidc.settings import OidcSettings
    from hookline.http_api.page_host import Routes
    from hookline.node.config import NodeConfig
    from hookline.telemetry.logs import HeldLines
    from hookline.telemetry.tracing.settings import TraceSettings
    from hookline.tls.files import TlsFiles

_INTERRUPTED = 130
_PRIVATE = 0o077  # payloads are in what is written: other users of the machine are not to read it


def run_until_stopped(config: "NodeConfig", options: NodeOptions, *, greet: bool = False) -> int:
    """Run the node; SIGTERM or SIGINT ends it cleanly, a second SIGINT at once. Returns the exit code.

    Args:
        config: of the node.
        options: how it was asked for.
        greet: somebody began this by hand: say where things are, and when it is over.
    """
    with loading():
        import uvloop

        from hookline.lack import raise_descriptor_limit
        from hookline.telemetry.logs import HeldLines, configure_logs

    traces = options.trace_settings(
        "hookline-node",
        service_instance_id=f"{config.cluster}/{config.node}",
        hookline_cluster=config.cluster,
        hookline_node=config.node,
    )
    raise_descriptor_limit()
    os.umask(_PRIVATE)
    held = HeldLines() if greet else None
    configure_logs(as_json=options.log_json or not sys.stderr.isatty(), level=options.log_level, held=held)
    warn_of_reach(config, is_for_all=greet)
    name = f"The node at {config.host}:{config.port} with data in {config.data_dir}"
    with tracing_of(traces), readable(name, config.data_dir):
        uvloop.run(_run(config, options, held))
    if greet:
        _say("stopped")
    return 0


@contextmanager
def tracing_of(settings: "TraceSettings") -> Iterator[None]:
    """Traces are sent as the settings and the environment ask for it. Raises InvalidConfig."""
    from hookline.clock import SystemClock
    from hookline.telemetry.tracing.export import begin_tracing, end_tracing

    begin_tracing(settings, SystemClock())
    try:
        yield
    finally:
        end_tracing()


def run_cluster_until_stopped(config: "NodeConfig", options: NodeOptions, mode: Mode | None) -> int:
    """Run etcd and three nodes like ``config``, as processes; ends as ``run_until_stopped`` does."""
    from hookline.cli.stack.one_cluster import OneCluster

    os.umask(_PRIVATE)
    warn_of_reach(config, is_for_all=True)
    with readable("The cluster", config.data_dir):
        cluster = OneCluster(config.data_dir, config, options)
        cluster.mode = mode
        asyncio.run(cluster.run(lambda url: say_ready(config, url, cluster.places(), dashboard=options.dashboard)))
    _say("stopped")
    return 0


def run_fleet_until_stopped(
    config: "NodeConfig",
    options: NodeOptions,
    clusters: int,
    nodes: Literal[1, 3],
    proxies: int,
    *,
    mode: Mode | None,
) -> int:
    """Run clusters and proxies, as processes; ends as ``run_until_stopped`` does."""
    from hookline.cli.stack.fleet import Fleet

    os.umask(_PRIVATE)
    warn_of_reach(config, is_for_all=True)
    with readable("The clusters", config.data_dir):
        fleet = Fleet(config.data_dir, config, options, clusters, nodes, proxies)
        fleet.mode = mode
        asyncio.run(fleet.run(lambda url: say_ready(config, url, fleet.places(), dashboard=options.dashboard)))
    _say("stopped")
    return 0


async def _run(config: "NodeConfig", options: NodeOptions, held: "HeldLines | None") -> None:
    """``held``: what was logged, to be let go after the first words; None: nobody wants to hear them."""
    with loading():
        from hookline.node.runtime import run_node

        oidc = options.oidc_settings(config.root_key, config.host, options.dashboard)
        routes = dashboard_of(options.dashboard, oidc)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted, stop)

    if held is None:
        await run_node(config, ready=announce, stop=stop, hangup=told_to_look_again(config.tls), routes=routes)
        return

    def ready(url: str) -> None:
        say_ready(config, url, dashboard=options.dashboard)
        held.let_go()

    try:
        await run_node(config, ready=ready, stop=stop, stopping=say_waiting, routes=routes)
    finally:
        held.let_go()


def dashboard_of(mode: DashboardMode, oidc: "OidcSettings | None") -> "Routes":
    """The pages of a process; they are loaded only now."""
    from hookline.dashboard.app import dashboard_routes

    return dashboard_routes(mode, oidc)


def told_to_look_again(files: "TlsFiles") -> asyncio.Event | None:
    """Is set by SIGHUP from now on, where there are files to read again; else the signal ends the process as ever."""
    if not files.named():
        return None
    hangup = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    return hangup


def interrupted(stop: asyncio.Event) -> None:
    """The first SIGINT ends it cleanly, the second at once."""
    if stop.is_set():
        os._exit(_INTERRUPTED)
    stop.set()
    _say("stopping; Ctrl-C again to force")


def say_waiting(running: int) -> None:
    """Say for how many attempts the end waits."""
    if text := waiting(running):
        _say(text)


def _say(text: str) -> None:
    stderr().print(text, style="dim", soft_wrap=True)


def warn_of_reach(config: "NodeConfig", *, is_for_all: bool) -> None:
    """Say what a node may call, and ``is_for_all`` who may call it, where that is unusual."""
    if config.allow_private_destinations:
        _warn_of_private_destinations()
    if is_for_all and config.no_auth and not is_loopback(config.host):
        stderr().print(
            f"WARNING: it listens at {config.host}, and asks nobody for a key. Whoever reaches the port can make,\n"
            "         read and cancel jobs. Let a firewall or a gateway decide who does.",
            style="bold yellow",
            soft_wrap=True,
        )


def _warn_of_private_destinations() -> None:
    stderr().print(
        "WARNING: --allow-private-destinations is on. Whoever can create jobs can reach every address\n"
        "         that this machine can reach, its own services included. For laptops and tests only; to call\n"
        "         your own network, name it with --allow-destinations instead.",
        style="bold yellow",
        soft_wrap=True,
    )
