"""Applying the commands that change jobs. Each function uses the command, the entry's time and the tables only."""

from hookline.errors import ClusterLeft
from hookline.node.state_machine.apply_elsewhere import LEFT, refusal_of
from hookline.node.state_machine.effects import Effects, Ended
from hookline.node.state_machine.records import insert_attempt, insert_key, insert_new
from hookline.node.state_machine.rows import (
    CancelledJob,
    FinishedJob,
    GrantedClaim,
    JobBefore,
    KeyRow,
    KnownJob,
    OpenClaim,
    RedrivenJob,
    RetriedJob,
)
from hookline.node.state_machine.sums import JOBS, KEYS, LABELS, job_sum, row_sum
from hookline.node.state_machine.tables import Tables
from hookline.protocol.commands import (
    BeginTerm,
    CancelJobs,
    Changed,
    Claimed,
    ClaimJobs,
    Created,
    CreateJob,
    ExpireClaims,
    LoseClaims,
    RecordOutcome,
    RedriveJobs,
    Refused,
    Result,
    UpdateJob,
)
from hookline.protocol.jobs import (
    STATES,
    KeyRecord,
    Outcome,
    State,
    decode_spec,
    destination_of,
    label_texts,
    lane_of,
)
from hookline.protocol.limits import LOST_CLAIMS_MAX
from hookline.protocol.moves import JOB, KEY
from hookline.protocol.owners import is_replaced

_MISMATCH = Refused("idempotency_mismatch")


def create_job(tables: Tables, effects: Effects, time_ms: int, command: CreateJob) -> Result:
    """Insert the job, unless its key or chosen id is known already."""
    if command.key is not None:
        named = tables.row(KeyRow, "key", command.key, command.work.tenant)
        if named is not None and named.expires_ms > time_ms and named.job_id is not None:
            same = named.fingerprint == command.fingerprint
            return Created(named.seq, named.job_id, deduplicated=True) if same else _MISMATCH
    if command.id_is_chosen:
        known = tables.row(KnownJob, "job_by_id", command.id, command.work.tenant)
        if known is not None:
            return _known_id(tables, command, known)
    if (refused := _refusal(tables, time_ms, command)) is not None:
        return refused
    seq = insert_job(tables, effects, time_ms, command)
    if command.key is not None:
        _put_key(tables, command.key, seq, command)
    return Created(seq, command.id, deduplicated=False)


def _refusal(tables: Tables, time_ms: int, command: CreateJob) -> Refused | None:
    """Of the key and the id the one that is found says where the job is."""
    tenant = command.work.tenant
    refused = refusal_of(tables, tenant, KEY, command.key, time_ms)
    if command.id_is_chosen and refused in (None, LEFT):
        refused = refusal_of(tables, tenant, JOB, command.id, time_ms)
    return refused


def _known_id(tables: Tables, command: CreateJob, known: KnownJob) -> Result:
    """The job exists; a key that comes with the same body names it from now on, too."""
    if known.fingerprint != command.fingerprint:
        return _MISMATCH
    if command.key is not None:
        _put_key(tables, command.key, known.seq, command)
        tables.run("keep_job", known.seq, command.key_expires_ms)
    return Created(known.seq, command.id, deduplicated=True)


def _put_key(tables: Tables, key: str, seq: int, command: CreateJob) -> None:
    """Name the job by the key; one that the key named before is not in its window any more."""
    tenant = command.work.tenant
    before = tables.row(KeyRow, "key", key, tenant)
    if before is not None:
        tables.summed(KEYS, -row_sum(key, tenant, before.seq, before.fingerprint, before.expires_ms))
    insert_key(tables, tenant, seq, KeyRecord(key, command.fingerprint, command.key_expires_ms))


