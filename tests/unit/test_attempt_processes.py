"""The node's half of its attempt processes: who gets a claim, what becomes of those of a process that dies or hangs."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hookline.node.attempts.own_addresses import OwnAddresses
from hookline.node.attempts.process_messages import Assignment, decode_assignment, encode
from hookline.node.attempts.processes import AttemptProcesses
from hookline.node.config import NodeConfig
from hookline.node.delivery_status import NO_PROCESS
from hookline.node.dispatch.exchange import LocalExchange, NoExchange
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.replica import inline_commit
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import open_state
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Report
from hookline.protocol.jobs import Outcome, State
from hookline.telemetry.area_log import set_log_levels
from hookline.testing import Receiver, SimulatedClock, virtual_time
from hookline.testing.assembly import LoneParts, assemble
from tests.node_parts import T0, ManualClock, create, job_spec, settle

GOOD = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)


def claim(seq: int) -> Claim:
    return Claim(ClaimRef(seq, 1), 1, T0, T0 + 35_000, f"j{seq}", T0, job_spec())


class ScriptedLink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Assignment] = []
        self.ended = asyncio.Event()
        self._more = asyncio.Event()

    def send(self, message: bytes) -> None:
        self.sent.append(decode_assignment(message))
        self._more.set()

    async def next(self) -> Assignment:
        """The message that is sent next."""
        self._more.clear()
        await self._more.wait()
        return self.sent[-1]

    @property
    def seqs(self) -> list[int]:
        """Of the claims that were handed on."""
        return [it.ref.seq for sent in self.sent for it in sent.claims]


class ScriptedChild:
    """A process that the test plays."""

    pid = 1

    def __init__(self, slots: int, received: Callable[[bytes], None]) -> None:
        self.slots = slots
        self.received = received
        self.link = ScriptedLink()
        self.gone = asyncio.Event()

    async def ended(self) -> int:
        await self.gone.wait()
        return -9

    def kill(self) -> None:
        self.gone.set()
        self.link.ended.set()

    async def end(self) -> int:
        self.kill()
        return -9

    def says(self, *seqs: int) -> None:
        """Reports of these attempts; without any: it is ready."""
        self.received(encode([ClaimReport(ClaimRef(seq, 1), 1, GOOD) for seq in seqs]))


@dataclass
class Stage:
    attempts: AttemptProcesses = field(init=False)
    clock: ManualClock = field(default_factory=ManualClock)
    own_addresses: OwnAddresses = field(default_factory=lambda: OwnAddresses([("127.0.0.1", 7070)]))
    valid_until_ms: float = math.inf
    children: list[ScriptedChild] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)

    offered: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchange = LocalExchange(1, lambda: self.valid_until_ms, self.offered.append)

    async def start(self, slots: int, received: Callable[[bytes], None]) -> ScriptedChild:
        self.children.append(ScriptedChild(slots, received))
        self.started.set()
        return self.children[-1]

    def reports(self, exchange: LocalExchange | None = None) -> dict[int, Report]:
        return {it.ref.seq: it.report for it in (exchange or self.exchange).take_reports()}


@asynccontextmanager
async def stage(count: int = 2, slots: int = 5, *, ready: bool = True) -> AsyncIterator[Stage]:
    on = Stage()
    on.attempts = AttemptProcesses(on.start, count, slots, on.clock, on.exchange, on.own_addresses)  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(on.attempts.run())
        await settle()
        if ready:
            for child in on.children:
                child.says()
        yield on
        running.cancel()


async def test_claims_are_shared_out_by_the_slots_and_reported() -> None:
    async with stage() as on:
        assert [child.slots for child in on.children] == [3, 2]
        on.exchange.give([claim(seq) for seq in range(1, 6)])
        await settle()
        assert [len(child.link.seqs) for child in on.children] == [3, 2]
        one = on.children[0]
        one.says(*one.link.seqs)
        assert on.reports() == dict.fromkeys(one.link.seqs, GOOD)
        assert on.attempts.running == 2
        on.exchange.give([claim(6), claim(7)])
        await settle()
        assert one.link.seqs[3:] == [6, 7], "the one with most room"


async def test_claims_wait_for_a_process_that_is_ready() -> None:
    async with stage(ready=False) as on:
        on.exchange.give([claim(1), claim(2)])
        await settle()
        assert on.attempts.running == 2
        assert [child.link.sent for child in on.children] == [[], []]
        on.children[1].says()
        assert on.children[1].link.seqs == [1, 2]


async def test_as_many_claims_are_asked_for_as_processes_that_are_ready_can_attempt() -> None:
    async with stage(ready=False) as on:
        assert on.offered == [0]
        on.children[1].says()
        assert on.offered == [0, 2]
        on.children[0].says()
        on.children[0].says(1)
        assert on.offered == [0, 2, 5]
        on.children[0].kill()
        await settle()
        assert on.offered == [0, 2, 5, 2]
        following: list[int] = []
        on.attempts.attach(LocalExchange(2, lambda: math.inf, following.append))
        assert following == [2]


@pytest.mark.parametrize("comes", [True, False])
def test_a_node_that_leads_claims_nothing_before_an_attempt_process_is_ready(tmp_path: Path, comes: bool) -> None:
    children: list[ScriptedChild] = []

    async def start(slots: int, received: Callable[[bytes], None]) -> Any:
        children.append(ScriptedChild(slots, received))
        return children[-1]

    async def main() -> None:
        clock = SimulatedClock(asyncio.get_running_loop().time)
        database = open_state(tmp_path / "state.db", durable=False)
        config = NodeConfig(data_dir=tmp_path, attempt_processes=1, allow_private_destinations=True)
        leadership, transport = MemoryLeadership(), Receiver(clock)
        parts = LoneParts(config, clock, database, MemoryLog(), leadership, inline_commit, transport, None, start)
        node = assemble(parts)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(node.member.run())
            await node.member.is_serving.wait()
            delivery = node.services.delivery
            assert delivery.why_nobody_attempts() == NO_PROCESS
            await node.member.replica.propose([create("a", job_spec("http://127.0.0.1/"), due_ms=0)])
            await asyncio.sleep(1)
            assert delivery.why_waiting("", "http://127.0.0.1:80", 0, 0) == ("slots", NO_PROCESS, None)
            if comes:
                children[0].says()
                await settle()
                assert delivery.why_nobody_attempts() is None
                assert children[0].link.seqs == [1], "it is claimed at once"
                children[0].says(1)
            node.member.stop()
            await running
        rows: list[tuple[Any, ...]] = database.reader.execute("SELECT state, attempts FROM jobs").fetchall()
        assert rows == [(State.SUCCEEDED, 1) if comes else (State.PENDING, 0)]

    virtual_time.run(main())


async def test_a_process_that_dies_loses_what_it_held_and_is_started_again() -> None:
    async with stage(1) as on:
        on.exchange.give([claim(1), claim(2)])
        await settle()
        on.children[0].says(1)
        on.children[0].kill()
        await settle()
        found = on.reports()
        assert found[1] == GOOD
        assert (found[2].is_lost, found[2].sent) == (True, True)
        assert on.attempts.running == 0
        on.exchange.give([claim(3)])
        on.started.clear()
        await on.started.wait()
        assert on.children[1].link.sent == []
        on.children[1].says()
        assert on.children[1].link.seqs == [3]


async def test_a_report_that_comes_from_a_process_after_its_death_was_noticed_is_not_told_twice() -> None:
    async with stage(1) as on:
        on.exchange.give([claim(1)])
        await settle()
        on.children[0].kill()
        await settle()
        assert on.reports()[1].is_lost
        on.children[0].says(1)
        assert on.reports() == {}


async def test_each_process_knows_until_when_requests_may_leave() -> None:
    async with stage(1) as on:
        on.valid_until_ms = on.clock.boot_ms() + 1_000
        on.exchange.give([claim(1)])
        await settle()
        (sent,) = on.children[0].link.sent
        assert (sent.term, sent.valid_until_ms) == (1, on.valid_until_ms)
        assert sent.wall_ms + on.clock.boot_ms() == on.clock.wall_ms()
        on.attempts.attach(NoExchange())
        assert on.children[0].link.sent[-1].valid_until_ms == 0.0, "at once, when another leads"


async def test_the_validity_is_renewed_while_a_process_holds_claims() -> None:
    async with stage(1) as on:
        on.valid_until_ms = on.clock.boot_ms() + 1_000
        on.exchange.give([claim(1)])
        await settle()
        on.valid_until_ms += 300
        assert (await on.children[0].link.next()).valid_until_ms == on.valid_until_ms


async def test_our_own_addresses_are_there_before_the_first_claim_and_after_each_change() -> None:
    async with stage(1) as on:
        on.exchange.give([claim(1)])
        await settle()
        assert on.children[0].link.sent[0].places == (("127.0.0.1", 7070),)
        on.exchange.give([claim(2)])
        await settle()
        assert on.children[0].link.sent[1].places is None
        on.own_addresses.tell("proxies", [("10.0.0.1", 7000)])
        on.exchange.give([claim(3)])
        await settle()
        assert set(on.children[0].link.sent[2].places or ()) == {("127.0.0.1", 7070), ("10.0.0.1", 7000)}


async def test_levels_of_the_log_are_told_at_first_and_after_each_change() -> None:
    async with stage(1) as on:
        on.exchange.give([claim(1)])
        await settle()
        on.exchange.give([claim(2)])
        await settle()
        set_log_levels({"attempts": "error"})
        on.exchange.give([claim(3)])
        await settle()
        told = [assignment.log_levels for assignment in on.children[0].link.sent]
    assert [None if levels is None else levels["attempts"] for levels in told] == ["debug", None, "error"]


async def test_a_cancellation_goes_to_the_process_that_has_the_claim() -> None:
    async with stage() as on:
        on.exchange.give([claim(1), claim(2)])
        await settle()
        on.exchange.cancel({2})
        await settle()
        cancelled = {number: it.cancelled for number, child in enumerate(on.children) for it in child.link.sent}
        assert sorted(cancelled.values()) == [(), (ClaimRef(2, 1),)]


async def test_what_no_process_has_yet_is_given_back_when_another_leads() -> None:
    async with stage(ready=False) as on:
        on.exchange.give([claim(1)])
        await settle()
        following = LocalExchange(2, lambda: math.inf)
        on.attempts.attach(following)
        found = on.reports(following)
        assert (found[1].costs_no_attempt, found[1].sent) == (True, False)


async def test_a_process_that_hangs_beyond_the_end_of_a_claim_is_killed() -> None:
    async with stage(1) as on:
        on.exchange.give([claim(1)])
        await settle()
        on.clock.advance(35_000 + 5_001)
        await on.children[0].gone.wait()
        await settle()
        assert on.reports()[1].is_lost


async def test_at_the_end_attempts_are_broken_off_and_a_process_that_says_nothing_is_killed() -> None:
    async with stage(2) as on:
        on.exchange.give([claim(1), claim(2)])
        await settle()
        one, other = on.children
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(on.attempts.end(0))
            assert (await one.link.next()).is_over
            one.says(*one.link.seqs)
        assert other.gone.is_set()
        assert sorted(report.is_lost for report in on.reports().values()) == [False, True]
