"""``hookline proxy``: one door to all clusters."""

import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from hookline.cli import inputs
from hookline.cli.failures import readable
from hookline.cli.launch import Launch
from hookline.cli.oidc_options import DEFAULT_OIDC_OPTIONS, OidcOptions
from hookline.cli.output import announce
from hookline.cli.parameters import ConfigFile, DurationText, Flag, Hosts, Listen, NamedPath, Texts
from hookline.cli.process import dashboard_of, interrupted, told_to_look_again, tracing_of
from hookline.cli.tls_options import DEFAULT_TLS_OPTIONS, TlsOptions
from hookline.cli.trace_options import DEFAULT_TRACE_OPTIONS, TraceOptions
from hookline.dashboard.settings import DashboardMode
from hookline.memory import loading

if TYPE_CHECKING:
    from hookline.http_api.page_host import Routes
    from hookline.proxy.config import ProxyConfig
    from hookline.telemetry.tracing.settings import TraceSettings


def proxy(
    *,
    listen: Annotated[Listen, Parameter(env_var="HOOKLINE_LISTEN")] = "127.0.0.1:7000",
    topology: Annotated[NamedPath | None, Parameter(env_var="HOOKLINE_TOPOLOGY")] = None,
    seed: Texts = None,
    allow_hosts: Annotated[Hosts | None, Parameter(env_var="HOOKLINE_ALLOW_HOSTS")] = None,
    request_timeout: Annotated[DurationText | None, Parameter(env_var="HOOKLINE_REQUEST_TIMEOUT")] = None,
    requests_max: Annotated[int | None, Parameter(env_var="HOOKLINE_REQUESTS_MAX")] = None,
    root_key_file: Annotated[NamedPath | None, Parameter(env_var="HOOKLINE_ROOT_KEY_FILE")] = None,
    no_auth: Annotated[Flag, Parameter(env_var="HOOKLINE_NO_AUTH")] = False,
    dashboard: Annotated[DashboardMode, Parameter(env_var="HOOKLINE_DASHBOARD")] = "on",
    log_level: Annotated[str, Parameter(env_var="HOOKLINE_LOG_LEVEL")] = "info",
    log_json: Annotated[Flag, Parameter(env_var="HOOKLINE_LOG_JSON")] = False,
    config: ConfigFile = None,
    traces: TraceOptions = DEFAULT_TRACE_OPTIONS,
    tls: TlsOptions = DEFAULT_TLS_OPTIONS,
    oidc: OidcOptions = DEFAULT_OIDC_OPTIONS,
) -> Launch:
    """Run one proxy. Prints "ready URL" when it serves; SIGTERM or Ctrl-C lets it finish what is under way.

    Args:
        listen: HOST:PORT to serve at; port 0 takes a free one.
        topology: The file that lists the clusters; a newer topology that the clusters know wins.
        seed: Instead of the file: url of a node or a proxy to ask for the topology; may be given again.
        allow_hosts: Names in requests' Host that a proxy at a loopback address answers to, separated by commas.
        request_timeout: How long a request may take in all. [10s]
        requests_max: Requests under way at once; more are refused. [1000]
        root_key_file: A file that holds the root key of the nodes, and in a second line perhaps the one before it,
            which still does; or have the key in HOOKLINE_ROOT_KEY.
        no_auth: Ask nobody for a key, also beyond this machine; a firewall or a gateway decides who may call.
        dashboard: Pages at /dashboard: on, read-only, which change nothing, or off.
        log_level: debug, info, warning or error.
        log_json: Write logs as JSON also on a terminal.
        config: A file of settings; its table [proxy] is read.
        traces: Where its traces go.
        tls: Its certificates, and whom it trusts.
        oidc: The provider that people sign in at.
    """
    from hookline.proxy.config import ProxyConfig

    del config  # it was read before
    inputs.check_log_level(log_level)
    host, port = inputs.address(listen)
    settings = inputs.given(
        request_timeout_ms=None if request_timeout is None else inputs.duration_ms(request_timeout),
        requests_max=requests_max,
        allow_hosts=None if allow_hosts is None else inputs.host_names(allow_hosts),
        **inputs.root_keys(root_key_file),
        no_auth=no_auth,
        tls=tls.files(),
    )
    seeds = tuple(inputs.service_url(url, "--seed") for url in seed or ())
    checked = ProxyConfig(host=host, port=port, topology=topology, seeds=seeds, **settings)
    told = traces.trace_settings("hookline-proxy", service_instance_id=listen)
    pages = partial(dashboard_of, dashboard, oidc.oidc_settings(checked.root_key, host, dashboard))
    return Launch(checked, lambda: _run_until_stopped(checked, pages, told, log_level, log_json=log_json))


def _run_until_stopped(
    config: "ProxyConfig", pages: Callable[[], "Routes"], traces: "TraceSettings", log_level: str, *, log_json: bool
) -> int:
    with loading():
        import uvloop

        from hookline.lack import raise_descriptor_limit
        from hookline.telemetry.logs import configure_logs

    raise_descriptor_limit()
    configure_logs(as_json=log_json or not sys.stderr.isatty(), level=log_level)
    with tracing_of(traces), readable(f"The proxy at {config.host}:{config.port}"):
        uvloop.run(_run(config, pages))
    return 0


async def _run(config: "ProxyConfig", pages: Callable[[], "Routes"]) -> None:
    with loading():
        from hookline.proxy.runtime import run_proxy

        routes = pages()

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupted, stop)
    hangup = told_to_look_again(config.tls)
    await run_proxy(config, ready=announce, stop=stop, hangup=hangup, routes=routes)
