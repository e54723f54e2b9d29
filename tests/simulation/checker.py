"""Does a run keep the promises of the design? Each check reads the history and the log, and names what is wrong."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from hookline.protocol.durations import parse_time
from hookline.protocol.jobs import State
from hookline.testing.clock import START_MS
from tests.simulation.history import NEVER, Arrival, Call, History
from tests.simulation.receivers import CALM
from tests.simulation.replay import FINISHED_STATES, Replay, dump, replay
from tests.simulation.tick_oracle import check_ticks
from tests.simulation.world import World

CALM_LATENESS_MS = 120_000
_STAMPS_OF_A_CLAIM = 30  # how much can happen between a decision and its entry
_EARLY_MS = 1_001
_CHANGES = ("update", "run", "retry")


def violations(world: World, directory: Path) -> list[str]:
    """All that is wrong with a run, in words; empty when it keeps every promise."""
    history = world.history
    found = replay(history, directory)
    wrong = [*world.violations, *history.complaints]
    for check in CHECKS:
        wrong += [f"{check.__name__.replace('_', ' ')}: {text}" for text in check(history, found)]
    wrong += [f"a tick: {text}" for text in check_ticks(history, found, world.config.shard)]
    wrong += [f"the time: {text}" for text in _early(world, found)]
    wrong += [f"slots: {text}" for text in _lost_claims(found, world.slots)]
    wrong += [f"the state: {text}" for text in _state(found, world.state_file)]
    return wrong


# --- promise 1: never gone ---------------------------------------------------------------------------------------


def acknowledged_jobs_are_there(history: History, found: Replay) -> Iterator[str]:
    for call in history.calls:
        for job in _acknowledged(call):
            if job not in found.jobs:
                yield f"{job} was acknowledged by call {call.number} and is gone"


def all_jobs_end(history: History, found: Replay) -> Iterator[str]:
    cancels_all = [call for call in history.calls if call.kind == "bulk_cancel" and call.may_have_worked]
    for job, row in found.jobs.items():
        state = State(row["state"])
        if state not in FINISHED_STATES:
            yield f"{job} is still {state.label}"
        if state is State.CANCELLED and not cancels_all and not history.about(job, "cancel"):
            yield f"{job} is cancelled, but nobody cancelled it"
        if state is State.UNKNOWN and not row["at_most_once"]:
            yield f"{job} is unknown, but it is delivered at least once"


def succeeded_jobs_arrived(history: History, found: Replay) -> Iterator[str]:
    good = {(arrival.job, arrival.attempt) for arrival in history.arrivals if _is_good(arrival)}
    for job, row in found.jobs.items():
        if row["state"] == State.SUCCEEDED and (job, row["attempts"]) not in good:
            yield f"{job} has succeeded, but no receiver said so to attempt {row['attempts']}"


def an_answer_is_recorded_as_it_was(history: History, found: Replay) -> Iterator[str]:
    for arrival in history.arrivals:
        recorded = found.outcomes.get((arrival.job, arrival.attempt))
        if recorded is None or arrival.result is None:
            continue
        if _is_good(arrival) != (recorded[1].state == State.SUCCEEDED and recorded[1].retry_at_ms is None):
            yield f"{arrival.job} attempt {arrival.attempt} was answered {arrival.result}, recorded {recorded[1]}"


# --- promise 2: how often ----------------------------------------------------------------------------------------


def at_most_once_means_once(history: History, found: Replay) -> Iterator[str]:
    bulk = sum(call.kind == "bulk_retry" and call.may_have_worked for call in history.calls)
    for job, arrivals in _by_job(history).items():
        if found.jobs[job]["at_most_once"]:
            allowed = 1 + len(history.about(job, "retry")) + bulk
            if len(arrivals) > allowed:
                yield f"{job} arrived {len(arrivals)} times, {allowed} were asked for"


def an_attempt_is_one_request(history: History, found: Replay) -> Iterator[str]:
    seen = set()
    for arrival in history.arrivals:
        if (arrival.job, arrival.attempt) in seen:
            yield f"{arrival.job} attempt {arrival.attempt} arrived twice"
        seen.add((arrival.job, arrival.attempt))


def duplicates_have_a_reason(history: History, found: Replay) -> Iterator[str]:
    bulk_retries = [call for call in history.calls if call.kind == "bulk_retry" and call.may_have_worked]
    for job, arrivals in _by_job(history).items():
        for first, second in pairwise(arrivals):
            retries = history.about(job, "retry") + bulk_retries
            if any(_overlap(retry, first.at, second.at) for retry in retries):
                continue
            recorded = found.outcomes.get((job, first.attempt))
            if recorded is None:
                if not any(first.at <= outage <= second.at for outage in history.outages):
                    yield f"{job} arrived again as attempt {second.attempt} without a loss of the node before"
            elif recorded[1].retry_at_ms is None:
                yield f"{job} was finished by attempt {first.attempt}, and arrived again as attempt {second.attempt}"


def _lost_claims(found: Replay, slots: int) -> Iterator[str]:
    for at, count in found.lost:
        if count > slots:
            yield f"a term found {count} open claims, there are {slots} slots (at {at})"


# --- promise 3: not before ---------------------------------------------------------------------------------------


def claims_come_before_requests(history: History, found: Replay) -> Iterator[str]:
    for arrival in history.arrivals:
        grant = found.grants.get((arrival.job, arrival.attempt))
        if grant is None or grant.at > arrival.at:
            yield f"{arrival.job} attempt {arrival.attempt} arrived (at {arrival.at}) before its claim was in the log"
        elif grant.term != arrival.term:
            yield f"{arrival.job} attempt {arrival.attempt} says term {arrival.term}, its claim {grant.term}"


def nothing_is_early(history: History, found: Replay) -> Iterator[str]:
    for grant in found.grants.values():
        early_ms = grant.due_ms - grant.time_ms
        # The clock may have gone back between the decision to claim and the entry that carries the claim.
        stepped_ms = sum(by_ms for at, by_ms in history.steps_back if grant.at - _STAMPS_OF_A_CLAIM < at < grant.at)
        if early_ms > stepped_ms:
            yield f"{grant.job} attempt {grant.attempt} was claimed {early_ms} ms before it was due"
    by_job = _by_job(history)
    for call in history.calls:
        for job in _acknowledged(call):
            run_at_ms = _run_at_ms(call, job)
            if run_at_ms is None or _is_changed(history, job):
                continue
            for arrival in by_job.get(job, ()):
                # The wall clock may have gone back since the claim, or before a retry.
                grant = found.grants.get((job, 1))
                if arrival.attempt == 1 and grant and max(arrival.time_ms, grant.time_ms) < run_at_ms:
                    yield f"{job} arrived {run_at_ms - arrival.time_ms} ms before its time"


def _early(world: World, found: Replay) -> Iterator[str]:
    """Whatever the wall clock says: by the truth, as far as the node can know it, nothing is early by over a second."""
    history = world.history
    for arrival in history.arrivals:
        row = found.jobs.get(arrival.job)
        if row is None or row["attempts_before"] or history.about(arrival.job, *_CHANGES):
            continue
        now_ms = START_MS + arrival.true_s * 1_000 + world.time.believed_ms(arrival.true_s)
        if row["run_at_ms"] - now_ms > _EARLY_MS:
            early_ms = row["run_at_ms"] - now_ms
            yield f"{arrival.job} attempt {arrival.attempt} arrived {early_ms:.0f} ms early (at {arrival.at})"


def retry_after_is_kept(history: History, found: Replay) -> Iterator[str]:
    for job, arrivals in _by_job(history).items():
        if _is_changed(history, job):
            continue
        for first, second in pairwise(arrivals):
            early_ms = first.answered_ms + 1_000 * first.retry_after_s - second.time_ms
            if first.retry_after_s and early_ms > 0 and (job, first.attempt) in found.outcomes:
                yield f"{job} attempt {second.attempt} came {early_ms} ms before the receiver wanted it"


# --- promise 5: one job for one key -------------------------------------------------------------------------------


def one_key_is_one_job(history: History, found: Replay) -> Iterator[str]:
    for field in ("id", "idempotency_key"):
        calls: dict[str, list[Call]] = defaultdict(list)
        for call in history.calls:
            if call.kind == "create" and field in call.arguments:
                calls[call.arguments[field]].append(call)
        for name, same in calls.items():
            taken = [call for call in same if call.is_ok]
            if len({call.answer.id for call in taken}) > 1:
                yield f"{field} {name} made {sorted({call.answer.id for call in taken})}"
            if len({repr(_body(call)) for call in taken}) > 1:
                yield f"{field} {name} was taken for different bodies, by calls {[call.number for call in taken]}"


# --- promise 10: the newest word counts ----------------------------------------------------------------------------


def a_cancelled_job_stays_quiet(history: History, found: Replay) -> Iterator[str]:
    bulk_retries = [call for call in history.calls if call.kind == "bulk_retry" and call.may_have_worked]
    by_job = _by_job(history)
    for call in history.calls:
        if call.kind != "cancel" or not call.is_ok or call.target is None:
            continue
        for arrival in by_job.get(call.target, ()):
            retries = history.about(call.target, "retry") + bulk_retries
            if arrival.at > call.ended and not any(retry.ended > call.began for retry in retries):
                yield f"{call.target} arrived (at {arrival.at}) after call {call.number} had cancelled it"


def a_paused_destination_is_left_alone(history: History, found: Replay) -> Iterator[str]:
    for grant in found.grants.values():
        if grant.is_paused:
            yield f"{grant.job} attempt {grant.attempt} was claimed while {grant.destination} was paused"


def the_newest_payload_is_sent(history: History, found: Replay) -> Iterator[str]:
    by_job = _by_job(history)
    for call in history.calls:
        if call.kind not in ("update", "retry") or not call.is_ok or "payload" not in call.arguments:
            continue
        assert call.target is not None
        later = [
            other.arguments["payload"]
            for other in history.about(call.target, "update", "retry")
            if "payload" in other.arguments and other.ended > call.began
        ]
        for arrival in by_job.get(call.target, ()):
            if arrival.at > call.ended and json.loads(arrival.body) not in later:
                yield f"{call.target} arrived with {arrival.body!r} after call {call.number} had changed it"


# --- nobody starves -------------------------------------------------------------------------------------------------


def a_calm_destination_is_served(history: History, found: Replay) -> Iterator[str]:
    for grant in found.grants.values():
        if grant.destination != CALM or history.about(grant.job, "update"):
            continue  # a job that came from another destination has waited there
        waited_ms = sum(
            max(0, min(grant.time_ms, part.until_ms) - max(grant.due_ms, part.from_ms))
            for part in history.serving
            if part.from_at < grant.at
        )
        if waited_ms > CALM_LATENESS_MS:
            yield f"{grant.job} waited {waited_ms} ms for a destination that answers at once"


# --- the state ------------------------------------------------------------------------------------------------------


def _state(found: Replay, state_file: Path) -> Iterator[str]:
    tables = dump(state_file)
    for name, rows in tables.items():
        if rows != found.tables[name]:
            different = [pair for pair in zip(rows, found.tables[name], strict=False) if pair[0] != pair[1]][:2]
            yield f"table {name} differs from a replay of the log: {different}"
    counters = {name: value for _, name, value in tables["counters"]}
    for state in State:
        count = sum(row["state"] == state for row in found.jobs.values())
        if counters.get(state.label, 0) != count:
            yield f"the counter {state.label} is {counters.get(state.label)}, there are {count}"
    if counters.get("pending_bytes", 0):
        yield f"{counters['pending_bytes']} bytes are counted as pending, but nothing is pending"


CHECKS: tuple[Callable[[History, Replay], Iterator[str]], ...] = (
    acknowledged_jobs_are_there,
    all_jobs_end,
    succeeded_jobs_arrived,
    an_answer_is_recorded_as_it_was,
    at_most_once_means_once,
    an_attempt_is_one_request,
    duplicates_have_a_reason,
    claims_come_before_requests,
    nothing_is_early,
    retry_after_is_kept,
    one_key_is_one_job,
    a_cancelled_job_stays_quiet,
    a_paused_destination_is_left_alone,
    the_newest_payload_is_sent,
    a_calm_destination_is_served,
)


def _acknowledged(call: Call) -> list[str]:
    """The jobs whose creation the call acknowledged."""
    if not call.is_ok:
        return []
    if call.kind in ("create", "run_schedule"):
        return [call.answer.id]
    if call.kind == "batch":
        return [result.job.id for result in call.answer if result.job is not None]
    return []


def _run_at_ms(call: Call, job: str) -> int | None:
    """When the job was asked to run, if the call made it and said so."""
    if call.kind != "create" or call.answer.deduplicated is True:
        return None
    if "run_at" in call.arguments:
        return parse_time(call.arguments["run_at"])
    return call.began_ms + int(call.arguments.get("delay", 0) * 1_000)


def _is_changed(history: History, job: str) -> bool:
    """Someone may have moved its time."""
    return bool(history.about(job, *_CHANGES)) or any(
        call.kind == "bulk_retry" and call.may_have_worked for call in history.calls
    )


def _body(call: Call) -> dict[str, object]:
    return {name: value for name, value in call.arguments.items() if name != "idempotency_key"}


def _by_job(history: History) -> dict[str, list[Arrival]]:
    by_job: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in history.arrivals:
        by_job[arrival.job].append(arrival)
    return by_job


def _is_good(arrival: Arrival) -> bool:
    return arrival.result is not None and arrival.result.isdigit() and 200 <= int(arrival.result) < 300


def _overlap(call: Call, start: int, end: int) -> bool:
    """The call may have taken effect between the two stamps."""
    return call.began < end and (call.ended if call.outcome == "ok" else NEVER) > start
