"""The etcd side of a node: its log, its leadership, and what it knows of the other nodes."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple, TypeVar

import structlog

from hookline.clock import Clock
from hookline.errors import Fenced, Halted, LogFault
from hookline.http_client.caller import Caller
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.kernel import kernel_agrees
from hookline.node.clocks.others import Others
from hookline.node.clocks.watch import ClockWatch
from hookline.node.cluster_history import ClusterHistory, position_of
from hookline.node.config import NodeConfig
from hookline.node.dispatch.exchange import HttpExchange
from hookline.node.etcd import transactions
from hookline.node.etcd.blocking import BlockingTxn
from hookline.node.etcd.charters import Charters
from hookline.node.etcd.client import EtcdAddress, EtcdClient, EtcdRefused, EtcdUnclear
from hookline.node.etcd.fence import Fence
from hookline.node.etcd.keys import Keys
from hookline.node.etcd.member_urls import MemberUrls
from hookline.node.etcd.outage import Outage
from hookline.node.etcd.own_name import OwnName
from hookline.node.etcd.statuses import NodeStatus, Statuses, read_statuses
from hookline.node.etcd.upkeep import STEP_S, EtcdUpkeep
from hookline.node.etcd.wakeups import Wakeups
from hookline.node.home import home_of, owner_of
from hookline.node.identity import Charter, Log, Position
from hookline.node.leadership.etcd import EtcdLeadership, Renewal
from hookline.node.leadership.watch import LeaderWatch
from hookline.node.member import Member
from hookline.node.peer_client import PeerClient
from hookline.node.replicated_log.etcd import EtcdLog
from hookline.node.scrub import Scrub
from hookline.node.state_machine.machine import StateMachine
from hookline.node.vault import KEY_BYTES, Vault, remember_key, remembered_key
from hookline.protocol.http import NodeView
from hookline.version import __version__

T = TypeVar("T")

_log = structlog.get_logger()
_LIFE_S = 0.25
_LOOK_S = 0.2
_RUN_BYTES = 8
_TRY_S = 2.0
_DOUBT_S = 1.0


class Quorum:
    """Everything a node shares with the others; also answers the API's questions (``api.services.Role``)."""

    def __init__(
        self, config: NodeConfig, clock: GuardedClock, vault: Vault, machine: StateMachine, scrub: Scrub
    ) -> None:
        self._config = config
        self._machine = machine
        address = address_of(config)
        self._clock = clock
        self._home, self._run = home_of(config.data_dir, clock), clock.token(_RUN_BYTES).hex()
        self.owner = owner_of(config.node, self._home, self._run)
        keys = Keys(config.cluster)
        self._client = EtcdClient(address)
        self._blocking = BlockingTxn(address)
        self.fence = Fence(clock)
        self._wakeups = Wakeups(self._client, keys)
        self.log = EtcdLog(self._client, keys, self.fence, clock, self._wakeups)
        self._watch = LeaderWatch(self._other_leader)
        self._others = Others(self._other_urls, address, clock.boot_ms)
        self.clocks = ClockWatch(clock, ask=self._others.ask, kernel_agrees=kernel_agrees)
        self.leadership = EtcdLeadership(
            self._client,
            keys,
            self.fence,
            clock,
            node=config.node,
            url=config.advertised_url,
            owner=self.owner,
            leader_is_gone=self._watch.is_gone,
            wakeups=self._wakeups,
            may_stand=lambda waited_ms: scrub.may_lead(waited_ms) and self.clocks.may_stand(waited_ms),
        )
        self._renewal = Renewal(self._blocking, keys, self.fence, clock)
        self._caller = Caller()
        self.exchange = HttpExchange(config.node, self.leader_url, vault, self._caller)
        self._name = OwnName(self._client, keys)
        self._has_name = asyncio.Event()
        self._statuses = Statuses(self._client, keys, self._own_status, node=config.node)
        self._charters = Charters(self._client, keys)
        self._peers = PeerClient()
        self.history = ClusterHistory(
            self._charters,
            self._statuses,
            machine,
            config,
            clock,
            digest_at=self._digest_at,
            leader=self._leader_and_term,
            ask=self._peers.position,
        )
        self._upkeep = EtcdUpkeep(
            self._client, keys, self.fence, self.log, clock, node=config.node, quota_bytes=config.etcd_quota_bytes
        )
        self._etcd_members = MemberUrls(self._client)
        self._member: Member | None = None

    @asynccontextmanager
    async def running(self, member: Member) -> AsyncIterator[None]:
        """Keep in touch with the others while ``member`` runs."""
        self._member = member
        self._renewal.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(self._watch.run()),
                    tasks.create_task(self.exchange.run()),
                    tasks.create_task(self._tell()),
                    tasks.create_task(self._show_life()),
                    tasks.create_task(self._look()),
                    tasks.create_task(self._wakeups.run()),
                    tasks.create_task(self._keep_up()),
                    tasks.create_task(self._etcd_members.run()),
                    tasks.create_task(self._doubt(member)),
                ]
                yield
                for task in background:
                    task.cancel()
        finally:
            self._renewal.stop()
            self._blocking.close()
            await self._caller.close()
            await self._peers.close()
            await self._others.close()
            await self._client.close()

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
        """As ``ClusterHistory.until_allowed``; an etcd that does not answer is asked at another member.

        Raises:
            NodeNameInUse: another process runs under this node's name.
        """
        await self._take_name(halted)
        await self.history.until_allowed(halted, self._client.rotate)

    async def _take_name(self, halted: Callable[[str], None]) -> None:
        while not self._has_name.is_set():
            try:
                await self._name.take(self._own_status())
                self._has_name.set()
            except LogFault as error:
                self.history.waits_for_etcd(error, halted)
                self._client.rotate()
                await asyncio.sleep(_DOUBT_S)

    async def _doubt(self, member: Member) -> None:
        """A leader whose followers know more than it does is led by an etcd that was set back."""
        while True:
            await asyncio.sleep(_DOUBT_S)
            with suppress(EtcdUnclear, EtcdRefused):  # the next time it may answer
                why = await self.history.contradiction() if member.is_leading else None
                if why is not None:
                    member.fail(Halted(why))

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

    async def _other_urls(self) -> dict[str, str]:
        """Where the other nodes are, by name."""
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
            self._home,
            self._run,
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

    def etcd_urls(self) -> tuple[str, ...]:
        """Of all members of etcd, as far as they are known."""
        return (*self._config.etcd, *self._etcd_members.urls)

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


