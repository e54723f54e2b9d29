"""Puts a node together: the one place where its parts are wired.

What touches the world (etcd, the other nodes, receivers, files, threads, clocks) is handed in, so the product, the
tests and the simulation run the same node.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import msgspec
from starlette.applications import Starlette

from hookline.http_api.access import is_loopback
from hookline.http_api.addresses import addresses_in
from hookline.http_api.audit_notes import forbidden_note
from hookline.http_api.callers import ApiCaller, HeaderPairs
from hookline.http_api.guard import ClientAddress, Guard
from hookline.http_api.inner_door import InnerDoor
from hookline.http_api.page_host import NO_ROUTES, Routes
from hookline.node.admission import Admission
from hookline.node.api.app import create_app
from hookline.node.api.audit import AuditWriter
from hookline.node.api.catching_up import catch_up
from hookline.node.api.context import Api
from hookline.node.api.services import Role, Services
from hookline.node.attempts.delivery import delivery_of
from hookline.node.attempts.heard_proxies import HeardProxies
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.own_processes import OwnProcesses, may_matter
from hookline.node.attempts.processes import AttemptProcesses, StartProcess
from hookline.node.attempts.resolver import Resolver
from hookline.node.attempts.runner import Attempts, Runner
from hookline.node.attempts.transport import Transport
from hookline.node.attempts.vetting import Vetter
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.watch import ClockWatch
from hookline.node.config import NodeConfig
from hookline.node.content_seal import ContentSeal
from hookline.node.delivery_status import DeliveryStatus
from hookline.node.dispatch.exchange import Exchange
from hookline.node.history.interface import History
from hookline.node.leadership.interface import Leadership
from hookline.node.membership.leader import LeaderParts
from hookline.node.membership.member import Member
from hookline.node.metrics import NodeMetrics
from hookline.node.replica import Commit, Replica
from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine
from hookline.node.state_machine.reads import Reads
from hookline.node.storage.snapshots import Snapshots, kept_aside
from hookline.node.tenant_limits import TenantLimits
from hookline.node.vault import Vault
from hookline.peers.sender import Sender
from hookline.protocol.api_keys import ApiKey, hash_of
from hookline.protocol.calls import Call
from hookline.protocol.claims import Frame, Orders
from hookline.protocol.internal_http import ClusterMoves
from hookline.protocol.passes import pass_key
from hookline.protocol.proofs import proof_key
from hookline.protocol.tenants import TenantSettings
from hookline.telemetry.loop_lag import LoopLag
from hookline.tls.live import LiveTls


class Membership(Role, Protocol):
    """This node among the nodes of its cluster, and what they share; see ``membership``."""

    @property
    def owner(self) -> str:
        """This process, as its claims name it."""

    @property
    def log(self) -> ReplicatedLog:
        """The log that entries go into."""

    @property
    def leadership(self) -> Leadership:
        """Knows who leads."""

    @property
    def elsewhere(self) -> Exchange | None:
        """The runner's way to whoever leads while this node does not; None: there is no other node."""

    @property
    def history(self) -> History:
        """Judges whether the state may go on with the log."""

    @property
    def clocks(self) -> ClockWatch:
        """Keeps an eye on the machine's clock."""

    def serve(self, member: Member) -> None:
        """This node is ``member``. Called once, before all else."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Keep in touch with the others, from the entry to the exit."""

    async def until_allowed(self, halted: Callable[[str], None]) -> None:
        """Return when the state may go on with the log; ``halted`` is told why a person has to decide.

        Raises:
            NodeNameInUse: another process runs under this node's name.
            StateDiffers, Compacted: another node's state has to be installed.
        """

    def known_urls(self) -> tuple[str, ...]:
        """The addresses of processes that are surely this cluster's."""


