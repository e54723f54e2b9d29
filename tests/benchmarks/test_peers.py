"""Runs the comparison with a peer of a few lines: what it loses and doubles is counted."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peers.catalogue import PYTHON
from peers.goals import ONE, RESTATE, THREE, Kept, goals
from peers.report import BARE, DELIVERIES, ENQUEUES, HERD
from peers.run import PAGE, RESULTS, joined, written

ROOT = Path(__file__).parent.parent.parent
PEERS = ROOT / "benchmarks" / "peers"


def compare(directory: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Compare; returns the printed text and the figures."""
    figures = directory / "figures.json"
    command = [sys.executable, "-m", "peers.run", "--quick", "--rounds", "1", "--json", str(figures), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "benchmarks")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(figures.read_text())


def peer(directory: Path, fault: str) -> str:
    """The option that names a peer with this fault."""
    folder = directory / fault
    folder.mkdir()
    return f"{fault}={sys.executable} {Path(__file__).with_name('peer_program.py')} {folder} {fault}"


def test_an_account_is_exact() -> None:
    spec = importlib.util.spec_from_file_location("accounts", PEERS / "accounts.py")
    assert spec
    assert spec.loader
    accounts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(accounts)
    arrivals = {1: [101.0], 2: [102.0, 109.0], 4: [103.5], 99: [110.0]}  # 99 is not among those that were asked for
    found = accounts.account(range(1, 6), [4, 5], arrivals, 100.0)
    assert found == accounts.Account(acknowledged=3, lost=1, doubled=1, unclear=1, last_s=3.5)


@pytest.mark.slow
def test_all_cases_are_measured(tmp_path: Path) -> None:
    printed, figures = compare(tmp_path, "--also", peer(tmp_path, "none"), "--only", "none")
    assert figures["failed"] == {}, printed
    found = figures["found"]["none"]
    assert len(found) == 8, found  # three deliveries, two enqueues, the herd, two kills
    assert found["0 ms, in batches"][0]["rate"] > 0
    assert found["herd"][0]["min"] >= 0, "no job came before it was due"
    (kill,) = found["worker killed"]
    assert kill["acknowledged"] == 80
    assert kill["lost"] == 0
    assert "| none | " in printed


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "figure"), [("loses", "lost"), ("doubles", "doubled")])
def test_what_is_lost_and_doubled_is_counted(tmp_path: Path, fault: str, figure: str) -> None:
    arguments = ("--also", peer(tmp_path, fault), "--only", fault, "--cases", "worker killed")
    printed, figures = compare(tmp_path, *arguments)
    assert figures["failed"] == {}, printed
    (kill,) = figures["found"][fault]["worker killed"]
    assert kill[figure] > 0, kill


def test_a_peer_that_does_not_work_fails_and_the_others_are_measured(tmp_path: Path) -> None:
    arguments = ("--also", "broken=false", "--also", peer(tmp_path, "none"), "--only", "broken", "none")
    printed, figures = compare(tmp_path, *arguments, "--cases", "enqueue one by one")
    assert "| broken | failed |" in printed
    assert figures["found"]["none"]["enqueue one by one"]


def test_what_cannot_be_set_up_is_told_with_its_reason(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file where a directory is needed")
    printed, figures = compare(tmp_path, "--only", "River", "--cache", str(cache))
    assert re.search(r"\| River, PostgreSQL \| skipped: .+ \|", printed)
    assert figures["skipped"].keys() == {"River, PostgreSQL"}


def test_all_versions_are_pinned() -> None:
    programs = PEERS / "programs"
    pins = [line for file in programs.glob("*/*s.txt") for line in file.read_text().split()]
    assert pins
    assert all(re.fullmatch(r"[\w.\-]+(\[[\w,]+\])?==[\w.]+", pin) for pin in pins)
    for file in programs.glob("*/package.json"):
        wanted = json.loads(file.read_text())["dependencies"]
        assert all(re.fullmatch(r"[\d.]+", version) for version in wanted.values())
        assert (file.parent / "package-lock.json").exists()
    assert (programs / "river" / "go.sum").exists()


def test_the_page_is_what_was_kept() -> None:
    text = PAGE.read_text()
    assert written(text, json.loads(RESULTS.read_text())) == text, "run: make peers ARGS=--render"


def kept(**rates: float) -> Kept:
    """One run in which everybody does the same, 100 of everything, but for these of Hookline's one node."""
    names = {ONE: (1, PYTHON), THREE: (3, PYTHON), RESTATE: (2, ""), "Celery": (1, PYTHON), "River": (1, "Go")}
    figures = {"rate": 100.0, "cpu_us": 100.0, "p50": 100.0, "p99": 100.0, "max": 100.0, "min": 0.0}
    found = {name: {case: [figures] for case in (*DELIVERIES, *ENQUEUES, HERD)} for name in (BARE, *names)}
    for case in found[ONE]:
        found[ONE][case] = [figures | rates]
    peers = {name: {"copies": copies, "language": language} for name, (copies, language) in names.items()}
    return {"found": found, "peers": peers}


def verdicts(run: Kept) -> dict[str, str]:
    return {goal.words.split(":")[0]: goal.verdict for goal in goals(run) if goal.words.startswith("one node")}


@pytest.mark.parametrize(
    ("rates", "missed"),
    [
        ({"rate": 120, "cpu_us": 99, "p99": 99.9}, []),
        ({"rate": 119, "cpu_us": 99, "p99": 99.9}, ["one node, 1.2 × the best one in Python"]),
        ({"rate": 98, "cpu_us": 99, "p99": 99.9}, [0, 1, 2]),
        ({"rate": 120, "cpu_us": 100, "p99": 99.9}, ["one node, the least CPU of all, µs a job"]),
        ({"rate": 120, "cpu_us": 99, "p99": 100}, ["one node, 2,000 at one instant"]),
    ],
)
def test_a_goal_is_reached_or_missed(rates: dict[str, float], missed: list[str | int]) -> None:
    found = verdicts(kept(**rates))
    wanted = [list(found)[it] if isinstance(it, int) else it for it in missed]
    assert [words for words, verdict in found.items() if verdict != "reached"] == wanted


def test_who_keeps_more_copies_or_has_another_language_is_not_compared() -> None:
    run = kept(rate=150)
    run["found"][RESTATE][DELIVERIES[0]] = [{"rate": 900.0}]  # two copies
    run["found"]["River"][ENQUEUES[0]] = [{"rate": 900.0}]  # Go
    one, two = goals(run)[:2]
    assert (one.verdict, two.verdict) == ("reached", "reached")
    run["found"]["River"][DELIVERIES[0]] = [{"rate": 150.1}]
    assert goals(run)[0].verdict == "**missed**"
    assert goals(run)[0].row.endswith("| 150 | River: 150 | 1.00 | **missed** |")


def test_what_was_not_measured_is_neither() -> None:
    assert {goal.verdict for goal in goals({**kept(), "found": {}})} == {"not measured"}


def test_rounds_that_are_added_stand_beside_the_others_and_each_names_its_command() -> None:
    first = {
        "command": "first",
        "rounds": 1,
        "failed": {},
        "peers": {},
        "found": {ONE: {HERD: [{"p99": 1.0}], BARE: []}},
    }
    second = first | {"command": "second", "rounds": 2, "found": {ONE: {HERD: [{"p99": 2.0}]}, THREE: {}}}
    both = joined(first, second)
    assert both["found"] == {ONE: {HERD: [{"p99": 1.0}, {"p99": 2.0}], BARE: []}, THREE: {}}
    assert (both["rounds"], both["command"]) == (3, "first`, then `second")
