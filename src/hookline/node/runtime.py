"""The composition root of a node: reads as a start list and, reversed, as a stop list."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, nullcontext

import structlog

from hookline.clock import Clock, SystemClock
from hookline.errors import Compacted, HooklineError, StateDamaged, leaves
from hookline.http_api.server import calm_garbage_collector, listen, make_server, url_of
from hookline.node.admission import Admission
from hookline.node.api.app import create_app
from hookline.node.api.services import Role, Services
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.kernel import kernel_agrees
from hookline.node.clocks.watch import ClockWatch
from hookline.node.config import NodeConfig
from hookline.node.delivery_status import DeliveryStatus
from hookline.node.etcd.client import EtcdRefused, EtcdUnclear
from hookline.node.executor.resolver import Resolver, system_lookup
from hookline.node.executor.transport import HttpTransport
from hookline.node.executor.vetting import Vetter
from hookline.node.leader import Surroundings
from hookline.node.leadership.local import LocalLeadership
from hookline.node.loop_lag import LoopLag
from hookline.node.member import Member
from hookline.node.quorum import Quorum, agree_on_secret_key, find_peers
from hookline.node.replica import ThreadCommit
from hookline.node.replicated_log.local import LocalLog
from hookline.node.single_role import SingleRole
from hookline.node.snapshot_fetch import fetch_snapshot
from hookline.node.snapshots import STATE_FILE, Snapshots, finish_install, install
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.reads import Reads
from hookline.node.vault import Vault
from hookline.telemetry import Metrics

_READY_POLL_S = 0.005
_REINSTALL_PAUSE_S = 2.0
_ETCD_PAUSE_S = 0.5
_BEHIND_MS = 1_000

_log = structlog.get_logger()


async def run_node(
    config: NodeConfig, *, ready: Callable[[str], None], stop: asyncio.Event, clock: Clock | None = None
) -> None:
    """Run one node until ``stop`` is set, then shut down: finish what runs, make it durable, close.

    Args:
        config: the node's settings.
        ready: called once with the url the node serves at.
        stop: set it to end.
        clock: the machine's, unless given.

    Raises:
        NodeFault: DataDirectoryInUse, StateDamaged, InvalidConfig at start; others when the node cannot go on.
    """
    guarded = GuardedClock(clock or SystemClock())  # over all restarts on another state
    config.data_dir.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        lock = LocalLeadership(config.data_dir)
        lock.lock()
        stack.push_async_callback(lock.release)
        vault = await _open_vault(config, guarded, stop)
        while vault and not await _run_on_state(config, guarded, lock, vault, ready, stop):
            await _install_from_peer(config, stop)


async def _open_vault(config: NodeConfig, clock: Clock, stop: asyncio.Event) -> Vault | None:
    """With the key that was given, or else made: by this node alone, or with the others. None when told to stop."""
    key = config.secret_key
    while config.etcd and key is None and config.secret_key_file is None:
        try:
            key = await agree_on_secret_key(config, clock)
        except (EtcdUnclear, EtcdRefused) as error:
            _log.warning("etcd_away", error=error.detail)
            await asyncio.sleep(_ETCD_PAUSE_S)
            if stop.is_set():
                return None
    return Vault.load(config.data_dir, config.secret_key_file, key, clock)


async def _run_on_state(
    config: NodeConfig,
    clock: GuardedClock,
    lock: LocalLeadership,
    vault: Vault,
    ready: Callable[[str], None],
    stop: asyncio.Event,
) -> bool:
    """Run on the state in the data directory until ``stop``; False when that state cannot be used any more."""
    is_usable = True
    try:
        await _run_node(config, clock, lock, vault, ready=ready, stop=stop)
    except* (Compacted, StateDamaged) as group:
        if not config.etcd:  # nobody has a copy
            raise
        is_usable = False
        _log.error("state_unusable", reasons=[str(error) for error in leaves(group)])
    return is_usable


async def _install_from_peer(config: NodeConfig, stop: asyncio.Event) -> None:
    """Put a peer's snapshot in the place of the state; tries until one is there or ``stop`` is set."""
    while not stop.is_set():
        try:
            urls, at_least = await find_peers(config)
            path, info = await fetch_snapshot(urls, config.data_dir / "incoming", at_least=at_least)
        except HooklineError as error:
            _log.warning("snapshot_not_installed", error=error.detail)
            await asyncio.sleep(_REINSTALL_PAUSE_S)
            continue
        install(config.data_dir, path)
        _log.info("state_installed", index=info.index, term=info.term)
        return


