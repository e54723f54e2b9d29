"""A node put together without sockets, threads or a real clock: what the product opens is stood in for here."""

import hookline.testing.server_parts  # noqa: F401  # first, since it says what to install

# isort: split
from dataclasses import dataclass

from hookline.clock import Clock
from hookline.node import assembly
from hookline.node.assembly import Node
from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.processes import StartProcess
from hookline.node.attempts.resolver import Resolver
from hookline.node.attempts.transport import Transport
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.watch import ClockWatch
from hookline.node.config import NodeConfig
from hookline.node.database import Database
from hookline.node.dispatch.exchange import Exchange
from hookline.node.leadership.interface import Leadership
from hookline.node.membership.single import SingleMembership
from hookline.node.replica import Commit
from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.state_machine.machine import StateMachine
from hookline.node.vault import KEY_BYTES, Vault
from hookline.peers.http_sender import HttpSender
from hookline.protocol.owners import Owner

ANY_ADDRESS = "192.0.2.1"
"""Every host name leads to this address; nothing is ever sent there."""


@dataclass(frozen=True, slots=True)
class LoneParts:
    """The parts of a node alone."""

    config: NodeConfig
    clock: Clock  # the machine's
    database: Database
    log: ReplicatedLog
    leadership: Leadership
    commit: Commit
    transport: Transport
    elsewhere: Exchange | None = None  # None: there is no other node
    start_attempt_process: StartProcess | None = None  # None: attempts are made in this process


def assemble(parts: LoneParts) -> Node:
    """A node that is its whole cluster. Host names are not looked up; secrets are sealed with a fixed key."""
    config, clock, machine = parts.config, GuardedClock(parts.clock), StateMachine(parts.database)
    membership = SingleMembership(
        config,
        clock,
        machine,
        log=parts.log,
        leadership=parts.leadership,
        owner=str(Owner(config.node, "here", clock.token(4).hex())),  # the next process on the same directory
        clocks=ClockWatch(clock),
        elsewhere=parts.elsewhere,
    )
    return assembly.build(
        assembly.NodeParts(
            config=config,
            clock=clock,
            machine=machine,
            membership=membership,
            commit=parts.commit,
            vault=fixed_vault(),
            resolver=Resolver(lookup, clock),
            transport=parts.transport,
            sender=HttpSender(),
            fleet_sender=HttpSender(),
            own_addresses=OwnAddresses([]),
            start_attempt_process=parts.start_attempt_process,
        )
    )


def fixed_vault() -> Vault:
    """The same for every node."""
    return Vault([bytes(KEY_BYTES)])


async def lookup(_host: str, _port: int) -> list[str]:
    """Of any host name."""
    return [ANY_ADDRESS]
