"""Turns a report into the outcome under the job's policy, its record, and a line in the log."""

from collections.abc import Callable, Mapping, Sequence

from hookline.clock import Clock
from hookline.node.content_seal import ContentSeal
from hookline.node.dispatch.attempt_log import AttemptLog
from hookline.node.dispatch.retry import Next, decide, judge
from hookline.node.metrics import NodeMetrics
from hookline.node.state_machine.effects import Ended
from hookline.node.state_machine.leader_reads import ClaimedJob, NamedJob
from hookline.protocol.claims import ClaimReport, Report
from hookline.protocol.commands import RecordOutcome
from hookline.protocol.jobs import DEFAULT_TENANT, Outcome, RetryPolicy, State, in_force
from hookline.protocol.redaction import RESPONSE_BODY
from hookline.telemetry.tracing.context import sampled_trace_of

_FREE_RETRY_MS = 500  # after an attempt that could not be made, for a reason of our own
_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")  # by the hundreds of the status
_ANSWERS = (*_CLASSES, "connection", "timeout")
_HELD_RETRY_MS = 15 * 60_000  # when a person has to do something first: it is noticed soon enough, and costs little


class Outcomes:
    """Judges reports.

    Args:
        node: the name recorded with attempts of this process.
        content: seals what receivers answer.
        tenant_of: whose a destination is, by its number.
    """

    def __init__(
        self,
        clock: Clock,
        metrics: NodeMetrics,
        content: ContentSeal,
        *,
        node: str,
        tenant_of: Callable[[int], str] = lambda _destination: DEFAULT_TENANT,
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        self._node = node
        self._content = content
        self._attempt_log = AttemptLog(clock, content.shown, tenant_of)
        self._counts = {outcome: metrics.attempts.labels(outcome.label) for outcome in Outcome}
        self._answers = {kind: metrics.attempt_answers.labels(kind) for kind in _ANSWERS}

    def began(self, late_ms: int, job: ClaimedJob) -> None:
        """A job's attempt began this long after the job was due."""
        self._metrics.due_lag.observe(max(0, late_ms) / 1_000, sampled_trace_of(job.spec.traceparent))

    def decide(
        self,
        it: ClaimReport,
        job: ClaimedJob,
        policy: RetryPolicy | None,
        *,
        now_ms: int,
        node: str | None = None,
        is_told: bool = True,
    ) -> RecordOutcome:
        """The command that closes the claim.

        Args:
            it: the report.
            job: as it was claimed.
            policy: of the job's destination.
            now_ms: the wall clock.
            node: where the attempt was made; None: in this process.
            is_told: a line in the log is wanted.
        """
        report = it.report
        outcome, error, following = self._following(it, job, policy, now_ms)
        if is_told:
            self._attempt_log.ended(job, it.ref.attempt, report, following, error)
        self._count(report, outcome, job)
        return RecordOutcome(
            seq=it.ref.seq,
            attempt=it.ref.attempt,
            outcome=outcome,
            state=following.state,
            retry_at_ms=following.retry_at_ms if following.state is State.PENDING else None,
            status=report.status,
            error=error,
            started_ms=report.started_ms,
            duration_ms=report.duration_ms,
            response_headers=report.headers,
            response_body=b"" if RESPONSE_BODY in job.spec.redact else self._content.stored_response(report.body),
            node=self._node if node is None else node,
            term=it.term,
            is_free=report.costs_no_attempt,
        )

    def _count(self, report: Report, outcome: Outcome, job: ClaimedJob) -> None:
        self._counts[outcome].inc()
        self._answers[_answer_of(report)].inc()
        self._metrics.attempt_seconds.observe(report.duration_ms / 1_000)
        if outcome is Outcome.SUCCESS:
            took_ms = report.started_ms + report.duration_ms - job.created_ms
            self._metrics.success_seconds.observe(max(0, took_ms) / 1_000, sampled_trace_of(job.spec.traceparent))

    def _following(
        self, it: ClaimReport, job: ClaimedJob, policy: RetryPolicy | None, now_ms: int
    ) -> tuple[Outcome, str | None, Next]:
        """The outcome, in a number and in words, and what follows."""
        report = it.report
        if report.costs_no_attempt:
            wait_ms = _HELD_RETRY_MS if report.is_held else _FREE_RETRY_MS
            return report.outcome, report.error, Next(State.PENDING, now_ms + wait_ms)
        own = in_force(job.spec.retry, policy)
        outcome, why = judge(own, report.outcome, report.status, report.trouble)
        following = decide(
            job.spec,
            outcome,
            policy=own,
            sent=report.sent,
            tries=it.ref.attempt - job.attempts_before,
            budget_from_ms=job.budget_from_ms,
            now_ms=now_ms,
            retry_after_ms=report.retry_after_ms,
            chance=self._clock.random(),
        )
        said = "; ".join(words for words in (report.error, why, following.note) if words)
        return outcome, said or None, following

    def lost(self, ended: Sequence[Ended], jobs: Mapping[int, NamedJob]) -> None:
        """Write into the log which jobs are over because their node was lost; ``jobs`` by number."""
        for one in ended:
            if (job := jobs.get(one.seq)) is not None:
                self._attempt_log.lost(job, one)

    def tell_left_out(self) -> None:
        """Say how many lines were left out."""
        self._attempt_log.tell_left_out()


def _answer_of(report: Report) -> str:
    """The class of what came back."""
    if report.trouble is not None:
        return report.trouble
    hundreds = (report.status or 0) // 100
    return _CLASSES[hundreds] if hundreds < len(_CLASSES) else "none"
