"""Shows changes of the topology to people: what one would move, and how far it is."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hookline.cli.output import stderr, stdout
from hookline.cli.sheet import Column, Sheet
from hookline.client import topology_requests
from hookline.errors import ConnectionFailed, Unavailable
from hookline.protocol.durations import format_duration
from hookline.protocol.http_moves import TopologyBalance, TopologyPlan, TopologyStatus
from hookline.protocol.topology import Strategy

if TYPE_CHECKING:
    from hookline.cli.calls import Calls

_LOOK_S = 1.0
_LINES_S = 2.0  # between two lines, where they stay
_MISSED_MAX = 60  # looks at a proxy that does not answer
_FREE_LOOKS = 30  # for a cluster that was taken out to say so
_KIB = 1024
_MUCH = 0.4  # of all ids

Shown = Callable[[TopologyStatus], None]


def show_plan(plan: TopologyPlan, strategy: Strategy) -> None:
    """Tables, the sum in words, and what is wrong. ``strategy``: of the topology that is planned."""
    pairs = _sheet("FROM", "TO", "IDS", "JOBS", "SCHEDULES", "BYTES")
    for pair in plan.pairs:
        counts = (pair.jobs, pair.schedules, pair.bytes)
        pairs.add(pair.source, pair.target, f"{pair.share:.1%}", *("?" if it is None else f"{it:,}" for it in counts))
    clusters = _sheet("CLUSTER", "IDS NOW", "IDS THEN", "PENDING", "SCHEDULES")
    for one in plan.clusters:
        has = ("-" if it is None else f"{it:,}" for it in (one.pending, one.schedules))
        clusters.add(one.name, f"{one.share_before:.1%}", f"{one.share_after:.1%}", *has)
    out = stdout()
    if plan.pairs:
        out.print(pairs, soft_wrap=True)
        out.print("")
    out.print(clusters, soft_wrap=True)
    if not plan.problems:
        out.print(_sum_of(plan) if plan.pairs else "Nothing moves.", soft_wrap=True)
    if strategy == "modulo" and plan.share > _MUCH:
        out.print('With strategy = "ring" about the share of the new cluster would move.', style="yellow")
    for name in plan.unreachable:
        out.print(f"{name} does not answer: what it has is not counted.", style="yellow", soft_wrap=True)
    for note in plan.notes:
        out.print(f"On apply: {note}.", soft_wrap=True)
    for problem in plan.problems:
        stderr().print(f"It would be refused: {problem.detail} ({problem.code})", style="bold red", soft_wrap=True)


def _sum_of(plan: TopologyPlan) -> str:
    took = format_duration(plan.seconds * 1_000)
    how = "as measured last" if plan.is_measured else "assumed, since not many have moved yet"
    return (
        f"{plan.share:.1%} of the ids and keys that clients choose get another home. {plan.jobs:,} jobs"
        f" ({_size(plan.bytes)}) and {plan.schedules:,} schedules move, in about {took}: each cluster gives away"
        f" {plan.jobs_per_s:,.0f} jobs a second ({how})."
    )


def _sheet(*names: str, texts: int = 2) -> Sheet:
    """A table of numbers behind so many texts."""
    return Sheet([Column(name, is_number=place >= texts) for place, name in enumerate(names)])


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:,.0f} {unit}"
        count /= _KIB
    return f"{count:,.1f} GiB"


def show_status(status: TopologyStatus) -> None:
    """A line, a table of pairs, and what holds it up."""
    out = stdout()
    out.print(f"epoch {status.epoch}, {status.state}: {line_of(status)}", soft_wrap=True)
    if status.pairs:
        table = _sheet("FROM", "TO", "JOBS MOVED", "LEFT", "SCHEDULES MOVED", "LEFT")
        for pair in status.pairs:
            left = ("…", "…") if pair.counting else (f"{pair.jobs_left:,}", f"{pair.schedules_left:,}")
            table.add(
                *(pair.source, pair.target, f"{pair.jobs_moved:,}", left[0], f"{pair.schedules_moved:,}", left[1])
            )
        out.print(table, soft_wrap=True)
    for text in status.waits_for:
        out.print(f"waits: {text}", style="yellow", soft_wrap=True)
    for name in status.unreachable:
        out.print(f"{name} does not say how far it is", style="yellow", soft_wrap=True)
    for name in status.can_be_switched_off:
        out.print(switch_off(name), soft_wrap=True)


def line_of(status: TopologyStatus) -> str:
    """How far it is, in a line."""
    if status.state == "stable":
        return "no change is under way"
    jobs, all_jobs, schedules, all_schedules = _counts(status)
    parts = [f"{jobs:,} of {all_jobs:,} jobs and {schedules:,} of {all_schedules:,} schedules moved"]
    if any(pair.counting for pair in status.pairs):
        parts = [f"{jobs:,} jobs and {schedules:,} schedules moved, counting what is left"]
    if status.state == "paused":
        return f"{parts[0]}; paused: hookline topology resume"
    parts.append(f"{status.jobs_per_s:,.0f} jobs/s")
    if status.seconds_left is not None:
        parts.append(f"about {format_duration(status.seconds_left * 1_000)} to go")
    return ", ".join(parts)


def _counts(status: TopologyStatus) -> tuple[int, int, int, int]:
    jobs = sum(pair.jobs_moved for pair in status.pairs)
    schedules = sum(pair.schedules_moved for pair in status.pairs)
    left = sum(pair.jobs_left for pair in status.pairs), sum(pair.schedules_left for pair in status.pairs)
    return jobs, jobs + left[0], schedules, schedules + left[1]


def switch_off(name: str) -> str:
    """Tells of a cluster that is not needed any more."""
    return f"cluster {name} can be switched off; before that, hookline export --url NODE keeps its finished jobs"


def show_balance(found: TopologyBalance) -> None:
    """A table, and what is proposed."""
    table = _sheet(
        *("CLUSTER", "WEIGHT", "PROPOSED", "LOAD", "THEN", "ATTEMPTS/S", "CREATES/S", "LAG", "SLOTS", "PENDING"),
        texts=1,
    )
    for one in found.clusters:
        table.add(
            *(one.name, str(one.weight), str(one.weight_proposed), f"{one.load:,.1f}", f"{one.load_expected:,.1f}"),
            *(f"{one.attempts_per_s:,.1f}", f"{one.creates_per_s:,.1f}", f"{one.lag_ms:,.0f} ms"),
            *(f"{one.slots_used} of {one.slots_max}", f"{one.pending:,}"),
        )
    out = stdout()
    out.print(f"measured for {found.seconds:g} s; load: attempts a second, or creates where more come", soft_wrap=True)
    out.print(table, soft_wrap=True)
    if found.proposal is not None:
        out.print(f"{found.share:.1%} of the ids and keys that clients choose would get another home.", soft_wrap=True)
    for note in found.notes:
        out.print(note, soft_wrap=True)


# --- live -------------------------------------------------------------------------------------------------------------


def follow(calls: "Calls", *, is_silent: bool) -> TopologyStatus:
    """Show how the change goes on until it has ended.

    Raises:
        ConnectionFailed, Unavailable: the proxy has not answered for a minute.
    """
    last: TopologyStatus | None = None
    with _shown(is_silent=is_silent) as show:
        while (status := _look(calls)).state != "stable":
            last = status
            show(status)
            time.sleep(_LOOK_S)
    if last is not None and not is_silent:
        # Clusters that were taken out do not tell any more; the others may have gone on since the last look.
        ends = {(pair.source, pair.target): pair for pair in (*last.pairs, *status.pairs)}.values()
        jobs, schedules = sum(pair.jobs_moved for pair in ends), sum(pair.schedules_moved for pair in ends)
        frozen = max(last.longest_freeze_ms, status.longest_freeze_ms)
        stdout().print(
            f"epoch {status.epoch}: the change has ended. {jobs:,} jobs and {schedules:,} schedules have moved;"
            f" nothing stood still for more than {frozen} ms",
            soft_wrap=True,
        )
    return status


def await_free(calls: "Calls", leaving: Sequence[str], *, is_silent: bool) -> TopologyStatus:
    """Wait for some seconds until the clusters that were taken out say that they can be switched off, and tell it."""
    status = _look(calls)
    for _ in range(_FREE_LOOKS):
        if set(leaving) <= set(status.can_be_switched_off):
            break
        time.sleep(_LOOK_S)
        status = _look(calls)
    for name in () if is_silent else leaving:
        if name in status.can_be_switched_off:
            stdout().print(switch_off(name), soft_wrap=True)
        else:
            stdout().print(
                f"cluster {name} was taken out, and does not say yet that it can be switched off: ask its /health",
                style="yellow",
                soft_wrap=True,
            )
    return status


def _look(calls: "Calls") -> TopologyStatus:
    """A proxy may be away for a while: the change goes on without it."""
    missed = 0
    while True:
        try:
            return calls.send(topology_requests.topology_status())
        except (ConnectionFailed, Unavailable):
            missed += 1
            if missed >= _MISSED_MAX:
                raise
            time.sleep(_LOOK_S)


@contextmanager
def _shown(*, is_silent: bool) -> Iterator[Shown]:
    """A bar on a terminal, else a line now and then; on stderr."""
    if is_silent:
        yield lambda _status: None
    elif not stderr().is_terminal:
        yield _Lines()
    else:
        from rich.progress import BarColumn, Progress, TextColumn

        from hookline.cli.output import rich_stderr

        columns = (TextColumn("{task.fields[state]}"), BarColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=rich_stderr(), transient=True) as bar:
            task = bar.add_task("", total=None, state="")

            def show(status: TopologyStatus) -> None:
                jobs, all_jobs, schedules, all_schedules = _counts(status)
                total = all_jobs + all_schedules
                bar.update(
                    task,
                    description=_with_waits(status),
                    completed=jobs + schedules,
                    total=total or None,
                    state=status.state,
                )

            yield show


class _Lines:
    """Prints a line when something is new, not too often."""

    def __init__(self) -> None:
        self._said = ""
        self._looks = 0

    def __call__(self, status: TopologyStatus) -> None:
        text = f"{status.state}: {_with_waits(status)}"
        self._looks += 1
        if text != self._said and (not self._said or self._looks * _LOOK_S >= _LINES_S):
            stderr().print(text, soft_wrap=True)
            self._said, self._looks = text, 0


def _with_waits(status: TopologyStatus) -> str:
    waits = [*status.waits_for, *(f"{name}: it does not answer" for name in status.unreachable)]
    return "; ".join([line_of(status), *waits[:1]]) if status.state != "paused" else line_of(status)
