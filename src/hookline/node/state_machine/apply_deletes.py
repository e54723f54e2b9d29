"""Applying what takes data away: a job when somebody asks for it or when it is old, and the payload of a job."""

from hookline.node.state_machine.apply_jobs import cancel_jobs, replace_spec
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.rows import JobBefore, PurgedJob, PurgedSpec
from hookline.node.state_machine.sums import ATTEMPTS, JOBS, KEYS, LABELS, job_sum, row_sum
from hookline.node.state_machine.tables import Tables
from hookline.protocol.commands import CancelJobs, Changed, DeleteJob, DeletePayload, Refused, Result
from hookline.protocol.jobs import FINISHED, PAYLOAD_REMOVED, State, decode_spec, label_texts

_ANSWERS_AT_ONCE = 50  # overwritten by one command: a few milliseconds


def delete_job(tables: Tables, effects: Effects, time_ms: int, command: DeleteJob) -> Result:
    """Forget a job, unless it is running: a request may be on its way, and its outcome has to find the job.

    One that has been answered often takes several commands, until the count is 1; it is cancelled with the first.
    """
    before = tables.row(JobBefore, "job_before_update", command.seq)
    if before is None:
        return Refused("job_not_found")
    if before.state == State.RUNNING:
        return Refused("job_running")
    if not _blank_answers(tables, command.seq):
        cancel_jobs(tables, effects, time_ms, CancelJobs((command.seq,)))
        return Changed(0)
    with tables.overwriting():
        for row in tables.rows("delete_keys_of", command.seq):
            tables.summed(KEYS, -row_sum(*row))
        forget(tables, command.seq, before.size)
    return Changed(1)


def delete_payload(tables: Tables, command: DeletePayload) -> Result:
    """Keep the record of a finished job without what it sent and what was answered.

    Answers may be so many that it takes several commands: until the count is 1, all is as before but for them.
    An attempt that a cancel broke off may still tell its outcome: it has nowhere to go from now on.
    """
    before = tables.row(JobBefore, "job_before_update", command.seq)
    if before is None:
        return Refused("job_not_found")
    if before.state not in FINISHED:
        return Refused("job_not_finished")
    if before.size == PAYLOAD_REMOVED:
        return Changed(1)
    if before.revision != command.revision:
        return Refused("conflict")
    if not _blank_answers(tables, command.seq):
        return Changed(0)
    with tables.overwriting():
        tables.run("mark_without_payload", command.seq, PAYLOAD_REMOVED)
        replace_spec(tables, command.seq, before, command.spec)
    return Changed(1)


def _blank_answers(tables: Tables, seq: int) -> bool:
    """Take away what was answered to some of the attempts; are those all?"""
    with tables.overwriting():
        return tables.changed("blank_attempts", seq, _ANSWERS_AT_ONCE) < _ANSWERS_AT_ONCE


def forget(tables: Tables, seq: int, size: int = 0) -> None:
    """Take all rows of a job out; ``size`` is that of its payload, which only counts for a pending one."""
    job = tables.row(PurgedJob, "purge_job", seq)
    spec = tables.row(PurgedSpec, "purge_spec", seq)
    tables.count(ATTEMPTS, "purge_attempts", seq, sign=-1)
    if job is None:
        return
    tables.moved(job.tenant, State(job.state), None, size)
    if spec is not None:
        for label in label_texts(decode_spec(spec.spec).labels):
            tables.count(LABELS, "delete_label", job.tenant, label, seq, sign=-1)
        tables.summed(JOBS, -job_sum(seq, job.tenant, job.id, spec.spec, spec.fingerprint))
