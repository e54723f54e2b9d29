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
from hookline.node.executor.retry import Next, decide, judge
from hookline.node.replica import Replica
from hookline.node.state_machine.effects import Effects, Ended
from hookline.node.state_machine.leader_reads import ClaimedJob, LeaderReads
from hookline.node.waiting import Blocked
from hookline.protocol.codec import split
from hookline.protocol.commands import AnyCommand, Claimed, ClaimJobs, RecordOutcome, Result
from hookline.protocol.durations import format_duration
from hookline.protocol.jobs import Outcome, State, destination_of, in_force
from hookline.telemetry import Metrics

_OURS_RETRY_MS = 500  # after an attempt that this node could not make
_HELD_RETRY_MS = 15 * 60_000  # when a person has to do something first: it is noticed soon enough, and costs little
_CLAIM_SLACK_MS = 5_000  # from the proposal of a claim until its attempt has begun, and then to tell the outcome

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
    begun_by_ms: int
    task: asyncio.Task[None] | None = None
    has_begun: bool = False  # the task; one that is cancelled before would never run, and keep the slot
    is_cancelled: bool = False
    is_given_up: bool = False  # the node stops, and has waited long enough


class Executor:
    """Runs up to ``fairness.slots`` attempts at once.

    Args:
        node: the name recorded with attempts.
        others: attempts of earlier terms that this process still makes; they take slots, too.

    Attributes:
        on_freed: told when a slot is free.
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
        others: Callable[[], int] = lambda: 0,
    ) -> None:
        self._others = others
        self.on_freed: Callable[[], None] = lambda: None
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

    def tell_ended(self, ended: Sequence[Ended]) -> None:
        """Write into the log which jobs are over because their node was lost."""
        names = self._reads.named(one.seq for one in ended)
        for one in ended:
            if one.seq in names:
                self._attempt_log.lost(*names[one.seq], one)

    def _abort(self, seqs: set[int]) -> None:
        for running in self._running:
            if running.due.seq in seqs:
                running.is_cancelled = True
                if running.task is not None and running.has_begun:
                    running.task.cancel()

    @property
    def running(self) -> int:
        """Claims that have a slot."""
        return len(self._running)

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
        """Break running attempts off, which is their outcome; claims not committed are left to the next term."""
        for running in list(self._running):
            if running.task is None:
                del self._running[running]
            else:
                running.is_given_up = True
                if running.has_begun:
                    running.task.cancel()
        self._wake.set()

    # --- one step: outcomes into the log, and claims for the slots they leave ----------------------------------

    def _step(self, attempts: asyncio.TaskGroup) -> None:
        outcomes, self._outcomes = self._outcomes, []
        taken: Sequence[DueJob] = ()
        free = self._fairness.free() - self._others()
        if free > 0 and not self._stopping:
            assert self._source is not None
            taken = self._source.take(free, partial(self._fairness.admit, self._clock.boot_ms()))
        begun_by_ms = self._clock.wall_ms() + _CLAIM_SLACK_MS
        claims = [Running(due, begun_by_ms) for due in taken]
        self._running.update(dict.fromkeys(claims))
        commands: list[RecordOutcome | ClaimJobs] = list(outcomes)
        if taken:
            commands.append(ClaimJobs(tuple((due.seq, due.due_ms) for due in taken), begun_by_ms))
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
        self.on_freed()

    # --- one attempt -------------------------------------------------------------------------------------------

    async def _attempt(self, running: Running, job: ClaimedJob, number: int) -> None:
        due = running.due
        running.has_begun = True
        started_ms = self._clock.wall_ms()
        self._metrics.due_lag.observe(max(0, started_ms - due.due_ms) / 1_000)
        term = self._replica.term
        try:
            if running.is_cancelled or running.is_given_up:
                raise asyncio.CancelledError
            report = await self._delivery.attempt(job, number, term, running.begun_by_ms + job.spec.timeout_ms)
        except asyncio.CancelledError:
            if not running.is_cancelled and not running.is_given_up:
                raise
            report = _broken_off(running, job, started_ms, max(0, self._clock.wall_ms() - started_ms))
        except Exception as error:  # noqa: BLE001 - our own fault must cost this job an attempt, not the node its life
            _log.exception("attempt_failed_inside", job=job.id)
            what = f"internal: {error!r}"[:500]
            lacks = is_lack(error)  # then it cannot have been sent
            report = Report(Outcome.RETRYABLE_FAILURE, "none", started_ms, 0, not lacks, error=what, is_ours=lacks)
        self._finish(running, job, number, term, report)

    def _following(
        self, lane: int, job: ClaimedJob, number: int, report: Report, now_ms: int
    ) -> tuple[Outcome, str | None, Next]:
        """What it came to, in a number and in words, and what follows."""
        if report.is_ours:
            wait_ms = _HELD_RETRY_MS if report.is_held else _OURS_RETRY_MS
            return report.outcome, report.error, Next(State.PENDING, now_ms + wait_ms)
        load = self._fairness.load(destination_of(lane))
        policy = in_force(job.spec.retry, None if load is None else load.settings.retry)
        outcome, why = judge(policy, report.outcome, report.status, report.trouble)
        following = decide(
            job.spec,
            outcome,
            policy=policy,
            sent=report.sent,
            tries=number - job.attempts_before,
            budget_from_ms=job.budget_from_ms,
            now_ms=now_ms,
            retry_after_ms=report.retry_after_ms,
            chance=self._clock.random(),
        )
        said = "; ".join(words for words in (report.error, why, following.note) if words)
        return outcome, said or None, following

    def _finish(self, running: Running, job: ClaimedJob, number: int, term: int, report: Report) -> None:
        now_ms = self._clock.wall_ms()
        outcome, error, following = self._following(running.due.lane, job, number, report, now_ms)
        self._outcomes.append(
            RecordOutcome(
                seq=running.due.seq,
                attempt=number,
                outcome=outcome,
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
        self._attempts_by_outcome[outcome].inc()
        self._metrics.attempt_seconds.observe(report.duration_ms / 1_000)
        self._end(running, now_ms, report.verdict, report.duration_ms)


def _broken_off(running: Running, job: ClaimedJob, started_ms: int, took_ms: int) -> Report:
    """What came of an attempt that this node ended; the request may have been handled."""
    if running.is_cancelled:
        error = "cancelled while the request was under way"
        return Report(Outcome.UNKNOWN, "none", started_ms, took_ms, True, error=error)
    error = (
        f"broken off after {format_duration(took_ms)}: the node was stopped, and waits no longer than --shutdown-grace"
    )
    if job.spec.at_most_once:
        return Report(Outcome.UNKNOWN, "none", started_ms, took_ms, True, error=error)
    return Report(Outcome.RETRYABLE_FAILURE, "none", started_ms, took_ms, True, error=error, is_ours=True)
