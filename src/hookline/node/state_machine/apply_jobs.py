"""Applying the commands that change jobs. Each function uses the command, the entry's time and the tables only."""

import msgspec

from hookline.node.state_machine.effects import Effects, Ended
from hookline.node.state_machine.sums import ATTEMPTS, JOBS, KEYS, LABELS, row_sum
from hookline.node.state_machine.tables import Row, Tables
from hookline.protocol.commands import (
    BeginTerm,
    CancelJobs,
    Changed,
    Claimed,
    ClaimJobs,
    Created,
    CreateJob,
    RecordOutcome,
    RedriveJobs,
    Refused,
    Result,
    UpdateJob,
)
from hookline.protocol.jobs import Outcome, State, decode_spec, destination_of, label_texts, lane_of
from hookline.protocol.limits import LOST_CLAIMS_MAX
from hookline.protocol.owners import is_replaced

_MISMATCH = Refused("idempotency_mismatch")


def create_job(tables: Tables, effects: Effects, time_ms: int, command: CreateJob) -> Result:
    """Insert the job, unless its key or chosen id is known already."""
    if command.key is not None:
        known = tables.row("key", command.key)
        if known is not None and known[2] > time_ms and known[3] is not None:
            same = known[1] == command.fingerprint
            return Created(known[0], known[3], deduplicated=True) if same else _MISMATCH
    if command.id_is_chosen:
        known = tables.row("job_by_id", command.id)
        if known is not None:
            return _known_id(tables, command, known[0], known[1])
    seq = insert_job(tables, effects, time_ms, command)
    if command.key is not None:
        _put_key(tables, command.key, seq, command)
    return Created(seq, command.id, deduplicated=False)


def _known_id(tables: Tables, command: CreateJob, seq: int, fingerprint: bytes) -> Result:
    """The job exists; a key that comes with the same body names it from now on, too."""
    if fingerprint != command.fingerprint:
        return _MISMATCH
    if command.key is not None:
        _put_key(tables, command.key, seq, command)
        tables.run("keep_job", seq, command.key_expires_ms)
    return Created(seq, command.id, deduplicated=True)


def _put_key(tables: Tables, key: str, seq: int, command: CreateJob) -> None:
    """Name the job by the key; one that the key named before is not in its window any more."""
    before = tables.row("key", key)
    if before is not None:
        tables.summed(KEYS, -row_sum(key, *before[:3]))
    tables.run("put_key", key, seq, command.fingerprint, command.key_expires_ms)
    tables.summed(KEYS, row_sum(key, seq, command.fingerprint, command.key_expires_ms))


def insert_job(
    tables: Tables, effects: Effects, time_ms: int, command: CreateJob, *, schedule: int | None = None
) -> int:
    """Insert a job that is known to be new; returns its number."""
    seq = tables.take_seq()
    lane = lane_of(tables.destination_id(command.destination), command.priority, retry=False)
    tables.run(
        "insert_job",
        seq,
        command.id,
        lane,
        command.due_ms,
        time_ms,
        command.at_most_once,
        command.size,
        command.timeout_ms,
        command.key_expires_ms,
        schedule,
    )
    total = row_sum(seq, command.id, command.spec, command.fingerprint)
    tables.run("insert_spec", seq, command.spec, command.fingerprint, total)
    tables.summed(JOBS, total)
    for label in command.labels:
        tables.count(LABELS, "insert_label", label, seq)
    tables.moved(None, State.PENDING, command.size)
    effects.due.append((lane, command.due_ms, seq))
    return seq


def claim_jobs(tables: Tables, effects: Effects, time_ms: int, term: int, command: ClaimJobs) -> Result:
    """Move each job that is still pending and due as the leader saw it to running.

    The leader may have proposed the claim before a pause that is ahead of it in the log; such a job waits on.
    """
    granted: list[tuple[int, int]] = []
    for seq, due_ms in command.claims:
        if tables.paused:
            pending = tables.row("pending_lane", seq, due_ms)
            if pending is not None and destination_of(pending[0]) in tables.paused:
                effects.due.append((pending[0], due_ms, seq))
                continue
        row = tables.row("claim_job", seq, due_ms, term, command.begun_by_ms, time_ms, command.owner)
        if row is not None:
            granted.append((seq, row[0]))
            tables.moved(State.PENDING, State.RUNNING, 0)
    return Claimed(tuple(granted))


def record_outcome(tables: Tables, effects: Effects, time_ms: int, command: RecordOutcome) -> Result:
    """Close a claim: the job is finished, or pending again. An outcome nobody waits for changes nothing."""
    if command.retry_at_ms is None:
        row = tables.row("finish_job", command.seq, command.attempt, command.state, time_ms)
        if row is not None:
            tables.moved(State.RUNNING, State(command.state), row[0])
    else:
        row = tables.row("retry_job", command.seq, command.attempt, command.retry_at_ms, command.is_free)
        if row is not None:
            tables.moved(State.RUNNING, State.PENDING, 0)
            effects.due.append((row[0], command.retry_at_ms, command.seq))
    if row is None and tables.row("cancelled_in_flight", command.seq, command.attempt) is None:
        return Changed(0)
    headers = msgspec.msgpack.encode(command.response_headers) if command.response_headers else None
    tables.count(
        ATTEMPTS,
        "insert_attempt",
        command.seq,
        command.attempt,
        command.outcome,
        command.status,
        command.error,
        command.started_ms,
        command.duration_ms,
        command.node,
        command.term,
        headers,
        command.response_body or None,
    )
    return Changed(1)