class Peers(NamedTuple):
    """Where a state can be had.

    Attributes:
        urls: of the other nodes.
        at_least: the entry that it must hold so that the log goes on from it.
        charter: whose state it must be.
    """

    urls: list[str]
    at_least: int
    charter: Charter | None


async def find_peers(config: NodeConfig) -> Peers:
    """The other nodes, and what a snapshot of theirs must hold.

    Raises:
        EtcdUnclear, EtcdRefused: etcd does not answer.
    """
    keys = Keys(config.cluster)

    async def ask(client: EtcdClient) -> tuple[list[NodeStatus], tuple[Charter | None, Log]]:
        return await read_statuses(client, keys), await Charters(client, keys).read(0)

    statuses, (charter, log) = await _at_any_member(config, ask)
    at_least = max(log.first - 1, charter.begins_after if charter is not None else 0)
    return Peers([status.url for status in statuses if status.name != config.node], at_least, charter)


async def agree_on_secret_key(config: NodeConfig, clock: Clock, outage: Outage) -> str:
    """The key that all nodes of the cluster seal secrets with, when none was given: the first node makes it.

    It is kept in etcd, beside the log that holds the sealed secrets: better than three keys, and than none. Each node
    remembers it, so that an etcd that was lost does not take it along.

    Raises:
        EtcdUnclear, EtcdRefused: etcd does not answer.
    """
    remembered = remembered_key(config.data_dir)
    proposed = remembered or base64.b64encode(clock.token(KEY_BYTES)).decode()
    request = transactions.put_if_absent(Keys(config.cluster).secret_key, proposed.encode())
    response = await _at_any_member(config, lambda client: client.txn(request, _TRY_S), outage)
    _log.warning("secret_key_in_etcd", advice="give all nodes the same --secret-key-file or HOOKLINE_SECRET_KEY")
    found = transactions.found_in(response) if not response.succeeded else None
    agreed = proposed if found is None else found.value.decode()
    if remembered is None:
        remember_key(config.data_dir, agreed, clock)
    elif remembered != agreed:  # this node's came later, and may have sealed secrets of an etcd that was lost
        return f"{agreed},{remembered}"
    return agreed


async def _at_any_member(
    config: NodeConfig, ask: Callable[[EtcdClient], Awaitable[T]], outage: Outage | None = None
) -> T:
    """What the first member that answers says to something that may be asked twice. Raises as the last one did."""
    client = EtcdClient(address_of(config), outage)
    try:
        for _ in config.etcd[1:]:
            with suppress(EtcdUnclear, EtcdRefused):
                return await ask(client)
            client.rotate()
        return await ask(client)
    finally:
        await client.close()


def address_of(config: NodeConfig) -> EtcdAddress:
    """Where etcd is, by the node's settings."""
    return EtcdAddress(
        config.etcd, config.etcd_ca, config.etcd_cert, config.etcd_key, config.etcd_user, config.etcd_password
    )
