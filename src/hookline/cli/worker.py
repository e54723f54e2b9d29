"""``hookline worker``: makes attempts for a cluster, and keeps nothing."""

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hookline.cli import inputs
from hookline.cli.failures import readable
from hookline.cli.output import announce
from hookline.cli.parameters import Flag, NamedPath
from hookline.cli.process import check_log_level, interrupted
from hookline.memory import loading

if TYPE_CHECKING:
    from hookline.worker.config import WorkerConfig


def worker(
    *,
    cluster: Annotated[str, Parameter(env_var="HOOKLINE_CLUSTER_URLS")],
    slots: Annotated[int | None, Parameter(env_var="HOOKLINE_SLOTS")] = None,
    name: Annotated[str | None, Parameter(env_var="HOOKLINE_WORKER")] = None,
    listen: Annotated[str, Parameter(env_var="HOOKLINE_LISTEN")] = "127.0.0.1:0",
    allow_private_destinations: Annotated[Flag, Parameter(env_var="HOOKLINE_ALLOW_PRIVATE_DESTINATIONS")] = False,
    allow_destinations: Annotated[str | None, Parameter(env_var="HOOKLINE_ALLOW_DESTINATIONS")] = None,
    deny_destinations: Annotated[str | None, Parameter(env_var="HOOKLINE_DENY_DESTINATIONS")] = None,
    allow_hosts: Annotated[str | None, Parameter(env_var="HOOKLINE_ALLOW_HOSTS")] = None,
    destination_ports: Annotated[str | None, Parameter(env_var="HOOKLINE_DESTINATION_PORTS")] = None,
    signing_secret: Annotated[str | None, Parameter(env_var="HOOKLINE_SIGNING_SECRET")] = None,
    secret_key: Annotated[str | None, Parameter(env_var="HOOKLINE_SECRET_KEY")] = None,
    secret_key_file: Annotated[NamedPath | None, Parameter(env_var="HOOKLINE_SECRET_KEY_FILE")] = None,
    shutdown_grace: Annotated[str | None, Parameter(env_var="HOOKLINE_SHUTDOWN_GRACE")] = None,
    log_level: Annotated[str, Parameter(env_var="HOOKLINE_LOG_LEVEL")] = "info",
    log_json: Annotated[Flag, Parameter(env_var="HOOKLINE_LOG_JSON")] = False,
) -> int:
    """Run one worker, which makes attempts for a cluster. Prints "ready URL" when it works.

    The cluster asks workers in the mode workers: hookline cluster mode workers. SIGTERM or Ctrl-C lets it finish what
    is under way. Rules, signing secret and secret key are those of the nodes.

    For example: hookline worker --cluster http://10.0.0.1:7070,http://10.0.0.2:7070 --secret-key-file
    /etc/hookline/secret.key

    Args:
        cluster: Urls of its nodes, separated by commas; one that answers is enough.
        slots: Attempts that may run at once. [100]
        name: Its name, which is shown with its attempts; else one is made up.
        listen: HOST:PORT where it says whether it works: /livez, /readyz, /metrics; port 0 takes a free one.
        allow_private_destinations: Allow all private addresses and all ports; only for laptops and tests.
        allow_destinations: Private networks and names that may be called, at all ports: 10.2.0.0/16,*.svc.cluster.local
        deny_destinations: Networks and names that may not be called, whatever else is allowed.
        allow_hosts: Names in requests' Host that a worker at a loopback address answers to, separated by commas.
        destination_ports: Ports that may be called, separated by commas. [80,443,8000,8080,8443]
        signing_secret: Sign all jobs with this whsec_ or whsk_ secret, if they and their destination have none.
        secret_key: The key of the nodes, which seals stored secrets.
        secret_key_file: A file that holds this key.
        shutdown_grace: How long running attempts may take to end at shutdown, up to 24h. [10s]
        log_level: debug, info, warning or error.
        log_json: Write logs as JSON also on a terminal.
    """
    from hookline.protocol.destination_patterns import parse_patterns
    from hookline.worker.config import WorkerConfig

    host, port = inputs.address(listen)
    settings = inputs.given(
        slots=slots,
        destination_ports=None if destination_ports is None else inputs.ports(destination_ports),
        allow_hosts=None if allow_hosts is None else inputs.host_names(allow_hosts),
        shutdown_grace_ms=None if shutdown_grace is None else inputs.duration_ms(shutdown_grace),
    )
    config = WorkerConfig(
        cluster=tuple(inputs.service_url(url, "--cluster") for url in inputs.comma_list(cluster)),
        name=name,
        host=host,
        port=port,
        allow_private_destinations=allow_private_destinations,
        allow_destinations=parse_patterns(allow_destinations or "", "allow-destinations"),
        deny_destinations=parse_patterns(deny_destinations or "", "deny-destinations"),
        signing_secret=signing_secret,
        secret_key=secret_key,
        secret_key_file=secret_key_file,
        **settings,
    )
    return _run_until_stopped(config, log_level, log_json=log_json)


def _run_until_stopped(config: "WorkerConfig", log_level: str, *, log_json: bool) -> int:
    with loading():
        import uvloop

        from hookline.lack import raise_descriptor_limit
        from hookline.telemetry import configure_logs

    check_log_level(log_level)
    raise_descriptor_limit()
    configure_logs(as_json=log_json or not sys.stderr.isatty(), level=log_level)
    with readable(f"The worker at {config.host}:{config.port}"):
        uvloop.run(_run(config))
    return 0


async def _run(config: "WorkerConfig") -> None:
    with loading():
        from hookline.worker.runtime import run_worker

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted, stop)
    await run_worker(config, ready=announce, stop=stop)
