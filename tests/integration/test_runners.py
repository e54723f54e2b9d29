"""A leader and runners in other processes, frame by frame, against the real state, on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.errors import NotLeader
from hookline.node.assembly import Node
from hookline.node.config import NodeConfig
from hookline.node.dispatch.runners import MARGIN_MS, SILENT_MS, VALID_MS_MAX
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.replica import inline_commit
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Frame, Orders, Report
from hookline.protocol.commands import CancelJobs, ClaimJobs, SetMode
from hookline.protocol.jobs import Outcome, State
from hookline.testing import Receiver, SimulatedClock, virtual_time
from hookline.testing.assembly import LoneParts, assemble
from tests.node_parts import T0, apply, create, job_spec, outcome

WORKER = "w1/a/1"
GOOD = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)
_SPEC = job_spec(timeout_ms=10_000)


class Desk:
    """A leading node in the mode ``workers``, and whoever sends it frames."""

    def __init__(self, directory: Path, *before: Any) -> None:
        self.clock = SimulatedClock(asyncio.get_running_loop().time, start_ms=T0)
        database = open_state(directory / "state.db", durable=False)
        machine = StateMachine(database)
        apply(machine, SetMode("workers"), *before, term=0)
        config = NodeConfig(data_dir=directory, allow_private_destinations=True, slots=4)
        self.node: Node = assemble(
            LoneParts(
                config=config,
                clock=self.clock,
                database=database,
                log=MemoryLog(),
                leadership=MemoryLeadership(),
                commit=inline_commit,
                transport=Receiver(self.clock),
            )
        )
        self.number = 0

    async def frame(
        self,
        *held: ClaimRef,
        reports: tuple[ClaimReport, ...] = (),
        owner: str = WORKER,
        slots: int = 4,
        term: int = 1,
        is_last: bool = False,
        unanswered: tuple[int, ...] = (),
    ) -> Orders:
        self.number += 1
        name = owner.partition("/")[0]
        numbers = (self.number, unanswered, term, "", is_last)
        return await self.node.member.swap(Frame(name, reports, held, owner, "worker", slots, *numbers))

    async def create(self, *ids: str, **spec: Any) -> None:
        await self.node.member.replica.propose([create(one, job_spec(timeout_ms=10_000, **spec)) for one in ids])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.node.machine.database.writer.execute(query).fetchall()

    def states(self) -> list[State]:
        return [State(state) for (state,) in self.rows("SELECT state FROM jobs ORDER BY seq")]

    def runners(self) -> list[tuple[str, int, int]]:
        leader = self.node.member.leader
        assert leader is not None
        return [(it.name, it.slots, it.running) for it in leader.seats.status()]

    def health(self) -> str | None:
        return self.node.services.delivery.why_nobody_attempts()


Script = Callable[[Desk], Awaitable[None]]


@pytest.fixture
def led(tmp_path: Path) -> Callable[..., None]:
    """Run a script against a leader; ``before`` is in its state."""

    def run(script: Script, *before: Any) -> None:
        async def main() -> None:
            desk = Desk(tmp_path, *before)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(desk.node.member.run())
                await desk.node.member.is_serving.wait()
                await script(desk)
                running.cancel()

        virtual_time.run(main())

    return run


def report(claim: Claim | ClaimRef, result: Report = GOOD) -> ClaimReport:
    return ClaimReport(claim.ref if isinstance(claim, Claim) else claim, 1, result)


def test_a_frame_is_held_until_there_is_a_claim_and_its_report_is_recorded_before_the_next_answer(led: Any) -> None:
    async def script(desk: Desk) -> None:
        asked = asyncio.gather(desk.frame())
        await asyncio.sleep(0.4)
        assert (asked.done(), desk.health(), desk.runners()) == (False, None, [("w1", 4, 0)])
        await desk.create("a")
        (orders,) = await asked
        (claim,) = orders.claims
        assert (claim.job_id, orders.term) == ("a", 1)
        assert orders.valid_for_ms == VALID_MS_MAX, "nobody else can lead"
        assert claim.ends_ms == 400 + 5_000 + 10_000, "from when the frame arrived"
        assert desk.rows("SELECT claim_owner FROM jobs") == [(WORKER,)]
        answer = await desk.frame(reports=(report(claim),))
        assert desk.states() == [State.SUCCEEDED]
        assert desk.rows("SELECT node FROM attempts") == [("w1",)]
        assert answer.claims == ()
        again = await desk.frame(reports=(report(claim),))
        assert (again.claims, len(desk.rows("SELECT 1 FROM attempts"))) == ((), 1), "a repeat changes nothing"

    led(script)


def test_a_frame_is_held_for_a_second_at_most_and_shorter_by_who_has_claims(led: Any) -> None:
    async def script(desk: Desk) -> None:
        began = desk.clock.boot_ms()
        await desk.frame()
        assert 900 < desk.clock.boot_ms() - began <= 1_001
        await desk.create("a")
        (claim,) = (await desk.frame()).claims
        began = desk.clock.boot_ms()
        await desk.frame(claim.ref)
        assert desk.clock.boot_ms() - began < 400

    led(script)


def test_no_answer_says_that_requests_may_leave_for_longer_than_the_leader_may(led: Any, monkeypatch: Any) -> None:
    async def script(desk: Desk) -> None:
        leader = desk.node.member.leader
        assert leader is not None
        asked_boot = desk.clock.boot_ms()
        monkeypatch.setattr(leader.runners, "_valid_until_ms", lambda: asked_boot + 1_500)
        orders = await desk.frame()
        assert orders.valid_for_ms == 1_500 - MARGIN_MS, "however long it was held"
        await desk.create("a")
        late = await desk.frame()
        assert (late.valid_for_ms, late.claims) == (1_500 - MARGIN_MS - 1_000, late.claims)
        monkeypatch.setattr(leader.runners, "_valid_until_ms", lambda: 0.0)
        assert (await desk.frame()).valid_for_ms == 0

    led(script)


def test_jobs_wait_while_no_worker_is_there_and_the_silent_get_no_more(led: Any) -> None:
    async def script(desk: Desk) -> None:
        await desk.create("a")
        await asyncio.sleep(1)
        assert desk.states() == [State.PENDING]
        assert "no worker is connected" in str(desk.health())
        assert "no worker is connected" in desk.node.services.delivery.why_waiting("", _SPEC.destination, T0, 0)[1]
        (claim,) = (await desk.frame()).claims
        await asyncio.sleep(SILENT_MS / 1_000 + 1)
        assert "no worker is connected" in str(desk.health())
        await desk.create("b")
        assert desk.runners() == [("w1", 0, 1)]
        await asyncio.sleep(8)
        assert desk.states() == [State.RUNNING, State.PENDING], "it may be alive until its deadline"
        await asyncio.sleep(5)
        assert desk.states() == [State.PENDING, State.PENDING]
        assert desk.runners() == []
        assert (await desk.frame(claim.ref)).cancelled == (claim.ref,), "it is not open any more"
        assert {it.job_id for it in (await desk.frame(claim.ref)).claims} == {"a", "b"}

    led(script)


def test_what_a_silent_runner_was_never_told_is_given_to_another_at_once(led: Any) -> None:
    async def script(desk: Desk) -> None:
        await desk.frame(reports=(report(ClaimRef(99, 1)),))  # it is there, and asks for nothing at the moment
        await desk.create("a")
        await asyncio.sleep(0)
        assert desk.runners() == [("w1", 4, 1)]
        await asyncio.sleep(SILENT_MS / 1_000 + 2)
        (claim,) = (await desk.frame(owner="w2/b/1")).claims
        assert (claim.job_id, claim.ref.attempt) == ("a", 2)
        assert desk.rows("SELECT attempts - attempts_before FROM jobs") == [(1,)], "it cost no attempt"

    led(script)


def test_a_cancel_reaches_the_worker(led: Any) -> None:
    async def script(desk: Desk) -> None:
        await desk.create("a")
        (claim,) = (await desk.frame()).claims
        asked = asyncio.gather(desk.frame(claim.ref))
        await asyncio.sleep(0.05)
        await desk.node.member.replica.propose([CancelJobs((claim.ref.seq,))])
        (orders,) = await asked
        assert orders.cancelled == (claim.ref,)
        assert (await desk.frame(claim.ref)).cancelled == (claim.ref,), "that answer may have been lost"
        unknown = msgspec.structs.replace(GOOD, outcome=Outcome.UNKNOWN)
        assert (await desk.frame(reports=(report(claim, unknown),))).cancelled == ()
        assert desk.states() == [State.CANCELLED]

    led(script)


def test_a_cancelled_attempt_of_a_worker_that_falls_silent_keeps_no_slot(led: Any) -> None:
    """Cluster seed 339: the breaker's only probe was there, and no job of that destination was sent any more."""

    async def script(desk: Desk) -> None:
        await desk.create("a", "b")
        first, second = (await desk.frame()).claims
        await desk.frame(first.ref, second.ref)
        leader = desk.node.member.leader
        assert leader is not None
        await desk.node.member.replica.propose([CancelJobs((first.ref.seq,))])
        await asyncio.sleep(10)
        assert leader.plan.running == 2, "it may still be under way"
        await asyncio.sleep(10)
        assert leader.plan.running == leader.dispatcher.claims == 0
        assert desk.states() == [State.CANCELLED, State.PENDING]
        assert desk.runners() == []
        assert (await desk.frame(owner="w2/a/1")).claims[0].ref == ClaimRef(second.ref.seq, 2)

    led(script)


