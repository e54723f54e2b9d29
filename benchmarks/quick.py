"""Tells in two minutes whether a job has become dearer: ``make bench-quick``. Ends with 1 if one has.

Rates depend on what else the machine does. The CPU of a job against that of a bare POST in the same run does much less:
beside other work it is up to a quarter lower, since a bare POST suffers more. So that is compared, the median of three
rounds in turn, with what it was on a quiet machine.
"""

import argparse
import statistics
import sys
from typing import NamedTuple

from node_process import receiver, script
from run import end_to_end

LOSS_MAX = 0.25  # of the jobs that a second of CPU makes


class Case(NamedTuple):
    """A load on one node, and what a job of it costs, in multiples of a bare POST.

    Attributes:
        delay_s: of the receiver.
        connections: that create jobs at the same time.
        known: measured with this script on 2026-11-28, on two cores that nobody else used.
    """

    name: str
    delay_s: float
    jobs: int
    batch: int
    connections: int
    known: float


CASES = (
    Case("0 ms receiver, batches of 100", 0, 8_000, 100, 4, 6.0),
    Case("0 ms receiver, one by one", 0, 4_000, 1, 32, 12.1),
    Case("200 ms receiver, 100 slots", 0.2, 1_000, 500, 1, 10.5),
)


def bare_cpu_us(count: int) -> float:
    """CPU µs of one bare POST."""
    with receiver(0) as target:
        figures = script("bare_loop.py", target.port, count, 100)
    return float(figures["cpu_seconds"] / figures["count"] * 1e6)


def times_bare(case: Case, scale: int) -> float:
    """CPU of one job, all processes of the node, in multiples of a bare POST right before."""
    bare_us = bare_cpu_us(max(100, 20_000 // scale))
    batch = min(case.batch, 10) if scale > 1 else case.batch
    figures = end_to_end(case.delay_s, case.jobs // scale // batch * batch, batch, case.connections, 1)
    return sum(value for name, value in figures.items() if name.startswith("cpu_")) / bare_us


def main() -> int:
    """Print the table; 1 if a case lost too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the work, for trying the script")
    options = parser.parse_args()
    scale = 50 if options.quick else 1
    print(f"CPU of a job in multiples of a bare POST; {options.rounds} rounds in turn\n")
    print("| one node | median (min–max) | known | jobs for the same CPU |")
    print("|---|--:|--:|--:|")
    runs: dict[Case, list[float]] = {case: [] for case in CASES}
    for _ in range(options.rounds):
        for case, its in runs.items():
            its.append(times_bare(case, scale))
    has_lost = False
    for case, its in runs.items():
        median = statistics.median(its)
        gain = case.known / median - 1
        has_lost = has_lost or gain < -LOSS_MAX
        print(f"| {case.name} | {median:.1f} ({min(its):.1f}–{max(its):.1f}) | {case.known} | {gain:+.0%} |")
    if has_lost and not options.quick:
        print(f"\nA case lost more than {LOSS_MAX:.0%}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
