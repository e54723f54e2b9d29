"""The dispatcher: claims due jobs, hands them out, and puts their outcomes into the log. Runs on the leader only.

A slot is taken from the moment a claim is proposed until its attempt is over; the outcome and the claim that follows
go into the log in this order. No claim is handed out before it is committed. A few claims are ahead of the slots, so
there are never more open claims than slots and an eighth, and no slot is idle for a commit. While slots are free
everything is proposed at once; while all are busy, reports gather for a moment (decision 27).

Nothing ticks: it sleeps until the earliest due time and is woken by what happens.
"""

import asyncio
from collections.abc import Callable, Sequence

from hookline.node.clocks.guarded import GuardedClock
from hookline.node.dispatch.due import Due
from hookline.node.dispatch.entries import HandedOutClaim, ProposedClaim, ProposedEntry, recorded_by
from hookline.node.dispatch.fresh import FreshJobs
from hookline.node.dispatch.outcomes import Outcomes
from hookline.node.dispatch.plan import Now, Plan
from hookline.node.dispatch.recent import RecentTallies
from hookline.node.dispatch.seats import Seat, Seats
from hookline.node.dispatch.secrets import SealedSecrets
from hookline.node.replica import Replica
from hookline.node.state_machine.effects import Effects, Ended
from hookline.node.state_machine.leader_reads import ClaimedJob, Configured, LeaderReads
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport
from hookline.protocol.codec import split
from hookline.protocol.commands import AnyCommand, Claimed, ClaimJobs, LoseClaims, RecordOutcome, Result
from hookline.protocol.jobs import Outcome, destination_of

_CLAIM_SLACK_MS = 5_000  # from the proposal of a claim until its attempt has begun, and then to tell the outcome
_GATHER_S = 0.005  # how long reports gather while every slot is busy
_SLEEP_MAX_S = 60.0  # wake now and then, so that a step of the wall clock cannot leave us asleep


