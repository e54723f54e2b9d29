"""The composition root of a node: reads as a start list and, reversed, as a stop list."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog

from hookline.clock import Clock, SystemClock
from hookline.errors import Compacted, ForeignState, Halted, HooklineError, StateDamaged, leaves
from hookline.http_api.server import listen, make_server, settle_memory, url_of
from hookline.node.admission import Admission
from hookline.node.api.app import create_app
from hookline.node.api.services import Role, Services
from hookline.node.attempts.heard_proxies import HeardProxies
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.resolver import Resolver, system_lookup
from hookline.node.attempts.transport import HttpTransport
from hookline.node.attempts.vetting import Vetter
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.kernel import kernel_agrees
from hookline.node.clocks.watch import ClockWatch
from hookline.node.cluster_history import own_of
from hookline.node.config import NodeConfig
from hookline.node.delivery_status import DeliveryStatus
from hookline.node.etcd.client import EtcdDenied, EtcdRefused, EtcdUnclear
from hookline.node.etcd.outage import Outage
from hookline.node.home import home_of, owner_of
from hookline.node.identity import check_own
from hookline.node.leader import LeaderParts
from hookline.node.leadership.local import LocalLeadership
from hookline.node.loop_lag import LoopLag
from hookline.node.member import Member
from hookline.node.own_processes import OwnProcesses, may_matter
from hookline.node.quorum import Peers, Quorum, agree_on_secret_key, find_peers
from hookline.node.replica import ThreadCommit
from hookline.node.replicated_log.local import LocalLog
from hookline.node.restoring import refuse_half_restored
from hookline.node.scrub import Scrub
from hookline.node.sealed_state import check_before_making, check_keys, sealing_keys
from hookline.node.single_role import SingleRole
from hookline.node.snapshot_fetch import fetch_snapshot
from hookline.node.snapshots import STATE_FILE, SnapshotInfo, Snapshots, finish_install, install, kept_aside
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.reads import Reads
from hookline.node.vault import DEFAULT_FILE, Vault
from hookline.telemetry import Metrics

_READY_POLL_S = 0.005
_REINSTALL_PAUSE_S = 2.0
_ETCD_PAUSE_S = 0.5
_BEHIND_MS = 1_000
_START_BYTES = 8

_log = structlog.get_logger()


class Telling(NamedTuple):
    """Who is told how far the node is."""

    ready: Callable[[str], None]  # its url, once it serves
    stopping: Callable[[int], None]  # how many attempts its end waits for


async def run_node(
    config: NodeConfig,
    *,
    ready: Callable[[str], None],
    stop: asyncio.Event,
    clock: Clock | None = None,
    stopping: Callable[[int], None] = lambda _running: None,
) -> None:
    """Run one node until ``stop`` is set, then shut down: finish what runs, make it durable, close.

    Args:
        config: the node's settings.
        ready: called once with the url the node serves at.
        stop: set it to end.
        clock: the machine's, unless given.
        stopping: called when the end begins, with how many attempts it waits for.

    Raises:
        NodeFault: DataDirectoryInUse, StateDamaged, RestoreBrokenOff, InvalidConfig at start; others when the node
            cannot go on.
    """
    guarded = GuardedClock(clock or SystemClock())  # over all restarts on another state
    config.data_dir.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        lock = LocalLeadership(config.data_dir)
        lock.lock()
        stack.push_async_callback(lock.release)
        refuse_half_restored(config.data_dir)
        vault = await _open_vault(config, guarded, stop)
        is_over = vault is None
        while vault is not None and not is_over:
            is_over = await _run_on_state(config, guarded, lock, vault, Telling(ready, stopping), stop)


async def _open_vault(config: NodeConfig, clock: Clock, stop: asyncio.Event) -> Vault | None:
    """With the key that was given, or else made: by this node alone, or with the others. None when told to stop."""
    key, denied = config.secret_key, ""
    outage = Outage(config.etcd)
    while config.etcd and key is None and config.secret_key_file is None:
        try:
            key = await agree_on_secret_key(config, clock, outage)
        except (EtcdUnclear, EtcdRefused) as error:
            if isinstance(error, EtcdDenied) and error.detail != denied:
                denied = error.detail
                _log.error("etcd_denied", error=denied)
            await asyncio.sleep(_ETCD_PAUSE_S)
            if stop.is_set():
                return None
    if key is None and config.secret_key_file is None and not config.allow_missing_secret_key:
        _refuse_to_make_a_second_key(config.data_dir)
    return Vault.load(config.data_dir, config.secret_key_file, key, clock)


def _refuse_to_make_a_second_key(data_dir: Path) -> None:
    state = data_dir / STATE_FILE
    if (data_dir / DEFAULT_FILE).exists() or not state.exists():
        return
    database = open_state(state)
    try:
        database.quick_check()
        check_before_making(sealing_keys(database.reader), data_dir)
    finally:
        database.close()


async def _run_on_state(
    config: NodeConfig,
    clock: GuardedClock,
    lock: LocalLeadership,
    vault: Vault,
    telling: Telling,
    stop: asyncio.Event,
) -> bool:
    """Run on the state in the data directory until ``stop``: True. False: run again, perhaps on another state."""
    is_behind: bool | None = None
    is_over = True
    try:
        await _run_node(config, clock, lock, vault, telling=telling, stop=stop)
    except* (Compacted, StateDamaged) as group:
        if not config.etcd:  # nobody has a copy
            raise
        is_over = False
        is_behind = all(isinstance(error, Compacted) for error in leaves(group))
        _log.error("state_unusable", reasons=[str(error) for error in leaves(group)])
    except* Halted as group:
        if not config.etcd:
            raise
        is_over = False
        _log.error("node_halts", reasons=[str(error) for error in leaves(group)])
    if is_behind is not None:
        await _install_from_peer(config, stop, keeps=not is_behind)
    return is_over or stop.is_set()


async def _install_from_peer(config: NodeConfig, stop: asyncio.Event, *, keeps: bool) -> None:
    """Put a peer's snapshot in the place of the state; tries until one is there or ``stop`` is set.

    ``keeps``: the present state is kept aside, since it is not known to be an earlier one of the same history.
    """
    while not stop.is_set():
        try:
            peers = await find_peers(config)
            path, info = await fetch_snapshot(
                peers.urls,
                config.data_dir / "incoming",
                at_least=peers.at_least,
                is_undoubted=True,
                is_wanted=partial(_is_wanted, peers),
            )
        except HooklineError as error:
            _log.warning("snapshot_not_installed", error=error.detail)
            await asyncio.sleep(_REINSTALL_PAUSE_S)
            continue
        kept = install(config.data_dir, path, keeps=keeps)
        _log.info("state_installed", index=info.index, term=info.term, kept_aside=kept and str(kept))
        return


def _is_wanted(peers: Peers, info: SnapshotInfo) -> bool:
    """It is of the cluster whose log etcd holds, and of the time of that log."""
    charter = peers.charter
    if charter is None or info.cluster_id != charter.cluster_id:
        return False
    is_its_beginning = (info.index, info.digest) == (charter.begins_after, charter.digest)
    return info.generation == charter.generation or is_its_beginning


async def _run_node(
    config: NodeConfig,
    clock: GuardedClock,
    lock: LocalLeadership,
    vault: Vault,
    *,
    telling: Telling,
    stop: asyncio.Event,
) -> None:
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listen(config.host, config.port))
        finish_install(config.data_dir)
        database = open_state(config.data_dir / STATE_FILE, durable=not config.etcd)
        stack.callback(database.close)
        database.quick_check()
        scrub = Scrub(database, clock)
        stack.callback(scrub.close)
        await scrub.start()
        machine = StateMachine(database)
        _check_state(config, machine, vault)
        _tell_if_behind(machine, clock)
        snapshots = Snapshots(database, config.data_dir / "snapshots", clock)
        stack.callback(snapshots.close)
        lookup = system_lookup()
        stack.callback(lookup.close)
        resolver = await stack.enter_async_context(Resolver(lookup, clock))
        commit = ThreadCommit()
        stack.callback(commit.close)
        metrics = Metrics()
        quorum = Quorum(config, clock, vault, machine, scrub) if config.etcd else None
        local_log = None if quorum else LocalLog(database)
        (quorum.leadership if quorum else lock).continue_after(max(machine.term, local_log.term if local_log else 0))
        transport = HttpTransport()
        stack.push_async_callback(transport.close)
        own_addresses = OwnAddresses([(config.host, config.port)])
        proxies = HeardProxies(own_addresses, clock)
        member = Member(
            LeaderParts(
                config=config,
                owner=quorum.owner if quorum else _own_name(config, clock),
                clock=clock,
                machine=machine,
                log=quorum.log if quorum else local_log or LocalLog(database),
                leadership=quorum.leadership if quorum else lock,
                commit=commit,
                vault=vault,
                vetter=Vetter(resolver, config.rules, own_addresses=own_addresses),
                transport=transport,
                metrics=metrics,
                elsewhere=quorum.exchange if quorum else None,
                history=(lambda _replica: quorum.history) if quorum else None,
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
            swap=member.swap,
            is_stopping=stop.is_set,
            is_overloaded=lag.is_high,
            snapshots=snapshots,
            on_damage=member.fail,
            on_proxy=proxies.heard,
            kept_aside=lambda: [file.name for file in kept_aside(config.data_dir)],
        )
        own_processes = OwnProcesses(
            own_addresses,
            proxies,
            resolver,
            known=lambda: (
                config.advertised_url,
                *(quorum.etcd_urls() if quorum else ()),
                *(node.url for node in role.nodes()),
            ),
            topology=lambda: member.replica.topology,
            cluster=config.cluster,
            is_of_interest=partial(may_matter, config.rules),
        )
        if quorum is not None:
            await stack.enter_async_context(quorum.running(member))
            await _until_allowed(quorum, services, listener, stop)
        if not stop.is_set():
            await _run(member, services, lag, scrub, own_processes, listener, telling=telling, stop=stop)


def _own_name(config: NodeConfig, clock: Clock) -> str:
    """Of this process, in the claims of a node that is its whole cluster."""
    return owner_of(config.node, home_of(config.data_dir, clock), clock.token(_START_BYTES).hex())


def _check_state(config: NodeConfig, machine: StateMachine, vault: Vault) -> None:
    """Raise ForeignState if it is another node's, SecretKeyMissing if its secrets cannot be opened."""
    if (wrong := check_own(own_of(config, machine))) is not None:
        raise ForeignState(wrong)
    if not config.allow_missing_secret_key:
        check_keys(sealing_keys(machine.database.reader), vault)


