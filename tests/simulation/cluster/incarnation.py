"""One life of a node: the real parts wired as in ``node.quorum``, over a simulated etcd, in a process of its own."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from hookline.errors import Fenced, Halted, HooklineError, LogFault
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.clocks.watch import ClockWatch
from hookline.node.cluster_history import ClusterHistory, position_of
from hookline.node.database import Database
from hookline.node.dispatch.exchange import HttpExchange
from hookline.node.etcd.charters import Charters
from hookline.node.etcd.client import EtcdClient
from hookline.node.etcd.fence import Fence
from hookline.node.etcd.statuses import NodeStatus, Statuses
from hookline.node.etcd.upkeep import EtcdUpkeep
from hookline.node.etcd.wakeups import Wakeups
from hookline.node.identity import Position
from hookline.node.leadership.etcd import RENEWAL_STEP_S, RENEWAL_TRY_S, EtcdLeadership, Renewal
from hookline.node.peer_client import PATH as POSITION
from hookline.node.replica import Replica
from hookline.node.replicated_log.etcd import EtcdLog
from hookline.node.vault import KEY_BYTES, Vault
from hookline.protocol.http import NodeView
from hookline.protocol.owners import Owner
from hookline.testing.assembly import Assembly, Parts, assemble
from hookline.testing.clock import SimulatedClock
from tests.simulation.cluster.carrier import Carrier
from tests.simulation.cluster.etcd import QUOTA_BYTES, SimulatedClient
from tests.simulation.cluster.loop import Process

if TYPE_CHECKING:
    from tests.simulation.cluster.node import SimulatedNode

_LOOK_S = 0.2
_KEEP_UP_S = 1.0  # half as long as a real node waits, since a run is short


class _NoticedFence(Fence):
    """Says when the lead is won, so that nothing has to look for it ten times a second."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.is_held = asyncio.Event()

    def hold(self, revision: int, term: int, asked_ms: float) -> None:
        super().hold(revision, term, asked_ms)
        self.is_held.set()


