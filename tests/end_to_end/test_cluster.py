"""Three nodes and three etcd members as processes, under load, while things go wrong; every job is accounted for.

``make chaos`` makes all faults, more often; these are the ones that every change has to survive.
"""

from collections.abc import Sequence
from pathlib import Path

from tests.chaos import clock_faults, faults
from tests.chaos.checker import Findings
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Fault
from tests.chaos.scenario import SLOTS, Run, running
from tests.end_to_end.processes import CLOCK


def survive(
    directory: Path, what: Sequence[Fault], *, proxied: bool = False, clocks: bool = False
) -> tuple[Run, Findings]:
    """The faults in turn, under load, and the account afterwards; no promise may be broken."""
    seed = CLOCK.wall_ms() % 10**6
    print(f"seed {seed}")
    cluster = Cluster(directory, "--slots", str(SLOTS), proxied=proxied, clocks=clocks)
    with running(cluster, seed) as run:
        with run.load():
            for fault in what:
                fault(run)
        findings = run.settle_and_check(early_ms=clock_faults.EARLY_MS if clocks else 0)
    assert not findings.broken()
    assert findings.jobs > 100, "there was hardly any load"
    return run, findings


def test_leaders_are_killed_and_etcds_leader_with_one(tmp_path: Path) -> None:
    run, _ = survive(
        tmp_path, [*[faults.leader_killed] * 2, faults.leader_killed_after_claim, faults.both_leaders_killed]
    )
    assert len(run.failovers_ms) == 4  # how long they take is measured by make chaos


def test_a_leader_that_was_paused_sends_nothing_more(tmp_path: Path) -> None:
    run, _ = survive(tmp_path, [faults.leader_paused(3)])
    assert len(run.failovers_ms) == 1


def test_hand_over_and_restart_of_all_nodes_fail_no_call_and_repeat_no_request(tmp_path: Path) -> None:
    _, findings = survive(tmp_path, [faults.handover, faults.rolling_restart, faults.handover])
    assert not findings.failed_calls
    assert findings.explained == 0


def test_etcds_answers_are_lost_and_the_leader_is_cut_off(tmp_path: Path) -> None:
    run, _ = survive(tmp_path, [faults.answers_lost, faults.cut_from_etcd(silently=True)], proxied=True)
    assert run.acted


def test_everything_is_killed_at_once(tmp_path: Path) -> None:
    survive(tmp_path, [faults.all_nodes_killed, faults.everything_killed])


def test_followers_are_killed_and_lose_their_disk(tmp_path: Path) -> None:
    survive(tmp_path, [faults.follower_killed, faults.follower_lost_its_disk, faults.flipped_bit])


def test_a_leader_whose_clock_is_wrong_hands_over_and_sends_nothing_that_is_due_later(tmp_path: Path) -> None:
    hour_ms = clock_faults.HOUR_MS
    what = [clock_faults.leader_clock(hour_ms, 6), clock_faults.leader_clock(-hour_ms, 2.5)]
    _, findings = survive(tmp_path, what, clocks=True)
    assert not findings.failed_calls


def test_of_three_nodes_with_three_times_the_one_in_the_middle_leads(tmp_path: Path) -> None:
    survive(tmp_path, [clock_faults.three_times], clocks=True)
