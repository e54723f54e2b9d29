"""Jobs that were just accepted: claimed without a look into the state, as long as nothing else happened to them."""

from hookline.node.dispatch.fresh import BYTES_MAX, KEPT_MS, SOON_MS, FreshJobs
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.leader_reads import ClaimedJob
from hookline.protocol.commands import CreateJob
from tests.node_parts import T0, create, job_spec

LANE = 512


def accepted(*commands: CreateJob, first: int = 1) -> Effects:
    effects = Effects()
    for seq, command in enumerate(commands, first):
        effects.due.append((LANE, command.due_ms, seq))
        effects.created.append((seq, LANE, T0 - 3, command))
    return effects


def moved(seq: int) -> Effects:
    return Effects(due=[(LANE, T0, seq)])


def test_a_new_job_is_there_once() -> None:
    fresh = FreshJobs()
    fresh.committed(accepted(create("a")), T0)
    job = ClaimedJob("a", T0, 0, T0, LANE, job_spec(), T0 - 3)
    assert fresh.take([1, 2]) == {1: job}
    assert fresh.take([1]) == {}


def test_a_job_that_became_pending_again_is_read_from_the_state() -> None:
    fresh = FreshJobs()
    fresh.committed(accepted(create("a")), T0)
    fresh.committed(moved(1), T0)
    assert fresh.take([1]) == {}


def test_a_job_that_is_not_due_soon_is_not_kept() -> None:
    fresh = FreshJobs()
    fresh.committed(accepted(create("a", due_ms=T0 + SOON_MS), create("b", due_ms=T0 + SOON_MS + 1)), T0)
    assert sorted(fresh.take([1, 2])) == [1]


def test_what_is_kept_is_bounded_and_the_oldest_stay() -> None:
    fresh = FreshJobs()
    big = job_spec(body=bytes(100_000))
    fresh.committed(accepted(*(create(f"j{number}", big) for number in range(200))), T0)
    assert BYTES_MAX // 110_000 < len(fresh) < 200
    assert 1 in fresh.take([1, 200])
    fresh.committed(accepted(create("later"), first=300), T0 + KEPT_MS)
    assert len(fresh) == 1, "those that nobody claimed were cancelled"
