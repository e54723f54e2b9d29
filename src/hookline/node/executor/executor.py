"""The executor: claims due jobs, makes their attempts, records what came of them. Runs on the leader only.

A slot is taken from the moment a claim is proposed until its attempt is over. The outcome and the claim that takes
the slot over go into the log in this order, so there are never more open claims than slots, and a slot is idle for
one commit only. No request leaves before its claim is committed.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from hookline.clock import Clock
from hookline.lack import is_lack
from hookline.node.executor.attempt_log import AttemptLog
from hookline.node.executor.delivery import Delivery, Report
from hookline.node.executor.fairness import Fairness, Verdict
from hookline.node.executor.retry import Next, decide
from hookline.node.replica import Replica
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.leader_reads import ClaimedJob, LeaderReads
from hookline.node.waiting import Blocked
from hookline.protocol.codec import split
from hookline.protocol.commands import AnyCommand, Claimed, ClaimJobs, RecordOutcome, Result
from hookline.protocol.jobs import Outcome, State, destination_of
from hookline.protocol.limits import ATTEMPT_MS_MAX
from hookline.telemetry import Metrics

_OURS_RETRY_MS = 500  # after an attempt that this node could not make
_CLAIM_SLACK_MS = 5_000  # beyond the longest attempt, until a claim ends and may be taken to be lost

_log = structlog.get_logger()


class DueJob(Protocol):
    """What the source hands out."""

    @property
    def lane(self) -> int:
        """Destination, priority and retry."""

    @property
    def due_ms(self) -> int:
        """When it was due."""

    @property
    def seq(self) -> int:
        """The job's number."""


class Source(Protocol):
    """Where due jobs come from: the scheduler."""

    def take(self, limit: int, admit: Callable[[int, int, bool, bool], Blocked | None]) -> Sequence[DueJob]:
        """Up to ``limit`` due jobs that ``admit`` lets start."""

    def unpark(self, destination: int) -> None:
        """What blocked a destination may be over."""


@dataclass(slots=True, eq=False)
class Running:
    """A claim that has a slot, from the moment it is proposed. Two may name one job: of them one at most is granted."""

    due: DueJob
    claim_ends_ms: int
    task: asyncio.Task[None] | None = None
    has_begun: bool = False  # the task; one that is cancelled before would never run, and keep the slot
    is_cancelled: bool = False


