"""Faults of workers, and changes of the mode."""

from tests.chaos.faults import Fault
from tests.chaos.scenario import Run


def worker_killed(run: Run) -> None:
    """SIGKILL of a worker under load; the other goes on, and what it had is sent again at its deadline."""
    run.rest_a_moment()
    worker = run.chance.choice(run.cluster.workers)
    run.wait_for_requests(3)
    worker.kill()
    run.runners_lost += 1
    run.wait_for_requests(50)
    run.cluster.wait_for_runners(*(other.name for other in run.cluster.workers if other is not worker))
    run.cluster.start_workers()
    run.cluster.wait_for_runners(*(one.name for one in run.cluster.workers))


def worker_paused(seconds: float) -> Fault:
    """SIGSTOP of a worker for so long, then SIGCONT."""

    def fault(run: Run) -> None:
        run.rest_a_moment()
        worker = run.chance.choice(run.cluster.workers)
        run.wait_for_requests(3)
        worker.pause()
        run.runners_lost += 1
        run.rest(seconds)
        worker.resume()
        run.cluster.wait_for_runners(*(one.name for one in run.cluster.workers))
        run.wait_for_requests(30)

    return fault


def worker_stopped(run: Run) -> None:
    """SIGTERM of a worker, which ends what it has; then it is started again."""
    run.rest_a_moment()
    worker = run.chance.choice(run.cluster.workers)
    run.wait_for_requests(3)
    assert worker.stop() == 0
    run.wait_for_requests(30)
    run.cluster.start_workers()


def mode_changed(run: Run) -> None:
    """Every mode in turn, under load."""
    before = run.cluster.mode
    for mode in ("leader", "hybrid", "workers", "leader", "workers", "hybrid", before):
        run.cluster.set_mode(mode)
        run.wait_for_requests(20)
