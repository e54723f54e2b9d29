"""Does what the state machine should do, as plainly as possible: dicts and loops, no SQL, no speed."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hookline.protocol import commands as c
from hookline.protocol.api_keys import decode_key
from hookline.protocol.codec import Entry
from hookline.protocol.jobs import PAYLOAD_REMOVED, Outcome, State, lane_of
from hookline.protocol.limits import LOST_CLAIMS_MAX
from hookline.protocol.modes import Mode
from hookline.protocol.settings import decode_destination

_START_OF_2026_MS = 1_767_225_600_000
FINISHED = (State.SUCCEEDED, State.DEAD, State.CANCELLED, State.UNKNOWN)
Name = tuple[str, str]  # the tenant, and what it chose
OPEN = (State.PENDING, State.RUNNING)


@dataclass
class Job:
    seq: int
    tenant: str
    id: str
    destination: int
    priority: int
    due_ms: int
    run_at_ms: int
    created_ms: int
    budget_from_ms: int
    at_most_once: bool
    size: int
    timeout_ms: int
    spec: bytes
    fingerprint: bytes
    labels: tuple[str, ...]
    kept_until_ms: int
    schedule: int | None = None
    state: State = State.PENDING
    is_retry: bool = False
    finished_ms: int | None = None
    attempts: int = 0
    attempts_before: int = 0
    lost: int = 0
    claim: tuple[int, int, str] | None = None  # (term, deadline, owner); a job cancelled in flight keeps it
    claimed_ms: int = 0
    revision: int = 1

    @property
    def lane(self) -> int:
        return lane_of(self.destination, self.priority, self.is_retry)


@dataclass
class Schedule:
    seq: int
    put: c.PutSchedule
    created_ms: int
    next_tick_ms: int | None
    revision: int = 1
    last_tick_ms: int | None = None
    last_job: int | None = None
    made: int = 0
    skipped: int = 0


@dataclass
class Model:
    jobs: dict[int, Job] = field(default_factory=dict)
    keys: dict[Name, tuple[int, bytes, int]] = field(default_factory=dict)
    attempts: dict[tuple[int, int], tuple[Outcome, int]] = field(default_factory=dict)  # and when they started
    schedules: dict[Name, Schedule] = field(default_factory=dict)
    destinations: dict[Name, tuple[int, bytes | None]] = field(default_factory=dict)
    jobs_ever: int = 0
    schedules_ever: int = 0
    topology: c.SetTopology | None = None
    settings_epoch: int = 0
    mode: Mode = "leader"
    api_keys: dict[str, tuple[bytes, int]] = field(default_factory=dict)  # record, last use
    audit: dict[str, tuple[int, c.AuditNote, c.AuditOutcome, int, str]] = field(
        default_factory=dict
    )  # time, …, changed, code
    audit_gone: int = 0
    tenants: dict[str, bytes] = field(default_factory=dict)
    due: list[tuple[int, int, int]] = field(default_factory=list)
    aborted: list[int] = field(default_factory=list)

    def apply(self, entry: Entry) -> list[c.Result]:
        """The results; ``due`` and ``aborted`` are the effects of this entry."""
        self.due, self.aborted = [], []
        results: list[c.Result] = []
        for command in entry.commands:
            if isinstance(command, c.NoteAudit):
                results.append(self._note(entry.time_ms, command, results[-command.of] if command.of else None))
            else:
                results.append(self._apply(entry, command))
        return results

    def _note(self, now: int, command: c.NoteAudit, result: c.Result | None) -> c.Result:
        outcome, changed, code = command.outcome, 0, command.code
        if isinstance(result, c.Refused):
            outcome, code = "refused", result.code
        elif result is not None:
            changed = result.count if isinstance(result, c.Changed) else 1
            outcome, code = "done" if changed else "unchanged", ""
        if command.only_changes and outcome != "done":
            return c.Changed(0)
        known = self.audit.get(command.note.id)
        if known is None:
            self.audit[command.note.id] = (now, command.note, outcome, changed, code)
        elif outcome == "done":
            self.audit[command.note.id] = (*known[:2], "done", known[3] + changed, known[4])
        return c.Changed(1)

    def _apply(self, entry: Entry, command: c.AnyCommand) -> c.Result:  # noqa: C901, PLR0912 - one match, as in apply
        now = entry.time_ms
        match command:
            case c.BeginTerm():
                return self._begin_term(command, now)
            case c.ExpireClaims():
                return self._expire(command.owner, entry.term, now)
            case c.LoseClaims():
                lost = set(command.claims)
                return self._lose_all(lambda job, _term, _ends_ms, _owner: (job.seq, job.attempts) in lost, now)
            case c.CreateJob():
                return self._create(command, now)
            case c.ClaimJobs():
                return self._claim(command, entry.term, now)
            case c.RecordOutcome():
                return self._outcome(command, now)
            case c.CancelJobs():
                return self._cancel(command, now)
            case c.UpdateJob():
                return self._update(command)
            case c.RedriveJobs():
                return self._redrive(command)
            case c.PutSchedule():
                return self._put_schedule(command, now)
            case c.DeleteSchedule():
                gone = self.schedules.pop((command.tenant, command.id), None)
                return c.Changed(1) if gone else c.Refused("schedule_not_found")
            case c.RecordTicks():
                return self._ticks(command, now)
            case c.RunSchedule():
                return self._run_schedule(command, now)
            case c.PutDestination():
                name = (command.tenant, command.name)
                number = self._destination(name)
                is_new = self.destinations[name][1] != command.settings
                self.destinations[name] = (number, command.settings)
                return c.Changed(int(is_new))
            case c.ImportDestinations():
                if self.topology is not None and self.topology.epoch >= command.epoch:
                    return c.Refused("misdirected")
                for tenant, destination, settings in command.settings:
                    name = (tenant, destination)
                    self.destinations[name] = (self._destination(name), settings)
                self.tenants |= dict(command.tenants)
                self.settings_epoch = command.epoch if command.is_last else self.settings_epoch
                return c.Changed(len(command.settings))
            case c.PurgeFinished():
                return self._purge(command, now)
            case c.PurgeKeys():
                old = sorted(
                    (known[2], key, tenant)
                    for (tenant, key), known in self.keys.items()
                    if known[2] < command.before_ms
                )
                for _, key, tenant in old[: command.limit]:
                    del self.keys[tenant, key]
                return c.Changed(len(old[: command.limit]))
            case c.SetMode():
                before, self.mode = self.mode, command.mode
                return c.Changed(int(before != self.mode))
            case c.DeleteJob():
                return self._delete(command.seq)
            case c.DeletePayload():
                return self._delete_payload(command)
            case c.SetTopology():
                return self._set_topology(command)
            case c.PutTenant():
                is_new = self.tenants.get(command.tenant) != command.settings
                self.tenants[command.tenant] = command.settings
                return c.Changed(int(is_new))
            case c.PutApiKeys():
                return c.Changed(sum(self._put_api_key(key_id, record) for key_id, record in command.keys))
            case c.PurgeAudit():
                rows = list(enumerate(self.audit, self.audit_gone + 1))
                newest = self.audit_gone + len(rows)
                old_notes = [
                    note
                    for number, note in rows[: command.limit]
                    if self.audit[note][0] < command.before_ms or number <= newest - command.keep
                ]
                for note in old_notes:
                    del self.audit[note]
                self.audit_gone += len(old_notes)
                return c.Changed(len(old_notes))
            case c.TouchApiKeys():
                return c.Changed(sum(self._touch_api_key(key_id, used_ms) for key_id, used_ms in command.uses))
            case _:
                raise NotImplementedError(f"the model does not know {command}")

    # --- API keys -------------------------------------------------------------------------------------------------

    def _put_api_key(self, key_id: str, blob: bytes) -> bool:
        known = self.api_keys.get(key_id)
        if known is not None:
            new, old = decode_key(blob), decode_key(known[0])
            is_newer = new.revision > old.revision or (new.revision == old.revision and blob > known[0])
            if (new.revoked_ms is None, old.revoked_ms is None) == (True, False):
                is_newer = False
            elif (new.revoked_ms is None, old.revoked_ms is None) == (False, True):
                is_newer = True
            if not is_newer:
                return False
        self.api_keys[key_id] = (blob, 0 if known is None else known[1])
        return True

    def _touch_api_key(self, key_id: str, used_ms: int) -> bool:
        known = self.api_keys.get(key_id)
        if known is None or used_ms <= known[1]:
            return False
        self.api_keys[key_id] = (known[0], used_ms)
        return True

    # --- jobs -----------------------------------------------------------------------------------------------------

    def job_named(self, tenant: str, job_id: str) -> Job | None:
        return next((job for job in self.jobs.values() if (job.tenant, job.id) == (tenant, job_id)), None)

    def _set_topology(self, command: c.SetTopology) -> c.Result:
        if self.topology is None or command.epoch > self.topology.epoch:
            self.topology = command
            return c.Changed(1)
        before, now = self.topology.decided_by, command.decided_by
        if command.epoch == self.topology.epoch and now is not None and (before is None or now < before):
            self.topology = command
            return c.Changed(1)
        if command.epoch < self.topology.epoch:
            return c.Refused("misdirected")
        return c.Changed(0) if self.topology.document == command.document else c.Refused("epoch_taken")

    def _destination(self, name: Name) -> int:
        self.destinations.setdefault(name, (len(self.destinations) + 1, None))
        return self.destinations[name][0]

    def paused(self) -> set[int]:
        blobs = dict(self.destinations.values())
        return {number for number, blob in blobs.items() if decode_destination(blob).paused}

    def _becomes_pending(self, job: Job, due_ms: int) -> None:
        job.state, job.due_ms, job.finished_ms = State.PENDING, due_ms, None
        self.due.append((job.lane, due_ms, job.seq))

    def _create(self, command: c.CreateJob, now: int) -> c.Result:
        tenant = command.work.tenant
        known = self.keys.get((tenant, command.key)) if command.key is not None else None
        if known is not None and known[2] > now and known[0] in self.jobs:
            if known[1] != command.fingerprint:
                return c.Refused("idempotency_mismatch")
            return c.Created(known[0], self.jobs[known[0]].id, deduplicated=True)
        job = self.job_named(tenant, command.id)
        if job is not None:
            if not command.id_is_chosen:
                return c.Refused("internal")  # a minted id that exists: cannot happen, and must not do harm
            if job.fingerprint != command.fingerprint:
                return c.Refused("idempotency_mismatch")
        is_known = job is not None
        if job is None:
            job = self._insert(command, now, None)
        if command.key is not None:
            self.keys[tenant, command.key] = (job.seq, command.fingerprint, command.key_expires_ms)
            job.kept_until_ms = max(job.kept_until_ms, command.key_expires_ms)
        return c.Created(job.seq, job.id, deduplicated=is_known)

    def _insert(self, command: c.CreateJob, now: int, schedule: int | None) -> Job:
        self.jobs_ever += 1
        if self.topology is not None:  # the newest number says when its job was created
            self.jobs_ever = max(self.jobs_ever, max(0, now - _START_OF_2026_MS) * 2**20)
        job = Job(
            seq=self.jobs_ever,
            tenant=command.work.tenant,
            id=command.id,
            destination=self._destination((command.work.tenant, command.work.destination)),
            priority=command.work.priority,
            due_ms=command.due_ms,
            run_at_ms=command.due_ms,
            created_ms=now,
            budget_from_ms=command.due_ms,
            at_most_once=command.work.at_most_once,
            size=command.work.size,
            timeout_ms=command.work.timeout_ms,
            spec=command.work.spec,
            fingerprint=command.fingerprint,
            labels=command.work.labels,
            kept_until_ms=command.key_expires_ms,
            schedule=schedule,
        )
        self.jobs[job.seq] = job
        self._becomes_pending(job, command.due_ms)
        return job

    def _claim(self, command: c.ClaimJobs, term: int, now: int) -> c.Result:
        granted = []
        for seq, due_ms in command.claims:
            job = self.jobs.get(seq)
            if job is None or job.state is not State.PENDING or job.due_ms != due_ms:
                continue
            if job.destination in self.paused():
                self.due.append((job.lane, due_ms, seq))
            else:
                job.state, job.claim = State.RUNNING, (term, command.begun_by_ms + job.timeout_ms, command.owner)
                job.attempts += 1
                job.claimed_ms = now
                granted.append((seq, job.attempts))
        return c.Claimed(tuple(granted))

    def _outcome(self, command: c.RecordOutcome, now: int) -> c.Result:
        job = self.jobs.get(command.seq)
        if job is None or job.attempts != command.attempt:
            return c.Changed(0)
        in_flight = job.state is State.CANCELLED and job.claim is not None
        if job.state is not State.RUNNING and not in_flight:
            return c.Changed(0)
        if job.state is State.RUNNING:
            job.claim, job.lost = None, 0
            if command.retry_at_ms is None:
                job.state, job.finished_ms = State(command.state), now
            else:
                job.is_retry = True
                job.attempts_before += command.is_free
                self._becomes_pending(job, command.retry_at_ms)
        self.attempts.setdefault((job.seq, command.attempt), (Outcome(command.outcome), command.started_ms))
        return c.Changed(1)

    def _cancel(self, command: c.CancelJobs, now: int) -> c.Result:
        count = 0
        for seq in command.seqs:
            job = self.jobs.get(seq)
            if job is None or job.state not in OPEN:
                continue
            if job.state is State.RUNNING:
                self.aborted.append(seq)
            job.state, job.finished_ms = State.CANCELLED, now
            count += 1
        return c.Changed(count)

    def _update(self, command: c.UpdateJob) -> c.Result:
        job = self.jobs.get(command.seq)
        if job is None or job.tenant != command.work.tenant:
            return c.Refused("job_not_found")
        if job.state is not State.PENDING:
            return c.Refused("job_not_pending")
        if job.revision != command.revision:
            return c.Refused("conflict")
        job.revision += 1
        work = command.work
        job.destination, job.priority = self._destination((work.tenant, work.destination)), work.priority
        if command.due_ms != job.due_ms:
            job.run_at_ms = job.budget_from_ms = command.due_ms
        job.at_most_once, job.size, job.spec = work.at_most_once, work.size, work.spec
        job.labels, job.timeout_ms = work.labels, work.timeout_ms
        self._becomes_pending(job, command.due_ms)
        return c.Changed(1)

    def _redrive(self, command: c.RedriveJobs) -> c.Result:
        count = 0
        for seq in command.seqs:
            job = self.jobs.get(seq)
            if job is None or job.state not in FINISHED or job.size == PAYLOAD_REMOVED:
                continue
            job.is_retry, job.claim, job.lost = False, None, 0
            job.attempts_before, job.budget_from_ms = job.attempts, command.due_ms
            self._becomes_pending(job, command.due_ms)
            count += 1
        return c.Changed(count)

    def _begin_term(self, command: c.BeginTerm, now: int) -> c.Result:
        def is_dead(_job: Job, _term: int, _ends_ms: int, owner: str) -> bool:
            node, place, start = owner.split("/")
            own_node, own_place, own_start = command.owner.split("/")
            return owner in command.dead or ((node, place) == (own_node, own_place) and start != own_start)

        return self._lose_all(is_dead, now)

    def _expire(self, own: str, leading: int, now: int) -> c.Result:
        def is_over(_job: Job, term: int, ends_ms: int, owner: str) -> bool:
            return ends_ms <= now and not (term == leading and owner == own)

        return self._lose_all(is_over, now)

    def _lose_all(self, is_lost: Callable[["Job", int, int, str], bool], now: int) -> c.Result:
        count = 0
        for job in self.jobs.values():
            if job.state is not State.RUNNING:
                continue
            assert job.claim is not None
            if not is_lost(job, *job.claim):
                continue
            count += 1
            job.lost, job.claim, job.due_ms = job.lost + 1, None, now
            self.attempts.setdefault((job.seq, job.attempts), (Outcome.UNKNOWN, job.claimed_ms))
            if job.at_most_once:
                job.state, job.finished_ms = State.UNKNOWN, now
            elif job.lost >= LOST_CLAIMS_MAX:
                job.state, job.finished_ms = State.DEAD, now
            else:
                self._becomes_pending(job, now)
        return c.Changed(count)

    def _purge(self, command: c.PurgeFinished, now: int) -> c.Result:
        finished = [job for job in self.jobs.values() if job.state in FINISHED]
        free = sorted((job.finished_ms or 0, job.seq) for job in finished if job.kept_until_ms <= now)
        others = [seq for finished_ms, seq in free if self._is_old(seq, finished_ms, command, dead=False)]
        dead = [seq for finished_ms, seq in free if self._is_old(seq, finished_ms, command, dead=True)]
        old = (others + dead)[: command.limit]
        excess = min(len(finished) - command.keep, command.limit)
        doomed = set(old) | {seq for _, seq in free[:excess] if excess > len(old)}  # what is old makes room as well
        for seq in doomed:
            del self.jobs[seq]
        self.attempts = {key: value for key, value in self.attempts.items() if key[0] not in doomed}
        return c.Changed(len(doomed))

    def _delete(self, seq: int) -> c.Result:
        job = self.jobs.get(seq)
        if job is None:
            return c.Refused("job_not_found")
        if job.state is State.RUNNING:
            return c.Refused("job_running")
        del self.jobs[seq]
        self.keys = {name: key for name, key in self.keys.items() if (key[0], key[2]) != (seq, job.kept_until_ms)}
        self.attempts = {key: value for key, value in self.attempts.items() if key[0] != seq}
        return c.Changed(1)

    def _delete_payload(self, command: c.DeletePayload) -> c.Result:
        job = self.jobs.get(command.seq)
        if job is None:
            return c.Refused("job_not_found")
        if job.state not in FINISHED:
            return c.Refused("job_not_finished")
        if job.size == PAYLOAD_REMOVED:
            return c.Changed(1)
        if job.revision != command.revision:
            return c.Refused("conflict")
        job.size, job.spec, job.claim = PAYLOAD_REMOVED, command.spec, None
        return c.Changed(1)

    def _is_old(self, seq: int, finished_ms: int, command: c.PurgeFinished, *, dead: bool) -> bool:
        before_ms = command.dead_before_ms if dead and command.dead_before_ms is not None else command.before_ms
        return (self.jobs[seq].state is State.DEAD) == dead and finished_ms < before_ms

    # --- schedules --------------------------------------------------------------------------------------------------

    def _put_schedule(self, command: c.PutSchedule, now: int) -> c.Result:
        name = (command.work.tenant, command.id)
        known = self.schedules.get(name)
        if known is None:
            if command.revision != 0:
                return c.Refused("schedule_not_found")
            self.schedules_ever += 1
            self.schedules[name] = Schedule(self.schedules_ever, command, now, command.next_tick_ms)
            return c.Created(self.schedules_ever, command.id, deduplicated=False)
        if command.revision == 0:
            if (known.put.spec, known.put.work) != (command.spec, command.work):
                return c.Refused("schedule_exists")
            return c.Created(known.seq, command.id, deduplicated=True)
        if command.revision != known.revision:
            return c.Refused("conflict")
        known.put, known.revision = command, known.revision + 1
        if command.next_tick_ms != c.KEEP_TICK:
            known.next_tick_ms = command.next_tick_ms
        return c.Changed(1)

    def schedule_numbered(self, seq: int) -> Schedule | None:
        return next((schedule for schedule in self.schedules.values() if schedule.seq == seq), None)

    def _ticks(self, command: c.RecordTicks, now: int) -> c.Result:
        schedule = self.schedule_numbered(command.schedule)
        if schedule is None:
            return c.Refused("schedule_not_found")
        waits_for = (schedule.revision, schedule.next_tick_ms, schedule.put.paused)
        if waits_for != (command.revision, command.expected_ms, False):
            return c.Refused("conflict")
        made = 0
        schedule.skipped += command.skipped
        for instant_ms, run_at_ms, job_id in command.ticks:
            schedule.last_tick_ms = instant_ms
            last = self.jobs.get(schedule.last_job or 0)
            if self.job_named(schedule.put.work.tenant, job_id) is not None:
                continue  # this tick made its job before
            if schedule.put.skip_overlap and last is not None and last.state in OPEN:
                schedule.skipped += 1
                continue
            self._make(schedule, job_id, run_at_ms, now)
            made += 1
        schedule.next_tick_ms = command.next_tick_ms
        return c.Changed(made)

    def _run_schedule(self, command: c.RunSchedule, now: int) -> c.Result:
        schedule = self.schedules.get((command.tenant, command.id))
        if schedule is None:
            return c.Refused("schedule_not_found")
        if self.job_named(command.tenant, command.job_id) is not None:
            return c.Refused("internal")
        job = self._make(schedule, command.job_id, command.due_ms, now)
        return c.Created(job.seq, job.id, deduplicated=False)

    def _make(self, schedule: Schedule, job_id: str, due_ms: int, now: int) -> Job:
        command = c.CreateJob(job_id, due_ms, schedule.put.work)
        job = self._insert(command, now, schedule.seq)
        schedule.last_job = job.seq
        schedule.made += 1
        return job
