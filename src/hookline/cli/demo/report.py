"""Reports on the demo's jobs by kind, from the service's answers and the receiver's requests."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rich import box
from rich.table import Table

from hookline.cli.demo.plan import KINDS, RECURRING, SCHEDULE_ID, JobKind
from hookline.cli.receiver import Received
from hookline.client.answers import Job


@dataclass(slots=True)
class Tally:
    """One line of the table."""

    jobs: int = 0
    states: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    verified: int = 0
    lags_ms: list[int] = field(default_factory=list)


def kinds_of(jobs: Iterable[Job], made: Mapping[str, JobKind]) -> dict[str, JobKind]:
    """The kind of each job by its id; jobs of the schedule's real ticks were not made by us, and count as recurring."""
    return dict(made) | {job.id: RECURRING for job in jobs if job.schedule == SCHEDULE_ID}


def count(jobs: Iterable[Job], received: Iterable[Received], kinds: Mapping[str, JobKind]) -> dict[JobKind, Tally]:
    """The lines of the table."""
    tallies = {kind: Tally() for kind in KINDS}
    for job in jobs:
        if (kind := kinds.get(job.id)) is not None:
            tallies[kind].jobs += 1
            tallies[kind].states[job.state] += 1
    for one in received:
        if (kind := kinds.get(one.id)) is None:
            continue
        tallies[kind].requests += 1
        tallies[kind].verified += one.verified is True
        if one.attempt == 1 and one.lag_ms is not None:  # a retry is late by its wait
            tallies[kind].lags_ms.append(one.lag_ms)
    return tallies


def summary(tallies: Mapping[JobKind, Tally]) -> Table:
    """The table, with a line for all."""
    # Nine columns are many for 80 characters, so nothing lies between them but what their widths leave.
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=0, header_style="bold")
    grid.add_column("KIND", no_wrap=True, min_width=3)
    for name in ("JOBS", "DELIVERED", "ATTEMPTS", "DEAD", "CANCELLED", "LAG P50", "P99", "SIGNED"):
        grid.add_column(name, no_wrap=True, justify="right", min_width=3)
    everything = Tally()
    for kind, tally in tallies.items():
        grid.add_row(kind.name, *_cells(tally))
        everything.jobs += tally.jobs
        everything.states += tally.states
        everything.requests += tally.requests
        everything.verified += tally.verified
        everything.lags_ms += tally.lags_ms
    grid.add_section()
    grid.add_row("all", *_cells(everything), style="bold")
    return grid


def problems(
    jobs: Iterable[Job], received: Iterable[Received], made: Mapping[str, JobKind], kinds: Mapping[str, JobKind]
) -> list[str]:
    """Everything that is not as promised, in words; empty if each job is accounted for."""
    by_id = {job.id: job for job in jobs}
    requests = Counter((one.id, one.attempt) for one in received)
    attempts = Counter(one.id for one in received)
    found = [f"job {job_id} is lost" for job_id in made if job_id not in by_id]
    for job_id, kind in kinds.items():
        state = by_id[job_id].state if job_id in by_id else "lost"
        if state != kind.state:
            found.append(f"job {job_id} ({kind.name}) is {state}, not {kind.state}")
        if attempts[job_id] != kind.attempts:
            found.append(f"job {job_id} ({kind.name}) made {attempts[job_id]} requests, not {kind.attempts}")
    found += [f"attempt {number} of job {job_id} came {n} times" for (job_id, number), n in requests.items() if n > 1]
    found += [f"the signature of job {one.id} does not verify: {one.why_not}" for one in received if not one.verified]
    found += [
        f"job {one.id} came {-one.lag_ms} ms early" for one in received if one.lag_ms is not None and one.lag_ms < 0
    ]
    found += [f"a request for an unknown job {job_id} came" for job_id in attempts.keys() - kinds.keys()]
    return found


def _cells(tally: Tally) -> list[str]:
    lags = sorted(tally.lags_ms)
    return [
        str(tally.jobs),
        str(tally.states["succeeded"]),
        str(tally.requests),
        str(tally.states["dead"]),
        str(tally.states["cancelled"]),
        _percentile(lags, 50),
        _percentile(lags, 99),
        f"{tally.verified}/{tally.requests}",
    ]


def _percentile(ordered: list[int], percent: int) -> str:
    """Nearest rank."""
    if not ordered:
        return "-"
    return f"{ordered[max(0, -(-len(ordered) * percent // 100) - 1)]} ms"
