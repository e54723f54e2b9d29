"""Followers and workers make attempts, as processes, under load, while things go wrong; every job is accounted for."""

from collections.abc import Sequence
from pathlib import Path

from tests.chaos import faults, worker_faults
from tests.chaos.checker import Findings
from tests.chaos.cluster import NAMES, Cluster
from tests.chaos.faults import Fault
from tests.chaos.scenario import Run, running
from tests.end_to_end.processes import CLOCK

_SLOTS = 16  # of each runner; the claims ahead are two more


def survive(directory: Path, mode: str, what: Sequence[Fault], *, workers: int = 0) -> tuple[Run, Findings]:
    """The faults in turn, under load, and the account afterwards; no promise may be broken."""
    seed = CLOCK.wall_ms() % 10**6
    print(f"seed {seed}")
    options = ("--slots", str(_SLOTS), "--attempt-processes", "0")
    cluster = Cluster(directory, *options, mode=mode, workers=workers, worker_slots=_SLOTS)
    with running(cluster, seed) as run:
        run.timeout, run.slots = "2s", 3 * (_SLOTS + _SLOTS // 8)
        cluster.wait_for_runners(*(NAMES if mode == "hybrid" else [worker.name for worker in cluster.workers]))
        with run.load():
            for fault in what:
                fault(run)
        findings = run.settle_and_check()
        attempted_by = _names(run)
    assert not findings.broken()
    assert findings.jobs > 100, "there was hardly any load"
    expected = set(NAMES) if mode == "hybrid" else {worker.name for worker in cluster.workers}
    assert attempted_by >= expected
    return run, findings


def _names(run: Run) -> set[str]:
    """Of those that made attempts of the newest jobs."""
    node = run.cluster.leader()
    _, page = node.call("GET", "/jobs?limit=300")
    attempts = [node.call("GET", f"/jobs/{job['id']}/attempts")[1]["data"] for job in page["data"]]
    return {attempt["node"] for its in attempts for attempt in its}


def test_in_hybrid_mode_followers_attempt_and_nodes_can_be_lost(tmp_path: Path) -> None:
    run, _ = survive(
        tmp_path,
        "hybrid",
        [faults.leader_killed, faults.follower_killed, faults.handover, faults.leader_paused(3)],
    )
    assert len(run.failovers_ms) == 3


def test_workers_are_killed_paused_and_stopped(tmp_path: Path) -> None:
    what = [worker_faults.worker_killed, worker_faults.worker_paused(9), worker_faults.worker_stopped]
    survive(tmp_path, "workers", what, workers=2)


def test_leaders_of_workers_are_lost_and_hand_over(tmp_path: Path) -> None:
    survive(tmp_path, "workers", [faults.leader_killed, faults.handover, faults.leader_paused(3)], workers=2)


def test_the_mode_is_changed_under_load_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    _, findings = survive(tmp_path, "hybrid", [worker_faults.mode_changed], workers=2)
    assert not findings.failed_calls
    assert findings.explained == 0
