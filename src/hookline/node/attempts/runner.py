"""The runner: turns claims into reports. It knows no log, no state and no leader but its exchange."""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

from hookline.clock import Clock
from hookline.lack import is_lack
from hookline.node.attempts.delivery import Delivery
from hookline.node.attempts.transport import NOT_LEADING
from hookline.node.dispatch.exchange import Exchange, Inbox
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Report, not_sent
from hookline.protocol.durations import format_duration
from hookline.protocol.jobs import Outcome, trace_id_of
from hookline.telemetry.area_log import log_of

_log = log_of("attempts")


@dataclass(slots=True, eq=False)
class _Attempt:
    """``has_begun``: a task that is cancelled before its first step would never run, and tell nothing."""

    claim: Claim
    task: asyncio.Task[None] | None = None
    has_begun: bool = False
    broken_off: Literal["cancelled", "stopped"] | None = None


class Attempts(Protocol):
    """Makes a node's attempts over all its terms, in this process (``Runner``) or in others (``AttemptProcesses``)."""

    @property
    def running(self) -> int:
        """Claims whose report was not made yet."""

    def attach(self, exchange: Exchange) -> None:
        """Another leads now, or this node does: orders come from there, reports go there. Attempts go on."""

    async def run(self) -> None:
        """Until cancelled."""

    async def end(self, grace_s: float) -> None:
        """Wait for all attempts, but not longer; then break them off. Their reports are made when it returns."""

    def break_off(self) -> None:
        """End the attempts under way, and those that are about to begin; that is their outcome."""

    def leave(self) -> None:
        """Have no more claims asked for."""

    async def drained(self) -> None:
        """Return when every report is recorded."""


