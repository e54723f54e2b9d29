"""Runs the dispatcher and the duties around the replica of a leader.

Everything it touches is handed in, so that the simulation runs this very code on virtual time.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from hookline.errors import Compacted, Halted, NotLeader, StateDamaged
from hookline.node.attempts.runner import Attempts
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.config import NodeConfig
from hookline.node.content_seal import ContentSeal
from hookline.node.dispatch.dispatcher import Dispatcher
from hookline.node.dispatch.duties import duties_of
from hookline.node.dispatch.exchange import Exchange, LocalExchange, NoExchange
from hookline.node.dispatch.expiry import ClaimExpiry
from hookline.node.dispatch.outcomes import Outcomes
from hookline.node.dispatch.plan import Plan
from hookline.node.dispatch.runners import Runners
from hookline.node.dispatch.seats import Seat, Seats, ahead_of
from hookline.node.dispatch.secrets import SealedSecrets
from hookline.node.history.interface import History
from hookline.node.leadership.interface import Leadership
from hookline.node.metrics import NodeMetrics
from hookline.node.moving.mover import Mover
from hookline.node.moving.new_home import NewHomes
from hookline.node.replica import Commit, Replica
from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine
from hookline.node.state_machine.move_reads import MoveReads
from hookline.node.vault import Vault
from hookline.peers.sender import Sender
from hookline.telemetry.area_log import log_of

_SOON_MS = 1_000
_BROKEN_OFF_S = 2.0  # by when what was broken off here has reported

_log = log_of("leadership")


@dataclass(frozen=True, slots=True)
class LeaderParts:
    """The parts that a node has in all its roles.

    Attributes:
        owner: this process, as its claims name it.
        make_attempts: the runner, with its first exchange.
        elsewhere: the runner's way to the leader while this node does not lead; None: there is no other node.
        key_uses: ids of API keys, and when each was used last at this node.
        sender: carries calls to other clusters.
    """

    config: NodeConfig
    owner: str
    clock: GuardedClock
    machine: StateMachine
    log: ReplicatedLog
    leadership: Leadership
    commit: Commit
    vault: Vault
    make_attempts: Callable[[Exchange], Attempts]
    metrics: NodeMetrics
    history: History
    sender: Sender
    elsewhere: Exchange | None = None
    key_uses: dict[str, int] = field(default_factory=dict)


class Leader:
    """One term: built when this node is elected, gone when it no longer leads.

    Args:
        term: which one.
        runner: makes this node's attempts in all its terms; those of earlier ones may go on.
        is_serving: set while it takes requests.
    """

    def __init__(
        self, parts: LeaderParts, replica: Replica, *, term: int, runner: Attempts, is_serving: asyncio.Event
    ) -> None:
        config, clock = parts.config, parts.clock
        self._parts = parts
        self.replica = replica
        self._term = term
        self._runner = runner
        reads = LeaderReads(parts.machine.database.reader)
        self._exchange = LocalExchange(term, parts.leadership.valid_until_ms, self._offered)
        self._own = Seat(parts.owner, config.node, "leader", 0, self._exchange, is_present=False)
        self.seats = Seats(self._own, self._exchange.wake)
        self.plan = Plan(config.slots, ahead_of(config.slots), steps=clock.steps, tenant_of=replica.tenant_of)
        self.secrets = SealedSecrets(parts.vault)
        expiry = ClaimExpiry(replica, reads, clock, owner=parts.owner)
        self.seats.given_elsewhere = expiry.given
        self.mover = Mover(
            replica,
            MoveReads(parts.machine.database.reader),
            clock,
            config,
            NewHomes(parts.sender),
            self.delivers,
        )
        self.duties = duties_of(replica, reads, clock, config, self.mover, expiry=expiry, key_uses=parts.key_uses)
        content = ContentSeal(parts.vault, clock.token, is_on=config.encrypt_payloads)
        self.dispatcher = Dispatcher(
            replica,
            reads,
            clock,
            plan=self.plan,
            secrets=self.secrets,
            seats=self.seats,
            outcomes=Outcomes(clock, parts.metrics, content, node=config.node, tenant_of=replica.tenant_of),
            clock_was_set=self.duties.wake,
        )
        self.runners = Runners(
            replica,
            reads,
            clock,
            self.seats,
            term=term,
            valid_until_ms=parts.leadership.valid_until_ms,
            changed=self.dispatcher.seats_changed,
        )
        self._stop = asyncio.Event()
        self._is_serving = is_serving

    def _offered(self, slots: int) -> None:
        """This node's runner can make so many attempts at once: none before it, or its processes, have loaded."""
        self.seats.resize(self._own, slots)
        self.dispatcher.seats_changed()

    def delivers(self) -> bool:
        """Are attempts under way, or due within a second?"""
        next_ms = self.plan.next_ms()
        return self.plan.running > 0 or (next_ms is not None and next_ms < self._parts.clock.wall_ms() + _SOON_MS)

    async def run(self) -> None:
        """Deliver until ``stop``, then end in good order: hand over if there is somebody to hand over to.

        Attempts that run then are ended here only if there is nobody; else they go on, and their reports go elsewhere.

        Raises:
            Halted, StateDamaged, Compacted: this node's state must not lead.
            Fenced, NotLeader (in a group): another node leads, or the log does not answer while this node is to stop.
            NodeFault (in a group): the log or the state cannot go on.
        """
        leadership = self._parts.leadership
        try:
            await self.replica.begin_term(self._term, self._parts.owner, leadership.dead_owners())
        except (Halted, StateDamaged, Compacted):
            await leadership.release()  # another may lead at once
            raise
        if self._term > 1:
            self._parts.metrics.failovers.inc()
        self.dispatcher.start()
        self._runner.attach(self._exchange)
        _log.info("term_began", term=self._term, applied=self.replica.applied, **self.replica.counters)
        try:
            await self._lead()
        finally:
            self.runners.close()
            self._runner.attach(self._parts.elsewhere or NoExchange())

    async def _lead(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            replica = tasks.create_task(self.replica.lead())
            dispatching = tasks.create_task(self.dispatcher.run())
            tasks.create_task(self.duties.run())
            guard = tasks.create_task(self._notice_loss())
            late = tasks.create_task(self.replica.answer_late_waiters())
            watching = tasks.create_task(self.runners.run())
            self._is_serving.set()
            try:
                await self._stop.wait()
            finally:
                self._is_serving.clear()
                guard.cancel()
            self.duties.stop()
            self.dispatcher.stop()
            if self._parts.elsewhere is None:
                await self._end_attempts(dispatching)
                self.replica.close()
                await self._settle(replica)
            else:
                await self._hand_over(replica)
            watching.cancel()
            late.cancel()

    async def _notice_loss(self) -> None:
        """An idle leader appends nothing, so nothing tells it that another node took over while it was paused."""
        await self._parts.leadership.lost()
        raise NotLeader

    async def _end_attempts(self, dispatching: asyncio.Task[None]) -> None:
        """Wait for those that run, but not longer than the grace; then break them off.

        Those of a worker that is gone have no end: their claims stay open, and the next start resolves them.
        """
        done, _ = await asyncio.wait({dispatching}, timeout=self._parts.config.shutdown_grace_ms / 1_000)
        if not done:
            self.dispatcher.forget_proposed()
            self._runner.break_off()
            done, _ = await asyncio.wait({dispatching}, timeout=_BROKEN_OFF_S)
            if not done:
                self.dispatcher.close()
        await dispatching

    async def _hand_over(self, replica: asyncio.Task[None]) -> None:
        """Give the lead up at once; attempts go on, and the next leader gets their outcomes."""
        self.dispatcher.close()
        self.runners.close()
        self.replica.close(NotLeader("this node hands over; the request was not accepted"))
        try:
            await self._settle(replica)
        finally:
            await self._parts.leadership.release()
        self._parts.metrics.leads_ended.labels("handed_over").inc()
        _log.info("handed_over", term=self._term, running=self._runner.running)

    async def _settle(self, replica: asyncio.Task[None]) -> None:
        """Until all that was taken is durable. Give up after the grace period if the log does not answer.

        Raises:
            NotLeader: it does not answer. What was taken may be in it or not, which the waiters are told; the claims
                of what runs stay open, and the next leader resolves them.
        """
        done, _ = await asyncio.wait({replica}, timeout=self._parts.config.shutdown_grace_ms / 1_000)
        if not done:
            raise NotLeader("the log does not answer, and this node is to stop")

    def clock_changed(self) -> None:
        """The time was set: what sleeps until a time has to look again."""
        self.dispatcher.wake()
        self.duties.wake()

    def stop(self) -> None:
        """Make ``run`` return in good order."""
        self._stop.set()
