"""``python -m tests.chaos.run``: every fault on a cluster under load, and the table of what came of it."""

import argparse
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.plan import MODES, TIMED, Row, rows, slots_of
from tests.chaos.report import RowResult, page
from tests.chaos.scenario import SLOTS, running
from tests.end_to_end.processes import CLOCK

PAGE = Path("docs/reference/chaos.md")


def run_row(row: Row, mode: str, seed: int) -> RowResult:
    """Make the fault as often as the row says; the data of a run that broke a promise is kept."""
    directory = Path(tempfile.mkdtemp(prefix="hookline-chaos-"))
    try:
        if (reason := row.why_not(directory / "probe")) is not None:
            return RowResult(row.name, 0, None, error=reason, is_skipped=True)
        with running(row.cluster(directory, mode), seed) as run:
            run.slots = slots_of(mode)
            with run.load():
                for _ in range(row.times):
                    row.fault(run)
            findings = run.settle_and_check(early_ms=row.early_ms)
        result = RowResult(row.name, row.times, findings, tuple(run.failovers_ms), row.is_planned)
    except Exception as error:  # noqa: BLE001 - the other faults are still worth a run
        traceback.print_exc()
        result = RowResult(row.name, row.times, None, error=f"{type(error).__name__}: {str(error)[:200]}")
    if not result.broken():
        shutil.rmtree(directory, ignore_errors=True)
    else:
        print(f"kept {directory}")
    return result


def merge(old: RowResult | None, new: RowResult) -> RowResult:
    """Of several rounds the first that broke a promise is shown, else the last."""
    return old if old is not None and old.broken() else new


def facts(arguments: argparse.Namespace, took_s: float) -> list[str]:
    """Under which circumstances the figures came about."""
    chosen = "".join(f" --mode {mode}" for mode in arguments.mode or ())
    chosen += f' --only "{arguments.only}"' if arguments.only else ""
    etcd = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    return [
        f"Command: `python -m tests.chaos.run --seed {arguments.seed} --kills {arguments.kills}{chosen}`",
        f"Date: {datetime.fromtimestamp(CLOCK.wall_ms() / 1_000, UTC):%Y-%m-%d}, {took_s / 60:.0f} minutes",
        f"Machine: {os.cpu_count()} cores for everything, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {etcd}",
        f"Each node with {SLOTS} slots, in the mode `workers` two workers with as many; "
        "receivers answer after 0, 20 or 100 ms; "
        "a third of the jobs are at-most-once, half are delayed by up to 2 s, some are cancelled",
    ]


def main() -> int:
    """Exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=CLOCK.wall_ms() % 10**6)
    parser.add_argument("--minutes", type=float, default=0, help="make rounds for so long; one round at least")
    parser.add_argument("--only", default="", help="parts of names of faults, separated by commas")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--mode", choices=MODES, action="append", help="which runners make attempts; all if not given")
    arguments = parser.parse_args()
    only = [text.strip() for text in arguments.only.split(",") if text.strip()]
    named = [row for row in rows(arguments.kills) if not only or any(text in row.name for text in only)]
    chosen = [(mode, row) for mode in arguments.mode or MODES for row in named if mode in row.modes]
    chance = random.Random(arguments.seed)
    print(f"seed {arguments.seed}")
    began = time.monotonic()
    results: dict[tuple[str, str], RowResult] = {}
    samples: dict[tuple[str, str], list[int]] = {(mode, name): [] for mode in MODES for name in TIMED}
    while not results or time.monotonic() - began < arguments.minutes * 60:
        for mode, row in chance.sample(chosen, len(chosen)):
            result = run_row(row, mode, chance.getrandbits(32))
            results[mode, row.name] = merge(results.get((mode, row.name)), result)
            samples.get((mode, row.name), []).extend(result.failovers_ms)
            print(f"{mode}: {row.name}: {result.broken()[:5] or 'ok'} {list(result.failovers_ms)}", flush=True)
    ordered = {mode: [results[mode, row.name] for its, row in chosen if its == mode] for mode, _ in chosen}
    text = page(ordered, samples, facts=facts(arguments, time.monotonic() - began))
    print(text)
    if not only and not arguments.mode:
        PAGE.write_text(text)
    return 1 if any(result.broken() for its in ordered.values() for result in its) else 0


if __name__ == "__main__":
    sys.exit(main())