class Runner:
    """Makes attempts in this process, ``slots`` at a time; the claims beyond that wait here for the next free slot.

    Args:
        delivery: makes one attempt.
        exchange: the first one; ``attach`` puts another in its place.
        slots: attempts that are made at once.
    """

    def __init__(self, delivery: Delivery, clock: Clock, exchange: Exchange, *, slots: int) -> None:
        self._delivery = delivery
        self._clock = clock
        self._slots = slots
        self._inbox = Inbox()
        self._attempts: dict[ClaimRef, _Attempt] = {}
        self._waiting: deque[_Attempt] = deque()  # of these, those that have no slot yet
        self._in_slots = 0
        self._tasks = asyncio.TaskGroup()
        self._changed = asyncio.Event()  # attempts have begun, or one has ended
        self._is_over = False
        self._is_leaving = False
        self._exchange = exchange
        exchange.open(self._inbox, ())
        exchange.offer(slots)

    @property
    def running(self) -> int:
        return len(self._attempts)

    def attach(self, exchange: Exchange) -> None:
        unrecorded = self._exchange.close()
        self._exchange = exchange
        exchange.open(self._inbox, tuple(self._attempts))
        exchange.offer(self._slots)
        for report in unrecorded:
            exchange.report(report)
        if self._is_leaving:
            exchange.leave()
        self._fill_slots()

    async def run(self) -> None:
        async with self._tasks:
            while True:
                await self._inbox.filled.wait()
                claims, cancelled = self._inbox.take()
                for claim in claims:
                    attempt = self._attempts[claim.ref] = _Attempt(claim)
                    attempt.broken_off = "stopped" if self._is_over else None
                    self._waiting.append(attempt)
                for ref in cancelled:
                    if (found := self._attempts.get(ref)) is not None:
                        _break_off(found, "cancelled")
                self._give_back_broken_off()
                self._fill_slots()
                self._changed.set()

    def _fill_slots(self) -> None:
        """Begin those that wait, as far as there are slots; give back what may not be sent any more."""
        while self._waiting:
            may_send = self._may_send(self._waiting[0].claim.term)
            if may_send and self._in_slots == self._slots:
                return
            attempt = self._waiting.popleft()
            if may_send:
                self._in_slots += 1
                attempt.task = self._tasks.create_task(self._make(attempt))
            else:
                self._give_back(attempt)

    def _give_back_broken_off(self) -> None:
        broken_off = [attempt for attempt in self._waiting if attempt.broken_off is not None]
        for attempt in broken_off:
            self._waiting.remove(attempt)
            self._give_back(attempt)

    def _give_back(self, attempt: _Attempt) -> None:
        self._ended(attempt, _not_begun(attempt, self._clock.wall_ms()))

    async def end(self, grace_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._idle()
        self.break_off()
        await self._idle()

    async def _idle(self) -> None:
        while self._attempts or self._inbox.filled.is_set():
            self._changed.clear()
            await self._changed.wait()

    def break_off(self) -> None:
        self._is_over = True
        if self._attempts:
            _log.warning("attempts_broken_off", running=self.running)
        for attempt in self._attempts.values():
            _break_off(attempt, "stopped")
        self._give_back_broken_off()

    def leave(self) -> None:
        self._is_leaving = True
        self._exchange.leave()

    async def drained(self) -> None:
        await self._exchange.drained()

    def _may_send(self, term: int) -> bool:
        return self._clock.boot_ms() < self._exchange.valid_until_ms(term)

    async def _make(self, attempt: _Attempt) -> None:
        attempt.has_begun = True
        claim = attempt.claim
        started_ms = self._clock.wall_ms()
        try:
            report = await self._delivery.attempt(claim, partial(self._may_send, claim.term))
        except asyncio.CancelledError:
            if attempt.broken_off is None:
                raise
            report = _broken_off(attempt, started_ms, max(0, self._clock.wall_ms() - started_ms))
        except Exception as error:  # noqa: BLE001 - our own fault must cost this job an attempt, not the node its life
            trace_id = trace_id_of(claim.spec.traceparent)
            _log.exception("attempt_failed_inside", job=claim.job_id, trace_id=trace_id)
            what = f"internal: {error!r}"[:500]
            lacks = is_lack(error)  # then it cannot have been sent
            report = Report(
                Outcome.RETRYABLE_FAILURE, "none", started_ms, 0, not lacks, error=what, costs_no_attempt=lacks
            )
        self._in_slots -= 1
        self._ended(attempt, report)
        self._fill_slots()

    def _ended(self, attempt: _Attempt, report: Report) -> None:
        claim = attempt.claim
        del self._attempts[claim.ref]
        self._changed.set()
        self._exchange.report(ClaimReport(claim.ref, claim.term, report))


def _break_off(attempt: _Attempt, why: Literal["cancelled", "stopped"]) -> None:
    attempt.broken_off = attempt.broken_off or why
    if attempt.task is not None and attempt.has_begun:
        attempt.task.cancel()


def _not_begun(attempt: _Attempt, now_ms: int) -> Report:
    """The result of an attempt for which there was no slot before it had to be given back."""
    why = {"cancelled": "cancelled before the request left", "stopped": "the node was stopped before the request left"}
    error = NOT_LEADING if attempt.broken_off is None else why[attempt.broken_off]
    return not_sent(error, now_ms)


def _broken_off(attempt: _Attempt, started_ms: int, took_ms: int) -> Report:
    """Reports an attempt that this node ended; the request may have been handled."""
    if attempt.broken_off == "cancelled":
        error = "cancelled while the request was under way"
        return Report(Outcome.UNKNOWN, "none", started_ms, took_ms, True, error=error)
    error = (
        f"broken off after {format_duration(took_ms)}: the node was stopped, and waits no longer than --shutdown-grace"
    )
    if attempt.claim.spec.at_most_once:
        return Report(Outcome.UNKNOWN, "none", started_ms, took_ms, True, error=error)
    return Report(Outcome.RETRYABLE_FAILURE, "none", started_ms, took_ms, True, error=error, costs_no_attempt=True)
