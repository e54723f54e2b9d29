"""What runs on a leader: the replica, and around it the scheduler, the executor and retention.

Everything it touches is handed in, so that the simulation runs this very code on virtual time.
"""

import asyncio
from dataclasses import dataclass

import structlog

from hookline.clock import Clock
from hookline.node.config import NodeConfig
from hookline.node.executor.delivery import Delivery
from hookline.node.executor.executor import Executor
from hookline.node.executor.fairness import Fairness
from hookline.node.executor.keys import SigningKeys
from hookline.node.executor.transport import Transport
from hookline.node.executor.vetting import Vetter
from hookline.node.leadership.interface import Leadership
from hookline.node.replica import Commit, Replica
from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.scheduler.retention import Retention
from hookline.node.scheduler.scheduler import Scheduler
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine
from hookline.node.vault import Vault
from hookline.telemetry import Metrics

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a leader is given."""

    config: NodeConfig
    clock: Clock
    machine: StateMachine
    log: ReplicatedLog
    leadership: Leadership
    commit: Commit
    vault: Vault
    vetter: Vetter
    transport: Transport
    metrics: Metrics


class Leader:
    """Built once for a process; ``run`` leads until ``stop``."""

    def __init__(self, given: Surroundings) -> None:
        config, clock = given.config, given.clock
        self._given = given
        reads = LeaderReads(given.machine.database.reader)
        self.replica = Replica(
            given.machine, given.log, clock, commit=given.commit, observe_commit=given.metrics.observe_commit
        )
        self.keys = SigningKeys(given.vault, reads, default_secret=config.signing_secret)
        self.fairness = Fairness(config.slots)
        delivery = Delivery(given.vetter, given.transport, clock, keys=self.keys.of, may_send=given.leadership.is_valid)
        self.executor = Executor(self.replica, reads, delivery, self.fairness, clock, given.metrics, node=config.node)
        self.scheduler = Scheduler(self.replica, reads, clock, shard=config.shard, wake_executor=self.executor.wake)
        self.retention = Retention(self.replica, reads, clock, config)
        self._stop = asyncio.Event()
        self.is_serving = asyncio.Event()

    async def run(self) -> None:
        """Take the lead, deliver until ``stop``, then let running attempts end and make their outcomes durable.

        Raises:
            NodeFault: the log or the state cannot go on.
        """
        leadership = self._given.leadership
        term = await leadership.acquire()
        await self.replica.begin_term(term, self._given.config.node, old_leader_is_dead=leadership.old_leader_is_dead())
        self.keys.start(self.replica)
        self.executor.start(self.scheduler)
        self.scheduler.start()
        _log.info("term_began", term=term, applied=self.replica.applied, **self.replica.counters)
        async with asyncio.TaskGroup() as tasks:
            replica = tasks.create_task(self.replica.run())
            executor = tasks.create_task(self.executor.run())
            tasks.create_task(self.scheduler.run())
            tasks.create_task(self.retention.run())
            self.executor.wake()
            self.is_serving.set()
            await self._stop.wait()
            self.is_serving.clear()
            await self._end_attempts(executor)
            self.replica.close()
            await replica

    async def _end_attempts(self, executor: asyncio.Task[None]) -> None:
        self.scheduler.stop()
        self.retention.stop()
        self.executor.stop()
        done, _ = await asyncio.wait({executor}, timeout=self._given.config.shutdown_grace_ms / 1_000)
        if not done:
            _log.warning("attempts_abandoned", running=self.fairness.running)
            self.executor.abandon()
            await executor

    def stop(self) -> None:
        """Make ``run`` return in good order."""
        self._stop.set()
