"""Checks that answers to clients are true: one key is one job, a refusal leaves nothing, and the newest word counts."""

import json
from collections import defaultdict
from collections.abc import Iterator

from hookline.errors import JobFinished
from hookline.protocol.jobs import State
from tests.simulation.history import Call
from tests.simulation.promises.facts import Facts


def one_key_is_one_job(facts: Facts) -> Iterator[str]:
    for field in ("id", "idempotency_key"):
        calls: dict[tuple[str, str], list[Call]] = defaultdict(list)
        for call in facts.history.calls:
            if call.kind == "create" and field in call.arguments:
                calls[call.tenant, call.arguments[field]].append(call)
        for (_, name), same in calls.items():
            taken = [call for call in same if call.is_ok]
            if len({call.answer.id for call in taken}) > 1:
                yield f"{field} {name} made {sorted({call.answer.id for call in taken})}"
            if len({repr(_body(call)) for call in taken}) > 1:
                yield f"{field} {name} was taken for different bodies, by calls {[call.number for call in taken]}"


def a_refused_job_is_not_there(facts: Facts) -> Iterator[str]:
    """An error that says "not accepted" is as binding as an acknowledgement."""
    calls, jobs = facts.history.calls, facts.found.jobs
    tried: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        for job in _named(call):
            tried[job].append(call)
    for job, same in tried.items():
        if job in jobs and not any(call.may_have_worked for call in same):
            yield f"{job} is there, but calls {[call.number for call in same]} were told it was not accepted"
    unsure = sum(call.kind == "create" and call.may_have_worked for call in calls)
    named = sum(job not in tried and row["schedule"] is None for job, row in jobs.items())
    if named > unsure:
        yield f"{named} jobs have ids of our own, but only {unsure} calls can have made one"


# --- promise 10: the newest word counts ------------------------------------------------------------------------------


def a_cancel_is_refused_only_for_what_has_ended(facts: Facts) -> Iterator[str]:
    outcomes, jobs = facts.found.outcomes, facts.found.jobs
    ended = {job: at for (job, _), (at, outcome) in outcomes.items() if outcome.retry_at_ms is None}
    for call in () if facts.bulk_retries else facts.history.calls:
        job = call.target or ""
        if call.kind != "cancel" or call.code != JobFinished.code or facts.history.about(job, "retry"):
            continue
        if job in jobs and jobs[job]["state"] == State.SUCCEEDED and ended.get(job, 0) > call.ended:
            yield f"{job} was not cancelled by call {call.number}, though it had not ended"


def a_cancelled_job_stays_quiet(facts: Facts) -> Iterator[str]:
    """It is not claimed any more. What one process alone had claimed, and sends itself, is not sent either."""
    for call in facts.history.calls:
        if call.kind != "cancel" or not call.is_ok or call.target is None:
            continue
        if any(retry.may_act_after(call.began) for retry in facts.retries(call.target)):
            continue
        for arrival, since in _decided(facts, call.target):
            if since > call.ended:
                yield f"{call.target} arrived (at {arrival}, {since}) after call {call.number} had cancelled it"


def the_newest_payload_is_sent(facts: Facts) -> Iterator[str]:
    for call in facts.history.calls:
        if call.kind not in ("update", "retry") or not call.is_ok or "payload" not in call.arguments:
            continue
        assert call.target is not None
        later = [
            other.arguments["payload"]
            for other in facts.history.about(call.target, "update", "retry")
            if "payload" in other.arguments and other.may_act_after(call.began)
        ]
        bodies = {arrival.at: arrival.body for arrival in facts.by_job.get(call.target, ())}
        for arrival, since in _decided(facts, call.target):
            if since > call.ended and json.loads(bodies[arrival]) not in later:
                yield f"{call.target} arrived with {bodies[arrival]!r} after call {call.number} had changed it"


def a_paused_destination_is_left_alone(facts: Facts) -> Iterator[str]:
    for grant in facts.found.grants.values():
        if grant.is_paused:
            yield f"{grant.job} attempt {grant.attempt} was claimed while {grant.destination} was paused"


def _decided(facts: Facts, job: str) -> Iterator[tuple[int, int]]:
    """(when it arrived, when that could last be prevented) of each request for a job."""
    for arrival in facts.by_job.get(job, ()):
        grant = facts.found.grants.get((job, arrival.attempt))
        if facts.is_alone and not arrival.is_from_elsewhere:
            yield arrival.at, arrival.at
        elif grant is not None:
            yield arrival.at, grant.at


def _named(call: Call) -> list[str]:
    if call.kind == "create" and "id" in call.arguments:
        return [call.arguments["id"]]
    return [job["id"] for job in call.arguments["jobs"]] if call.kind == "batch" else []


def _body(call: Call) -> dict[str, object]:
    return {name: value for name, value in call.arguments.items() if name != "idempotency_key"}
