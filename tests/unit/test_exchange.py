"""The ways between a leader and a runner: nothing that is reported gets lost, whoever leads next."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from hookline.http_api.forwarded_headers import MAC
from hookline.node.dispatch.exchange import PATH, Exchange, HttpExchange, Inbox, LocalExchange, NoExchange
from hookline.node.vault import Vault
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Frame, Orders, Report, frames
from hookline.protocol.jobs import Outcome
from tests.node_parts import T0, job_spec, settle

VAULT = Vault([bytes(32)])
GOOD = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)


def orders(*cancelled: ClaimRef) -> NodeAnswer:
    return NodeAnswer(200, msgspec.msgpack.encode(Orders(cancelled)))


REFUSED, UNREADABLE = NodeAnswer(503), NodeAnswer(200, b"\xc1")


def report(seq: int, *, body: bytes = b"") -> ClaimReport:
    return ClaimReport(ClaimRef(seq, 1), 7, msgspec.structs.replace(GOOD, body=body))


def claim(seq: int) -> Claim:
    return Claim(ClaimRef(seq, 1), 7, T0, T0 + 35_000, f"j{seq}", T0, job_spec())


@dataclass
class Scene:
    """A runner that handed over, and the network to whoever leads now; when nothing else is said, it takes all."""

    url: str | None = "http://n2"
    answers: list[NodeAnswer | Exception] = field(default_factory=list)
    asked: list[tuple[str, str, str, Frame]] = field(default_factory=list)
    inbox: Inbox = field(default_factory=Inbox)

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        assert VAULT.is_own(call.body, dict(call.headers)[MAC].decode())
        self.asked.append((call.method, url, call.target, msgspec.msgpack.decode(call.body, type=Frame)))
        answer = self.answers.pop(0) if self.answers else orders()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def running(self, *held: ClaimRef) -> AsyncIterator[HttpExchange]:
        exchange = HttpExchange("n1", lambda: self.url, VAULT, self)
        exchange.open(self.inbox, held)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(exchange.run())
            yield exchange
            task.cancel()


async def test_a_report_is_told_until_the_next_leader_has_recorded_it() -> None:
    scene = Scene(url=None, answers=[REFUSED, NotSent("refused"), Unclear("late"), UNREADABLE])
    async with scene.running() as exchange:
        exchange.report(report(1))
        waiting = asyncio.gather(exchange.drained())
        await settle()
        assert (scene.asked, waiting.done()) == ([], False), "nobody leads"
        scene.url = "http://n3"
        await waiting
    assert scene.asked == 5 * [("POST", "http://n3", PATH, Frame("n1", (report(1),), ()))]


async def test_without_reports_it_is_drained_at_once() -> None:
    async with Scene().running() as exchange:
        await exchange.drained()


async def test_who_takes_its_place_is_given_what_was_not_told() -> None:
    async with Scene(url=None).running(ClaimRef(1, 1), ClaimRef(2, 1)) as exchange:
        exchange.report(report(1))
        exchange.report(report(2))
        await settle()
        assert exchange.close() == [report(1), report(2)]
        await exchange.drained()


async def test_a_cancelled_claim_that_is_still_worked_on_is_broken_off_by_the_next_leader() -> None:
    scene = Scene(answers=[orders(ClaimRef(1, 1), ClaimRef(9, 9))])
    async with scene.running(ClaimRef(1, 1), ClaimRef(2, 1)):
        await scene.inbox.filled.wait()
    assert scene.inbox.take() == ([], [ClaimRef(1, 1)])
    assert scene.asked[0][3].held == (ClaimRef(1, 1), ClaimRef(2, 1))


async def test_nothing_is_asked_while_there_is_nothing_to_tell() -> None:
    scene = Scene()
    async with scene.running() as exchange:
        await settle()
        assert scene.asked == []
        exchange.report(report(1))
        await exchange.drained()
        await settle()
    assert len(scene.asked) == 1


def test_many_big_reports_go_in_several_frames() -> None:
    reports = [report(seq, body=bytes(400)) for seq in range(10)]
    made = frames("n1", reports, (), bytes_max=1_200)
    assert [it for frame in made for it in frame.reports] == reports
    assert all(len(frame.reports) <= 2 for frame in made)
    assert len(frames("n1", [], (ClaimRef(1, 1),), bytes_max=1_000)) == 1


# --- in one process --------------------------------------------------------------------------------------------------


def local(valid_until_ms: Callable[[], float] = lambda: math.inf) -> tuple[LocalExchange, Inbox]:
    exchange, inbox = LocalExchange(7, valid_until_ms), Inbox()
    exchange.open(inbox, ())
    return exchange, inbox


async def test_a_request_leaves_only_in_the_term_that_claimed_it() -> None:
    until_ms = 5.0
    exchange, _ = local(lambda: until_ms)
    assert exchange.valid_until_ms(7) == 5.0
    assert exchange.valid_until_ms(6) == 0.0, "this node led before, and another one in between"
    until_ms = 9.0
    assert exchange.valid_until_ms(7) == 9.0, "it moves on while the leader leads"
    elsewhere: tuple[Exchange, ...] = (NoExchange(), HttpExchange("n1", lambda: None, VAULT, Scene()))
    assert [it.valid_until_ms(7) for it in elsewhere] == [0.0, 0.0]


async def test_a_report_is_kept_until_the_leader_says_that_it_is_in_the_log() -> None:
    exchange, _ = local()
    exchange.report(report(1))
    exchange.report(report(2))
    assert exchange.wake.is_set()
    assert exchange.take_reports() == [report(1), report(2)]
    assert exchange.take_reports() == []
    waiting = asyncio.gather(exchange.drained())
    exchange.recorded([ClaimRef(1, 1)])
    await settle()
    assert not waiting.done()
    assert exchange.close() == [report(2)]
    exchange.recorded([ClaimRef(2, 1)])
    await waiting


async def test_cancelled_jobs_are_broken_off_as_long_as_they_are_worked_on() -> None:
    exchange, inbox = local()
    exchange.give([claim(1), claim(2), claim(3)])
    exchange.report(report(2))
    exchange.cancel({1, 2, 4})
    assert inbox.take() == ([claim(1), claim(2), claim(3)], [ClaimRef(1, 1)])


async def test_claims_of_earlier_terms_are_counted_until_they_are_over() -> None:
    exchange = LocalExchange(7, lambda: math.inf)
    exchange.open(Inbox(), [ClaimRef(1, 1), ClaimRef(2, 1)])
    exchange.give([claim(3)])
    assert exchange.earlier == 2
    exchange.report(report(2))
    exchange.report(report(3))
    assert exchange.earlier == 1
