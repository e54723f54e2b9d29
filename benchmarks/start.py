"""Measures what a start costs: ``python benchmarks/start.py`` (half a minute).

CPU of whole processes, user and system, against a running node that holds a few jobs; in turn, so that a busy moment
hits all of them.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from node_process import node

from hookline import Client

PYTHON = sys.executable
HOOKLINE = str(Path(PYTHON).with_name("hookline"))


def cpu_s(command: list[str]) -> float:
    """User and system seconds of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    with node() as running:
        url = f"http://127.0.0.1:{running.port}"
        with Client(url) as client:
            client.create_jobs([{"url": "http://127.0.0.1:9/", "delay": "1h"}] * 20)
        commands = {
            "`python -c pass`": [PYTHON, "-c", "pass"],
            "`hookline --help`": [HOOKLINE, "--help"],
            "`hookline jobs list`": [HOOKLINE, "jobs", "list", "--url", url],
            "`hookline jobs list --json`": [HOOKLINE, "jobs", "list", "--json", "--url", url],
            "`from hookline import verify`": [PYTHON, "-c", "from hookline import verify"],
            "`from hookline import Client`": [PYTHON, "-c", "from hookline import Client"],
        }
        figures: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.runs):
            for name, command in commands.items():
                figures[name].append(cpu_s(command))
    print("| start | CPU s, median | best |")
    print("|---|---|---|")
    for name, found in figures.items():
        print(f"| {name} | {statistics.median(found):.3f} | {min(found):.3f} |")


if __name__ == "__main__":
    main()