def test_an_at_most_once_job_of_a_worker_that_falls_silent_is_unknown(led: Any) -> None:
    async def script(desk: Desk) -> None:
        await desk.create("a", at_most_once=True)
        await desk.frame()
        await asyncio.sleep(20)
        assert desk.states() == [State.UNKNOWN]

    led(script)


def test_a_later_process_in_the_same_place_proves_the_death_of_the_earlier_one(led: Any) -> None:
    async def script(desk: Desk) -> None:
        await desk.create("a")
        (first,) = (await desk.frame(owner="n2/here/1")).claims
        again = await desk.frame(owner="n2/here/2")
        (second,) = again.claims or (await desk.frame(owner="n2/here/2")).claims
        assert (second.ref.seq, second.ref.attempt) == (first.ref.seq, 2)

    led(script)


def test_claims_that_the_leader_before_could_not_hand_out_are_given_back_once_the_runner_has_heard_of_this_one(
    led: Any,
) -> None:
    async def script(desk: Desk) -> None:
        assert desk.states() == [State.RUNNING, State.RUNNING]
        await desk.frame(ClaimRef(1, 1), term=0)
        assert desk.states() == [State.RUNNING, State.RUNNING], "an answer of the leader before may still come"
        await desk.frame(ClaimRef(1, 1), term=1)
        await asyncio.sleep(1)
        rows = desk.rows("SELECT seq, error FROM attempts")
        assert rows == [(2, "the leader before could not hand the claim out; nothing was sent")]
        assert desk.states()[0] == State.RUNNING

    led(script, create("a", _SPEC), create("b", _SPEC), ClaimJobs(((1, T0), (2, T0)), T0 + 5_000, WORKER))


