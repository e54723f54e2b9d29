"""Faults of what lies under a node and under etcd: disks that are full or lose power, a full etcd, a failing fsync."""

import base64
import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable

from tests.chaos.cluster import ClusterNode
from tests.chaos.disks import Disks
from tests.chaos.faults import Fault, wait_until_level
from tests.chaos.scenario import Run
from tests.end_to_end.processes import CLOCK, until

SMALL_QUOTA_BYTES = 24 * 2**20
_JUNK_BYTES = 2**20
_FULL = "database space exceeded"


def etcd_full(run: Run) -> None:
    """etcd has a tiny quota and somebody writes to it until it takes nothing more: the nodes make room."""
    run.rest_a_moment()
    url = run.cluster.etcd.leader().url
    until(lambda: _FULL in _put_junk(url), "etcd is full")
    run.acted.append("etcd was full")
    run.wait_for_requests(100, 90)
    run.cluster.wait_until_serving()


def _put_junk(url: str) -> str:
    """Puts one more MiB into etcd, and gives its answer."""
    junk = {"key": base64.b64encode(b"junk").decode(), "value": base64.b64encode(bytes(_JUNK_BYTES)).decode()}
    try:
        with urllib.request.urlopen(url + "/v3/kv/put", json.dumps(junk).encode(), timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()
    except OSError as error:
        return repr(error)


def disk_full(choose: Callable[[Run], ClusterNode]) -> Fault:
    """The disk of a node is full until it says so or ends; then there is space again."""

    def fault(run: Run) -> None:
        run.rest_a_moment()
        node = choose(run)
        is_leader = node is run.cluster.leader()
        term, began_ms = run.term(), CLOCK.wall_ms()
        disks = disks_of(run)
        disks.fill(node.name)
        until(lambda: not node.is_running, f"{node.name} ends on a full disk; see {run.cluster.directory}", 60)
        run.acted.append(f"{node.name} ended")
        if is_leader:
            run.wait_for_later_term(term, began_ms)
        run.wait_for_requests(50)
        disks.free(node.name)
        run.cluster.start_nodes()
        wait_until_level(run.cluster, node)

    return fault


def follower(run: Run) -> ClusterNode:
    """One that follows."""
    return run.chance.choice(run.cluster.followers())


def leader(run: Run) -> ClusterNode:
    """The one that leads."""
    return run.cluster.leader()


def etcd_disks_full(run: Run) -> None:
    """The disks of all members are full until etcd has ended or takes nothing; then there is space again."""
    run.rest_a_moment()
    etcd, disks = run.cluster.etcd, disks_of(run)
    for member in etcd.members:
        disks.fill(f"etcd/{member.name}")

    def is_over() -> bool:
        running = [member for member in etcd.members if member.is_running]
        for member in running:
            _put_junk(member.url)
        return len(running) < 2

    until(is_over, "etcd ends on full disks", 90)
    run.acted.append("etcd ended")
    run.rest(2)
    for member in etcd.members:
        disks.free(f"etcd/{member.name}")
    run.cluster.heal()
    run.wait_for_requests(50)


def power_lost(run: Run) -> None:
    """All nodes and members lose power at once: what was not fsynced is gone everywhere."""
    run.rest_a_moment()
    before = {node.name: node.applied() for node in run.cluster.nodes}
    term, lost_ms = run.term(), CLOCK.wall_ms()
    run.cluster.kill_all()
    disks_of(run).cut_power()
    run.cluster.etcd.start()
    run.cluster.start_nodes()
    run.cluster.start_workers()
    run.cluster.wait_until_serving()
    run.wait_for_later_term(term, lost_ms)
    for node in run.cluster.nodes:
        wait_until_level(run.cluster, node)
        assert node.applied() >= before[node.name], f"{node.name} forgot entries"


def fsync_slow(run: Run) -> None:
    """Each fdatasync of etcd's leader takes 100 ms longer, for 5 s."""
    member = run.cluster.etcd.leader()
    _with_injected(run, member.pid, "delay_exit=100000", lambda: run.rest(5))
    run.wait_for_requests(30)


def fsync_fails(run: Run) -> None:
    """The fdatasync of etcd's leader fails: it ends, and another member leads."""
    run.rest_a_moment()
    member = run.cluster.etcd.leader()
    _with_injected(run, member.pid, "error=EIO", lambda: until(lambda: not member.is_running, "etcd ends"))
    run.acted.append(f"{member.name} ended")
    run.wait_for_requests(30)
    run.cluster.heal()


def _with_injected(run: Run, pid: int, what: str, act: Callable[[], None]) -> None:
    command = ["strace", "-f", "-qq", "-e", "trace=fdatasync", "-e", f"inject=fdatasync:{what}", "-p", str(pid)]
    log = run.cluster.directory / "strace.log"
    with log.open("a") as output:
        tracer = subprocess.Popen(command, stderr=output, stdout=output)
        try:
            until(lambda: "INJECTED" in log.read_text() or "DELAYED" in log.read_text(), f"strace injects; see {log}")
            act()
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
    log.write_text("")


def disks_of(run: Run) -> Disks:
    """Of a run that has disks of its own."""
    assert run.cluster.disks is not None, "this fault needs disks of its own"
    return run.cluster.disks
