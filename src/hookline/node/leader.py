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


class Attempts:
    """Those of one term: they may outlive it.

    Args:
        executor: makes them.
        tasks: what they run in, also when the term is over.
    """

    def __init__(self, executor: Executor, tasks: asyncio.TaskGroup) -> None:
        self._executor = executor
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = tasks.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._executor.run()
        except Exception as error:  # noqa: BLE001 - raised by ``ended``, where somebody knows what it means
            self._over.set_exception(error)
        else:
            self._over.set_result(None)

    @property
    def running(self) -> int:
        """How many."""
        return self._executor.running

    def on_freed(self, tell: Callable[[], None]) -> None:
        """Call it from now on whenever one is over."""
        self._executor.on_freed = tell

    async def ended(self) -> None:
        """Return when the last one is over; raise what the executor raises."""
        await asyncio.shield(self._over)

    async def end(self, grace_s: float) -> None:
        """Wait for those that run, but not longer; then break them off."""
        done, _ = await asyncio.wait({self._task}, timeout=grace_s)
        if not done:
            _log.warning("attempts_broken_off", running=self._executor.running)
            self._executor.abandon()
        await self.ended()

    async def give_up(self) -> None:
        """Forget them: their claims stay open, and the next term resolves them."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if self._over.done():
            self._over.exception()  # somebody else has raised it


class Leader:
    """One term: built when this node is elected, gone when it no longer leads.

    Args:
        others: how many attempts of earlier terms this process still makes.

    Attributes:
        outliving: attempts that run on after the lead was handed over.
    """

    def __init__(
        self, given: Surroundings, replica: Replica, is_serving: asyncio.Event, *, others: Callable[[], int]
    ) -> None:
        config, clock = given.config, given.clock
        self._given = given
        self.replica = replica
        reads = LeaderReads(given.machine.database.reader)
        self.keys = SigningKeys(given.vault, reads, default_secret=config.signing_secret)
        self.fairness = Fairness(config.slots)
        delivery = Delivery(given.vetter, given.transport, clock, keys=self.keys.of, may_send=given.leadership.is_valid)
        self.executor = Executor(
            replica, reads, delivery, self.fairness, clock, given.metrics, node=config.node, others=others
        )
        self.scheduler = Scheduler(replica, reads, clock, shard=config.shard, wake_executor=self.executor.wake)
        self.retention = Retention(replica, reads, clock, config)
        self.expiry = ClaimExpiry(replica, reads, clock)
        self.outliving: Attempts | None = None
        self._stop = asyncio.Event()
        self._is_serving = is_serving

    async def run(self, term: int, tasks: asyncio.TaskGroup) -> None:
        """Deliver until ``stop``, then end in good order: hand over if there is somebody to hand over to.

        Attempts that run then are ended here only if there is nobody; they run in ``tasks``.

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
        attempts = Attempts(self.executor, tasks)
        try:
            await self._lead(attempts)
        finally:
            if self.outliving is None:
                await attempts.give_up()

    async def _lead(self, attempts: Attempts) -> None:
        async with asyncio.TaskGroup() as tasks:
            replica = tasks.create_task(self.replica.lead())
            attempting = tasks.create_task(attempts.ended())
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
                await attempts.end(self._given.config.shutdown_grace_ms / 1_000)
                self.replica.close()
                await self._settle(replica)
            else:
                await self._hand_over(self._given.successor, replica)
                self.outliving = attempts
            attempting.cancel()
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

    async def _hand_over(self, successor: "Successor", replica: asyncio.Task[None]) -> None:
        """Give the lead up at once; what runs goes on, and its outcomes are told to the next leader."""
        self.executor.redirect(successor.tell)
        self.replica.close(NotLeader("this node hands over; the request was not accepted"))
        try:
            await self._settle(replica)
        finally:
            await self._given.leadership.release()
        _log.info("handed_over", term=self.replica.term, running=self.fairness.running)

    async def _settle(self, replica: asyncio.Task[None]) -> None:
        """Until all that was taken is durable. A log that does not answer is not waited for for ever.

        Raises:
            NotLeader: it does not answer. What was taken may be in it or not, which the waiters are told; the claims
                of what runs stay open, and the next leader resolves them.
        """
        done, _ = await asyncio.wait({replica}, timeout=self._given.config.shutdown_grace_ms / 1_000)
        if not done:
            raise NotLeader("the log does not answer, and this node is to stop")

    def stop(self) -> None:
        """Make ``run`` return in good order."""
        self._stop.set()
