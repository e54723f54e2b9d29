"""Accounts for every job of a run, from three sources: what clients saw, what receivers saw, what the nodes hold.

Pure: histories in, findings out. A finding names the promise of the design that it breaks.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tests.chaos.clients import History

# A request counts as sent when the receiver writes it down; a busy machine may take so long from the one to the other.
IN_FLIGHT_MS = 500


class Arrival(NamedTuple):
    """A request, as its receiver saw it."""

    job: str
    at_ms: int
    attempt: int
    term: int


class HeldJob(NamedTuple):
    """A job, as a node holds it."""

    state: str
    attempts: int
    run_at_ms: int
    at_most_once: bool = False
    key: str | None = None


@dataclass
class Findings:
    """The result of a run. Each list that is not empty is a broken promise, except ``explained`` and ``gap_ms``."""

    jobs: int = 0
    arrivals: int = 0
    failed_calls: list[str] = field(default_factory=list)
    explained: int = 0
    lost: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    once_twice: list[str] = field(default_factory=list)
    term_overlaps: list[str] = field(default_factory=list)
    cancels_ignored: list[str] = field(default_factory=list)
    nodes_differ: list[str] = field(default_factory=list)
    longest_gap_ms: int = 0

    def broken(self) -> list[str]:
        """Every broken promise, in words."""
        return [
            *(f"lost: {what}" for what in self.lost),
            *(f"unexplained duplicate: {what}" for what in self.unexplained),
            *(f"early: {what}" for what in self.early),
            *(f"at-most-once sent twice: {what}" for what in self.once_twice),
            *(f"terms overlap: {what}" for what in self.term_overlaps),
            *(f"cancel ignored: {what}" for what in self.cancels_ignored),
            *(f"nodes differ: {what}" for what in self.nodes_differ),
        ]


def check(
    history: History,
    arrivals: Sequence[Arrival],
    held: Mapping[str, Mapping[str, HeldJob]],
    *,
    slots: int,
    quiet_ms: Sequence[tuple[int, int]],
    early_ms: int = 0,
    runners_lost: int = 0,
) -> Findings:
    """Compare all sources.

    Args:
        history: of the clients.
        arrivals: of the receivers, in order.
        held: the jobs of each source: what each node answered, and what each database has.
        slots: attempts that may run at once, so claims that may be open when a leader is lost.
        early_ms: how much too soon a request may come, while clocks are wrong.
        runners_lost: runners that were lost while their leader's term went on.
        quiet_ms: (from, to) between which load was on; gaps are looked for in there.
    """
    findings = Findings(arrivals=len(arrivals))
    jobs = next(iter(held.values()))
    findings.jobs = len(jobs)
    findings.failed_calls = [
        f"{call.kind}: {call.why}" for call in history.calls if call.outcome in ("fail", "unknown")
    ]
    by_job: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_job[arrival.job].append(arrival)
    _compare_sources(findings, held)
    _acknowledged(findings, history, jobs, by_job)
    _keys(findings, history, jobs)
    _duplicates(findings, jobs, by_job, slots, runners_lost)
    _early(findings, arrivals, jobs, early_ms)
    _terms(findings, arrivals)
    _cancels(findings, history, jobs, by_job)
    findings.longest_gap_ms = max((_longest_gap_ms(arrivals, *span) for span in quiet_ms), default=0)
    return findings


def _compare_sources(findings: Findings, held: Mapping[str, Mapping[str, HeldJob]]) -> None:
    (first_name, first), *others = held.items()
    for name, jobs in others:
        different = [job for job in first.keys() | jobs.keys() if first.get(job) != jobs.get(job)]
        findings.nodes_differ += [
            f"{job}: {first_name} has {first.get(job)}, {name} has {jobs.get(job)}" for job in sorted(different)
        ]


def _acknowledged(
    findings: Findings, history: History, jobs: Mapping[str, HeldJob], by_job: Mapping[str, list[Arrival]]
) -> None:
    cancels = {call.ids[0] for call in history.of("cancel") if call.outcome in ("ok", "unknown")}
    for call in history.of("create", "ok"):
        for job_id in call.ids:
            job = jobs.get(job_id)
            if job is None:
                findings.lost.append(f"{job_id} was acknowledged at {call.ended_ms} and no node has it")
            elif job.state == "succeeded":
                if job_id not in by_job:
                    findings.lost.append(f"{job_id} is said to be delivered and never arrived")
            elif job.state == "cancelled":
                if job_id not in cancels:
                    findings.lost.append(f"{job_id} is cancelled, and nobody asked for it")
            elif job.state != "unknown" or not job.at_most_once:
                findings.lost.append(f"{job_id} is {job.state} though its receiver takes everything")
    known = {job_id for call in history.of("create") for job_id in call.ids}
    keys = {call.key for call in history.of("create") if call.key}
    made_up = [job_id for job_id, job in jobs.items() if job_id not in known and job.key not in keys]
    findings.lost += [f"{job_id} is held, and nobody created it" for job_id in made_up]
    findings.lost += [f"{job_id} arrived, and no node has it" for job_id in by_job if job_id not in jobs]


def _keys(findings: Findings, history: History, jobs: Mapping[str, HeldJob]) -> None:
    """The same idempotency key is one job, whatever became of the first try."""
    made = Counter(job.key for job in jobs.values() if job.key)
    findings.unexplained += [f"key {key} made {count} jobs" for key, count in made.items() if count > 1]
    findings.lost += [
        f"{call.ids[0]} was acknowledged for key {call.key}, which made another job"
        for call in history.of("create", "ok")
        if call.key and call.ids[0] in jobs and jobs[call.ids[0]].key != call.key
    ]


def _duplicates(
    findings: Findings, jobs: Mapping[str, HeldJob], by_job: Mapping[str, list[Arrival]], slots: int, runners_lost: int
) -> None:
    """A second request is explained by a claim that was open when its term ended or its runner was lost, not else."""
    open_at_loss: Counter[int] = Counter()
    of_lost_runners: list[str] = []
    for job_id, requests in by_job.items():
        if len(requests) > 1 and job_id in jobs and jobs[job_id].at_most_once:
            findings.once_twice.append(f"{job_id}: {requests}")
        for first, second in pairwise(sorted(requests, key=lambda request: request.attempt)):
            if second.term > first.term and second.attempt > first.attempt:
                open_at_loss[first.term] += 1
                findings.explained += 1
            elif runners_lost and second.attempt > first.attempt:
                of_lost_runners.append(f"{job_id}: {first} and {second}")
                findings.explained += 1
            else:
                findings.unexplained.append(f"{job_id}: {first} and {second}")
    if len(of_lost_runners) > runners_lost * slots:
        findings.unexplained += of_lost_runners
    findings.unexplained += [
        f"{count} claims of term {term} were sent again, and {slots} at most can have been open"
        for term, count in open_at_loss.items()
        if count > slots
    ]


def _early(findings: Findings, arrivals: Sequence[Arrival], jobs: Mapping[str, HeldJob], early_ms: int) -> None:
    for arrival in arrivals:
        job = jobs.get(arrival.job)
        if job is not None and arrival.at_ms + early_ms < job.run_at_ms:
            findings.early.append(f"{arrival} was due at {job.run_at_ms}")


def _terms(findings: Findings, arrivals: Sequence[Arrival]) -> None:
    newest, since_ms = 0, 0
    for arrival in sorted(arrivals, key=lambda arrival: arrival.at_ms):
        if arrival.term > newest:
            newest, since_ms = arrival.term, arrival.at_ms
        elif arrival.term < newest and arrival.at_ms > since_ms + IN_FLIGHT_MS:
            findings.term_overlaps.append(f"{arrival} came {arrival.at_ms - since_ms} ms after the first of {newest}")


def _cancels(
    findings: Findings, history: History, jobs: Mapping[str, HeldJob], by_job: Mapping[str, list[Arrival]]
) -> None:
    for call in history.of("cancel", "ok"):
        job_id = call.ids[0]
        job = jobs.get(job_id)
        if job is not None and job.state != "cancelled":
            findings.cancels_ignored.append(f"{job_id} is {job.state} after its cancellation was acknowledged")
        late = [request for request in by_job.get(job_id, ()) if request.at_ms > call.ended_ms + IN_FLIGHT_MS]
        findings.cancels_ignored += [f"{request} after the cancellation at {call.ended_ms}" for request in late]


def _longest_gap_ms(arrivals: Sequence[Arrival], from_ms: int, to_ms: int) -> int:
    times = [from_ms, *sorted(a.at_ms for a in arrivals if from_ms <= a.at_ms <= to_ms), to_ms]
    return max(after - before for before, after in pairwise(times))