def _tell_if_behind(machine: StateMachine, clock: Clock) -> None:
    behind_ms = machine.newest_ms - clock.wall_ms()
    if behind_ms > _BEHIND_MS:
        advice = "set this machine's clock right, unless it is right and an earlier one was ahead"
        _log.warning("clock_behind_newest_entry", by_ms=behind_ms, advice=advice)


def _why_not_ready(role: Role) -> str | None:
    if (halted := role.halted()) is not None:
        return f"this node waits for a person: {halted}"
    if role.is_leading() or role.leader_url() is not None:
        return None
    return "no node leads; the node is starting or an election is under way"


async def _until_allowed(quorum: Quorum, services: Services, listener: socket.socket, stop: asyncio.Event) -> None:
    """Until the state may go on with the log, or ``stop``. A node that waits for a person serves, and says why."""
    async with asyncio.TaskGroup() as tasks:
        halted = asyncio.Event()

        def told(why: str) -> None:
            _log.error("node_halted", why=why)
            halted.set()

        allowed = tasks.create_task(quorum.until_allowed(told))
        stopping = tasks.create_task(stop.wait())
        telling = tasks.create_task(_serve_when(halted, services, listener))
        await asyncio.wait({allowed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (allowed, stopping, telling):
            task.cancel()


def _hosts(config: NodeConfig) -> tuple[str, ...]:
    """The names this node is called by, beside those of the loopback address."""
    return (*config.allow_hosts, urlsplit(config.advertised_url).netloc)


async def _serve_when(halted: asyncio.Event, services: Services, listener: socket.socket) -> None:
    await halted.wait()
    # On a socket of its own: uvicorn closes what it was given, and the node goes on to serve on the first one.
    own = listener.dup()
    server = make_server(create_app(services), own, allow_hosts=_hosts(services.config))
    try:
        await server.serve(sockets=[own])
    finally:
        own.close()


async def _run(
    member: Member,
    services: Services,
    lag: LoopLag,
    scrub: Scrub,
    own_processes: OwnProcesses,
    listener: socket.socket,
    *,
    telling: Telling,
    stop: asyncio.Event,
) -> None:
    server = make_server(create_app(services), listener, allow_hosts=_hosts(services.config))
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(services.clocks.run(member))
        running = tasks.create_task(member.run())
        scrubbing = tasks.create_task(scrub.run())
        learning = tasks.create_task(own_processes.run())
        await _first(running, _until_ready(services))
        serving = tasks.create_task(server.serve(sockets=[listener]))
        measuring = tasks.create_task(lag.run())
        settle_memory()
        url = url_of(listener)
        _log.info("node_ready", url=url, cluster=services.config.cluster, node=services.config.node)
        telling.ready(url)
        await _first(running, stop.wait())
        in_slots, _ = services.delivery.slots()
        _log.info("node_stopping", running=in_slots)
        telling.stopping(in_slots)
        member.stop()
        await running
        server.should_exit = True
        await serving
        measuring.cancel()
        scrubbing.cancel()
        learning.cancel()
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