def cancel_jobs(tables: Tables, effects: Effects, time_ms: int, command: CancelJobs) -> Result:
    """Finish pending and running jobs as cancelled; a running attempt is aborted by the leader."""
    count = 0
    for seq in command.seqs:
        row = tables.row("cancel_job", seq, time_ms)
        if row is None:
            continue
        size, was_running = row
        count += 1
        tables.moved(State.RUNNING if was_running else State.PENDING, State.CANCELLED, size)
        if was_running:
            effects.aborted.append(seq)
    return Changed(count)


def update_job(tables: Tables, effects: Effects, command: UpdateJob) -> Result:
    """Replace what a pending job will do."""
    before = tables.row("job_before_update", command.seq)
    if before is None:
        return Refused("job_not_found")
    state, revision, old_lane, old_size, job_id, old_spec, fingerprint = before
    if state != State.PENDING:
        return Refused("job_not_pending")
    if revision != command.revision:
        return Refused("conflict")
    lane = lane_of(tables.destination_id(command.destination), command.priority, retry=bool(old_lane & 1))
    tables.run(
        "update_job",
        command.seq,
        revision,
        lane,
        command.due_ms,
        command.at_most_once,
        command.size,
        command.timeout_ms,
    )
    if old_spec != command.spec:
        for label in label_texts(decode_spec(old_spec).labels):
            tables.count(LABELS, "delete_label", label, command.seq, sign=-1)
        for label in command.labels:
            tables.count(LABELS, "insert_label", label, command.seq)
        total = row_sum(command.seq, job_id, command.spec, fingerprint)
        tables.run("update_spec", command.seq, command.spec, total)
        tables.summed(JOBS, total - row_sum(command.seq, job_id, old_spec, fingerprint))
        tables.moved(State.PENDING, None, old_size)
        tables.moved(None, State.PENDING, command.size)
    effects.due.append((lane, command.due_ms, command.seq))
    return Changed(1)


def redrive_jobs(tables: Tables, effects: Effects, command: RedriveJobs) -> Result:
    """Make finished jobs pending again."""
    count = 0
    for seq in command.seqs:
        state = tables.row("state_of", seq)
        row = tables.row("redrive_job", seq, command.due_ms)
        if row is None or state is None:
            continue
        lane, size = row
        tables.moved(State(state[0]), State.PENDING, size)
        effects.due.append((lane, command.due_ms, seq))
        count += 1
    return Changed(count)


def begin_term(tables: Tables, effects: Effects, time_ms: int, command: BeginTerm) -> Result:
    """Take the claims to be lost whose owner is proven dead; any other owner may still be sending, and will report."""
    lost = [claim for claim in tables.rows("open_claims") if _is_dead(claim[-1], command)]
    for claim in lost:
        _lose(tables, effects, time_ms, claim)
    return Changed(len(lost))


def _is_dead(owner: str, begin: BeginTerm) -> bool:
    return owner in begin.dead or is_replaced(owner, begin.owner)


def expire_claims(tables: Tables, effects: Effects, time_ms: int, term: int) -> Result:
    """Take the claims of earlier terms to be lost whose deadline has passed: their owner sends no more."""
    claims = tables.rows("expired_claims", term, time_ms)
    for claim in claims:
        _lose(tables, effects, time_ms, claim)
    return Changed(len(claims))


def _lose(tables: Tables, effects: Effects, time_ms: int, claim: Row) -> None:
    seq, attempt, lane, at_most_once, lost_before, size, claimed_ms, term, _ = claim
    lost = lost_before + 1
    if at_most_once:
        state, error = State.UNKNOWN, "the node was lost during an at-most-once attempt; it is not sent again"
    elif lost >= LOST_CLAIMS_MAX:
        state, error = State.DEAD, f"the node was lost during {lost} attempts in a row"
    else:
        state, error = State.PENDING, "the node was lost during this attempt"
    finished_ms = None if state is State.PENDING else time_ms
    tables.run("lose_claim", seq, state, time_ms, finished_ms, lost)
    tables.count(
        ATTEMPTS, "insert_attempt", seq, attempt, Outcome.UNKNOWN, None, error, claimed_ms, None, "", term, None, None
    )
    tables.moved(State.RUNNING, state, size)
    if state is State.PENDING:
        effects.due.append((lane, time_ms, seq))
    else:
        effects.ended.append(Ended(seq, attempt, state, error))