@dataclass(frozen=True, slots=True)
class NodeParts:
    """The parts of a node. The caller who opened a part closes it.

    Attributes:
        machine: the state.
        membership: this node among the others, with the log and the leadership.
        commit: how a transaction is made durable.
        resolver: for hosts that are names.
        transport: carries the attempts.
        sender: carries to other nodes what is meant for the leader.
        fleet_sender: carries calls to other clusters.
        own_addresses: where this process listens.
        snapshots: None: the node gives out no copies of its state.
        start_attempt_process: None: attempts are made in this process, by ``transport``.
        is_stopping: the process was told to end.
        tls: that of the process; None: it has none.
        routes: pages to serve beside the API.
        metrics: of the process.
    """

    config: NodeConfig
    clock: GuardedClock
    machine: StateMachine
    membership: Membership
    commit: Commit
    vault: Vault
    resolver: Resolver
    transport: Transport
    sender: Sender
    fleet_sender: Sender
    own_addresses: OwnAddresses
    snapshots: Snapshots | None = None
    start_attempt_process: StartProcess | None = None
    is_stopping: Callable[[], bool] = lambda: False
    tls: LiveTls | None = None
    routes: Routes = field(default_factory=lambda: NO_ROUTES)
    metrics: NodeMetrics = field(default_factory=NodeMetrics)


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is ready to run, inside ``membership.running()``.

    Attributes:
        member: runs the node: ``await member.run()``.
        clocks: to run beside it, as ``lag`` and ``own_processes`` if they are of use.
        app: the API, to be served to clients, and to all where there is no ``inner_app``.
        inner_app: the same with the calls between our processes, for a listener of its own.
        services: what the API works with.
        api: what its handlers work with.
        resolver: to be entered, if host names are used.
    """

    config: NodeConfig
    clock: GuardedClock
    machine: StateMachine
    membership: Membership
    member: Member
    clocks: ClockWatch
    resolver: Resolver
    lag: LoopLag
    own_processes: OwnProcesses
    services: Services
    api: Api
    app: Starlette
    inner_app: Starlette | None


def build(parts: NodeParts) -> Node:
    """Wire the parts. Nothing runs yet."""
    config, clock, machine, membership = parts.config, parts.clock, parts.machine, parts.membership
    metrics = parts.metrics
    lag = LoopLag(clock, metrics.loop_lag.observe)
    uses: dict[str, int] = {}
    member = _member(parts, metrics, uses)
    membership.serve(member)
    membership.clocks.serve(member)
    proxies = HeardProxies(parts.own_addresses, clock)
    reader, content = machine.database.reader, ContentSeal(parts.vault, clock.token, is_on=config.encrypt_payloads)
    services = Services(
        config=config,
        clock=clock,
        replica=member.replica,
        reads=Reads(reader, content.shown, content.shown_response),
        vault=parts.vault,
        admission=Admission(
            config,
            lambda: member.replica.counters,
            _tenant_limits(member.replica, clock),
            membership.pressure,
        ),
        delivery=DeliveryStatus(member, LeaderReads(reader), clock, slots=config.slots),
        is_ready=partial(_why_not_ready, membership),
        metrics=metrics,
        role=membership,
        sender=parts.sender,
        clocks=membership.clocks,
        inner_door=_inner_door(parts),
        guard=_guard(parts, member, uses),
        swap=partial(_swap, member, parts.own_addresses),
        is_stopping=parts.is_stopping,
        is_overloaded=lag.is_high,
        snapshots=parts.snapshots,
        on_damage=member.fail,
        on_proxy=proxies.heard,
        moves=partial(_moves, member),
        kept_aside=lambda: [file.name for file in kept_aside(config.data_dir)],
    )
    api = Api(services)
    own_processes = OwnProcesses(
        parts.own_addresses,
        proxies,
        parts.resolver,
        known=membership.known_urls,
        topology=lambda: member.replica.topology,
        cluster=config.cluster,
        is_of_interest=partial(may_matter, config.rules),
        tls=parts.tls,
    )
    return Node(
        config=config,
        clock=clock,
        machine=machine,
        membership=membership,
        member=member,
        clocks=membership.clocks,
        resolver=parts.resolver,
        lag=lag,
        own_processes=own_processes,
        services=services,
        api=api,
        app=create_app(api, is_for_clients_only=config.internal_host is not None, routes=parts.routes),
        inner_app=None if config.internal_host is None else create_app(api),
    )


def _inner_door(parts: NodeParts) -> InnerDoor:
    """Proxies have the root key; nodes and workers have the keys of the vault."""
    config = parts.config
    host, _ = config.places[-1]
    return InnerDoor(
        (*(proof_key(key.encode()) for key in config.root_keys), *parts.vault.proof_keys),
        parts.clock,
        asks_for_keys=config.root_key is not None,
        is_reached_from_afar=not is_loopback(host),
    )


def _moves(member: Member) -> ClusterMoves | None:
    return None if member.leader is None else member.leader.mover.told()


def _tenant_limits(replica: Replica, clock: GuardedClock) -> TenantLimits:
    def settings_of(tenant: str) -> TenantSettings:
        return replica.tenants.of(tenant)

    return TenantLimits(settings_of, replica.counters_of, clock.boot_ms)


def _guard(parts: NodeParts, member: Member, uses: dict[str, int]) -> Guard | None:
    if parts.config.root_key is None:
        return None
    role, replica = parts.membership, member.replica

    def find(key_id: str) -> ApiKey | None:
        kept = replica.api_keys.by_id.get(key_id)
        return None if kept is None else kept.record

    writer = AuditWriter(role, replica, parts.sender)

    async def note_forbidden(call: Call, caller: ApiCaller, headers: HeaderPairs, address: ClientAddress) -> None:
        known = find(caller.key)
        name = "" if known is None else known.name
        addresses = addresses_in(headers, address)
        await writer.write(forbidden_note(parts.clock, call, caller, name, addresses, headers))

    return Guard(
        [hash_of(key) for key in parts.config.root_keys],
        find,
        parts.clock,
        partial(catch_up, replica, role, parts.sender),
        lambda: not role.is_leading(),
        uses,
        note_forbidden,
        pass_keys=[pass_key(key) for key in parts.config.root_keys],
    )


def _member(parts: NodeParts, metrics: NodeMetrics, uses: dict[str, int]) -> Member:
    membership = parts.membership
    return Member(
        LeaderParts(
            config=parts.config,
            owner=membership.owner,
            clock=parts.clock,
            machine=parts.machine,
            log=membership.log,
            leadership=membership.leadership,
            history=membership.history,
            elsewhere=membership.elsewhere,
            commit=parts.commit,
            vault=parts.vault,
            make_attempts=partial(_attempts, parts),
            metrics=metrics,
            key_uses=uses,
            sender=parts.fleet_sender,
        )
    )


def _attempts(parts: NodeParts, exchange: Exchange) -> Attempts:
    """The runner: in this process, or in others."""
    config, clock = parts.config, parts.clock
    if parts.start_attempt_process is not None:
        count = config.attempt_processes
        return AttemptProcesses(parts.start_attempt_process, count, config.slots, clock, exchange, parts.own_addresses)
    vetter = Vetter(parts.resolver, config.rules, own_addresses=parts.own_addresses)
    delivery = delivery_of(parts.vault, vetter, parts.transport, clock, default_secret=config.signing_secret)
    return Runner(delivery, clock, exchange, slots=config.slots)


async def _swap(member: Member, own: OwnAddresses, frame: Frame) -> Orders:
    """The leader's answer; workers learn with it where our processes listen, which jobs must not call."""
    orders = await member.swap(frame)
    version = f"{member.owner}/{own.version}"
    if frame.kind != "worker" or frame.places == version:
        return orders
    return msgspec.structs.replace(orders, places=tuple(sorted(own.places)), version=version)


def _why_not_ready(role: Role) -> str | None:
    if (halted := role.halted()) is not None:
        return f"this node waits for a person: {halted}"
    if role.is_leading() or role.leader_url() is not None:
        return None
    return "no node leads; the node is starting or an election is under way"
