"""What runs on a leader: around the replica the scheduler, the executor and retention.

Everything it touches is handed in, so that the simulation runs this very code on virtual time.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from hookline.errors import Compacted, Halted, NotLeader, StateDamaged
from hookline.node.clocks.guarded import GuardedClock
from hookline.node.config import NodeConfig
from hookline.node.executor.delivery import Delivery
from hookline.node.executor.executor import Executor
from hookline.node.executor.fairness import Fairness
from hookline.node.executor.keys import SigningKeys
from hookline.node.executor.transport import Transport
from hookline.node.executor.vetting import Vetter
from hookline.node.history import History
from hookline.node.leadership.interface import Leadership
from hookline.node.replica import Commit, Replica
from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.scheduler.expiry import ClaimExpiry
from hookline.node.scheduler.retention import Retention
from hookline.node.scheduler.scheduler import Scheduler
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine
from hookline.node.vault import Vault
from hookline.protocol.commands import AnyCommand, Result
from hookline.telemetry import Metrics

_log = structlog.get_logger()


class Successor(Protocol):
    """The next leader, as far as one that hands over needs it."""

    def tell(self, outcomes: Sequence[AnyCommand]) -> asyncio.Future[list[Result]]:
        """Have outcomes recorded by whoever leads now; keeps trying until the claims' deadline."""

    async def all_told(self) -> None:
        """Return when nothing is left to be told."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a leader is given."""

    config: NodeConfig
    clock: GuardedClock
    machine: StateMachine
    log: ReplicatedLog
    leadership: Leadership
    commit: Commit
    vault: Vault
    vetter: Vetter
    transport: Transport
    metrics: Metrics
    successor: "Successor | None" = None  # None: there is no other node
    history: "Callable[[Replica], History] | None" = None  # None: the node is its whole cluster


class Leader:
    """One term: built when this node is elected, gone when it no longer leads."""

    def __init__(self, given: Surroundings, replica: Replica, is_serving: asyncio.Event) -> None:
        config, clock = given.config, given.clock
        self._given = given
        self.replica = replica
        reads = LeaderReads(given.machine.database.reader)
        self.keys = SigningKeys(given.vault, reads, default_secret=config.signing_secret)
        self.fairness = Fairness(config.slots)
        delivery = Delivery(given.vetter, given.transport, clock, keys=self.keys.of, may_send=given.leadership.is_valid)
        self.executor = Executor(replica, reads, delivery, self.fairness, clock, given.metrics, node=config.node)
        self.scheduler = Scheduler(replica, reads, clock, shard=config.shard, wake_executor=self.executor.wake)
        self.retention = Retention(replica, reads, clock, config)
        self.expiry = ClaimExpiry(replica, reads, clock)
        self._stop = asyncio.Event()
        self._is_serving = is_serving

    async def run(self, term: int) -> None:
        """Deliver until ``stop``, then end in good order: hand over if there is somebody to hand over to.

        Raises:
            Halted, StateDamaged, Compacted: this node's state must not lead.
            Fenced, NotLeader (in a group): another node leads, or the log does not answer while this node is to stop;
                what runs here was given up.
            NodeFault (in a group): the log or the state cannot go on.
        """
        leadership = self._given.leadership
        try:
            await self.replica.begin_term(
                term,
                self._given.config.node,
                old_leader_is_dead=leadership.old_leader_is_dead(),
                handed_over=leadership.was_handed_over(),
                dead_from_term=leadership.dead_from_term(),
            )
        except (Halted, StateDamaged, Compacted):
            await leadership.release()  # another may lead at once
            raise
        self.keys.start(self.replica)
        self.executor.start(self.scheduler)
        self.scheduler.start()
        _log.info("term_began", term=term, applied=self.replica.applied, **self.replica.counters)
        async with asyncio.TaskGroup() as tasks:
            replica = tasks.create_task(self.replica.lead())
            executor = tasks.create_task(self.executor.run())
            tasks.create_task(self.scheduler.run())
            tasks.create_task(self.retention.run())
            tasks.create_task(self.expiry.run())
            guard = tasks.create_task(self._notice_loss())
            late = tasks.create_task(self.replica.answer_late_waiters())
            self.executor.wake()
            self._is_serving.set()
            try:
                await self._stop.wait()
            finally:
                self._is_serving.clear()
                guard.cancel()
            self._claim_no_more()
            if self._given.successor is None:
                await self._end_attempts(executor)
                self.replica.close()
                await self._settle(replica)
            else:
                await self._hand_over(self._given.successor, replica, executor)
            late.cancel()

    async def _notice_loss(self) -> None:
        """An idle leader appends nothing, so nothing tells it that another node took over while it was paused."""
        await self._given.leadership.lost()
        raise NotLeader

    def _claim_no_more(self) -> None:
        self.scheduler.stop()
        self.retention.stop()
        self.expiry.stop()
        self.executor.stop()

    async def _hand_over(
        self, successor: "Successor", replica: asyncio.Task[None], executor: asyncio.Task[None]
    ) -> None:
        """Give the lead up at once; what runs goes on, and its outcomes are told to the next leader."""
        self.executor.redirect(successor.tell)
        self.replica.close(NotLeader("this node hands over; the request was not accepted"))
        try:
            await self._settle(replica)
        finally:
            await self._given.leadership.release()
        _log.info("handed_over", term=self.replica.term, running=self.fairness.running)
        await self._end_attempts(executor)

    async def _settle(self, replica: asyncio.Task[None]) -> None:
        """Until all that was taken is durable. A log that does not answer is not waited for for ever.

        Raises:
            NotLeader: it does not answer. What was taken may be in it or not, which the waiters are told; the claims
                of what runs stay open, and the next leader resolves them.
        """
        done, _ = await asyncio.wait({replica}, timeout=self._given.config.shutdown_grace_ms / 1_000)
        if not done:
            raise NotLeader("the log does not answer, and this node is to stop")

    async def _end_attempts(self, executor: asyncio.Task[None]) -> None:
        done, _ = await asyncio.wait({executor}, timeout=self._given.config.shutdown_grace_ms / 1_000)
        if not done:
            _log.warning("attempts_abandoned", running=self.fairness.running)
            self.executor.abandon()
            await executor

    def stop(self) -> None:
        """Make ``run`` return in good order."""
        self._stop.set()
