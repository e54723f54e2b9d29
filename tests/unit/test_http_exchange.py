"""A runner's way to a leader elsewhere: nothing that is reported gets lost, and no claim is taken twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest

from hookline.node.dispatch.exchange import Inbox
from hookline.node.dispatch.http_exchange import PATH, HttpExchange, RunnerIdentity
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Frame, Orders, Report, first_of
from hookline.protocol.jobs import Outcome
from tests.node_parts import T0, ManualClock, job_spec, settle

GOOD = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)
REFUSED, UNREADABLE = NodeAnswer(503), NodeAnswer(200, b"\xc1")
ONE, TWO = ClaimRef(1, 1), ClaimRef(2, 1)


def report(seq: int, *, body: bytes = b"") -> ClaimReport:
    return ClaimReport(ClaimRef(seq, 1), 7, msgspec.structs.replace(GOOD, body=body))


def claim(seq: int, left_ms: int = 35_000) -> Claim:
    return Claim(ClaimRef(seq, 1), 7, T0, left_ms, f"j{seq}", T0, job_spec())


@dataclass
class Asked:
    """One frame, until the test answers it."""

    url: str
    frame: Frame
    answer: asyncio.Future[NodeAnswer | Exception]

    def give(self, answer: NodeAnswer | Exception | None = None, **orders: object) -> None:
        values: dict[str, object] = {"cancelled": (), "term": 7, "valid_for_ms": 1_000} | orders
        self.answer.set_result(answer or NodeAnswer(200, msgspec.msgpack.encode(Orders(**values))))  # type: ignore[arg-type]


@dataclass
class Scene:
    """A runner that asks for claims, and the network to whoever leads."""

    url: str | None = "http://n2"
    wants: bool = True
    can_make: int = 5
    asked: list[Asked] = field(default_factory=list)
    inbox: Inbox = field(default_factory=Inbox)
    clock: ManualClock = field(default_factory=ManualClock)
    failed: int = 0

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        assert (call.method, call.target) == ("POST", PATH)
        asked = Asked(url, msgspec.msgpack.decode(call.body, type=Frame), asyncio.get_running_loop().create_future())
        self.asked.append(asked)
        answer = await asked.answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def fail(self) -> None:
        self.failed += 1

    @asynccontextmanager
    async def running(self, *held: ClaimRef) -> AsyncIterator[HttpExchange]:
        exchange = HttpExchange(
            RunnerIdentity("n1", "n1/a/b", "follower"),
            lambda: self.url,
            self,
            self.clock,
            wants_claims=lambda: self.wants,
            failed=self.fail,
        )
        exchange.open(self.inbox, held)
        exchange.offer(self.can_make)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(exchange.run())
            await settle()
            yield exchange
            task.cancel()

    async def next(self, count: int) -> Asked:
        """The frame with this number in order, from 1."""
        async with asyncio.timeout(60):
            while len(self.asked) < count:  # noqa: ASYNC110 - it comes by itself
                await asyncio.sleep(0.01)
        return self.asked[count - 1]


async def test_a_runner_asks_for_no_claims_before_it_can_make_attempts() -> None:
    scene = Scene(can_make=0)
    async with scene.running() as exchange:
        assert scene.asked == []
        exchange.offer(2)
        assert (await scene.next(1)).frame.slots == 2
    scene = Scene(can_make=0)
    async with scene.running(ONE) as exchange:
        first = await scene.next(1)
        assert (first.frame.slots, first.frame.held) == (0, (ONE,)), "what it has is told of"
        exchange.offer(3)
        first.give()
        assert (await scene.next(2)).frame.slots == 3


async def test_a_frame_says_who_asks_and_an_answer_brings_claims_with_a_validity_from_when_it_was_asked() -> None:
    scene = Scene()
    async with scene.running() as exchange:
        first = await scene.next(1)
        assert first.frame == Frame("n1", (), (), "n1/a/b", "follower", 5, 1, (), 0)
        asked_boot = scene.clock.boot_ms()
        scene.clock.advance(800)
        first.give(claims=(claim(1),), valid_for_ms=1_150)
        await settle()
        assert exchange.valid_until_ms(7) == asked_boot + 1_150
        assert exchange.valid_until_ms(6) == 0.0
        ((taken,), _) = scene.inbox.take()
        assert taken.ends_ms == T0 + 35_000, "counted from when the frame was sent, too"
        second = await scene.next(2)
        assert (second.frame.held, second.frame.number, second.frame.term) == ((ONE,), 2, 7)


async def test_a_report_ends_a_frame_that_is_held_and_the_next_ones_gather() -> None:
    scene = Scene()
    async with scene.running(ONE, TWO, ClaimRef(3, 1)) as exchange:
        exchange.report(report(1))
        second = await scene.next(2)
        assert (second.frame.reports, second.frame.held) == ((report(1),), (TWO, ClaimRef(3, 1)))
        assert second.frame.unanswered == (1,)
        exchange.report(report(2))
        exchange.report(report(3))
        await settle()
        assert len(scene.asked) == 2, "one with reports at a time"
        scene.asked[0].give()
        second.give()
        third = await scene.next(3)
        assert (third.frame.reports, third.frame.held) == ((report(2), report(3)), ())
        third.give()
        await exchange.drained()


@pytest.mark.parametrize("failure", [REFUSED, NotSent("refused"), Unclear("late"), UNREADABLE])
async def test_a_report_is_told_until_a_leader_has_recorded_it(failure: NodeAnswer | Exception) -> None:
    scene = Scene(url=None, wants=False)
    async with scene.running() as exchange:
        exchange.report(report(1))
        waiting = asyncio.gather(exchange.drained())
        await settle()
        assert (scene.asked, waiting.done()) == ([], False), "nobody leads"
        scene.url = "http://n3"
        (await scene.next(1)).give(failure)
        again = await scene.next(2)
        assert (again.url, again.frame.reports, scene.failed) == ("http://n3", (report(1),), 1)
        again.give()
        await waiting


async def test_who_wants_no_claims_and_has_none_asks_nobody() -> None:
    scene = Scene(wants=False)
    async with scene.running() as exchange:
        await exchange.drained()
        assert scene.asked == []


async def test_what_is_given_twice_is_taken_once() -> None:
    scene = Scene()
    async with scene.running() as exchange:
        scene.asked[0].give(claims=(claim(1), claim(2)))
        await settle()
        exchange.report(report(2))
        (await scene.next(2)).give(Unclear("lost"))
        (await scene.next(3)).give(claims=(claim(1), claim(2), claim(4)), cancelled=(ONE, ClaimRef(9, 9)))
        await settle()
        claims, cancelled = scene.inbox.take()
        assert [it.ref.seq for it in claims] == [1, 2, 4]
        assert cancelled == [ONE]


async def test_who_takes_its_place_gets_what_was_not_told_and_late_answers_bring_nothing() -> None:
    scene = Scene()
    async with scene.running(ONE, TWO) as exchange:
        exchange.report(report(1))
        await settle()
        late = scene.asked[-1]
        assert exchange.close() == [report(1)]
        assert exchange.valid_until_ms(7) == 0.0
        if not late.answer.done():
            late.give(claims=(claim(5),))
        await settle()
        assert scene.inbox.take() == ([], [])


async def test_answers_of_an_old_leader_are_not_waited_for_nor_taken() -> None:
    scene = Scene()
    async with scene.running() as exchange:
        scene.asked[0].give(term=8)
        old = await scene.next(2)
        scene.url = "http://n3"
        new = await scene.next(3)
        assert (new.url, new.frame.unanswered, old.answer.cancelled()) == ("http://n3", (), True)
        new.give(term=7, claims=(claim(1),))
        await settle()
        assert scene.inbox.take() == ([], []), "another node has led since"
        assert exchange.valid_until_ms(7) == 0.0


async def test_who_leaves_asks_for_no_more_and_says_when_nothing_is_left() -> None:
    scene = Scene()
    async with scene.running() as exchange:
        scene.asked[0].give(claims=(claim(1),))
        second = await scene.next(2)
        exchange.leave()
        third = await scene.next(3)
        assert (third.frame.slots, third.frame.is_last, third.frame.unanswered) == (0, False, (2,))
        second.give()
        third.give()
        await scene.next(4)
        exchange.report(report(1))
        leaving = asyncio.gather(exchange.drained())
        fifth = await scene.next(5)
        assert fifth.frame.reports == (report(1),)
        scene.asked[3].give()
        fifth.give()
        last = await scene.next(6)
        assert (last.frame.is_last, leaving.done()) == (True, False)
        last.give()
        await leaving


def test_many_big_reports_go_in_several_frames() -> None:
    reports = [report(seq, body=bytes(400)) for seq in range(10)]
    assert first_of(reports, 1_200) == tuple(reports[:2])
    assert first_of(reports[:1], 10) == (reports[0],)
    assert first_of([], 10) == ()
