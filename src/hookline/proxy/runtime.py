"""Runs a proxy: opens its socket and its connections, and reads as a start list and, reversed, as a stop list."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from hookline.clock import Clock, SystemClock
from hookline.errors import InvalidTopology
from hookline.http_api.guard import bearer
from hookline.http_api.page_host import NO_ROUTES, Routes
from hookline.http_api.server import ApiServer, listen, make_server, url_of
from hookline.memory import settle_memory
from hookline.peers.proven_sender import proven_sender
from hookline.peers.sender import NodeCall, NotSent, Sender, Unclear
from hookline.protocol.calls import CALLS
from hookline.protocol.proofs import proof_key
from hookline.protocol.topology import Topology, parse_topology
from hookline.proxy.api.context import ProxyApi
from hookline.proxy.assembly import ProxyParts, build
from hookline.proxy.config import ProxyConfig, read_topology_file
from hookline.proxy.health import KnownHealth
from hookline.proxy.known_topology import KnownTopology
from hookline.telemetry.area_log import log_of
from hookline.telemetry.loop_lag import LoopLag
from hookline.tls.live import LiveTls, kept_fresh
from hookline.visible import without_password

_SEED_TIMEOUT_S = 2.0
_CONNECT_S = 1.0
_SEED_PAUSE_S = 0.5
_LEAVE_MS_MAX = 3_000  # HAProxy as in deploy/ sends nothing more after 1.5 s
_QUIET_MS = 500

_log = log_of("proxy")


async def run_proxy(
    config: ProxyConfig,
    *,
    ready: Callable[[str], None],
    stop: asyncio.Event,
    clock: Clock | None = None,
    hangup: asyncio.Event | None = None,
    routes: Routes = NO_ROUTES,
) -> None:
    """Run one proxy until ``stop`` is set, then finish what is under way.

    Args:
        config: the proxy's settings.
        ready: called once with the url the proxy serves at. It serves also while no cluster can be reached.
        stop: set it to end.
        clock: the machine's, unless given.
        hangup: set it to have certificates read again at once.
        routes: pages to serve beside the API.

    Raises:
        InvalidConfig: the address cannot be listened on, or the topology file cannot be read.
        InvalidTopology: what the file says.
    """
    clock = clock or SystemClock()
    async with kept_fresh(LiveTls(config.tls, clock), hangup) as tls, AsyncExitStack() as stack:
        listener = stack.enter_context(listen(config.host, config.port))
        key = None if config.root_key is None else proof_key(config.root_key.encode())
        sender = await stack.enter_async_context(proven_sender(key, clock, connect_s=_CONNECT_S, tls=tls))
        topology = read_topology_file(config.topology) if config.topology else await _ask_seeds(config, sender, stop)
        if topology is None:
            return
        proxy = build(
            ProxyParts(
                config=config,
                clock=clock,
                sender=sender,
                known=KnownTopology(topology, is_proposal=True),
                health=KnownHealth(topology.all_clusters() if config.topology else ()),
                listens=url_of(listener).removeprefix("http://"),
                routes=routes,
            )
        )
        grace_s = -(-config.shutdown_grace_ms // 1_000)
        server = make_server(proxy.app, listener, grace_s=grace_s, allow_hosts=config.allow_hosts, tls=tls)
        proxy.metrics.certificate_ends = tls.ends
        await proxy.prober.probe_all()  # so that the first requests know who leads
        if config.root_key is not None:
            await proxy.api.keys.pull()
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve(sockets=[listener]))
            lag = LoopLag(clock, proxy.metrics.loop_lag.observe)
            beside = [tasks.create_task(proxy.prober.run()), tasks.create_task(lag.run())]
            if config.root_key is not None:
                beside.append(tasks.create_task(proxy.api.keys.run()))
            url = url_of(listener, config.tls.scheme)
            settle_memory()
            _log.info("proxy_ready", url=url, epoch=proxy.known.epoch)
            ready(url)
            await _stopped_or_ended(serving, stop)
            await _leave(proxy.api, server)
            server.should_exit = True
            await serving
            for task in beside:
                task.cancel()


async def _stopped_or_ended(serving: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(stop.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()


async def _leave(api: ProxyApi, server: ApiServer) -> None:
    """Go on answering until load balancers have seen that ``/health`` says 503, or nothing comes any more."""
    if not server.server_state.connections:
        return
    now_ms = api.clock.boot_ms
    until_ms = now_ms() + _LEAVE_MS_MAX
    api.is_leaving = True
    server.close_after_answers()
    while (left_ms := min(until_ms, api.asked_ms + _QUIET_MS) - now_ms()) > 0:  # noqa: ASYNC110 - each request moves the end
        await asyncio.sleep(left_ms / 1_000)


async def _ask_seeds(config: ProxyConfig, sender: Sender, stop: asyncio.Event) -> Topology | None:
    """The topology of the first seed that has one; asks until there is one. None when told to stop."""
    shown = () if config.root_key is None else (bearer(config.root_key),)  # proxies take no proofs
    of_a_proxy, of_a_node = NodeCall.to(CALLS["getTopology"], b"", *shown), NodeCall.to(CALLS["readTopology"])
    while not stop.is_set():
        for url in config.seeds:
            for call in (of_a_proxy, of_a_node):
                topology = await _ask_seed(sender, url, call)
                if topology is not None:
                    return topology
        _log.warning("no_seed_has_a_topology", seeds=[without_password(url) for url in config.seeds])
        await asyncio.sleep(_SEED_PAUSE_S)
    return None


async def _ask_seed(sender: Sender, url: str, call: NodeCall) -> Topology | None:
    try:
        answer = await sender.send(url, call, _SEED_TIMEOUT_S)
        return parse_topology(answer.body) if answer.status == 200 else None
    except (NotSent, Unclear, InvalidTopology) as error:
        _log.warning("seed_failed", url=without_password(url), detail=error.detail)
        return None