class Incarnation:
    """One process of a node and what it holds; also answers the API's questions (``api.services.Role``)."""

    def __init__(self, node: "SimulatedNode", process: Process, database: Database) -> None:
        world = node.world
        client: Any = SimulatedClient(world.etcd, node.name, node.faults.point)
        self._client: EtcdClient = client
        self.process = process
        self._node = node
        self.owner = str(Owner(node.name, node.name, process.name))
        self.clock = GuardedClock(node.clock)
        self.clocks = ClockWatch(self.clock, ask=partial(world.clocks.seen_by, node))
        self.fence = _NoticedFence(node.clock)
        self.wakeups = Wakeups(client, world.keys)
        self.log = EtcdLog(client, world.keys, self.fence, node.clock, self.wakeups)
        self.leadership = EtcdLeadership(
            client,
            world.keys,
            self.fence,
            node.clock,
            node=node.name,
            url=node.config.advertised_url,
            owner=self.owner,
            leader_is_gone=world.is_gone,
            wakeups=self.wakeups,
            may_stand=self.clocks.may_stand,
        )
        self._statuses = Statuses(client, world.keys, self._own_status, node=node.name)
        self._upkeep = EtcdUpkeep(
            client, world.keys, self.fence, self.log, node.clock, node=node.name, quota_bytes=QUOTA_BYTES
        )
        self._renewal = Renewal(_nobody_asks, world.keys, self.fence, node.clock)
        self.carrier = Carrier(node.world.ask)
        vault = Vault([bytes(KEY_BYTES)])  # as the assembly's
        self.exchange = HttpExchange(node.name, self.leader_url, vault, self.carrier)
        self.assembly: Assembly = assemble(
            Parts(
                config=node.config,
                clock=self.clock,
                clocks=self.clocks,
                database=database,
                log=self.log,
                leadership=self.leadership,
                commit=node.commit,
                transport=node,
                owner=self.owner,
                elsewhere=self.exchange,
                role=self,
                history=self._history,
            )
        )
        self.leadership.continue_after(self.assembly.machine.term)
        self.database = database
        self.is_allowed = False
        self.halted_at_s = 0.0
        self.asked: dict[asyncio.Future[Any], None] = {}
        self.tasks = asyncio.TaskGroup()

    def _history(self, replica: Replica) -> ClusterHistory:
        """As the quorum of a real node."""
        self.replica = replica
        self.history = ClusterHistory(
            Charters(self._client, self._node.world.keys),
            self._statuses,
            replica.machine,
            self._node.config,
            self._node.clock,
            digest_at=replica.digest_at,
            leader=self._leader_and_term,
            ask=self._ask_position,
        )
        return self.history

    def _leader_and_term(self) -> tuple[str, int] | None:
        leader = self.leadership.leader
        return None if leader is None else (leader.node, leader.term)

    async def _ask_position(self, url: str) -> Position | None:
        try:
            messages = await self._node.world.ask(url, scope_of("GET", POSITION), b"")
        except HooklineError:
            return None
        return msgspec.json.decode(messages[1]["body"], type=Position)

    async def run(self) -> None:
        """Until the member stops."""
        async with self.tasks:
            background = [
                self.tasks.create_task(part)
                for part in (
                    self.wakeups.run(),
                    self.exchange.run(),
                    self._statuses.run(),
                    self._look(),
                    self._renew(),
                    self._keep_up(),
                    self._doubt(),
                    self.clocks.run(self.assembly.member),
                )
            ]
            await self.history.until_allowed(self._halted, self._client.rotate)
            self.is_allowed = True
            await self.assembly.member.run()
            for task in background:
                task.cancel()

    def _halted(self, why: str) -> None:
        self.halted_at_s = asyncio.get_running_loop().time()
        self._node.world.history.note(f"{self.process.name} halts: {why}")

    async def _doubt(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            with suppress(LogFault):
                why = await self.history.contradiction() if self.is_leading() else None
                if why is not None:
                    self.assembly.member.fail(Halted(why))

    async def _look(self) -> None:
        while True:
            if self.fence.revision is None and not self.leadership.is_standing:
                await self.leadership.look()
            await asyncio.sleep(_LOOK_S)

    async def _renew(self) -> None:
        while True:
            if self.fence.revision is None:
                self.fence.is_held.clear()
                await self.fence.is_held.wait()
            await asyncio.sleep(RENEWAL_STEP_S)
            beat = self._renewal.due()
            if beat is None:
                continue
            try:
                response = await self._client.txn(beat.request, RENEWAL_TRY_S)
            except HooklineError:
                continue
            self._renewal.heard(beat, response)

    async def _keep_up(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_UP_S)
            await self._upkeep.keep_durable(self.assembly.member.replica)
            if not self.history.is_clear:
                continue
            with suppress(Fenced):
                await self._upkeep.step({status.name: status.durable for status in self._statuses.all()})

    def _own_status(self) -> NodeStatus:
        replica, node = self.assembly.member.replica, self._node
        url = node.config.advertised_url
        position = position_of(replica.machine, node.name)
        return NodeStatus(
            node.name,
            url,
            "",
            replica.applied,
            replica.durable,
            "1",
            node.clock.wall_ms(),
            position,
            self.history.halted,
            self.history.votes(),
        )

    # --- what the API asks ---------------------------------------------------------------------------------------

    def is_leading(self) -> bool:
        return self.assembly.member.is_leading

    def leader_url(self) -> str | None:
        leader = self.leadership.leader
        return leader.url if leader and leader.url and leader.node != self._node.name else None

    def leader_name(self) -> str | None:
        leader = self.leadership.leader
        return leader.node if leader and leader.url else None

    def nodes(self) -> list[NodeView]:
        return []

    def position(self) -> Position:
        return position_of(self.replica.machine, self._node.name)

    def halted(self) -> str | None:
        return self.history.why_halted()

    def hand_over(self) -> bool:
        return self.assembly.member.hand_over()

    def pressure(self) -> float:
        return self._upkeep.pressure


def scope_of(method: str, path: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    """What one node asks another."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
    }


def _nobody_asks(_request: Any, _timeout_s: float) -> Any:
    raise AssertionError("the thread does not run here")