async def _run_node(
    config: NodeConfig,
    clock: GuardedClock,
    lock: LocalLeadership,
    vault: Vault,
    *,
    ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listen(config.host, config.port))
        finish_install(config.data_dir)
        database = open_state(config.data_dir / STATE_FILE, durable=not config.etcd)
        stack.callback(database.close)
        database.quick_check()
        machine = StateMachine(database)
        _tell_if_behind(machine, clock)
        snapshots = Snapshots(database, config.data_dir / "snapshots", clock)
        stack.callback(snapshots.close)
        lookup = system_lookup()
        stack.callback(lookup.close)
        resolver = await stack.enter_async_context(Resolver(lookup, clock))
        transport = HttpTransport()
        stack.push_async_callback(transport.close)
        commit = ThreadCommit()
        stack.callback(commit.close)
        metrics = Metrics()
        quorum = Quorum(config, clock, vault) if config.etcd else None
        local_log = None if quorum else LocalLog(database)
        (quorum.leadership if quorum else lock).continue_after(max(machine.term, local_log.term if local_log else 0))
        member = Member(
            Surroundings(
                config=config,
                clock=clock,
                machine=machine,
                log=quorum.log if quorum else local_log or LocalLog(database),
                leadership=quorum.leadership if quorum else lock,
                commit=commit,
                vault=vault,
                vetter=Vetter(
                    resolver,
                    allow_private=config.allow_private_destinations,
                    own_addresses=frozenset({(config.host, config.port)}),
                    ports=config.destination_ports,
                ),
                transport=transport,
                metrics=metrics,
                successor=quorum.successor if quorum else None,
            )
        )
        role = quorum or SingleRole(config, member)
        clocks = quorum.clocks if quorum else ClockWatch(clock, kernel_agrees=kernel_agrees)
        lag = LoopLag(clock)
        services = Services(
            config=config,
            clock=clock,
            replica=member.replica,
            reads=Reads(database.reader),
            vault=vault,
            admission=Admission(config, lambda: member.replica.counters, role.pressure),
            delivery=DeliveryStatus(member, LeaderReads(database.reader), clock, slots=config.slots),
            is_ready=lambda: _why_not_ready(role),
            metrics=metrics,
            role=role,
            clocks=clocks,
            is_overloaded=lag.is_high,
            snapshots=snapshots,
        )
        await stack.enter_async_context(quorum.running(member) if quorum else nullcontext())
        await _run(member, services, lag, listener, ready=ready, stop=stop)


def _tell_if_behind(machine: StateMachine, clock: Clock) -> None:
    behind_ms = machine.newest_ms - clock.wall_ms()
    if behind_ms > _BEHIND_MS:
        advice = "set this machine's clock right, unless it is right and an earlier one was ahead"
        _log.warning("clock_behind_newest_entry", by_ms=behind_ms, advice=advice)


def _why_not_ready(role: Role) -> str | None:
    if role.is_leading() or role.leader_url() is not None:
        return None
    return "no node leads; the node is starting or an election is under way"


async def _run(
    member: Member,
    services: Services,
    lag: LoopLag,
    listener: socket.socket,
    *,
    ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    server = make_server(create_app(services), listener)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(services.clocks.run(member))
        running = tasks.create_task(member.run())
        await _first(running, _until_ready(services))
        serving = tasks.create_task(server.serve(sockets=[listener]))
        measuring = tasks.create_task(lag.run())
        calm_garbage_collector()
        url = url_of(listener)
        _log.info("node_ready", url=url, cluster=services.config.cluster, node=services.config.node)
        ready(url)
        await _first(running, stop.wait())
        _log.info("node_stopping")
        member.stop()
        await running
        server.should_exit = True
        await serving
        measuring.cancel()
        watching.cancel()


async def _until_ready(services: Services) -> None:
    while services.is_ready() is not None:  # noqa: ASYNC110 - it depends on other processes, which set no event here
        await asyncio.sleep(_READY_POLL_S)


async def _first(running: asyncio.Task[None], event: Coroutine[None, None, object]) -> None:
    """Wait for an event, unless the member fails before: then its task group ends us."""
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(event)
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
