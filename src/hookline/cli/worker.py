"""``hookline worker``: makes attempts for a cluster, and keeps nothing."""

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hookline.cli import inputs
from hookline.cli.destination_options import DEFAULT_DESTINATION_OPTIONS, DestinationOptions
from hookline.cli.failures import readable
from hookline.cli.launch import Launch
from hookline.cli.output import announce
from hookline.cli.parameters import CommaTexts, ConfigFile, Flag, Listen
from hookline.cli.process import interrupted, told_to_look_again, tracing_of
from hookline.cli.tls_options import DEFAULT_TLS_OPTIONS, TlsOptions
from hookline.cli.trace_options import DEFAULT_TRACE_OPTIONS, TraceOptions
from hookline.memory import loading

if TYPE_CHECKING:
    from hookline.telemetry.tracing.settings import TraceSettings
    from hookline.worker.config import WorkerConfig


def worker(
    *,
    cluster: Annotated[CommaTexts, Parameter(env_var="HOOKLINE_CLUSTER_URLS")],
    slots: Annotated[int | None, Parameter(env_var="HOOKLINE_SLOTS")] = None,
    name: Annotated[str | None, Parameter(env_var="HOOKLINE_WORKER")] = None,
    listen: Annotated[Listen, Parameter(env_var="HOOKLINE_LISTEN")] = "127.0.0.1:0",
    log_level: Annotated[str, Parameter(env_var="HOOKLINE_LOG_LEVEL")] = "info",
    log_json: Annotated[Flag, Parameter(env_var="HOOKLINE_LOG_JSON")] = False,
    config: ConfigFile = None,
    destinations: DestinationOptions = DEFAULT_DESTINATION_OPTIONS,
    traces: TraceOptions = DEFAULT_TRACE_OPTIONS,
    tls: TlsOptions = DEFAULT_TLS_OPTIONS,
) -> Launch:
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
        log_level: debug, info, warning or error.
        log_json: Write logs as JSON also on a terminal.
        config: A file of settings; its table [worker] is read.
        destinations: How it makes attempts.
        traces: Where its traces go.
        tls: Its certificates, and whom it trusts.
    """
    from hookline.worker.config import WorkerConfig

    del config  # it was read before
    inputs.check_log_level(log_level)
    host, port = inputs.address(listen)
    checked = WorkerConfig(
        cluster=tuple(inputs.service_url(url, "--cluster") for url in inputs.comma_list(cluster)),
        name=name,
        host=host,
        port=port,
        tls=tls.files(),
        **inputs.given(slots=slots),
        **destinations.delivery(),
    )
    told = traces.trace_settings("hookline-worker", **inputs.given(service_instance_id=name))
    return Launch(checked, lambda: _run_until_stopped(checked, told, log_level, log_json=log_json))


def _run_until_stopped(config: "WorkerConfig", traces: "TraceSettings", log_level: str, *, log_json: bool) -> int:
    with loading():
        import uvloop

        from hookline.lack import raise_descriptor_limit
        from hookline.telemetry.logs import configure_logs

    raise_descriptor_limit()
    configure_logs(as_json=log_json or not sys.stderr.isatty(), level=log_level)
    with tracing_of(traces), readable(f"The worker at {config.host}:{config.port}"):
        uvloop.run(_run(config))
    return 0


async def _run(config: "WorkerConfig") -> None:
    with loading():
        from hookline.worker.runtime import run_worker

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted, stop)
    await run_worker(config, ready=announce, stop=stop, hangup=told_to_look_again(config.tls))