def insert_job(
    tables: Tables, effects: Effects, time_ms: int, command: CreateJob, *, schedule: int | None = None
) -> int:
    """Insert a job that is known to be new; returns its number."""
    seq = tables.take_seq(time_ms)
    lane = insert_new(
        tables,
        seq,
        command.work,
        job_id=command.id,
        due_ms=command.due_ms,
        created_ms=time_ms,
        fingerprint=command.fingerprint,
        kept_until_ms=command.key_expires_ms,
        schedule=schedule,
    )
    effects.due.append((lane, command.due_ms, seq))
    effects.created.append((seq, lane, time_ms, command))
    return seq


def claim_jobs(tables: Tables, effects: Effects, time_ms: int, term: int, command: ClaimJobs) -> Result:
    """Move each job that is still pending and due as the leader saw it to running.

    The leader may have proposed the claim before a pause that is ahead of it in the log; such a job waits on.
    """
    granted: list[tuple[int, int]] = []
    for seq, due_ms in command.claims:
        if tables.paused:
            lane = tables.value("pending_lane", seq, due_ms)
            if lane is not None and destination_of(lane) in tables.paused:
                effects.due.append((lane, due_ms, seq))
                continue
        claim = tables.row(GrantedClaim, "claim_job", seq, due_ms, term, command.begun_by_ms, time_ms, command.owner)
        if claim is not None:
            granted.append((seq, claim.attempts))
            tables.moved(claim.tenant, State.PENDING, State.RUNNING, 0)
    return Claimed(tuple(granted))


def record_outcome(tables: Tables, effects: Effects, time_ms: int, command: RecordOutcome) -> Result:
    """Close a claim: the job is finished, or pending again. An outcome nobody waits for changes nothing."""
    if command.retry_at_ms is None:
        done = tables.row(FinishedJob, "finish_job", command.seq, command.attempt, command.state, time_ms)
        is_awaited = done is not None
        if done is not None:
            tables.moved(done.tenant, State.RUNNING, STATES[command.state], done.size)
    else:
        job = tables.row(RetriedJob, "retry_job", command.seq, command.attempt, command.retry_at_ms, command.is_free)
        is_awaited = job is not None
        if job is not None:
            tables.moved(job.tenant, State.RUNNING, State.PENDING, 0)
            effects.due.append((job.lane, command.retry_at_ms, command.seq))
    if not is_awaited and tables.value("cancelled_in_flight", command.seq, command.attempt) is None:
        return Changed(0)
    insert_attempt(
        tables,
        command.seq,
        command.attempt,
        command.outcome,
        command.status,
        command.error,
        command.started_ms,
        command.duration_ms,
        command.node,
        command.term,
        headers=command.response_headers,
        body=command.response_body,
    )
    return Changed(1)


def cancel_jobs(tables: Tables, effects: Effects, time_ms: int, command: CancelJobs) -> Result:
    """Finish pending and running jobs as cancelled; a running attempt is aborted by the leader."""
    count = 0
    for seq in command.seqs:
        job = tables.row(CancelledJob, "cancel_job", seq, time_ms)
        if job is None:
            continue
        count += 1
        tables.moved(job.tenant, State.RUNNING if job.was_running else State.PENDING, State.CANCELLED, job.size)
        if job.was_running:
            effects.aborted.append(seq)
    return Changed(count)


def update_job(tables: Tables, effects: Effects, command: UpdateJob) -> Result:
    """Replace what a pending job will do."""
    before = tables.row(JobBefore, "job_before_update", command.seq)
    work = command.work
    if before is None or before.tenant != work.tenant:
        return Refused("job_not_found")
    if before.state != State.PENDING:
        return Refused("job_not_pending")
    if before.revision != command.revision:
        return Refused("conflict")
    lane = lane_of(tables.destination_id(work.tenant, work.destination), work.priority, retry=bool(before.lane & 1))
    figures = (work.at_most_once, work.size, work.timeout_ms)
    tables.run("update_job", command.seq, before.revision, lane, command.due_ms, *figures)
    if before.spec != work.spec:
        for label in label_texts(decode_spec(before.spec).labels):
            tables.count(LABELS, "delete_label", work.tenant, label, command.seq, sign=-1)
        for label in work.labels:
            tables.count(LABELS, "insert_label", work.tenant, label, command.seq)
        replace_spec(tables, command.seq, before, work.spec)
        tables.moved(work.tenant, State.PENDING, None, before.size)
        tables.moved(work.tenant, None, State.PENDING, work.size)
    effects.due.append((lane, command.due_ms, command.seq))
    return Changed(1)


