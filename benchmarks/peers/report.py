"""Turns what was measured into Markdown: pure."""

import statistics
from collections.abc import Callable, Mapping, Sequence

Figures = Mapping[str, float]
Runs = Mapping[str, Sequence[Figures]]  # by case
DELIVERIES = ("0 ms, in batches", "0 ms, one by one", "200 ms, in batches")
ENQUEUES = ("enqueue one by one", "enqueue in batches")
KILLS = ("worker killed", "store killed")
HERD = "herd"
BARE = "bare loop"


def middle(runs: Sequence[Figures], name: str) -> float:
    """The median of one figure."""
    return statistics.median(one[name] for one in runs)


def spread(runs: Sequence[Figures], name: str) -> str:
    """Median, slowest and fastest."""
    values = [one[name] for one in runs]
    return f"{statistics.median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def cell(found: Runs, case: str, show: Callable[[Sequence[Figures]], str], reason: Mapping[str, str]) -> str:
    """One cell; a case that failed says so."""
    if found.get(case):
        return show(found[case])
    return "failed" if case in reason else "—"


def tables(
    measured: Mapping[str, Runs],
    failed: Mapping[str, Mapping[str, str]],
    skipped: Mapping[str, str],
    copies: Mapping[str, int],
) -> list[str]:
    """All tables, by peer: what was measured, what failed, who was skipped, and how many copies it keeps."""
    lines = _deliveries(measured, failed, skipped)
    lines += ["", *_enqueues(measured, failed)]
    lines += ["", *_costs(measured, failed)]
    lines += ["", *_lags(measured, failed)]
    lines += ["", *_kills(measured, failed)]
    lines += ["", *_ahead(measured, copies)]
    reasons = [f"- {name}, {case}: {words}" for name, cases in failed.items() for case, words in cases.items()]
    if reasons:
        lines += ["", "Failed:", "", *reasons]
    return lines


def _ratio(measured: Mapping[str, Runs], case: str, rate: float) -> str:
    ours = next(
        (runs[case] for name, runs in measured.items() if name == "Hookline, one node" and runs.get(case)), None
    )
    return f", {rate / middle(ours, 'rate'):.2f}" if ours else ""


def _rate_row(measured: Mapping[str, Runs], name: str, cases: Sequence[str], reason: Mapping[str, str]) -> str:
    cells = [
        cell(
            measured[name],
            case,
            lambda runs, case=case: spread(runs, "rate") + _ratio(measured, case, middle(runs, "rate")),  # type: ignore[misc]
            reason,
        )
        for case in cases
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _deliveries(
    measured: Mapping[str, Runs], failed: Mapping[str, Mapping[str, str]], skipped: Mapping[str, str]
) -> list[str]:
    lines = [
        "Deliveries a second: median (min–max), ratio to Hookline's one node. Who has no call that enqueues many",
        "enqueues one by one in the first column and the third, too.",
        "",
        f"| deliveries/s | {' | '.join(DELIVERIES)} | at once, 200 ms |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, found in measured.items():
        slow = found.get(DELIVERIES[2])
        most = f"{max(one['at_once'] for one in slow):.0f}" if slow and "at_once" in slow[0] else ""
        lines.append(f"{_rate_row(measured, name, DELIVERIES, failed.get(name, {}))} {most} |")
    lines += [f"| {name} | skipped: {words} | | | |" for name, words in skipped.items()]
    return lines


def _enqueues(measured: Mapping[str, Runs], failed: Mapping[str, Mapping[str, str]]) -> list[str]:
    lines = [
        "Acknowledged jobs a second while nothing is delivered; —: there is no such call.",
        "",
        f"| enqueues/s | {' | '.join(ENQUEUES)} |",
        "|---|--:|--:|",
    ]
    rows = [_rate_row(measured, name, ENQUEUES, failed.get(name, {})) for name in measured if name != BARE]
    return lines + rows


def _costs(measured: Mapping[str, Runs], failed: Mapping[str, Mapping[str, str]]) -> list[str]:
    lines = [
        "CPU of all its processes, workers, stores and etcd, in µs a job; memory after the first case, in MiB (what",
        "processes share is counted once).",
        "",
        f"| CPU µs a job | {' | '.join(DELIVERIES)} | memory |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, found in measured.items():
        reason = failed.get(name, {})
        cells = [cell(found, case, lambda runs: spread(runs, "cpu_us"), reason) for case in DELIVERIES]
        first = found.get(DELIVERIES[0])
        memory = f"{middle(first, 'memory_mib'):,.0f}" if first and "memory_mib" in first[0] else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {memory} |")
    return lines


def _lags(measured: Mapping[str, Runs], failed: Mapping[str, Mapping[str, str]]) -> list[str]:
    lines = [
        "Jobs due at one instant, 0 ms receiver: arrival after that instant, in ms; below zero: too early.",
        "",
        "| lag, ms | first | p50 | p99 | last |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, found in measured.items():
        if name == BARE:
            continue
        reason = failed.get(name, {})
        cells = [
            cell(found, HERD, lambda runs, figure=figure: f"{middle(runs, figure):,.0f}", reason)  # type: ignore[misc]
            for figure in ("min", "p50", "p99", "max")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _kills(measured: Mapping[str, Runs], failed: Mapping[str, Mapping[str, str]]) -> list[str]:
    lines = [
        "SIGKILL under load, started again at once. Of so many acknowledged jobs: lost, never came while it was",
        "watched; doubled; unclear, came though the enqueue was not acknowledged; the last one came so many s after.",
        "",
        "| killed | acknowledged | lost | doubled | unclear | last, s |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, found in measured.items():
        for case in KILLS:
            for one in found.get(case, ()):
                counts = " | ".join(f"{one[figure]:,.0f}" for figure in ("acknowledged", "lost", "doubled", "unclear"))
                lines.append(f"| {name}: {case} | {counts} | {one['last_s']:.1f} |")
            if case in failed.get(name, {}):
                lines.append(f"| {name}: {case} | failed | | | | |")
    return lines


def _ahead(measured: Mapping[str, Runs], copies: Mapping[str, int]) -> list[str]:
    """Lists where a peer is ahead of the Hookline that keeps as many copies, or more than one as it does."""
    lines: list[str] = []
    for name, found in measured.items():
        if name.startswith("Hookline") or name not in copies:
            continue
        ours = measured.get("Hookline, one node" if copies[name] == 1 else "Hookline, three nodes", {})
        for case, figure, higher in _compared():
            if not found.get(case) or not ours.get(case):
                continue
            theirs, mine = middle(found[case], figure), middle(ours[case], figure)
            if (theirs > mine) if higher else (theirs < mine):
                words = {"rate": "a second", "cpu_us": "µs of CPU a job", "p99": "ms of lag at p99"}[figure]
                lines.append(f"- {name}, {case}: {theirs:,.0f} {words}, Hookline {mine:,.0f}")
    return ["Where a peer is ahead:", "", *lines] if lines else ["No peer is ahead in any of these figures."]


def _compared() -> list[tuple[str, str, bool]]:
    rates: list[tuple[str, str, bool]] = [(case, "rate", True) for case in (*DELIVERIES, *ENQUEUES)]
    return [*rates, *((case, "cpu_us", False) for case in DELIVERIES), (HERD, "p99", False)]
