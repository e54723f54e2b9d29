"""Does a cluster's run keep the promises of the design? The single node's checks and a cluster's own."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from hookline.errors import JobFinished
from hookline.protocol import commands as c
from hookline.protocol.jobs import State
from tests.simulation import checker as single
from tests.simulation.cluster.world import ClusterWorld
from tests.simulation.history import Arrival, Call, History
from tests.simulation.replay import Replay, dump, replay
from tests.simulation.tick_oracle import check_ticks

# On a cluster these mean something else: see below.
_REPLACED = {
    single.duplicates_have_a_reason,
    single.a_cancelled_job_stays_quiet,
    single.the_newest_payload_is_sent,
    single.a_calm_destination_is_served,  # while there is trouble, nobody can say for how long a node served
}
_CALL_MS = 10_000  # how long a call may take
_EARLY_MS = 1_000 + 60  # and what a reading of another clock may be wrong by
_CHANGES = ("update", "run", "retry")
_BY_THE_CLOCK = {single.nothing_is_early, single.retry_after_is_kept}  # of one node, not of three that disagree


def violations(world: ClusterWorld, directory: Path) -> list[str]:
    """All that is wrong with a run, in words; empty when it keeps every promise."""
    history = world.history
    wrong = [*world.violations, *world.etcd.wrong, *history.complaints]
    if world.fatal or world.etcd.wrong:
        return [*wrong, world.fatal]  # the log cannot be replayed, or there is no end to compare it with
    found = replay(history, directory)
    for check in (*single.CHECKS, *CHECKS):
        if check not in _REPLACED and not (world.jumped_ms and check in _BY_THE_CLOCK):
            wrong += [f"{check.__name__.replace('_', ' ')}: {text}" for text in check(history, found)]
    slack_ms = _CALL_MS + world.jumped_ms
    wrong += [f"a tick: {text}" for text in check_ticks(history, found, world.config.shard, slack_ms=slack_ms)]
    wrong += [f"the time: {text}" for text in _early(world, found)]
    wrong += [f"slots: {text}" for text in _open_claims(history, found, world.slots)]
    wrong += [f"duplicates: {text}" for text in _duplicates(world, found)]
    wrong += [f"a lost claim: {text}" for text in _given_up(world, found)]
    wrong += [f"an owner: {text}" for text in _owned(world, found)]
    wrong += [f"without trouble: {text}" for text in _calm(world, found)]
    for node in world.nodes:
        wrong += [f"the state of {node.name}: {text}" for text in _state(found, node.state_file)]
    return wrong


# --- promise 1 and 5: nothing is left behind by what was refused ------------------------------------------------------


def a_refused_job_is_not_there(history: History, found: Replay) -> Iterator[str]:
    """An error that says "not accepted" is as binding as an acknowledgement."""
    tried: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        for job in _named(call):
            tried[job].append(call)
    for job, calls in tried.items():
        if job in found.jobs and not any(call.may_have_worked for call in calls):
            yield f"{job} is there, but calls {[call.number for call in calls]} were told it was not accepted"
    unsure = sum(call.kind == "create" and call.may_have_worked for call in history.calls)
    named = sum(job not in tried and row["schedule"] is None for job, row in found.jobs.items())
    if named > unsure:
        yield f"{named} jobs have ids of our own, but only {unsure} calls can have made one"


def _named(call: Call) -> list[str]:
    if call.kind == "create" and "id" in call.arguments:
        return [call.arguments["id"]]
    return [job["id"] for job in call.arguments["jobs"]] if call.kind == "batch" else []


# --- promise 2: how often --------------------------------------------------------------------------------------------


def _duplicates(world: ClusterWorld, found: Replay) -> Iterator[str]:
    """A request more needs a claim that was given up: whose owner was lost before it told the outcome."""
    history = world.history
    bulk_retries = [call for call in history.calls if call.kind == "bulk_retry" and call.may_have_worked]
    for job, arrivals in single._by_job(history).items():
        retries = history.about(job, "retry") + bulk_retries
        grants = {arrival.attempt: found.grants.get((job, arrival.attempt)) for arrival in arrivals}
        for first, second in pairwise(sorted(arrivals, key=lambda arrival: arrival.attempt)):
            before, after = grants[first.attempt], grants[second.attempt]
            if before is None or after is None:
                continue  # said elsewhere
            if any(single._overlap(retry, before.at, after.at) for retry in retries):
                continue
            recorded = found.outcomes.get((job, first.attempt))
            if recorded is not None and recorded[1].retry_at_ms is None:
                yield f"{job} was finished by attempt {first.attempt}, and arrived again as attempt {second.attempt}"
            if recorded is None and (job, first.attempt) not in found.given_up:
                yield f"{job} arrived again as attempt {second.attempt}, and no owner was lost before"


def _begins(history: History) -> list[tuple[int, int, c.BeginTerm]]:
    """(when, term, command) of each term."""
    return [
        (at, entry.term, command)
        for at, entry in history.entries
        for command in entry.commands
        if isinstance(command, c.BeginTerm)
    ]


def _open_claims(history: History, found: Replay, slots: int) -> Iterator[str]:
    """A leader that is lost has at most as many claims open as it has slots."""
    closed = {key: at for key, (at, _) in found.outcomes.items()}
    for at, term, _ in _begins(history):
        for lost in {grant.term for grant in found.grants.values() if grant.term < term}:
            count = sum(
                grant.term == lost
                and grant.at < at
                and closed.get(key, at) >= at
                and not _cancelled(history, grant.job)
                for key, grant in found.grants.items()
            )
            if count > slots:
                yield f"term {lost} had {count} open claims when term {term} began, there are {slots} slots (at {at})"


def _cancelled(history: History, job: str) -> bool:
    """Its claim may have been closed by a cancel."""
    return bool(history.about(job, "cancel")) or any(call.kind == "bulk_cancel" for call in history.calls)


def _given_up(world: ClusterWorld, found: Replay) -> Iterator[str]:
    """A claim is given up after its deadline, or when its owner is dead; until then that may still send it, or tell."""
    for key, (at, time_ms) in found.given_up.items():
        grant = found.grants[key]
        early_ms = grant.ends_ms - time_ms
        owner = grant.owner.rpartition("/")[2]
        if early_ms > 0 and world.deaths.get(owner, at) >= at:
            yield f"{key[0]} attempt {key[1]} was given up {early_ms} ms before its deadline, and {owner} still lived"


def _owned(world: ClusterWorld, found: Replay) -> Iterator[str]:
    """Nobody sends what another process has claimed."""
    for it in world.history.arrivals:
        grant = found.grants.get((it.job, it.attempt))
        if grant is not None and grant.owner.rpartition("/")[2] != it.process:
            yield f"{it.job} attempt {it.attempt} is claimed by {grant.owner}, and was sent by {it.process}"


def _calm(world: ClusterWorld, found: Replay) -> Iterator[str]:
    """What trouble must not be needed for."""
    begins = _begins(world.history)
    if world.kind == "calm" and len(begins) != 1:
        yield f"{len(begins)} terms"
    if world.kind in ("calm", "hand-over"):
        for at, count in found.lost:
            if count:
                yield f"{count} claims were given up, though no process was lost (at {at})"
        lost = [key for key in found.grants if key not in found.outcomes and not _cancelled(world.history, key[0])]
        by_attempt = {(arrival.job, arrival.attempt) for arrival in world.history.arrivals}
        for job, attempt in lost:
            if (job, attempt) in by_attempt and not _outlived(world, job, attempt):
                yield f"the outcome of {job} attempt {attempt} is lost"


def _outlived(world: ClusterWorld, job: str, attempt: int) -> bool:
    """The attempt took longer than a node that hands over waits."""
    return any(
        arrival.job == job and arrival.attempt == attempt and arrival.result is None
        for arrival in world.history.arrivals
    )


# --- promise 10: the newest word counts, for every claim after it ----------------------------------------------------


def a_cancel_is_refused_only_for_what_has_ended(history: History, found: Replay) -> Iterator[str]:
    if any(call.kind == "bulk_retry" and call.may_have_worked for call in history.calls):
        return
    ended = {job: at for (job, _), (at, outcome) in found.outcomes.items() if outcome.retry_at_ms is None}
    for call in history.calls:
        job = call.target or ""
        if call.kind != "cancel" or call.code != JobFinished.code or history.about(job, "retry"):
            continue
        if job in found.jobs and found.jobs[job]["state"] == State.SUCCEEDED and ended[job] > call.ended:
            yield f"{job} was not cancelled by call {call.number}, though it had not ended"


def a_cancelled_job_is_not_claimed(history: History, found: Replay) -> Iterator[str]:
    bulk_retries = [call for call in history.calls if call.kind == "bulk_retry" and call.may_have_worked]
    for call in history.calls:
        if call.kind != "cancel" or not call.is_ok or call.target is None:
            continue
        retries = history.about(call.target, "retry") + bulk_retries
        for _, claimed_at in _claimed(history, found, call.target):
            if claimed_at > call.ended and not any(retry.may_act_after(call.began) for retry in retries):
                yield f"{call.target} was claimed (at {claimed_at}) after call {call.number} had cancelled it"


def a_later_claim_has_the_newest_payload(history: History, found: Replay) -> Iterator[str]:
    for call in history.calls:
        if call.kind not in ("update", "retry") or not call.is_ok or "payload" not in call.arguments:
            continue
        assert call.target is not None
        later = [
            other.arguments["payload"]
            for other in history.about(call.target, "update", "retry")
            if "payload" in other.arguments and other.may_act_after(call.began)
        ]
        for arrival, claimed_at in _claimed(history, found, call.target):
            if claimed_at > call.ended and json.loads(arrival.body) not in later:
                yield f"{call.target} arrived with {arrival.body!r} after call {call.number} had changed it"


def _claimed(history: History, found: Replay, job: str) -> Iterator[tuple[Arrival, int]]:
    """The arrivals of a job and when each was claimed."""
    for arrival in history.arrivals:
        grant = found.grants.get((job, arrival.attempt))
        if arrival.job == job and grant is not None:
            yield arrival, grant.at


# --- promise 3: not before, by the majority of the clocks -------------------------------------------------------------


def _early(world: ClusterWorld, found: Replay) -> Iterator[str]:
    """Whatever a single clock says: nothing is early by more than a second, as most of them know the time.

    First attempts, that is: once a job was due, it does not matter that most clocks were wrong then and are set back.
    """
    history = world.history
    for arrival in history.arrivals:
        row = found.jobs.get(arrival.job)
        if row is None or arrival.attempt > 1 or row["attempts_before"] or history.about(arrival.job, *_CHANGES):
            continue
        now_ms = world.start_ms + arrival.true_s * 1_000 + world.clocks.ahead_ms(arrival.true_s)
        early_ms = row["run_at_ms"] - now_ms
        if early_ms > _EARLY_MS:
            yield f"{arrival.job} attempt {arrival.attempt} arrived {early_ms:.0f} ms early (at {arrival.at})"


# --- promise 7: all nodes are alike ----------------------------------------------------------------------------------


def _state(found: Replay, state_file: Path) -> Iterator[str]:
    for name, rows in dump(state_file).items():
        if rows != found.tables[name]:
            different = [pair for pair in zip(rows, found.tables[name], strict=False) if pair[0] != pair[1]][:2]
            yield f"table {name} differs from a replay of the log: {different}"


CHECKS: tuple[Callable[[History, Replay], Iterator[str]], ...] = (
    a_refused_job_is_not_there,
    a_cancel_is_refused_only_for_what_has_ended,
    a_cancelled_job_is_not_claimed,
    a_later_claim_has_the_newest_payload,
)
