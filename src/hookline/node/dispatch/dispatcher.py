"""The dispatcher: claims due jobs, hands them out, and puts their outcomes into the log. Runs on the leader only.

A slot is taken from the moment a claim is proposed until its attempt is over. The outcome and the claim that takes
the slot over go into the log in this order, so there are never more open claims than slots, and a slot is idle for
one commit only. No claim is handed out before it is committed.

Nothing ticks: it sleeps until the earliest due time and is woken by what happens.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hookline.node.clocks.guarded import GuardedClock
from hookline.node.dispatch.due import Due
from hookline.node.dispatch.exchange import LocalExchange
from hookline.node.dispatch.outcomes import Outcomes
from hookline.node.dispatch.plan import Now, Plan
from hookline.node.dispatch.secrets import SealedSecrets
from hookline.node.replica import Replica
from hookline.node.state_machine.effects import Effects, Ended
from hookline.node.state_machine.leader_reads import ClaimedJob, Configured, LeaderReads
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Frame, Orders
from hookline.protocol.codec import split
from hookline.protocol.commands import AnyCommand, Claimed, ClaimJobs, RecordOutcome, Result
from hookline.protocol.jobs import destination_of

_CLAIM_SLACK_MS = 5_000  # from the proposal of a claim until its attempt has begun, and then to tell the outcome
_SLEEP_MAX_S = 60.0  # wake now and then, so that a step of the wall clock cannot leave us asleep


@dataclass(slots=True, eq=False)
class _Proposed:
    """A claim on its way into the log. Two may name one job: of them one at most is granted."""

    due: Due
    is_cancelled: bool = False


@dataclass(slots=True, eq=False)
class _Open:
    """A claim of this term that was handed out."""

    lane: int
    job: ClaimedJob
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    """The contents of one proposal: the claims whose outcomes it records, and those it makes."""

    recorded: tuple[ClaimRef, ...]
    claims: tuple[_Proposed, ...]
    begun_by_ms: int


class Dispatcher:
    """Keeps the runner busy within the plan.

    Args:
        owner: the runner's process, as claims name it.
        exchange: the way to the runner.
        outcomes: judges reports.
        clock_was_set: called when it notices that the time was set.
    """

    def __init__(
        self,
        replica: Replica,
        reads: LeaderReads,
        clock: GuardedClock,
        *,
        owner: str,
        plan: Plan,
        secrets: SealedSecrets,
        exchange: LocalExchange,
        outcomes: Outcomes,
        clock_was_set: Callable[[], None] = lambda: None,
    ) -> None:
        self._replica = replica
        self._reads = reads
        self._clock = clock
        self._owner = owner
        self._plan = plan
        self._secrets = secrets
        self._exchange = exchange
        self._outcomes = outcomes
        self._clock_was_set = clock_was_set
        self._proposed: dict[_Proposed, None] = {}  # a set whose order does not depend on memory addresses
        self._open: dict[ClaimRef, _Open] = {}
        self._may_find_more = True  # something became free, or may start after all, since the plan was asked last
        self._is_stopping = False
        self._is_closed = False
        self._error: BaseException | None = None

    def start(self) -> None:
        """Read what is pending, and the destinations' settings, from the state; then follow what is committed."""
        for known in self._reads.destinations():
            self._configure(known)
        for lane in self._reads.lanes():
            self._plan.open_lane(lane)
        self._refill()
        self._replica.listen(self._on_commit)

    def _now(self) -> Now:
        wall_ms = self._clock.wall_ms()
        return Now(wall_ms, self._clock.boot_ms(), self._clock.steps)

    def _on_commit(self, effects: Effects) -> None:
        if effects.due:
            self._plan.committed(effects.due)
            self.wake()
        if effects.aborted:
            self._abort(set(effects.aborted))
        for changed in effects.destinations:
            found = self._reads.destination(changed.number)
            if found is not None:
                self._configure(found)
                self._look_again()

    def _configure(self, known: Configured) -> None:
        self._plan.configure(known.number, known.settings, self._now())
        self._secrets.put(known.number, known.settings)

    def _abort(self, seqs: set[int]) -> None:
        """Jobs were cancelled while an attempt was under way."""
        for proposed in self._proposed:
            proposed.is_cancelled |= proposed.due.seq in seqs
        for ref, claim in self._open.items():
            claim.is_cancelled |= ref.seq in seqs
        self._exchange.cancel(seqs)

    def lost(self, ended: Sequence[Ended]) -> None:
        """Write into the log which jobs are over because their node was lost."""
        self._outcomes.lost(ended, self._reads.named(one.seq for one in ended))

    async def run(self) -> None:
        """Claim until ``stop``, then record what comes; return when nothing is open, or after ``close``."""
        try:
            while not self._is_over():
                if self._error is not None:
                    raise self._error
                self._exchange.wake.clear()
                await self._rest(self._step())
        finally:
            self._outcomes.tell_left_out()

    def _is_over(self) -> bool:
        return self._is_closed or (self._is_stopping and not self._open and not self._proposed)

    async def _rest(self, now: Now) -> None:
        """Until something happens, or is due after ``now``: what was due by then waits for room."""
        if self._exchange.wake.is_set() or self._is_over():
            return
        next_ms, wait_s = self._plan.next_ms(), _SLEEP_MAX_S
        if next_ms is not None and next_ms > now.wall_ms:
            wait_s = min(wait_s, (next_ms - now.wall_ms) / 1_000)
        timer = asyncio.get_running_loop().call_later(wait_s, self._exchange.wake.set)
        await self._exchange.wake.wait()
        timer.cancel()

    @property
    def claims(self) -> int:
        """Claims that have a slot, proposed or handed out."""
        return len(self._proposed) + len(self._open)

    def wake(self) -> None:
        """There may be something to claim, or the time was set."""
        self._exchange.wake.set()

    def _look_again(self) -> None:
        self._may_find_more = True
        self.wake()

    def stop(self) -> None:
        """Claim nothing more; ``run`` returns when the running attempts are recorded."""
        self._is_stopping = True
        self.wake()

    def forget_proposed(self) -> None:
        """Claims that are not committed are left to the next term."""
        self._proposed.clear()
        self.wake()

    def close(self) -> None:
        """Propose nothing more: reports that come are kept by the exchange."""
        self._is_closed = self._is_stopping = True
        self.wake()

    # --- one step: outcomes into the log, and claims for the slots they leave ----------------------------------

    def _step(self) -> Now:
        now = self._now()
        if self._plan.notice(now):
            self._may_find_more = True
            self._clock_was_set()
        commands: list[RecordOutcome | ClaimJobs] = list(self._recorded(now))
        begun_by_ms = now.wall_ms + _CLAIM_SLACK_MS
        claims = tuple(_Proposed(due) for due in self._take(now))
        self._proposed |= dict.fromkeys(claims)
        if claims:
            jobs = tuple((it.due.seq, it.due.due_ms) for it in claims)
            commands.append(ClaimJobs(jobs, begun_by_ms, self._owner))
        parts = split(commands)  # answers can be big: they need not fit into one entry
        for number, part in enumerate(parts, 1):
            recorded = tuple(ClaimRef(it.seq, it.attempt) for it in part if isinstance(it, RecordOutcome))
            self._propose(part, _Entry(recorded, claims if number == len(parts) else (), begun_by_ms))
        return now

    def _take(self, now: Now) -> list[Due]:
        limit = self._plan.free - self._exchange.earlier
        if self._is_stopping or limit <= 0:
            return []
        next_ms = self._plan.next_ms()
        if not self._may_find_more and (next_ms is None or next_ms > now.wall_ms):
            return []
        self._may_find_more = False
        taken = self._plan.take(now, limit)
        while self._refill() and len(taken) < limit:
            more = self._plan.take(now, limit - len(taken))
            if not more:
                break
            taken += more
        return taken

    def _refill(self) -> bool:
        shorts = self._plan.short()
        for short in shorts:
            self._plan.refill(short, self._reads.lane_rows(short.lane, short.after, short.limit))
        return bool(shorts)

    def _propose(self, commands: Sequence[AnyCommand], entry: _Entry) -> None:
        future = self._replica.propose(commands, no_timeout=True)
        future.add_done_callback(lambda done: self._committed(entry, done))

    def _committed(self, entry: _Entry, done: asyncio.Future[list[Result]]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            self._exchange.recorded(entry.recorded)
            try:
                self._hand_out(entry, done.result()[-1])
            except Exception as failure:  # noqa: BLE001 - in a callback it would be lost, and with it the slots
                error = failure
        if error is not None:
            self._error = error
            self.wake()

    def _hand_out(self, entry: _Entry, claimed: Result) -> None:
        granted = dict(claimed.granted) if entry.claims and isinstance(claimed, Claimed) else {}
        jobs = self._reads.claimed(granted)
        now = self._now()
        claims: list[Claim] = []
        for proposed in entry.claims:
            if proposed not in self._proposed:  # it was forgotten
                continue
            del self._proposed[proposed]
            due = proposed.due
            attempt = granted.pop(due.seq, None)
            if attempt is None or proposed.is_cancelled:
                self._plan.refused(now, due.lane)
                self._look_again()
                continue
            self._plan.began(now, due.lane)
            job = jobs[due.seq]
            ref = ClaimRef(due.seq, attempt)
            self._open[ref] = _Open(due.lane, job)
            claims.append(self._claim(ref, due, job, entry.begun_by_ms))
        if claims:
            self._exchange.give(claims)

    def _claim(self, ref: ClaimRef, due: Due, job: ClaimedJob, begun_by_ms: int) -> Claim:
        spec = job.spec
        return Claim(
            ref=ref,
            term=self._replica.term,
            due_ms=due.due_ms,
            ends_ms=begun_by_ms + spec.timeout_ms,
            job_id=job.id,
            run_at_ms=job.run_at_ms,
            spec=spec,
            sealed=self._secrets.of(spec, destination_of(due.lane)),
        )

    # --- reports -------------------------------------------------------------------------------------------------

    def _recorded(self, now: Now) -> list[RecordOutcome]:
        """The outcomes of the attempts that are over; their slots are free."""
        reports = [] if self._is_closed else self._exchange.take_reports()
        if not reports:
            return []
        self._may_find_more = True
        found: list[RecordOutcome] = []
        late: list[ClaimReport] = []
        for it in reports:
            claim = self._open.pop(it.ref, None)
            if claim is None:
                late.append(it)
                continue
            report = it.report
            if report.is_held:
                self._secrets.held_for(self._secrets.of(claim.job.spec, destination_of(claim.lane)))
            load = self._plan.load(destination_of(claim.lane))
            policy = None if load is None else load.settings.retry
            found.append(
                self._outcomes.decide(it, claim.job, policy, now_ms=now.wall_ms, is_told=not claim.is_cancelled)
            )
            self._plan.ended(now, claim.lane, report.verdict, report.duration_ms)
        return found + self._late(late, now) if late else found

    def _late(self, reports: Sequence[ClaimReport], now: Now, node: str | None = None) -> list[RecordOutcome]:
        """The outcomes to record of claims of earlier terms. Those of jobs that are gone are forgotten."""
        found = []
        seqs = {it.ref.seq for it in reports}
        jobs, is_open = self._reads.claimed(seqs), self._reads.open_claims(seqs)
        for it in reports:
            job = jobs.get(it.ref.seq)
            if job is None:
                self._exchange.recorded([it.ref])
                continue
            known = self._reads.destination(destination_of(job.lane))
            policy = None if known is None else known.settings.retry
            is_told = it.ref in is_open
            found.append(self._outcomes.decide(it, job, policy, now_ms=now.wall_ms, node=node, is_told=is_told))
        return found

    async def swap(self, frame: Frame) -> Orders:
        """Record what another process reports of claims of earlier terms, and say which of them it shall break off.

        Raises what ``Replica.propose`` raises.
        """
        outcomes = self._late(frame.reports, self._now(), frame.node)
        for part in split(outcomes):
            await self._replica.propose(part)
        is_open = self._reads.open_claims(ref.seq for ref in frame.held)
        return Orders(tuple(ref for ref in frame.held if ref not in is_open))
