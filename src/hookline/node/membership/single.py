"""The membership of a node that is its whole cluster."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from hookline.clock import Clock
from hookline.node.api.services import LogStorage
from hookline.node.clocks.watch import ClockWatch
from hookline.node.config import NodeConfig
from hookline.node.dispatch.exchange import Exchange
from hookline.node.history.cluster import position_of
from hookline.node.history.interface import LonelyHistory
from hookline.node.identity import Position
from hookline.node.leadership.interface import Leadership
from hookline.node.membership.member import Member
from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.state_machine.machine import StateMachine
from hookline.protocol.http import NodeView
from hookline.version import __version__


class SingleMembership:
    """There is nobody else (``assembly.Membership``): the node leads whenever it serves.

    Args:
        owner: this process, as its claims name it.
        elsewhere: where reports go while the node does not lead; None: there is no such place.
    """

    def __init__(
        self,
        config: NodeConfig,
        clock: Clock,
        machine: StateMachine,
        *,
        log: ReplicatedLog,
        leadership: Leadership,
        owner: str,
        clocks: ClockWatch,
        elsewhere: Exchange | None = None,
    ) -> None:
        self._config = config
        self._machine = machine
        self.owner = owner
        self.log = log
        self.leadership = leadership
        self.clocks = clocks
        self.elsewhere = elsewhere
        self.history = LonelyHistory(machine, clock, cluster=config.cluster, shard=config.shard)
        self._member: Member | None = None

    def serve(self, member: Member) -> None:
        self._member = member

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    async def until_allowed(self, halted: Callable[[str], None]) -> None:
        """Its log is in its state."""

    def known_urls(self) -> tuple[str, ...]:
        return (self._config.advertised_url, self._config.url)

    # --- what the API asks ---------------------------------------------------------------------------------------

    def is_leading(self) -> bool:
        return self._member is not None and self._member.is_leading

    def leader_url(self) -> str | None:
        return None

    def leader_name(self) -> str | None:
        return self._config.node

    def nodes(self) -> list[NodeView]:
        config, machine = self._config, self._machine
        return [NodeView(config.node, config.advertised_url, "leader", machine.applied, machine.durable, __version__)]

    def position(self) -> Position:
        return position_of(self._machine, self._config.node)

    def halted(self) -> str | None:
        return None

    def hand_over(self) -> bool:
        return False

    def pressure(self) -> float:
        return 0.0

    def log_storage(self) -> LogStorage:
        return LogStorage({}, 0)