class Dispatcher:
    """Keeps the runners busy within the plan.

    Args:
        seats: the runners.
        outcomes: judges reports.
        clock_was_set: called when it notices that the time was set.
    """

    def __init__(
        self,
        replica: Replica,
        reads: LeaderReads,
        clock: GuardedClock,
        *,
        plan: Plan,
        secrets: SealedSecrets,
        seats: Seats,
        outcomes: Outcomes,
        clock_was_set: Callable[[], None] = lambda: None,
    ) -> None:
        self._replica = replica
        self._reads = reads
        self._clock = clock
        self._plan = plan
        self._secrets = secrets
        self._seats = seats
        self._outcomes = outcomes
        self._clock_was_set = clock_was_set
        self.recent = RecentTallies(clock.boot_ms())
        self._fresh = FreshJobs()
        self._proposed: dict[ProposedClaim, None] = {}  # a set whose order does not depend on memory addresses
        self._open: dict[ClaimRef, HandedOutClaim] = {}
        self._may_find_more = True  # something became free, or may start after all, since the plan was asked last
        self._is_stopping = False
        self._is_closed = False
        self._error: BaseException | None = None

    def start(self) -> None:
        """Read what is pending, and the destinations' settings, from the state; then follow what is committed."""
        for known in self._reads.destinations():
            self._configure(known)
        for tenant in self._replica.tenants.names:
            self._weigh(tenant)
        for lane in self._reads.lanes():
            self._plan.open_lane(lane)
        self._refill()
        self._seats.changed(self._replica.mode)
        self.seats_changed()
        self._replica.listen(self._on_commit)

    def _now(self) -> Now:
        wall_ms = self._clock.wall_ms()
        return Now(wall_ms, self._clock.boot_ms(), self._clock.steps)

    def _on_commit(self, effects: Effects) -> None:
        if effects.due:
            self._fresh.committed(effects, self._clock.wall_ms())
            self._plan.committed(effects.due)
            self.wake()
        if effects.aborted:
            self._abort(set(effects.aborted))
        for lost in effects.lost:
            self._forget(ClaimRef(*lost))
        if effects.mode_changed:
            self._seats.changed(self._replica.mode)
            self.seats_changed()
        for changed in effects.destinations:
            found = self._reads.destination(changed.number)
            if found is not None:
                self._configure(found)
                self._look_again()
        for tenant in effects.tenants:
            self._weigh(tenant)

    def seats_changed(self) -> None:
        """There are more slots, or fewer."""
        self._plan.resize(self._seats.slots, self._seats.ahead)
        self._look_again()

    def _configure(self, known: Configured) -> None:
        self._plan.configure(known.number, known.settings, self._now())
        self._secrets.put(known.number, known.settings)

    def _weigh(self, tenant: str) -> None:
        self._plan.weigh(tenant, self._replica.tenants.of(tenant).weight)

    def _abort(self, seqs: set[int]) -> None:
        """Jobs were cancelled while an attempt was under way."""
        for proposed in self._proposed:
            proposed.is_cancelled |= proposed.due.seq in seqs
        for ref, claim in self._open.items():
            claim.is_cancelled |= ref.seq in seqs
        self._seats.cancel(seqs)

    def _forget(self, ref: ClaimRef) -> None:
        """The claim is lost: its slot is free, its attempt is broken off, and its report changes nothing."""
        self._seats.cancel({ref.seq})
        self._seats.forget(ref)
        if (claim := self._open.pop(ref, None)) is not None:
            claim.seat.taken -= 1
            self._plan.ended(self._now(), claim.due.lane, "none", 0)
            self._look_again()

    def lost(self, ended: Sequence[Ended]) -> None:
        """Write into the log which jobs are over because their node was lost."""
        self._outcomes.lost(ended, self._reads.named(one.seq for one in ended))

    async def run(self) -> None:
        """Claim until ``stop``, then record what comes; return when nothing is open, or after ``close``."""
        try:
            while not self._is_over():
                if self._error is not None:
                    raise self._error
                self._seats.wake.clear()
                await self._rest(self._step())
                await self._gather()
        finally:
            self._outcomes.tell_left_out()

    def _is_over(self) -> bool:
        return self._is_closed or (self._is_stopping and not self._open and not self._proposed)

    async def _rest(self, now: Now) -> None:
        """Until something happens, or is due after ``now``: what was due by then waits for room."""
        if self._seats.wake.is_set() or self._is_over():
            return
        next_ms, wait_s = self._plan.next_ms(), _SLEEP_MAX_S
        if next_ms is not None and next_ms > now.wall_ms:
            wait_s = min(wait_s, (next_ms - now.wall_ms) / 1_000)
        timer = asyncio.get_running_loop().call_later(wait_s, self._seats.wake.set)
        await self._seats.wake.wait()
        timer.cancel()

    async def _gather(self) -> None:
        """While every slot is busy, and claims are ahead, nothing is lost by taking more reports into one entry."""
        wake, is_over = self._seats.wake, False

        def end() -> None:
            nonlocal is_over
            is_over = True
            wake.set()

        timer: asyncio.TimerHandle | None = None
        while not is_over and self._is_busy():
            timer = timer or asyncio.get_running_loop().call_later(_GATHER_S, end)
            wake.clear()
            await wake.wait()
        if timer is not None:
            timer.cancel()

    def _is_busy(self) -> bool:
        """Will no slot be idle soon?"""
        return self._error is None and not self._is_stopping and self._seats.is_busy(self._clock.boot_ms())

    @property
    def claims(self) -> int:
        """Claims that have a slot, proposed or handed out."""
        return len(self._proposed) + len(self._open)

    def wake(self) -> None:
        """There may be something to claim, or the time was set."""
        self._seats.wake.set()

    def _look_again(self) -> None:
        self._may_find_more = True
        self.wake()

    def stop(self) -> None:
        """Claim nothing more; ``run`` returns when the running attempts are recorded."""
        self._is_stopping = True
        self.wake()

    def forget_proposed(self) -> None:
        """Claims that are not committed are left to the next term."""
        for proposed in self._proposed:
            proposed.seat.taken -= 1
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
        commands = self._recorded(now)
        begun_by_ms = now.wall_ms + _CLAIM_SLACK_MS
        claims = self._claims(now)
        for its in claims:
            jobs = tuple((it.due.seq, it.due.due_ms) for it in its)
            commands.append(ClaimJobs(jobs, begun_by_ms, its[0].seat.owner))
        parts = split(commands)  # answers can be big: they need not fit into one entry
        made = iter(claims)
        for part in parts:
            recorded = tuple(ref for it in part for ref in recorded_by(it))
            own = tuple(next(made) for it in part if isinstance(it, ClaimJobs))
            self._propose(part, ProposedEntry(recorded, own, begun_by_ms))
        return now

    def _claims(self, now: Now) -> list[tuple[ProposedClaim, ...]]:
        """The claims to propose, by seat."""
        taken = self._take(now)
        of: dict[Seat, list[ProposedClaim]] = {}
        for due, seat in zip(taken, self._seats.share(len(taken), now.boot_ms), strict=True):
            proposed = ProposedClaim(due, seat)
            self._proposed[proposed] = None
            of.setdefault(seat, []).append(proposed)
        return [tuple(its) for its in of.values()]

    def _take(self, now: Now) -> list[Due]:
        limit = min(self._plan.free, self._seats.room(now.boot_ms))
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

    def _propose(self, commands: Sequence[AnyCommand], entry: ProposedEntry) -> None:
        future = self._replica.propose(commands, no_timeout=True)
        future.add_done_callback(lambda done: self._committed(entry, done))

    def _committed(self, entry: ProposedEntry, done: asyncio.Future[list[Result]]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            self._seats.recorded(entry.recorded)
            try:
                self._hand_out(entry, done.result())
            except Exception as failure:  # noqa: BLE001 - in a callback it would be lost, and with it the slots
                error = failure
        if error is not None:
            self._error = error
            self.wake()

    def _hand_out(self, entry: ProposedEntry, results: Sequence[Result]) -> None:
        if not entry.claims:
            return
        granted = [dict(it.granted) for it in results if isinstance(it, Claimed)]
        jobs = self._fresh.take(seq for its in granted for seq in its)
        jobs |= self._reads.claimed(seq for its in granted for seq in its if seq not in jobs)
        now = self._now()
        claims: list[tuple[Seat, Claim]] = []
        for proposals, attempts in zip(entry.claims, granted, strict=True):
            for proposed in proposals:
                if proposed not in self._proposed:  # it was forgotten
                    continue
                del self._proposed[proposed]
                due, seat = proposed.due, proposed.seat
                attempt = attempts.pop(due.seq, None)
                if attempt is None or proposed.is_cancelled:
                    seat.taken -= 1
                    self._plan.refused(now, due.lane)
                    self._look_again()
                    continue
                self._plan.began(now, due.lane)
                job = jobs[due.seq]
                ref = ClaimRef(due.seq, attempt)
                self._open[ref] = HandedOutClaim(due, seat, job)
                claims.append((seat, self._claim(ref, due, job, entry.begun_by_ms)))
        self._seats.give(claims)

    def _claim(self, ref: ClaimRef, due: Due, job: ClaimedJob, begun_by_ms: int) -> Claim:
        spec, destination = job.spec, destination_of(due.lane)
        return Claim(
            ref=ref,
            term=self._replica.term,
            due_ms=due.due_ms,
            ends_ms=begun_by_ms + spec.timeout_ms,
            job_id=job.id,
            run_at_ms=job.run_at_ms,
            spec=spec,
            sealed=self._secrets.of(spec, destination),
            access=self._secrets.access_of(destination),
            tenant=self._replica.tenant_of(destination),
        )

    # --- reports -------------------------------------------------------------------------------------------------

    def _recorded(self, now: Now) -> list[AnyCommand]:
        """The outcomes of the attempts that are over; their slots are free."""
        reports = [] if self._is_closed else self._seats.take_reports(now.boot_ms)
        if not reports:
            return []
        self._may_find_more = True
        found: list[AnyCommand] = []
        lost: list[ClaimRef] = []
        late: dict[Seat, list[ClaimReport]] = {}
        for seat, it in reports:
            claim = self._open.pop(it.ref, None)
            if it.report.is_lost:
                lost.append(it.ref)
            elif claim is None:
                late.setdefault(seat, []).append(it)
            else:
                found.append(self._outcome(it, claim, seat, now))
            if claim is not None:
                seat.taken -= 1
                self._plan.ended(now, claim.due.lane, it.report.verdict, it.report.duration_ms)
        if lost:
            found.append(LoseClaims(tuple(lost)))
        for seat, its in late.items():
            found += self._late(its, now, seat.name)
        return found

    def _outcome(self, it: ClaimReport, claim: HandedOutClaim, seat: Seat, now: Now) -> RecordOutcome:
        destination = destination_of(claim.due.lane)
        if it.report.is_held:
            self._secrets.held_for(claim.job.spec, destination)
        load = self._plan.load(destination)
        policy = None if load is None else load.settings.retry
        self._outcomes.began(it.report.started_ms - claim.due.due_ms, claim.job)
        found = self._outcomes.decide(
            it, claim.job, policy, now_ms=now.wall_ms, node=seat.name, is_told=not claim.is_cancelled
        )
        if not found.is_free:
            is_success = found.outcome is Outcome.SUCCESS
            self.recent.ended(now.boot_ms, destination, it.report.duration_ms, is_success=is_success)
        return found

    def _late(self, reports: Sequence[ClaimReport], now: Now, node: str) -> list[RecordOutcome]:
        """The outcomes to record of claims of earlier terms. Those of jobs that are gone are forgotten."""
        found = []
        seqs = {it.ref.seq for it in reports}
        jobs, is_open = self._reads.claimed(seqs), self._reads.open_claims(seqs)
        for it in reports:
            job = jobs.get(it.ref.seq)
            if job is None:
                self._seats.recorded([it.ref])
                continue
            known = self._reads.destination(destination_of(job.lane))
            policy = None if known is None else known.settings.retry
            is_told = it.ref in is_open
            found.append(self._outcomes.decide(it, job, policy, now_ms=now.wall_ms, node=node, is_told=is_told))
        return found
