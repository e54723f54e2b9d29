"""Compares kinds of one node by the same loads, in turn and in one run: jobs one by one and in batches, end to end."""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from node_process import Process, receiver, script
from run import wait_delivered, warm_up

HEAD = "| | a second | ratio | CPU µs | ratio | p50 ms | ratio |\n|---|--:|--:|--:|--:|--:|--:|"
Figures = tuple[float, float, float]
"""A second, CPU µs of the node each, median ms of a call."""


class LoadCase(NamedTuple):
    """One load; of jobs, how many, in batches of how many, over how many connections."""

    name: str
    jobs: int
    batch: int
    connections: int


CASES = (
    LoadCase("one by one, 32 connections", 6_000, 1, 32),
    LoadCase("batches of 100, 4 connections", 12_000, 100, 4),
)


def options_of(description: str | None, runs: int) -> argparse.Namespace:
    """``runs``, and ``quick``: a twentieth of the work."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the work, for trying the script")
    return parser.parse_args()


def loaded(process: Process, case: LoadCase, **environment: str) -> Figures:
    """Have the jobs created and delivered, to a receiver that answers at once."""
    with receiver(0) as target:
        warm = warm_up(process, target, 2 * case.batch if case.batch > 1 else 200, case.batch, 2, **environment)
        cpu, started = process.cpu_seconds(), time.time()
        figures = script("load.py", process.port, target.port, case.jobs, case.batch, case.connections, **environment)
        created = figures["created"]
        wait_delivered(process, warm + created)
        used_us = (process.cpu_seconds() - cpu) / created * 1e6
        return created / (target.get("/stats")["last"] - started), used_us, figures["latencies_ms"]["p50"]


def compare(
    kinds: Sequence[str],
    serving: Callable[[str], AbstractContextManager[tuple[Process, dict[str, str]]]],
    options: argparse.Namespace,
    title: str,
) -> None:
    """Print the rows of all cases; ratios are to the first kind, in the same round.

    Args:
        kinds: names.
        serving: runs a node of that kind; with the environment of whoever loads it.
        options: of ``options_of``.
        title: of a row, with ``{case}`` and ``{kind}``.
    """
    for case in CASES:
        smaller = case._replace(jobs=max(case.jobs // (20 if options.quick else 1), case.batch))

        def measure(kind: str, case: LoadCase = smaller) -> Figures:
            with serving(kind) as (process, environment):
                return loaded(process, case, **environment)

        for kind, row in rounds(kinds, measure, options.runs):
            print(row.format(title.format(case=case.name, kind=kind)), flush=True)


def rounds(kinds: Sequence[str], measure: Callable[[str], Figures], runs: int) -> Iterable[tuple[str, str]]:
    """Each kind with its row, whose name is to be filled in: all are measured in turn, so many times."""
    found: dict[str, list[Figures]] = {kind: [] for kind in kinds}
    for _ in range(runs):
        for kind, its in found.items():
            its.append(measure(kind))
    return [(kind, _row(found[kinds[0]], its)) for kind, its in found.items()]


def _row(plain: list[Figures], runs: list[Figures]) -> str:
    """Medians, and the ratio of each run to the one of the first kind in the same round."""
    cells = ["{}"]
    for index, form in ((0, "{:,.0f}"), (1, "{:,.0f}"), (2, "{:.2f}")):
        ratios = sorted(one[index] / other[index] for one, other in zip(runs, plain, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
        cells += [form.format(statistics.median(run[index] for run in runs)), spread]
    return f"| {' | '.join(cells)} |"
