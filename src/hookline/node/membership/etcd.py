"""The membership of a node in a cluster over etcd: its log, its leadership, and what it knows of the other nodes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from hookline.errors import Fenced, Halted, LogFault
from hookline.node.api.services import LogStorage
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.watch import Ask, ClockWatch
from hookline.node.config import NodeConfig
from hookline.node.dispatch.http_exchange import HttpExchange, RunnerIdentity
from hookline.node.etcd.charters import Charters
from hookline.node.etcd.client import EtcdClient, EtcdRefused, EtcdUnclear
from hookline.node.etcd.fence import Fence
from hookline.node.etcd.keys import Keys
from hookline.node.etcd.member_urls import MemberUrls
from hookline.node.etcd.own_name import OwnName
from hookline.node.etcd.statuses import NodeStatus, Statuses
from hookline.node.etcd.upkeep import STEP_S, EtcdUpkeep
from hookline.node.etcd.wakeups import Wakeups
from hookline.node.history.cluster import ClusterHistory, position_of
from hookline.node.identity import Position
from hookline.node.leadership.etcd import EtcdLeadership
from hookline.node.leadership.renewal import Renewal
from hookline.node.membership.home import owner_of
from hookline.node.membership.member import Member
from hookline.node.membership.positions import ask_position
from hookline.node.replicated_log.etcd import EtcdLog
from hookline.node.state_machine.machine import StateMachine
from hookline.peers.sender import Sender
from hookline.protocol.http import NodeView
from hookline.version import __version__

_LIFE_S = 0.25
_LOOK_S = 0.2
_DOUBT_S = 1.0

OtherLeader = Callable[[], tuple[str, str] | None]
"""The present leader's url and nonce; None when it is unknown or this node leads."""

NodeUrls = Callable[[], Awaitable[Mapping[str, str]]]
"""The urls of the other nodes, by name."""


class Watch(Protocol):
    """Finds out that the leader's process is dead; ``leadership.watch.LeaderWatch``."""

    def is_gone(self, url: str) -> bool:
        """Is the process of the present leader, at ``url``, proven to be dead?"""

    async def run(self) -> None:
        """Until cancelled."""


@dataclass(frozen=True, slots=True)
class EtcdParts:
    """Connects a node with etcd and with the other nodes. The caller who opened it closes it.

    Attributes:
        client: this node's connections to etcd.
        sender: to the other nodes.
        renewing: has a leader beat, from its entry to its exit.
        watch: watches the process of the leader.
        ask_clocks: reads the clocks of the others, which are at these urls.
        kernel_agrees: as ``ClockWatch`` asks it.
        home, start: what tells this node's data directory, and this process, from others.
        may_lead: asked before each campaign, with the ms for which nobody has led.
    """

    client: EtcdClient
    sender: Sender
    renewing: Callable[[Renewal], AbstractContextManager[None]]
    watch: Callable[[OtherLeader], Watch]
    ask_clocks: Callable[[NodeUrls], Ask]
    kernel_agrees: Callable[[int], bool] | None
    home: str
    start: str
    may_lead: Callable[[float], bool] = lambda _waited_ms: True


