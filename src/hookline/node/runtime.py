"""Runs a node: opens its files, sockets and connections, and reads as a start list and, reversed, as a stop list."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hookline.clock import Clock, SystemClock
from hookline.errors import Compacted, DataDirectoryInUse, ForeignState, Halted, HooklineError, StateDamaged, leaves
from hookline.http_api.page_host import NO_ROUTES, Routes
from hookline.http_api.server import listen, url_of
from hookline.memory import settle_memory
from hookline.node.assembly import Membership, Node, NodeParts, build
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.process_messages import Setup, encode_setup
from hookline.node.attempts.resolver import Resolver, system_lookup
from hookline.node.attempts.transport import HttpTransport
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.kernel import kernel_agrees
from hookline.node.clocks.watch import ClockWatch
from hookline.node.config import NodeConfig
from hookline.node.database import Database
from hookline.node.etcd.client import EtcdDenied, EtcdRefused, EtcdUnclear
from hookline.node.etcd.outage import Outage
from hookline.node.history.cluster import own_of
from hookline.node.identity import check_own
from hookline.node.leadership.local import LocalLeadership
from hookline.node.membership.connecting import connected
from hookline.node.membership.etcd import EtcdMembership
from hookline.node.membership.home import home_of, owner_of
from hookline.node.membership.joining import agree_on_secret_key, find_peers
from hookline.node.membership.single import SingleMembership
from hookline.node.metrics import NodeMetrics
from hookline.node.replica import ThreadCommit
from hookline.node.replicated_log.local import LocalLog
from hookline.node.serving import Doors, doors_of, serve_when
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.storage.closing_mark import leave_mark, take_mark
from hookline.node.storage.restoring import refuse_half_restored
from hookline.node.storage.scrub import Scrub
from hookline.node.storage.sealed_state import check_before_making, check_keys, sealing_keys
from hookline.node.storage.snapshot_fetch import fetch_snapshot
from hookline.node.storage.snapshots import STATE_FILE, Snapshots, finish_install, install
from hookline.node.vault import DEFAULT_FILE, Vault
from hookline.peers.proven_sender import proven_sender
from hookline.processes.child import ChildProcess, start_child
from hookline.protocol.commands import SetMode
from hookline.protocol.proofs import proof_key
from hookline.telemetry.area_log import log_of
from hookline.telemetry.logs import log_settings
from hookline.telemetry.tracing.export import settings_of_traces
from hookline.tls.live import LiveTls, kept_fresh

_READY_POLL_S = 0.005
_LOCK_MS = 2_000
_REINSTALL_PAUSE_S = 2.0
_ETCD_PAUSE_S = 0.5
_BEHIND_MS = 1_000
_START_BYTES = 8

_log = log_of("node")


class Telling(NamedTuple):
    """Hears how far the node is."""

    ready: Callable[[str], None]  # its url, once it serves
    stopping: Callable[[int], None]  # how many attempts its end waits for


class Kept(NamedTuple):
    """Outlives the states that a node runs on."""

    lock: LocalLeadership
    vault: Vault
    tls: LiveTls
    routes: Routes
    metrics: NodeMetrics


async def run_node(
    config: NodeConfig,
    *,
    ready: Callable[[str], None],
    stop: asyncio.Event,
    clock: Clock | None = None,
    stopping: Callable[[int], None] = lambda _running: None,
    hangup: asyncio.Event | None = None,
    routes: Routes = NO_ROUTES,
) -> None:
    """Run one node until ``stop`` is set, then shut down: finish what runs, make it durable, close.

    Args:
        config: the node's settings.
        ready: called once with the url the node serves at.
        stop: set it to end.
        clock: the machine's, unless given.
        stopping: called when the end begins, with how many attempts it waits for.
        hangup: set it to have certificates read again at once.
        routes: pages to serve beside the API.

    Raises:
        NodeFault: DataDirectoryInUse, StateDamaged, RestoreBrokenOff, InvalidConfig at start; others when the node
            cannot go on.
    """
    guarded = GuardedClock(clock or SystemClock())  # over all restarts on another state
    config.data_dir.mkdir(parents=True, exist_ok=True)
    async with kept_fresh(LiveTls(config.tls, guarded), hangup) as tls, AsyncExitStack() as stack:
        lock = LocalLeadership(config.data_dir)
        await _lock(lock, guarded)
        stack.push_async_callback(lock.release)
        refuse_half_restored(config.data_dir)
        vault = await _open_vault(config, guarded, stop)
        if vault is None:
            return
        kept = Kept(lock, vault, tls, routes, NodeMetrics())
        while not await _run_on_state(config, guarded, kept, Telling(ready, stopping), stop):
            pass


async def _lock(lock: LocalLeadership, clock: Clock) -> None:
    """Take the directory. Processes of a node that was killed a moment ago hold it until they are gone, too."""
    until_ms = clock.boot_ms() + _LOCK_MS
    while True:
        try:
            lock.lock()
        except DataDirectoryInUse:
            if clock.boot_ms() > until_ms:
                raise
            await asyncio.sleep(_READY_POLL_S)
        else:
            return


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
    config: NodeConfig, clock: GuardedClock, kept: Kept, telling: Telling, stop: asyncio.Event
) -> bool:
    """Run on the state in the data directory until ``stop``: True. False: run again, perhaps on another state."""
    is_behind: bool | None = None
    is_over = True
    try:
        await _run_node(config, clock, kept, telling, stop)
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
        await _install_from_peer(config, clock, kept, stop, keeps=not is_behind)
    return is_over or stop.is_set()


async def _install_from_peer(config: NodeConfig, clock: Clock, kept: Kept, stop: asyncio.Event, *, keeps: bool) -> None:
    """Put a peer's snapshot in the place of the state; tries until one is there or ``stop`` is set.

    ``keeps``: the present state is kept aside, since it is not known to be an earlier one of the same history.
    """
    while not stop.is_set():
        try:
            peers = await find_peers(config)
            async with proven_sender(kept.vault.proof_keys[0], clock, tls=kept.tls) as sender:
                path, info = await fetch_snapshot(
                    sender,
                    peers.urls,
                    config.data_dir / "incoming",
                    at_least=peers.at_least,
                    is_undoubted=True,
                    is_wanted=peers.wants,
                )
        except HooklineError as error:
            _log.warning("snapshot_not_installed", error=error.detail)
            await asyncio.sleep(_REINSTALL_PAUSE_S)
            continue
        aside = install(config.data_dir, path, keeps=keeps)
        kept.metrics.snapshot_installs.labels("damaged" if keeps else "behind").inc()
        _log.info("state_installed", index=info.index, term=info.term, kept_aside=aside and str(aside))
        return


async def _run_node(config: NodeConfig, clock: GuardedClock, kept: Kept, telling: Telling, stop: asyncio.Event) -> None:
    lock, vault, tls, routes, metrics = kept
    async with AsyncExitStack() as stack:
        listeners = [stack.enter_context(listen(*place)) for place in config.places]
        finish_install(config.data_dir)
        database, is_as_closed = stack.enter_context(_open_state(config))
        scrub = Scrub(database, clock, is_structure_checked=not is_as_closed)
        stack.callback(scrub.close)
        await scrub.start()
        machine = StateMachine(database)
        _check_state(config, machine, vault)
        _tell_if_behind(machine, clock)
        snapshots = Snapshots(database, config.data_dir / "snapshots", clock)
        stack.callback(snapshots.close)
        lookup = system_lookup()
        stack.callback(lookup.close)
        commit = ThreadCommit()
        stack.callback(commit.close)
        transport = HttpTransport(egress_proxy=config.egress_proxy)
        stack.push_async_callback(transport.close)
        sender = await stack.enter_async_context(proven_sender(vault.proof_keys[0], clock, tls=tls))
        # Clusters have the root key in common; their secret keys may differ.
        of_fleet = vault.proof_keys[0] if config.root_key is None else proof_key(config.root_key.encode())
        fleet_sender = await stack.enter_async_context(proven_sender(of_fleet, clock, tls=tls))
        live = [tls]
        if config.etcd:
            parts, etcd_tls = await connected(config, clock, sender, scrub.may_lead, stack)
            live.append(etcd_tls)
            membership: Membership = EtcdMembership(config, clock, machine, parts)
        else:
            membership = _single(config, clock, machine, lock)
        node = build(
            NodeParts(
                config=config,
                clock=clock,
                machine=machine,
                membership=membership,
                commit=commit,
                vault=vault,
                resolver=await stack.enter_async_context(Resolver(lookup, clock)),
                transport=transport,
                sender=sender,
                fleet_sender=fleet_sender,
                own_addresses=OwnAddresses(config.places),
                snapshots=snapshots,
                start_attempt_process=partial(_start_attempt_process, config, vault, lock)
                if config.attempt_processes
                else None,
                is_stopping=stop.is_set,
                tls=tls,
                routes=routes,
                metrics=metrics,
            )
        )
        metrics.certificate_ends = lambda: {name: s for one in live for name, s in one.ends().items()}
        await stack.enter_async_context(membership.running())
        await _until_allowed(node, listeners, tls, stop)
        if not stop.is_set():
            doors = doors_of(node, listeners, lock.descriptor, tls)
            await _run(node, scrub, doors, url_of(listeners[0], config.tls.scheme), telling=telling, stop=stop)


@contextmanager
def _open_state(config: NodeConfig) -> Iterator[tuple[Database, bool]]:
    """The state, and whether it is as it was closed in order: then SQLite has not checked it again."""
    path = config.data_dir / STATE_FILE
    is_as_closed = take_mark(path)
    with closing(open_state(path, durable=not config.etcd)) as database:
        if not is_as_closed:
            database.quick_check()
        yield database, is_as_closed
    leave_mark(path)


async def _start_attempt_process(
    config: NodeConfig, vault: Vault, lock: LocalLeadership, slots: int, received: Callable[[bytes], None]
) -> ChildProcess:
    """It holds the lock on the data directory: no other node starts there while it may still send."""
    child = await start_child("hookline.node.attempts.process", received, keep=(lock.descriptor,))
    as_json, levels = log_settings()
    setup = Setup(config.without_root_key(), vault.keys, slots, as_json, levels, settings_of_traces())
    child.link.send(encode_setup(setup))
    return child


def _single(config: NodeConfig, clock: GuardedClock, machine: StateMachine, lock: LocalLeadership) -> SingleMembership:
    log = LocalLog(machine.database)
    lock.continue_after(max(machine.term, log.term))
    return SingleMembership(
        config,
        clock,
        machine,
        log=log,
        leadership=lock,
        owner=owner_of(config.node, home_of(config.data_dir, clock), clock.token(_START_BYTES).hex()),
        clocks=ClockWatch(clock, kernel_agrees=kernel_agrees),
    )


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


async def _until_allowed(node: Node, listeners: Sequence[socket.socket], tls: LiveTls, stop: asyncio.Event) -> None:
    """Until the state may go on with the log, or ``stop``. A node that waits for a person serves, and says why."""
    async with asyncio.TaskGroup() as tasks:
        halted = asyncio.Event()

        def told(why: str) -> None:
            _log.error("node_halted", why=why)
            halted.set()

        allowed = tasks.create_task(node.membership.until_allowed(told))
        stopping = tasks.create_task(stop.wait())
        telling = tasks.create_task(serve_when(halted, node, listeners, tls))
        await asyncio.wait({allowed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (allowed, stopping, telling):
            task.cancel()


async def _run(node: Node, scrub: Scrub, doors: Doors, url: str, *, telling: Telling, stop: asyncio.Event) -> None:
    config, member, services = node.config, node.member, node.services
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(node.clocks.run(member))
        running = tasks.create_task(member.run())
        scrubbing = tasks.create_task(scrub.run())
        learning = tasks.create_task(node.own_processes.run())
        await _first(running, _until_ready(node))
        if config.mode is not None:
            await member.replica.propose([SetMode(config.mode)])
        serving = tasks.create_task(doors.run())
        measuring = tasks.create_task(node.lag.run())
        settle_memory()
        await _first(running, doors.ready.wait())
        _log.info("node_ready", url=url, cluster=config.cluster, node=config.node)
        telling.ready(url)
        await _first(running, stop.wait())
        in_slots, _ = services.delivery.slots()
        _log.info("node_stopping", running=in_slots)
        telling.stopping(in_slots)
        member.stop()
        await running
        doors.stop()
        await serving
        measuring.cancel()
        scrubbing.cancel()
        learning.cancel()
        watching.cancel()


async def _until_ready(node: Node) -> None:
    while node.services.is_ready() is not None:  # noqa: ASYNC110 - it depends on other processes, which set no event here
        await asyncio.sleep(_READY_POLL_S)


async def _first(running: asyncio.Task[None], event: Coroutine[None, None, object]) -> None:
    """Wait for an event, unless the member fails before: then its task group ends us."""
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(event)
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
