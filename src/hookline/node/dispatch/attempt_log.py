"""One line in the log for each attempt that failed and each job that died; a flood of them is counted, not written."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from hookline.clock import Clock
from hookline.node.dispatch.retry import Next
from hookline.node.state_machine.effects import Ended
from hookline.node.state_machine.leader_reads import ClaimedJob, NamedJob
from hookline.protocol.claims import Report
from hookline.protocol.durations import format_time
from hookline.protocol.jobs import DEFAULT_TENANT, JobSpec, Outcome, State, destination_of, trace_id_of
from hookline.protocol.redaction import hidden_values, without_echoes
from hookline.telemetry.area_log import log_of

LINES_MAX: Final = 20  # of each kind in each period
PERIOD_MS: Final = 1_000

_log = log_of("dispatch")


class LineBudget:
    """So many lines in each period; what is more is counted. Pure."""

    def __init__(self, lines: int = LINES_MAX, period_ms: int = PERIOD_MS) -> None:
        self._lines = lines
        self._period_ms = period_ms
        self._ends_ms = 0.0
        self._left = 0
        self._left_out = 0

    def take(self, now_ms: float) -> bool:
        """May a line be written?"""
        if now_ms >= self._ends_ms:
            self._ends_ms, self._left = now_ms + self._period_ms, self._lines
        if self._left > 0:
            self._left -= 1
            return True
        self._left_out += 1
        return False

    def take_left_out(self) -> int:
        """How many lines were left out since this was asked last."""
        left_out, self._left_out = self._left_out, 0
        return left_out


class AttemptLog:
    """Says what became of attempts: delivered at debug, to be tried again at info, dead at warning.

    No payload, header, path or query of a job is written, and what an error repeats of hidden headers is masked.

    Args:
        opened: opens what is sealed in a job's spec, as far as it can.
        tenant_of: whose a destination is, by its number.
    """

    def __init__(
        self,
        clock: Clock,
        opened: Callable[[JobSpec], JobSpec],
        tenant_of: Callable[[int], str] = lambda _destination: DEFAULT_TENANT,
    ) -> None:
        self._clock = clock
        self._opened = opened
        self._tenant_of = tenant_of
        self._failed = LineBudget()
        self._dead = LineBudget()
        self._timer: asyncio.TimerHandle | None = None

    def ended(self, job: ClaimedJob, number: int, report: Report, following: Next, error: str | None) -> None:
        """An attempt is over, and it is decided what follows."""
        if report.outcome is Outcome.SUCCESS:
            told = _named(job.id, self._tenant_of(destination_of(job.lane)))
            _log.debug("job_delivered", **told, attempt=number, status=report.status, took_ms=report.duration_ms)
            return
        is_dead = following.state is not State.PENDING
        if not self._may_tell(self._dead if is_dead else self._failed):
            return
        told = self._told(job, number, report, error)
        if is_dead:
            _log.warning("job_dead" if following.state is State.DEAD else "job_unknown", **told)
        else:
            assert following.retry_at_ms is not None
            _log.info("attempt_failed", **told, next_attempt_at=format_time(following.retry_at_ms))

    def lost(self, job: NamedJob, ended: Ended) -> None:
        """A job is over because the node that attempted it was lost."""
        if self._may_tell(self._dead):
            told: dict[str, Any] = {"destination": job.destination, "attempt": ended.attempt, "error": ended.error}
            told |= _named(job.id, job.tenant)
            _log.warning("job_dead" if ended.state is State.DEAD else "job_unknown", **told)

    def _may_tell(self, budget: LineBudget) -> bool:
        """Is there room for a line? If not, what is left out is counted and told soon."""
        if budget.take(self._clock.boot_ms()):
            return True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD_MS / 1_000, self.tell_left_out)
        return False

    def tell_left_out(self) -> None:
        """Say how many lines are missing, if any are."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if left_out := self._failed.take_left_out():
            _log.info("attempts_failed_left_out", count=left_out)
        if left_out := self._dead.take_left_out():
            _log.warning("jobs_dead_left_out", count=left_out)

    def _told(self, job: ClaimedJob, number: int, report: Report, error: str | None) -> dict[str, Any]:
        spec = job.spec
        told = _named(job.id, self._tenant_of(destination_of(job.lane)))
        told |= {"destination": spec.destination, "attempt": number}
        if (trace_id := trace_id_of(spec.traceparent)) is not None:
            told["trace_id"] = trace_id
        if report.status is not None:
            told["status"] = report.status
        if error:
            headers = self._opened(spec).headers
            told["error"] = without_echoes(error, hidden_values(headers, spec.redact).values())
        return told


def _named(job_id: str, tenant: str) -> dict[str, Any]:
    """The job; two tenants can have the same id."""
    return {"job": job_id, "tenant": tenant} if tenant else {"job": job_id}