class EtcdMembership:
    """Everything a node shares with the others (``assembly.Membership``)."""

    def __init__(self, config: NodeConfig, clock: GuardedClock, machine: StateMachine, parts: EtcdParts) -> None:
        client = parts.client
        self._config = config
        self._machine = machine
        self._clock = clock
        self._parts = parts
        self.owner = owner_of(config.node, parts.home, parts.start)
        keys = Keys(config.cluster)
        self.fence = Fence(clock)
        self._wakeups = Wakeups(client, keys)
        self.log = EtcdLog(client, keys, self.fence, clock, self._wakeups)
        self._watch = parts.watch(self._other_leader)
        self.clocks = ClockWatch(clock, ask=parts.ask_clocks(self._other_urls), kernel_agrees=parts.kernel_agrees)
        self.leadership = EtcdLeadership(
            client,
            keys,
            self.fence,
            clock,
            node=config.node,
            url=config.advertised_url,
            owner=self.owner,
            leader_is_gone=self._watch.is_gone,
            wakeups=self._wakeups,
            may_stand=lambda waited_ms: parts.may_lead(waited_ms) and self.clocks.may_stand(waited_ms),
        )
        self.leadership.continue_after(machine.term)
        self._renewal = Renewal(keys, self.fence, clock)
        self.elsewhere = HttpExchange(
            RunnerIdentity(config.node, self.owner, "follower"),
            self.leader_url,
            parts.sender,
            clock,
            wants_claims=lambda: machine.tables.mode == "hybrid",
        )
        self._name = OwnName(client, keys)
        self._has_name = asyncio.Event()
        self._statuses = Statuses(client, keys, self._own_status, node=config.node)
        self.history = ClusterHistory(
            Charters(client, keys),
            self._statuses,
            machine,
            config,
            clock,
            digest_at=self._digest_at,
            leader=self._leader_and_term,
            ask=partial(ask_position, parts.sender),
        )
        self._upkeep = EtcdUpkeep(
            client, keys, self.fence, self.log, clock, node=config.node, quota_bytes=config.etcd_quota_bytes
        )
        self._etcd_members = MemberUrls(client)
        self._member: Member | None = None

    def serve(self, member: Member) -> None:
        self._member = member

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with self._parts.renewing(self._renewal):
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(self._watch.run()),
                    tasks.create_task(self.elsewhere.run()),
                    tasks.create_task(self._tell()),
                    tasks.create_task(self._show_life()),
                    tasks.create_task(self._look()),
                    tasks.create_task(self._wakeups.run()),
                    tasks.create_task(self._keep_up()),
                    tasks.create_task(self._etcd_members.run()),
                    tasks.create_task(self._doubt()),
                ]
                yield
                for task in background:
                    task.cancel()

    async def _tell(self) -> None:
        await self._has_name.wait()
        await self._statuses.run()

    async def _show_life(self) -> None:
        while True:
            self._renewal.alive()
            await asyncio.sleep(_LIFE_S)

    async def _look(self) -> None:
        """See who leads also while this node hands over, and does not stand for election."""
        while True:
            if self.fence.revision is None and not self.leadership.is_standing:
                await self.leadership.look()
            await asyncio.sleep(_LOOK_S)

    async def until_allowed(self, halted: Callable[[str], None]) -> None:
        """Ask another member when one of etcd does not answer."""
        await self._take_name(halted)
        await self.history.until_allowed(halted, self._parts.client.rotate)

    async def _take_name(self, halted: Callable[[str], None]) -> None:
        while not self._has_name.is_set():
            try:
                await self._name.take(self._own_status())
                self._has_name.set()
            except LogFault as error:
                self.history.waits_for_etcd(error, halted)
                self._parts.client.rotate()
                await asyncio.sleep(_DOUBT_S)

    async def _doubt(self) -> None:
        """A leader whose followers know more than it does is led by an etcd that was set back."""
        while True:
            await asyncio.sleep(_DOUBT_S)
            with suppress(EtcdUnclear, EtcdRefused):  # the next time it may answer
                why = await self.history.contradiction() if self.is_leading() else None
                if why is not None and self._member is not None:
                    self._member.fail(Halted(why))

    def _digest_at(self, index: int) -> bytes | None:
        return self._member.replica.digest_at(index) if self._member is not None else None

    def _leader_and_term(self) -> tuple[str, int] | None:
        leader = self.leadership.leader
        return None if leader is None else (leader.node, leader.term)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(STEP_S)
            if self._member is not None:
                await self._upkeep.keep_durable(self._member.replica)
            if not self.history.is_clear:  # what it has durably is perhaps not what the log holds
                continue
            with suppress(Fenced):  # another node leads, and does it
                await self._upkeep.step({status.name: status.durable for status in self._statuses.all()})

    def known_urls(self) -> tuple[str, ...]:
        nodes = [url for status in self._statuses.all() for url in (status.url, status.client_url) if url]
        return (self._config.advertised_url, *self._config.etcd, *self._etcd_members.urls, *nodes)

    async def _other_urls(self) -> dict[str, str]:
        """The urls of the other nodes, by name."""
        if not self._statuses.has_read:
            await self._statuses.look()
        return {status.name: status.url for status in self._statuses.all() if status.name != self._config.node}

    def _own_status(self) -> NodeStatus:
        machine = self._machine
        role = "leader" if self.is_leading() else "follower"
        return NodeStatus(
            self._config.node,
            self._config.advertised_url,
            role if self.history.halted is None else "halted",
            machine.applied,
            machine.durable,
            __version__,
            self._clock.wall_ms(),
            position_of(machine, self._config.node),
            self.history.halted,
            self.history.votes(),
            self._parts.home,
            self._parts.start,
            "" if self._config.internal_host is None else self._config.url,
        )

    # --- what the API asks ---------------------------------------------------------------------------------------

    def is_leading(self) -> bool:
        return self._member is not None and self._member.is_leading

    def leader_url(self) -> str | None:
        leader = self.leadership.leader
        if leader is None or not leader.url or leader.node == self._config.node:
            return None
        return leader.url

    def _other_leader(self) -> tuple[str, str] | None:
        leader = self.leadership.leader
        return None if leader is None or self.leader_url() is None else (leader.url, leader.nonce)

    def leader_name(self) -> str | None:
        leader = self.leadership.leader
        return leader.node if leader is not None and leader.url else None

    def nodes(self) -> list[NodeView]:
        leader, own_ms = self.leader_name(), self.clocks.own_offset_ms()
        offsets_ms = self.clocks.offsets_ms() | ({} if own_ms is None else {self._config.node: own_ms})
        return [
            NodeView(
                status.name,
                status.url,
                "halted" if status.halted else "leader" if status.name == leader else "follower",
                status.applied,
                status.durable,
                status.version,
                status.halted,
                None if (offset_ms := offsets_ms.get(status.name)) is None else round(offset_ms),
            )
            for status in self._statuses.all()
        ]

    def position(self) -> Position:
        return position_of(self._machine, self._config.node)

    def halted(self) -> str | None:
        return self.history.why_halted() or self._statuses.denied

    def hand_over(self) -> bool:
        return self._member is not None and self._member.hand_over()

    def pressure(self) -> float:
        return self._upkeep.pressure

    def log_storage(self) -> LogStorage:
        sizes = {f"{one.member_id:x}": (one.file_bytes, one.used_bytes) for one in self._upkeep.members}
        return LogStorage(sizes, self._config.etcd_quota_bytes)
