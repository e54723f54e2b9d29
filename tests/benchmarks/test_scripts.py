"""Runs each script of benchmarks/ in its smallest size, so that no change breaks one unseen."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = {  # name: its smallest size, and the rows of its tables
    "run": ("--quick --runs 1 --nodes 1", 10),
    "clusters": ("--quick --clusters 1", 1),
    "proxy": ("--runs 1 --count 200", 3),
    "failover": ("--kills 1 --pending 1000", 2),
    "start": ("--runs 1", 6),
    "delivery_client": ("--quick --rounds 1", 4),
    "hardening": ("--quick", 2),
    "hostile_neighbours": ("--quick", 2),
    "way": ("", 3),
    "fronts": ("--quick --runs 1", 9),
    "modes": ("--quick --runs 1 --nodes 1", 2),
    "quick": ("--quick --rounds 1", 3),
    "pending": ("--count 1000 --load 500 --runs 1", 2),
    "dashboards": ("--runs 1 --pages 2 --seconds 1", 2),
    "capacity": ("--quick --runs 1 --nodes 1 --webhook-ms 50 --slots 10", 3),
    "finding": ("--count 1000", 7),
    "moving": ("--jobs 500 --schedules 5 --lag-seconds 1", 3),
    "metrics_cost": ("--quick --runs 1", 6),
    "protections": ("--quick --runs 1", 12),
    "traces": ("--quick --runs 1", 6),
    "gathering": ("--runs 1 --count 200 --connections 8 --rate 100", 1),
}
SLOW = {  # a quarter of a minute each, and more
    "capacity",  # test_report.py runs it, too, and the next one
    "clusters",
    "dashboards",
    "delivery_client",
    "failover",
    "fronts",
    "gathering",
    "hardening",
    "metrics_cost",
    "modes",
    "pending",  # likewise
    "protections",
    "quick",  # .ci/run calls it as it is
    "run",
    "traces",
}
PARTS = {  # scripts that the others start, and what they share
    "bare_loop",
    "beside",
    "busy",
    "cluster_process",
    "hostile_streams",
    "load",
    "marked_page",
    "node_process",
    "parts",
    "plots",
    "receiver",
    "stub_node",
    "without_metrics",
}


def rows(printed: str) -> list[str]:
    """Lists the rows of all tables, without their heads."""
    lines = printed.splitlines()
    heads = {number for number, line in enumerate(lines) if line.startswith("|--")}
    return [line for number, line in enumerate(lines) if line.startswith("| ") and number + 1 not in heads]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SCRIPTS]
)
def test_it_runs_and_prints_its_tables(name: str) -> None:
    options, expected = SCRIPTS[name]
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *options.split()]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert len(rows(done.stdout)) == expected, done.stdout


def test_no_script_is_left_out() -> None:
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == SCRIPTS.keys() | PARTS