def replace_spec(tables: Tables, seq: int, before: JobBefore, spec: bytes) -> None:
    """The job does, or is known to have done, what ``spec`` says."""
    total = job_sum(seq, before.tenant, before.id, spec, before.fingerprint)
    tables.run("update_spec", seq, spec, total)
    tables.summed(JOBS, total - job_sum(seq, before.tenant, before.id, before.spec, before.fingerprint))


def redrive_jobs(tables: Tables, effects: Effects, command: RedriveJobs) -> Result:
    """Make finished jobs pending again."""
    if tables.has_left:
        return Refused(ClusterLeft.code)
    count = 0
    for seq in command.seqs:
        state = tables.value("state_of", seq)
        job = tables.row(RedrivenJob, "redrive_job", seq, command.due_ms)
        if job is None or state is None:
            continue
        tables.moved(job.tenant, State(state), State.PENDING, job.size)
        effects.due.append((job.lane, command.due_ms, seq))
        count += 1
    return Changed(count)


def begin_term(tables: Tables, effects: Effects, time_ms: int, command: BeginTerm) -> Result:
    """Take the claims to be lost whose owner is proven dead; any other owner may still be sending, and will report."""
    lost = [claim for claim in tables.all(OpenClaim, "open_claims") if _is_dead(claim.claim_owner, command)]
    for claim in lost:
        _lose(tables, effects, time_ms, claim)
    return Changed(len(lost))


def _is_dead(owner: str, begin: BeginTerm) -> bool:
    return owner in begin.dead or is_replaced(owner, begin.owner)


def expire_claims(tables: Tables, effects: Effects, time_ms: int, term: int, command: ExpireClaims) -> Result:
    """Take the claims to be lost whose deadline has passed: their owner sends no more. The leader's own will report."""
    claims = tables.all(OpenClaim, "expired_claims", term, time_ms, command.owner)
    for claim in claims:
        _lose(tables, effects, time_ms, claim)
    return Changed(len(claims))


def lose_claims(tables: Tables, effects: Effects, time_ms: int, command: LoseClaims) -> Result:
    """Take these claims to be lost, as far as they are open."""
    count = 0
    for seq, attempt in command.claims:
        claim = tables.row(OpenClaim, "open_claim", seq, attempt)
        if claim is not None:
            _lose(tables, effects, time_ms, claim)
            count += 1
    return Changed(count)


def _lose(tables: Tables, effects: Effects, time_ms: int, claim: OpenClaim) -> None:
    effects.lost.append((claim.seq, claim.attempts))
    lost = claim.lost + 1
    if claim.at_most_once:
        state, error = State.UNKNOWN, "the node was lost during an at-most-once attempt; it is not sent again"
    elif lost >= LOST_CLAIMS_MAX:
        state, error = State.DEAD, f"the node was lost during {lost} attempts in a row"
    else:
        state, error = State.PENDING, "the node was lost during this attempt"
    finished_ms = None if state is State.PENDING else time_ms
    tables.run("lose_claim", claim.seq, state, time_ms, finished_ms, lost)
    attempt = (claim.attempts, Outcome.UNKNOWN, None, error, claim.claimed_ms, None, "", claim.claim_term)
    insert_attempt(tables, claim.seq, *attempt)
    tables.moved(claim.tenant, State.RUNNING, state, claim.size)
    if state is State.PENDING:
        effects.due.append((claim.lane, time_ms, claim.seq))
    else:
        effects.ended.append(Ended(claim.seq, claim.attempts, state, error))
