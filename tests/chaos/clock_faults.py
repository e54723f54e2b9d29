"""Wall clocks of nodes that are set wrong: nothing may be early by more than a second of the majority's time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from tests.chaos.clients import Call
from tests.chaos.cluster import Cluster, ClusterNode
from tests.chaos.faults import Fault
from tests.chaos.scenario import Run
from tests.end_to_end.processes import CLOCK, until

HOUR_MS = 3_600_000
EARLY_MS = 1_000
_LATER_S = range(15 * 60, 51 * 60, 4 * 60)
_STAYS_S = 4.0  # what stays so long is noticed by the watch, which looks every 2 s


def leader_clock(ahead_ms: int, seconds: float) -> Fault:
    """The leader's wall clock is so far ahead for a while; if that is long enough, another node leads."""

    def fault(run: Run) -> None:
        run.rest_a_moment()
        with _jobs_for_later(run) as later:
            leader, term, began_ms = run.cluster.leader(), run.term(), CLOCK.wall_ms()
            told = _warnings(leader)
            leader.set_clock(ahead_ms)
            try:
                if seconds >= _STAYS_S:
                    run.wait_for_later_term(term, began_ms)
                    assert run.cluster.leader() is not leader, "a node with a wrong clock leads"
                run.rest(max(0, seconds - (CLOCK.wall_ms() - began_ms) / 1_000))
            finally:
                leader.set_clock(0)
            until(lambda: _warnings(leader) > told, f"{leader.name} has noticed it")
            run.wait_for_requests(30)
            assert not _arrived(run, later), "jobs that are due in more than 10 minutes were sent"
        run.cluster.wait_until_serving()

    return fault


def three_times(run: Run) -> None:
    """The nodes are at −30, 0 and +30 s. The one in the middle leads; it is killed, and leads again when it is back."""
    with _jobs_for_later(run) as later:
        slow, right, fast = run.cluster.nodes
        slow.set_clock(-30_000)
        fast.set_clock(30_000)
        try:
            until(lambda: run.cluster.leader() is right, f"{right.name} leads", 30)
            run.wait_for_requests(20)
            term, lost_ms = run.term(), CLOCK.wall_ms()
            right.kill()
            run.wait_for_later_term(term, lost_ms)
            run.wait_for_requests(20)
            run.cluster.start_nodes()
            until(lambda: run.cluster.leader() is right, f"{right.name} leads again", 30)
            run.wait_for_requests(20)
        finally:
            slow.set_clock(0)
            fast.set_clock(0)
        assert not _arrived(run, later), "jobs that are due in more than 10 minutes were sent"
    run.cluster.wait_until_serving()


@contextmanager
def _jobs_for_later(run: Run) -> Iterator[set[str]]:
    """Jobs due in a quarter of an hour and later, cancelled at the end."""
    ids = set()
    for seconds in _LATER_S:
        job_id = str(UUID(int=run.chance.getrandbits(128)))
        run_at = datetime.fromtimestamp(CLOCK.wall_ms() / 1_000 + seconds, UTC).isoformat()
        call = Call("create", (job_id,), CLOCK.wall_ms())
        _make(run.cluster, call, "/jobs", {"id": job_id, "url": f"{run.url}/0", "run_at": run_at})
        run.history.calls.append(call)
        ids.add(job_id)
    yield ids
    for job_id in ids:
        call = Call("cancel", (job_id,), CLOCK.wall_ms())
        _make(run.cluster, call, f"/jobs/{job_id}/cancel", None)
        run.history.calls.append(call)


def _make(cluster: Cluster, call: Call, path: str, body: object) -> None:
    status = 0

    def is_taken() -> bool:
        nonlocal status
        status, _ = cluster.leader().call("POST", path, body)
        return status in (200, 201, 409)

    until(is_taken, f"{path} is answered")
    call.ended_ms, call.outcome = CLOCK.wall_ms(), "refused" if status == 409 else "ok"


def _arrived(run: Run, ids: set[str]) -> set[str]:
    return ids & {arrival.job for arrival in run.arrivals()}


def _warnings(node: ClusterNode) -> int:
    return node.log.read_text().count("clock_not_trusted")
