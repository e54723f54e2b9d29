"""Never gone, how often, not before its time, and nobody starves: each check names what is wrong."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate, pairwise

from hookline.node.dispatch.seats import ahead_of
from hookline.protocol.durations import parse_time
from hookline.protocol.jobs import State
from tests.simulation.history import Arrival, Call
from tests.simulation.promises.facts import CHANGES, Facts, overlap
from tests.simulation.receivers import CALM
from tests.simulation.replay import FINISHED_STATES

CALM_LATENESS_MS = 120_000
_STAMPS_OF_A_CLAIM = 30  # how much can happen between a decision and its entry


# --- promise 1: never gone -------------------------------------------------------------------------------------------


def acknowledged_jobs_are_there(facts: Facts) -> Iterator[str]:
    for call in facts.history.calls:
        for job in call.acknowledged:
            if job not in facts.found.jobs:
                yield f"{job} was acknowledged by call {call.number} and is gone"


def all_jobs_end(facts: Facts) -> Iterator[str]:
    for job, row in facts.found.jobs.items():
        state = State(row["state"])
        if state not in FINISHED_STATES:
            yield f"{job} is still {state.label}"
        if state is State.CANCELLED and not facts.is_cancelled(job):
            yield f"{job} is cancelled, but nobody cancelled it"
        if state is State.UNKNOWN and not row["at_most_once"]:
            yield f"{job} is unknown, but it is delivered at least once"


def succeeded_jobs_arrived(facts: Facts) -> Iterator[str]:
    good = {(arrival.job, arrival.attempt) for arrival in facts.history.arrivals if _is_good(arrival)}
    for job, row in facts.found.jobs.items():
        last = (job, row["attempts"])
        was_elsewhere = job in facts.found.came and last not in facts.found.grants
        if row["state"] == State.SUCCEEDED and last not in good and not was_elsewhere:
            yield f"{job} has succeeded, but no receiver said so to attempt {row['attempts']}"


def an_answer_is_recorded_as_it_was(facts: Facts) -> Iterator[str]:
    for arrival in facts.history.arrivals:
        recorded = facts.found.outcomes.get((arrival.job, arrival.attempt))
        if recorded is None or arrival.result is None:
            continue
        if _is_good(arrival) != (recorded[1].state == State.SUCCEEDED and recorded[1].retry_at_ms is None):
            yield f"{arrival.job} attempt {arrival.attempt} was answered {arrival.result}, recorded {recorded[1]}"


# --- promise 2: how often --------------------------------------------------------------------------------------------


def at_most_once_means_once(facts: Facts) -> Iterator[str]:
    for job, arrivals in facts.by_job.items():
        allowed = 1 + len(facts.retries(job))
        row = facts.found.jobs.get(job)  # a job that is not there has no claim, which is said elsewhere
        if row is not None and row["at_most_once"] and len(arrivals) > allowed:
            yield f"{job} arrived {len(arrivals)} times, {allowed} were asked for"


def an_attempt_is_one_request(facts: Facts) -> Iterator[str]:
    for job, arrivals in facts.by_job.items():
        attempts = [arrival.attempt for arrival in arrivals]
        for attempt in sorted({one for one in attempts if attempts.count(one) > 1}):
            yield f"{job} attempt {attempt} arrived twice"


def duplicates_have_a_reason(facts: Facts) -> Iterator[str]:
    """A request more needs a claim that was given up: whose owner was lost before it told the outcome."""
    found = facts.found
    for job, arrivals in facts.by_job.items():
        grants = {arrival.attempt: found.grants.get((job, arrival.attempt)) for arrival in arrivals}
        for first, second in pairwise(sorted(arrivals, key=lambda arrival: arrival.attempt)):
            before, after = grants[first.attempt], grants[second.attempt]
            if before is None or after is None:
                continue  # said elsewhere
            if any(overlap(retry, before.at, after.at) for retry in facts.retries(job)):
                continue
            recorded = found.outcomes.get((job, first.attempt))
            if recorded is not None and recorded[1].retry_at_ms is None:
                yield f"{job} was finished by attempt {first.attempt}, and arrived again as attempt {second.attempt}"
            if recorded is None and (job, first.attempt) not in found.given_up:
                yield f"{job} arrived again as attempt {second.attempt}, and no owner was lost before"


def a_runner_has_a_claim_for_each_slot_and_few_ahead(facts: Facts) -> Iterator[str]:
    """At any moment, of each term: so many may be open when it is lost."""
    found, most = facts.found, facts.slots + ahead_of(facts.slots)
    changes: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for key, grant in found.grants.items():
        if facts.is_cancelled(grant.job):
            continue
        its = changes[grant.term, grant.owner]
        its.append((grant.at, 1))
        its += [(ended[key][0], -1) for ended in (found.outcomes, found.given_up) if key in ended][:1]
    for (term, owner), its in changes.items():
        for (at, _), count in zip(sorted(its), accumulate(by for _, by in sorted(its)), strict=True):
            if count > most:
                yield f"{owner} had {count} open claims of term {term}, and has {facts.slots} slots (at {at})"
                break
    for at, count in found.lost if facts.is_alone else ():
        if count > most:
            yield f"a term found {count} open claims, there are {facts.slots} slots (at {at})"


def a_claim_is_given_up_only_when_its_owner_is_lost(facts: Facts) -> Iterator[str]:
    """After its deadline, or when its owner, or its part that makes the attempt, is dead: else it may send or tell."""
    senders = {(arrival.job, arrival.attempt): arrival.process for arrival in facts.history.arrivals}
    for key, (at, time_ms) in facts.found.given_up.items():
        grant = facts.found.grants[key]
        early_ms = grant.ends_ms - time_ms
        owner = grant.owner.rpartition("/")[2]
        dead = {name for name, died in facts.deaths.items() if died < at}
        parts = {name for name in dead if name.startswith(f"{owner}~") and senders.get(key, name) == name}
        if early_ms > 0 and owner not in dead and not parts:
            yield f"{key[0]} attempt {key[1]} was given up {early_ms} ms before its deadline, and {owner} still lived"


def nobody_sends_what_another_has_claimed(facts: Facts) -> Iterator[str]:
    for it in facts.history.arrivals:
        grant = facts.found.grants.get((it.job, it.attempt))
        if grant is not None and grant.owner.rpartition("/")[2] != it.process.partition("~")[0]:
            yield f"{it.job} attempt {it.attempt} is claimed by {grant.owner}, and was sent by {it.process}"


def without_trouble_nothing_is_lost(facts: Facts) -> Iterator[str]:
    terms = sum(1 for _ in facts.begins())
    if facts.kind == "calm" and terms != 1:
        yield f"{terms} terms"
    if facts.kind not in ("calm", "hand-over"):
        return
    for at, count in facts.found.lost:
        if count:
            yield f"{count} claims were given up, though no process was lost (at {at})"
    # Without a result, an attempt took longer than a node that hands over waits.
    told = {(arrival.job, arrival.attempt): arrival.result is not None for arrival in facts.history.arrivals}
    for job, attempt in facts.found.grants:
        key = (job, attempt)
        if key not in facts.found.outcomes and told.get(key) and not facts.is_cancelled(job):
            yield f"the outcome of {job} attempt {attempt} is lost"


# --- promise 3: not before -------------------------------------------------------------------------------------------


def claims_come_before_requests(facts: Facts) -> Iterator[str]:
    for arrival in facts.history.arrivals:
        grant = facts.found.grants.get((arrival.job, arrival.attempt))
        if grant is None or grant.at > arrival.at:
            yield f"{arrival.job} attempt {arrival.attempt} arrived (at {arrival.at}) before its claim was in the log"
        elif grant.term != arrival.term:
            yield f"{arrival.job} attempt {arrival.attempt} says term {arrival.term}, its claim {grant.term}"


def nothing_is_early(facts: Facts) -> Iterator[str]:
    """By the clock of the node; of several that disagree, there is none to go by."""
    if facts.jumped_ms:
        return
    for grant in facts.found.grants.values():
        early_ms = grant.due_ms - grant.time_ms
        # The clock may have gone back between the decision to claim and the entry that carries the claim.
        back = facts.history.steps_back
        if early_ms > sum(by_ms for at, by_ms in back if grant.at - _STAMPS_OF_A_CLAIM < at < grant.at):
            yield f"{grant.job} attempt {grant.attempt} was claimed {early_ms} ms before it was due"
    for call in facts.history.calls:
        for job in call.acknowledged:
            run_at_ms = _run_at_ms(call)
            if run_at_ms is None or facts.is_moved(job):
                continue
            for arrival in facts.by_job.get(job, ()):
                # The wall clock may have gone back since the claim, or before a retry.
                first = facts.found.grants.get((job, 1))
                if arrival.attempt == 1 and first and max(arrival.time_ms, first.time_ms) < run_at_ms:
                    yield f"{job} arrived {run_at_ms - arrival.time_ms} ms before its time"


def nothing_is_early_by_the_truth(facts: Facts) -> Iterator[str]:
    """As far as nodes can know it, nothing is early by over a second, whatever a wall clock says."""
    for arrival in facts.history.arrivals:
        row = facts.found.jobs.get(arrival.job)
        if row is None or row["attempts_before"] or facts.history.about(arrival.job, *CHANGES):
            continue
        if arrival.attempt > 1:
            continue  # once it was due, it does not matter that clocks were wrong then and are set back
        early_ms = row["run_at_ms"] - facts.now_ms(arrival.true_s)
        if early_ms > facts.early_ms:
            yield f"{arrival.job} attempt {arrival.attempt} arrived {early_ms:.0f} ms early (at {arrival.at})"


def retry_after_is_kept(facts: Facts) -> Iterator[str]:
    if facts.jumped_ms:
        return
    for job, arrivals in facts.by_job.items():
        if facts.is_moved(job):
            continue
        for first, second in pairwise(arrivals):
            early_ms = first.answered_ms + 1_000 * first.retry_after_s - second.time_ms
            if first.retry_after_s and early_ms > 0 and (job, first.attempt) in facts.found.outcomes:
                yield f"{job} attempt {second.attempt} came {early_ms} ms before the receiver wanted it"


# --- nobody starves --------------------------------------------------------------------------------------------------


def a_calm_destination_is_served(facts: Facts) -> Iterator[str]:
    """Of several nodes nobody can say for how long one served, while there is trouble."""
    for grant in facts.found.grants.values() if facts.is_alone else ():
        if grant.destination != CALM or facts.history.about(grant.job, "update"):
            continue  # a job that came from another destination has waited there
        waited_ms = sum(
            max(0, min(grant.time_ms, part.until_ms) - max(grant.due_ms, part.from_ms))
            for part in facts.history.serving
            if part.from_at < grant.at
        )
        if waited_ms > CALM_LATENESS_MS:
            yield f"{grant.job} waited {waited_ms} ms for a destination that answers at once"


def _run_at_ms(call: Call) -> int | None:
    """When the job was asked to run, if the call made it and said so."""
    if call.kind != "create" or call.answer.deduplicated is True:
        return None
    if "run_at" in call.arguments:
        return parse_time(call.arguments["run_at"])
    return call.began_ms + int(call.arguments.get("delay", 0) * 1_000)


def _is_good(arrival: Arrival) -> bool:
    return arrival.result is not None and arrival.result.isdigit() and 200 <= int(arrival.result) < 300
