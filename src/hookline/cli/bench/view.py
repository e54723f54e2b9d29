"""Shows a benchmark on a terminal: how far it is while it runs, and what came of it."""

import math
from collections.abc import Sequence

from msgspec.structs import astuple
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from hookline.cli.bench.figures import BenchLog, Figures, spread
from hookline.cli.output import rich_stderr, stdout

_BAR = 40
_STEPS = (1, 2, 5)  # of each power of ten


class BenchProgress:
    """A live line on a terminal: elsewhere nothing, since the result says it all."""

    def __init__(self, calls: int) -> None:
        console = rich_stderr()
        columns = (TextColumn("creating"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
        self.live = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self._task = self.live.add_task("", total=calls, told="")

    def show(self, made: int, seen: BenchLog) -> None:
        """Bring it up to date."""
        if self.live.disable:
            return
        lately = spread(seen.lag_s[-1_000:])
        told = (
            f"{len(seen.wanted):,} acknowledged, {len(seen.first):,} arrived, lag p50 {lately.p50:.1f}"
            f" p99 {lately.p99:.1f} ms"
        )
        if seen.refused or seen.unclear:
            told += f", {sum(seen.refused.values()) + seen.unclear:,} not acknowledged"
        self.live.update(self._task, completed=made, told=told)


def show(figures: Figures, lags_s: Sequence[float]) -> None:
    """Print the figures and a picture of the lags."""
    out = stdout()
    out.print(
        f"{figures.jobs:,} jobs in {figures.seconds:,.1f} s: {figures.jobs_per_s:,.1f} a second arrived, "
        f"{figures.rate:,.1f} were to be created"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("milliseconds", "p50", "p90", "p99", "p99.9", "max"):
        table.add_column(heading, justify="left" if heading == "milliseconds" else "right")
    for name, found in figures.spreads().items():
        table.add_row(name, *(f"{value:,.1f}" for value in astuple(found)))
    out.print(table)
    for line in _picture(lags_s):
        out.print(line)
    out.print(f"lost {figures.lost} · duplicates {figures.duplicates} · early {figures.early}")
    for line in remarks(figures):
        out.print(line, style="yellow")


def remarks(figures: Figures) -> list[str]:
    """Says in words which figures are not what they seem."""
    found = []
    if figures.unfinished:
        found.append(
            f"{figures.unfinished:,} jobs had not arrived when the benchmark stopped waiting; they still may, at"
            " whoever listens there then: see hookline jobs cancel-all"
        )
    if figures.unknown:
        found.append(f"{figures.unknown:,} jobs had not arrived, and Hookline did not answer what became of them")
    if not figures.jobs:
        found.append("no job was acknowledged: nothing was measured")
    if figures.refused:
        codes = ", ".join(f"{count:,} {code}" for code, count in figures.refused.items())
        found.append(f"not created, since Hookline said no: {codes}")
    if figures.unclear:
        found.append(f"{figures.unclear:,} creates had no answer: nobody knows whether they are jobs")
    if figures.sent_late_ms > max(5.0, figures.create_ms.p50):
        found.append(
            f"this program did not keep up: one create in a hundred left more than {figures.sent_late_ms:,.0f} ms late."
            " The figures hold that too; lower --rate, raise --batch, or run it on a machine of its own"
        )
    return found


def buckets(values_s: Sequence[float]) -> list[tuple[float, int]]:
    """How many are at most so many milliseconds, and above the bound before: bounds 1, 2, 5, 10, 20 … ms."""
    found: dict[float, int] = {}
    for value in values_s:
        bound = _bound(value * 1_000)
        found[bound] = found.get(bound, 0) + 1
    if not found:
        return []
    bounds, last = [min(found)], max(found)
    while bounds[-1] < last:
        bounds.append(_bound(bounds[-1] * 1.5))
    return [(bound, found.get(bound, 0)) for bound in bounds]


def _bound(value_ms: float) -> float:
    if value_ms <= 1:
        return 1
    power = 10.0 ** math.floor(math.log10(value_ms))
    return next((step * power for step in _STEPS if value_ms <= step * power), 10 * power)


def _picture(lags_s: Sequence[float]) -> list[str]:
    found = buckets(lags_s)
    most = max((count for _, count in found), default=0)
    lines = ["", "lag, ms"] if found else []
    for bound, count in found:
        bar = "█" * round(count / most * _BAR) or ("▏" if count else "")
        lines.append(f"{'≤ ' + format(bound, ',.0f'):>9} {bar:<{_BAR}} {count / len(lags_s):6.1%}")
    return [*lines, ""] if found else []