class Executor:
    """Runs up to ``fairness.slots`` attempts at once.

    Args:
        node: the name recorded with attempts.
    """

    def __init__(
        self,
        replica: Replica,
        reads: LeaderReads,
        delivery: Delivery,
        fairness: Fairness,
        clock: Clock,
        metrics: Metrics,
        *,
        node: str,
    ) -> None:
        self._replica = replica
        self._reads = reads
        self._delivery = delivery
        self._fairness = fairness
        self._clock = clock
        self._metrics = metrics
        self._node = node
        self._attempt_log = AttemptLog(clock)
        self._source: Source | None = None
        self._wake = asyncio.Event()
        self._running: dict[Running, None] = {}  # a set whose order does not depend on memory addresses
        self._outcomes: list[RecordOutcome] = []
        self._stopping = False
        self._attempts_by_outcome = {outcome: metrics.attempts.labels(outcome.label) for outcome in Outcome}
        self._error: BaseException | None = None
        self._propose: Callable[[Sequence[AnyCommand]], asyncio.Future[list[Result]]] = partial(
            replica.propose, is_patient=True
        )

    def start(self, source: Source) -> None:
        """Learn the destinations' settings, and follow what is committed."""
        self._source = source
        for number, _, settings in self._reads.destinations():
            self._fairness.configure(number, settings)
        self._replica.listen(self._on_commit)

    def wake(self) -> None:
        """There may be something to claim."""
        self._wake.set()

    def _on_commit(self, effects: Effects) -> None:
        if effects.aborted:
            self._abort(set(effects.aborted))
        for name in effects.destinations:
            found = self._reads.destination(name)
            if found is not None:
                self._fairness.configure(*found)
                assert self._source is not None
                self._source.unpark(found[0])

    def _abort(self, seqs: set[int]) -> None:
        for running in self._running:
            if running.due.seq in seqs:
                running.is_cancelled = True
                if running.task is not None and running.has_begun:
                    running.task.cancel()

    async def run(self) -> None:
        """Claim and attempt until ``stop``, then wait for what runs; the last outcomes are proposed when it returns."""
        try:
            async with asyncio.TaskGroup() as attempts:
                self._step(attempts)
                while self._running or not self._stopping:
                    await self._wake.wait()
                    self._wake.clear()
                    if self._error is not None:
                        raise self._error
                    self._step(attempts)
        finally:
            self._attempt_log.tell_left_out()

    def stop(self) -> None:
        """Claim nothing more; ``run`` returns when the running attempts are recorded."""
        self._stopping = True
        self._wake.set()

    def redirect(self, propose: Callable[[Sequence[AnyCommand]], asyncio.Future[list[Result]]]) -> None:
        """From now on tell outcomes to somebody else: another node leads."""
        self._propose = propose

    def abandon(self) -> None:
        """Give running attempts up: their claims stay open and are resolved by the next term."""
        for running in self._running:
            if running.task is not None:
                running.task.cancel()
        self._running.clear()
        self._outcomes.clear()
        self._wake.set()

    # --- one step: outcomes into the log, and claims for the slots they leave ----------------------------------

    def _step(self, attempts: asyncio.TaskGroup) -> None:
        outcomes, self._outcomes = self._outcomes, []
        taken: Sequence[DueJob] = ()
        free = self._fairness.free()
        if free > 0 and not self._stopping:
            assert self._source is not None
            taken = self._source.take(free, partial(self._fairness.admit, self._clock.boot_ms()))
        claim_ends_ms = self._clock.wall_ms() + ATTEMPT_MS_MAX + _CLAIM_SLACK_MS
        claims = [Running(due, claim_ends_ms) for due in taken]
        self._running.update(dict.fromkeys(claims))
        commands: list[RecordOutcome | ClaimJobs] = list(outcomes)
        if taken:
            commands.append(ClaimJobs(tuple((due.seq, due.due_ms) for due in taken), (claim_ends_ms,) * len(taken)))
        *before, last = split(commands) or [[]]
        for part in before:  # answers can be big: they need not fit into one entry
            self._propose(part).add_done_callback(lambda done: self._committed(attempts, (), done))
        if last:
            self._propose(last).add_done_callback(lambda done: self._committed(attempts, claims, done))

    def _committed(
        self, attempts: asyncio.TaskGroup, claims: Sequence[Running], done: asyncio.Future[list[Result]]
    ) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is None and claims:
            try:
                self._start_attempts(attempts, claims, done.result()[-1])
            except Exception as failure:  # noqa: BLE001 - in a callback it would be lost, and with it the slots
                error = failure
        if error is not None:
            self._error = error
            self.wake()

    def _start_attempts(self, attempts: asyncio.TaskGroup, claims: Sequence[Running], claimed: Result) -> None:
        granted = dict(claimed.granted) if isinstance(claimed, Claimed) else {}
        jobs = self._reads.claimed(granted)
        boot_ms = self._clock.boot_ms()
        for running in claims:
            if running not in self._running:  # abandoned
                continue
            attempt = granted.pop(running.due.seq, None)
            if attempt is None or running.is_cancelled:
                self._release(running)
                continue
            self._fairness.began(boot_ms, destination_of(running.due.lane))
            running.task = attempts.create_task(self._attempt(running, jobs[running.due.seq], attempt))

    def _release(self, running: Running) -> None:
        """The claim was refused: the job was cancelled, moved or taken meanwhile."""
        lane = running.due.lane
        self._fairness.refused(self._clock.wall_ms(), destination_of(lane), bool(lane & 1))
        self._freed(running)

    def _end(self, running: Running, now_ms: int, verdict: Verdict, duration_ms: float) -> None:
        lane = running.due.lane
        self._fairness.ended(now_ms, destination_of(lane), bool(lane & 1), verdict, duration_ms)
        self._freed(running)

    def _freed(self, running: Running) -> None:
        """The slot is free; let the destination ask again: it may have waited for this very place."""
        del self._running[running]
        assert self._source is not None
        self._source.unpark(destination_of(running.due.lane))
        self.wake()

    # --- one attempt -------------------------------------------------------------------------------------------

    async def _attempt(self, running: Running, job: ClaimedJob, number: int) -> None:
        due = running.due
        running.has_begun = True
        started_ms = self._clock.wall_ms()
        self._metrics.due_lag.observe(max(0, started_ms - due.due_ms) / 1_000)
        term = self._replica.term
        try:
            if running.is_cancelled:
                raise asyncio.CancelledError
            report = await self._delivery.attempt(job, number, term, running.claim_ends_ms)
        except asyncio.CancelledError:
            if not running.is_cancelled:
                raise
            took = self._clock.wall_ms() - started_ms
            report = Report(
                Outcome.UNKNOWN,
                "none",
                started_ms,
                max(0, took),
                True,
                error="cancelled while the request was under way",
            )
        except Exception as error:  # noqa: BLE001 - our own fault must cost this job an attempt, not the node its life
            _log.exception("attempt_failed_inside", job=job.id)
            what = f"internal: {error!r}"[:500]
            lacks = is_lack(error)  # then it cannot have been sent
            report = Report(Outcome.RETRYABLE_FAILURE, "none", started_ms, 0, not lacks, error=what, is_ours=lacks)
        self._finish(running, job, number, term, report)

    def _following(self, job: ClaimedJob, number: int, report: Report, now_ms: int) -> Next:
        if report.is_ours:
            return Next(State.PENDING, now_ms + _OURS_RETRY_MS)
        return decide(
            job.spec,
            report.outcome,
            sent=report.sent,
            tries=number - job.attempts_before,
            budget_from_ms=job.budget_from_ms,
            now_ms=now_ms,
            retry_after_ms=report.retry_after_ms,
            chance=self._clock.random(),
        )

    def _finish(self, running: Running, job: ClaimedJob, number: int, term: int, report: Report) -> None:
        now_ms = self._clock.wall_ms()
        following = self._following(job, number, report, now_ms)
        error = report.error
        if following.note is not None:
            error = f"{error}; {following.note}" if error else following.note
        self._outcomes.append(
            RecordOutcome(
                seq=running.due.seq,
                attempt=number,
                outcome=report.outcome,
                state=following.state,
                retry_at_ms=following.retry_at_ms if following.state is State.PENDING else None,
                status=report.status,
                error=error,
                started_ms=report.started_ms,
                duration_ms=report.duration_ms,
                response_headers=report.headers,
                response_body=report.body,
                node=self._node,
                term=term,
                is_free=report.is_ours,
            )
        )
        if not running.is_cancelled:
            self._attempt_log.ended(job, number, report, following, error)
        self._attempts_by_outcome[report.outcome].inc()
        self._metrics.attempt_seconds.observe(report.duration_ms / 1_000)
        self._end(running, now_ms, report.verdict, report.duration_ms)
