"""Forgets what is no longer needed, in small steps between deliveries: jobs, idempotency keys, audit rows."""

from hookline.clock import Clock
from hookline.node.config import NodeConfig
from hookline.node.dispatch.duty import Duty
from hookline.node.replica import Replica
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.protocol.commands import Changed, PurgeAudit, PurgeFinished, PurgeKeys
from hookline.protocol.jobs import FINISHED

_STEP_JOBS = 100  # a few milliseconds of work in one entry
_REST_S = 5.0  # when all was forgotten that can be for now
_IDLE_S = 60.0  # at most, when nothing is old enough
_STEP_REST_S = 0.02  # between steps: deliveries and creates get in


class Retention(Duty):
    """Runs on the leader; what it forgets is decided by log commands like everything else.

    It looks before it proposes: an idle node writes nothing into its log.
    """

    def __init__(self, replica: Replica, reads: LeaderReads, clock: Clock, config: NodeConfig) -> None:
        super().__init__()
        self._replica = replica
        self._reads = reads
        self._clock = clock
        self._config = config

    async def run(self) -> None:
        """Until ``stop``."""
        while not self._is_over:
            idle_s = self.idle_s()
            if idle_s > 0:
                await self.rest(idle_s)
                continue
            forgotten = await self.step()
            await self.rest(_STEP_REST_S if forgotten >= _STEP_JOBS else _REST_S)

    def idle_s(self) -> float:
        """Seconds until there may be something to forget; 0 when there may be now."""
        config, counters = self._config, self._replica.counters
        finished = sum(counters[state.label] for state in FINISHED)
        if finished > config.retention_jobs or self._reads.audit_rows() > config.audit_rows:
            return 0
        idle_s = _REST_S if finished > config.retention_jobs // 2 else _IDLE_S
        for old_ms in (
            _after(self._reads.oldest_finished_ms(dead=False), config.retention_ms),
            _after(self._reads.oldest_finished_ms(dead=True), config.retention_dead_ms),
            self._reads.oldest_key_ms(),
            _after(self._reads.oldest_audit_ms(), config.audit_retention_ms),
        ):
            if old_ms is not None:
                idle_s = min(idle_s, (old_ms + 1 - self._clock.wall_ms()) / 1_000)
        return max(0, idle_s)

    async def step(self) -> int:
        """Forget up to one step of jobs, of keys and of audit rows; returns the largest number."""
        now_ms, config = self._clock.wall_ms(), self._config
        results = await self._replica.propose(
            [
                PurgeFinished(
                    before_ms=now_ms - config.retention_ms,
                    keep=config.retention_jobs,
                    limit=_STEP_JOBS,
                    dead_before_ms=now_ms - config.retention_dead_ms,
                ),
                PurgeKeys(now_ms, _STEP_JOBS),
                PurgeAudit(now_ms - config.audit_retention_ms, config.audit_rows, _STEP_JOBS),
            ],
            no_timeout=True,
        )
        return max(result.count for result in results if isinstance(result, Changed))


def _after(from_ms: int | None, kept_ms: int) -> int | None:
    return None if from_ms is None else from_ms + kept_ms
