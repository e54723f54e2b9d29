"""Running a process of Hookline until it is told to stop."""

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Literal

from hookline.cli.failures import readable
from hookline.cli.node_options import NodeOptions
from hookline.cli.output import announce, stderr
from hookline.errors import InvalidConfig

if TYPE_CHECKING:
    from hookline.node.config import NodeConfig

_INTERRUPTED = 130


def run_until_stopped(config: "NodeConfig", options: NodeOptions) -> int:
    """Run the node; SIGTERM or SIGINT ends it cleanly, a second SIGINT at once. Returns the exit code."""
    import uvloop

    from hookline.lack import raise_descriptor_limit
    from hookline.telemetry import configure_logs

    check_log_level(options.log_level)
    raise_descriptor_limit()
    configure_logs(as_json=options.log_json or not sys.stderr.isatty(), level=options.log_level)
    if config.allow_private_destinations:
        _warn_of_private_destinations()
    with readable(f"The node at {config.host}:{config.port} with data in {config.data_dir}", config.data_dir):
        uvloop.run(_run(config))
    return 0


def run_stack_until_stopped(config: "NodeConfig", options: NodeOptions) -> int:
    """Run etcd and three nodes like ``config``, as processes; ends as ``run_until_stopped`` does."""
    from hookline.cli.stack.stack import Stack

    check_log_level(options.log_level)
    if config.allow_private_destinations:
        _warn_of_private_destinations()
    with readable("The cluster", config.data_dir):
        asyncio.run(Stack(config.data_dir, config, options).run(announce))
    return 0


def run_fleet_until_stopped(
    config: "NodeConfig", options: NodeOptions, clusters: int, nodes: Literal[1, 3], proxies: int
) -> int:
    """Run clusters and proxies, as processes; ends as ``run_until_stopped`` does."""
    from hookline.cli.stack.fleet import Fleet

    check_log_level(options.log_level)
    if config.allow_private_destinations:
        _warn_of_private_destinations()
    with readable("The clusters", config.data_dir):
        asyncio.run(Fleet(config.data_dir, config, options, clusters, nodes, proxies).run(announce))
    return 0


def check_log_level(level: str) -> None:
    """Raise InvalidConfig unless there is such a level."""
    if level not in ("debug", "info", "warning", "error"):
        raise InvalidConfig(f"--log-level is {level!r}; use debug, info, warning or error", field="log_level")


async def _run(config: "NodeConfig") -> None:
    from hookline.node.runtime import run_node

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted, stop)
    await run_node(config, ready=announce, stop=stop)


def interrupted(stop: asyncio.Event) -> None:
    """The first SIGINT ends it cleanly, the second at once."""
    if stop.is_set():
        os._exit(_INTERRUPTED)
    stop.set()


def _warn_of_private_destinations() -> None:
    stderr().print(
        "WARNING: --allow-private-destinations is on. Whoever can create jobs can reach every address\n"
        "         that this machine can reach, its own services included. For laptops and tests only; to call\n"
        "         your own network, name it with --allow-destinations instead.",
        style="bold yellow",
        soft_wrap=True,
    )