def test_a_report_of_an_earlier_term_is_recorded_with_the_node_that_made_the_attempt(led: Any) -> None:
    async def script(desk: Desk) -> None:
        reports = tuple(ClaimReport(ClaimRef(seq, 1), 0, GOOD) for seq in (1, 99))
        await desk.frame(reports=reports, owner="n9/there/1", slots=0)
        assert desk.states() == [State.SUCCEEDED]
        assert desk.rows("SELECT node, term FROM attempts") == [("n9", 0)]

    led(script, create("a"), ClaimJobs(((1, T0),), T0 + 5_000, "n9/there/1"))


def test_a_runner_learns_which_of_its_claims_are_not_open_any_more(led: Any) -> None:
    async def script(desk: Desk) -> None:
        held = (ClaimRef(1, 1), ClaimRef(2, 1))
        assert (await desk.frame(*held, slots=0)).cancelled == (ClaimRef(1, 1),)

    claimed = (create("a"), create("b"), ClaimJobs(((1, T0), (2, T0)), T0 + 5_000, WORKER))
    led(script, *claimed, outcome(1, 1))


def test_who_leaves_is_gone_at_once(led: Any) -> None:
    async def script(desk: Desk) -> None:
        await desk.frame()
        began = desk.clock.boot_ms()
        await desk.frame(slots=0, is_last=True)
        assert desk.clock.boot_ms() - began < 10
        assert (desk.runners(), "no worker" in str(desk.health())) == ([], True)

    led(script)


def test_the_end_of_a_term_answers_who_waits(led: Any) -> None:
    async def script(desk: Desk) -> None:
        asked = asyncio.gather(desk.frame(), return_exceptions=True)
        await asyncio.sleep(0.1)
        leader = desk.node.member.leader
        assert leader is not None
        leader.runners.close()
        assert isinstance((await asked)[0], NotLeader)

    led(script)


def test_a_step_of_the_wall_clock_ends_no_claim_before_its_time(led: Any) -> None:
    async def script(desk: Desk) -> None:
        await desk.create("a")
        (claim,) = (await desk.frame()).claims
        desk.clock.step_ms(3_600_000)
        desk.node.clock.confirm()
        assert desk.node.clock.wall_ms() > T0 + 3_000_000
        desk.node.member.clock_changed()
        for _ in range(20):
            await desk.frame(claim.ref)
        assert desk.states() == [State.RUNNING]
        await asyncio.sleep(12)
        assert desk.states() == [State.PENDING], "but at its time"

    led(script)
