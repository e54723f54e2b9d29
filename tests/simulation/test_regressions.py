"""Tells the bugs that the simulation has found, each as the shortest story that shows it."""

from pathlib import Path

import pytest

from hookline.errors import IdempotencyMismatch
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol import commands as c
from hookline.protocol.codec import VERSION, Entry
from hookline.protocol.jobs import DEFAULT_TENANT, Work
from hookline.protocol.settings import DestinationSettings, encode
from hookline.protocol.ticks import tick_job_id
from hookline.testing import InProcessNode, answer, run
from hookline.testing.clock import START_MS

URL = "https://shop.example/hook"
MINUTE_MS = 60_000


def test_a_claim_behind_a_pause_in_the_log_is_not_granted(tmp_path: Path) -> None:
    """The leader proposes a claim, but the pause it has not seen yet comes first; both are in one entry."""
    destination = "http://10.0.0.1:8080"
    database = open_state(tmp_path / "state.db", durable=False)
    machine = StateMachine(database)

    def apply(*commands: c.AnyCommand) -> tuple[list[c.Result], Effects]:
        entry = Entry(VERSION, 1, machine.applied + 1, 1_000, b"", machine.digest, commands)
        answer = machine.apply(entry)
        machine.commit()
        return answer

    apply(c.CreateJob("job", 1_000, Work(DEFAULT_TENANT, destination, 0, False, 0, 30_000, (), b"")))
    pause = c.PutDestination("", destination, encode(DestinationSettings(paused=True)))
    claim = c.ClaimJobs(((1, 1_000),), 1_000, "n1/here/1")
    (_, claimed), effects = apply(pause, claim)
    assert claimed == c.Claimed(())
    assert [(due_ms, seq) for _, due_ms, seq in effects.due] == [(1_000, 1)]  # back to the plan, to wait there
    _, claimed = apply(c.PutDestination("", destination, encode(DestinationSettings())), claim)[0]
    assert claimed == c.Claimed(((1, 1),))
    database.close()


def test_jobs_that_waited_for_a_slot_go_on_after_the_wall_clock_jumped() -> None:
    """Seed 30671: the dispatcher asked while the clock was not trusted, got nothing, and nobody woke it again."""

    async def main() -> None:
        async with InProcessNode(lambda _: answer(after=2), slots=1) as node:
            for _ in range(3):
                await node.client.create_job(URL)
            await node.advance(1)  # one is under way, two wait for its slot
            node.clock.step_ms(10 * MINUTE_MS)
            await node.advance(20)
            assert len(node.receiver.requests) == 3

    run(main())


def test_a_key_that_comes_with_a_known_id_names_that_job() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            first = await node.client.create_job(URL, id="order-1", payload=1)
            again = await node.client.create_job(URL, id="order-1", payload=1, idempotency_key="key")
            assert (again.id, again.deduplicated) == (first.id, True)
            with pytest.raises(IdempotencyMismatch):
                await node.client.create_job(URL, payload=2, idempotency_key="key")

    run(main())


def test_a_new_schedule_does_not_inherit_the_jobs_of_a_deleted_one() -> None:
    async def main() -> None:
        async with InProcessNode() as node:
            await node.client.create_schedule("* * * * *", {"url": URL}, id="old")
            job = await node.client.run_schedule("old")
            await node.client.delete_schedule("old")
            await node.client.create_schedule("* * * * *", {"url": URL}, id="new")
            assert (await node.client.get_job(job.id)).schedule is None

    run(main())


def test_a_tick_whose_job_is_there_already_is_not_made_again() -> None:
    """As after a wall clock that went back. It must not stop the ticks that follow, nor keep the node busy."""

    async def main() -> None:
        async with InProcessNode() as node:
            taken = tick_job_id("every-minute", START_MS + MINUTE_MS, 0)
            await node.client.create_job(URL, id=taken)
            await node.client.create_schedule("* * * * *", {"url": URL}, id="every-minute")
            await node.advance("3m1s")
            assert len(node.receiver.requests) == 3
            assert len({request.webhook_id for request in node.receiver.requests}) == 3

    run(main())
