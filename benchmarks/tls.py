"""Measures what TLS costs: ``python benchmarks/tls.py`` (about 4 minutes).

One node without TLS and one with it, in turn and in one run: jobs one by one and in batches, end to end, and calls that
each make a connection of their own.
"""

import argparse
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from node_process import Process, node, receiver, script
from run import wait_delivered

from hookline.cli.own_certificate import with_own_certificate
from hookline.tls.files import NO_TLS


class TlsCase(NamedTuple):
    """A load on one node."""

    name: str
    jobs: int
    batch: int
    connections: int


CASES = (
    TlsCase("one by one, 32 connections", 6_000, 1, 32),
    TlsCase("batches of 100, 4 connections", 12_000, 100, 4),
)
_FRESH = 600  # also with --quick: CPU time is counted in steps of 10 ms, and a few calls may take none


@contextmanager
def serving(folder: Path, *, is_secure: bool) -> Iterator[tuple[Process, dict[str, str]]]:
    """One node in one process, and the environment of a load on it."""
    alone = ("--attempt-processes", "0", "--api-processes", "0")
    if not is_secure:
        with node(None, *alone) as plain:
            yield plain, {}
        return
    files = with_own_certificate(NO_TLS, folder, "127.0.0.1")
    options = [part for option, file in files.named().items() for part in (option, str(file))]
    with node(None, *alone, *options, tls=ssl.create_default_context(cafile=files.ca)) as secure:
        yield secure, {"LOAD_CA_FILE": str(files.ca)}


def measure(case: TlsCase, folder: Path, *, is_secure: bool) -> tuple[float, float, float]:
    """(jobs per second, CPU µs of the node a job, median ms of a create)."""
    with receiver(0) as target, serving(folder, is_secure=is_secure) as (process, environment):
        warm = 2 * case.batch if case.batch > 1 else 200
        script("load.py", process.port, target.port, warm, case.batch, 2, **environment)
        wait_delivered(process, warm)
        target.get("/stats")
        cpu, started = process.cpu_seconds(), time.time()
        figures = script("load.py", process.port, target.port, case.jobs, case.batch, case.connections, **environment)
        created = figures["created"]
        wait_delivered(process, warm + created)
        used_us = (process.cpu_seconds() - cpu) / created * 1e6
        return created / (target.get("/stats")["last"] - started), used_us, figures["latencies_ms"]["p50"]


def fresh(folder: Path, calls: int, *, is_secure: bool) -> tuple[float, float, float]:
    """The same of calls that each make a connection."""
    with serving(folder, is_secure=is_secure) as (process, _):
        process.get("/livez")
        cpu, started = process.cpu_seconds(), time.perf_counter()
        took = []
        for _ in range(calls):
            begun = time.perf_counter()
            process.get("/livez")
            took.append(time.perf_counter() - begun)
        rate = calls / (time.perf_counter() - started)
        return rate, (process.cpu_seconds() - cpu) / calls * 1e6, statistics.median(took) * 1e3


def row(name: str, plain: list[tuple[float, float, float]], secure: list[tuple[float, float, float]]) -> str:
    """Medians, and the ratio of each pair of runs next to each other."""
    cells = [name]
    for index, form in ((0, "{:,.0f}"), (1, "{:,.0f}"), (2, "{:.2f}")):
        before, now = (statistics.median(run[index] for run in runs) for runs in (plain, secure))
        ratios = sorted(one[index] / other[index] for one, other in zip(secure, plain, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
        cells += [form.format(before), form.format(now), spread]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the work, for trying the script")
    options = parser.parse_args()
    scale = 20 if options.quick else 1
    print("| | a second: plain | TLS | ratio | CPU µs: plain | TLS | ratio | p50 ms: plain | TLS | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as directory:
        for case in CASES:
            smaller = case._replace(jobs=max(case.jobs // scale, case.batch))
            runs: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
            for _ in range(options.runs):
                for is_secure, its in runs.items():
                    its.append(measure(smaller, Path(directory), is_secure=is_secure))
            print(row(f"jobs, {case.name}", runs[False], runs[True]), flush=True)
        runs = {False: [], True: []}
        for _ in range(options.runs):
            for is_secure, its in runs.items():
                its.append(fresh(Path(directory), _FRESH, is_secure=is_secure))
        print(row("calls, each over its own connection", runs[False], runs[True]))


if __name__ == "__main__":
    main()
