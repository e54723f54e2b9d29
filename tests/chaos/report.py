"""The table of a chaos run, as Markdown. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.checker import Findings


@dataclass(frozen=True)
class RowResult:
    """One line: the account of its run, or what ended it."""

    name: str
    times: int
    findings: Findings | None
    failovers_ms: tuple[int, ...] = ()
    is_planned: bool = False
    error: str = ""
    is_skipped: bool = False

    def broken(self) -> list[str]:
        """Every broken promise."""
        if self.is_skipped:
            return []
        if self.findings is None:
            return [self.error]
        found = self.findings.broken()
        if self.is_planned:
            found += [f"failed call: {what}" for what in self.findings.failed_calls]
            found += ["a duplicate without a fault"] * self.findings.explained
        return found


_HEAD = (
    "| fault | times | jobs | lost | duplicates explained / unexplained | early | at-most-once twice | terms overlap "
    "| cancels ignored | nodes differ | calls that failed | longest gap ms |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def table(results: Sequence[RowResult]) -> str:
    """One line for each fault, and a sum."""
    lines = [_HEAD, *map(_line, results)]
    found = [result.findings for result in results if result.findings is not None]
    total = Findings(
        jobs=sum(each.jobs for each in found),
        explained=sum(each.explained for each in found),
        longest_gap_ms=max((each.longest_gap_ms for each in found), default=0),
    )
    for each in found:
        for name in ("lost", "unexplained", "early", "once_twice", "term_overlaps", "cancels_ignored", "nodes_differ"):
            getattr(total, name).extend(getattr(each, name))
        total.failed_calls += each.failed_calls
    times = sum(result.times for result in results)
    return "\n".join([*lines, _line(RowResult("**sum**", times, total))])


def _line(result: RowResult) -> str:
    found = result.findings
    if found is None:
        if result.is_skipped:
            return f"| {result.name} | 0 | not run: {result.error} |" + " |" * 9
        return f"| {result.name} | {result.times} | **run failed: {result.error}** |" + " |" * 9
    counts = (found.early, found.once_twice, found.term_overlaps, found.cancels_ignored, found.nodes_differ)
    cells = [
        result.name,
        str(result.times),
        f"{found.jobs:,}",
        str(len(found.lost)),
        f"{found.explained} / {len(found.unexplained)}",
        *(str(len(each)) for each in counts),
        str(len(found.failed_calls)),
        f"{found.longest_gap_ms:,}",
    ]
    return "| " + " | ".join(cells) + " |"


def failover_table(samples_ms: Mapping[tuple[str, str], Sequence[int]]) -> str:
    """Quantiles of the time from a kill to the first request of a later term."""
    lines = ["| mode | killed | kills | p50 ms | p99 ms | max ms |", "|---|---|--:|--:|--:|--:|"]
    for (mode, name), samples in samples_ms.items():
        if samples:
            ordered = sorted(samples)
            cells = (len(ordered), _quantile(ordered, 0.5), _quantile(ordered, 0.99), ordered[-1])
            lines.append(f"| {mode} | {name} | " + " | ".join(f"{cell:,}" for cell in cells) + " |")
    return "\n".join(lines)


def _quantile(ordered: Sequence[int], share: float) -> int:
    """By nearest rank, so that it is a time that was measured."""
    return ordered[max(0, -(-int(share * 1_000) * len(ordered) // 1_000) - 1)]


_MODES = {
    "leader": "The leader makes all attempts.",
    "hybrid": "All nodes make attempts. A duplicate is also explained when a follower was lost.",
    "workers": "Workers make all attempts. A duplicate is also explained when a worker was lost.",
}


def page(
    results: Mapping[str, Sequence[RowResult]],
    samples_ms: Mapping[tuple[str, str], Sequence[int]],
    *,
    facts: Sequence[str],
) -> str:
    """All of ``docs/reference/chaos.md``. ``results`` are by mode."""
    broken = [
        f"- {mode}: {result.name}: {what}"
        for mode, its in results.items()
        for result in its
        for what in result.broken()[:5]
    ]
    tables = [
        line for mode, its in results.items() for line in (f"## Mode {mode}", "", _MODES[mode], "", table(its), "")
    ]
    return "\n".join(
        [
            "# Chaos runs",
            "",
            "What a cluster of three nodes did while things went wrong, each fault under load with real processes and",
            "real etcd, and every job accounted for afterwards: what clients were told, what the receiver wrote down",
            "before it answered, what each node answers and what each node's database holds. `make chaos` writes this",
            "page.",
            "",
            *(f"- {fact}" for fact in facts),
            "",
            *tables,
            "*Explained* is a second request for a claim that was open when its runner was lost; it carries the same",
            "`webhook-id`. *Calls that failed* had used up the SDK's three retries; each try goes to",
            "the next node. The *longest gap* is between two requests at the receiver while load was on.",
            "",
            "## Failover",
            "",
            "From the kill to the first request of a later term at the receiver.",
            "",
            failover_table(samples_ms),
            "",
            "## Broken promises",
            "",
            *(broken or ["None."]),
            "",
        ]
    )
