"""A node put together from given parts: wired as in ``node.runtime``, without sockets, threads or a real clock."""

import hookline.testing.server_parts  # noqa: F401  # first, since it says what to install

# isort: split
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette

from hookline.clock import Clock
from hookline.node.admission import Admission
from hookline.node.api.app import create_app
from hookline.node.api.services import Role, Services
from hookline.node.attempts.resolver import Resolver
from hookline.node.attempts.transport import Transport
from hookline.node.attempts.vetting import Vetter
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.watch import ClockWatch
from hookline.node.config import NodeConfig
from hookline.node.database import Database
from hookline.node.delivery_status import DeliveryStatus
from hookline.node.dispatch.exchange import Exchange
from hookline.node.history import History
from hookline.node.leader import LeaderParts
from hookline.node.leadership.interface import Leadership
from hookline.node.member import Member
from hookline.node.replica import Commit, Replica
from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.single_role import SingleRole
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine
from hookline.node.state_machine.reads import Reads
from hookline.node.vault import KEY_BYTES, Vault
from hookline.protocol.owners import Owner
from hookline.telemetry import Metrics

ANY_ADDRESS = "192.0.2.1"
"""Where every host name leads; nothing is ever sent there."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a node is put together from."""

    config: NodeConfig
    clock: Clock  # the machine's; one that is guarded already is taken as it is
    database: Database
    log: ReplicatedLog
    leadership: Leadership
    commit: Commit
    transport: Transport
    owner: str | None = None  # None: the next process of this node, on the directory that the last one had
    elsewhere: Exchange | None = None  # None: there is no other node
    role: Role | None = None  # None: the node is its whole cluster
    history: Callable[[Replica], History] | None = None  # likewise
    clocks: ClockWatch | None = None  # None: it is the only clock


@dataclass(frozen=True, slots=True)
class Assembly:
    """A node that is ready to run: ``await member.run()``."""

    member: Member
    app: Starlette
    machine: StateMachine
    resolver: Resolver  # to be entered, if host names are used
    clock: GuardedClock
    clocks: ClockWatch


def assemble(parts: Parts) -> Assembly:
    """Wire the parts. Host names are not looked up; secrets are sealed with a fixed key."""
    config, database = parts.config, parts.database
    clock = parts.clock if isinstance(parts.clock, GuardedClock) else GuardedClock(parts.clock)
    clocks = parts.clocks or ClockWatch(clock)
    machine, vault, metrics = StateMachine(database), Vault([bytes(KEY_BYTES)]), Metrics()
    resolver = Resolver(_lookup, clock)
    vetter = Vetter(resolver, config.rules, own_addresses=frozenset())
    member = Member(
        LeaderParts(
            config=config,
            owner=parts.owner or str(Owner(config.node, "here", clock.token(4).hex())),
            clock=clock,
            machine=machine,
            log=parts.log,
            leadership=parts.leadership,
            commit=parts.commit,
            vault=vault,
            vetter=vetter,
            transport=parts.transport,
            metrics=metrics,
            elsewhere=parts.elsewhere,
            history=parts.history,
        )
    )
    clocks.serve(member)
    services = Services(
        config=config,
        clock=clock,
        replica=member.replica,
        reads=Reads(database.reader),
        vault=vault,
        admission=Admission(config, lambda: member.replica.counters),
        delivery=DeliveryStatus(member, LeaderReads(database.reader), clock, slots=config.slots),
        is_ready=lambda: None if member.is_leading else "the node is starting or stopping",
        metrics=metrics,
        role=parts.role or SingleRole(config, member),
        clocks=clocks,
        swap=member.swap,
    )
    return Assembly(member, create_app(services), machine, resolver, clock, clocks)


async def _lookup(_host: str, _port: int) -> list[str]:
    return [ANY_ADDRESS]
