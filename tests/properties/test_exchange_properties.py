"""A runner and its leader over a bad network: each claim is attempted once or surely not, and every report arrives."""

import asyncio
import random
from typing import Any, cast

import msgspec
import pytest

from hookline.node.dispatch.exchange import Inbox, LocalExchange
from hookline.node.dispatch.http_exchange import HttpExchange, RunnerIdentity
from hookline.node.dispatch.runners import Runners
from hookline.node.dispatch.seats import Seat, Seats
from hookline.node.replica import Replica
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.peers.sender import NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.claims import Claim, ClaimRef, ClaimReport, Frame, Report
from hookline.protocol.jobs import Outcome
from hookline.testing import SimulatedClock, virtual_time
from tests.node_parts import T0, job_spec

_TERM = 7
_CLAIMS = 60
_BAD_S = 40.0
_GOOD_S = 20.0


class NothingElse:
    """A state without claims of others."""

    def open_claims(self, seqs: Any) -> set[ClaimRef]:
        return {ClaimRef(seq, 1) for seq in seqs}

    def claims_of(self, _owner: str, _before_term: int) -> list[tuple[ClaimRef, int]]:
        return []

    def claim_owners(self) -> list[str]:
        return []


class World:
    """Both ends, and the network between them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        loop = asyncio.get_running_loop()
        self.clock = SimulatedClock(loop.time, seed=seed, start_ms=T0)
        own = Seat("n1/a/a", "n1", "leader", 10, LocalExchange(_TERM, lambda: 0.0))
        self.wake = asyncio.Event()
        self.seats = Seats(own, self.wake)
        self.seats.changed("workers")
        self.is_bad = True
        self.sent: dict[ClaimRef, int] = {}
        self.over: dict[ClaimRef, list[Report]] = {}
        self.runners = Runners(
            cast("Replica", None),
            cast("LeaderReads", NothingElse()),
            self.clock,
            self.seats,
            term=_TERM,
            valid_until_ms=lambda: self.clock.boot_ms() + 1_200,
            changed=lambda: None,
        )
        self.exchange = HttpExchange(
            RunnerIdentity("w1", "w1/a/b", "worker"),
            lambda: "http://n1",
            self,
            self.clock,
            wants_claims=lambda: True,
        )
        self.inbox = Inbox()
        self.exchange.open(self.inbox, ())
        self.exchange.offer(20)

    # --- the network -------------------------------------------------------------------------------------------------

    async def send(self, _url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        frame = msgspec.msgpack.decode(call.body, type=Frame)
        if self.is_bad and self.chance.random() < 0.1:
            raise NotSent("refused")
        arrives_s = self.chance.choice((0, 0.001, 0.3, 4.0)) if self.is_bad else 0.001
        returns_s = self.chance.choice((0, 0.001, 0.3, 5.0)) if self.is_bad else 0.001
        answer = asyncio.get_running_loop().create_future()
        self.tasks.create_task(self._deliver(frame, arrives_s, returns_s, answer))
        if self.is_bad and self.chance.random() < 0.1:
            self.tasks.create_task(
                self._deliver(frame, arrives_s + 0.01, 0, asyncio.get_running_loop().create_future())
            )
        try:
            async with asyncio.timeout(timeout_s):
                return await answer  # type: ignore[no-any-return]
        except TimeoutError:
            raise Unclear("late") from None

    async def _deliver(
        self, frame: Frame, arrives_s: float, returns_s: float, answer: "asyncio.Future[NodeAnswer]"
    ) -> None:
        await asyncio.sleep(arrives_s)
        orders = await self.runners.swap(frame)
        await asyncio.sleep(returns_s)
        if not answer.done():
            answer.set_result(NodeAnswer(200, msgspec.msgpack.encode(orders)))

    # --- both ends ---------------------------------------------------------------------------------------------------

    async def attempt(self) -> None:
        """As a runner does."""
        while True:
            await self.inbox.filled.wait()
            claims, _ = self.inbox.take()
            for claim in claims:
                self.tasks.create_task(self._make(claim))

    async def _make(self, claim: Claim) -> None:
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.05, 1.0)))
        may_send = self.clock.boot_ms() < self.exchange.valid_until_ms(claim.term)
        self.sent[claim.ref] = self.sent.get(claim.ref, 0) + may_send
        kind = Outcome.SUCCESS if may_send else Outcome.RETRYABLE_FAILURE
        report = Report(kind, "none", 0, 0, sent=may_send, costs_no_attempt=not may_send)
        self.exchange.report(ClaimReport(claim.ref, claim.term, report))

    async def lead(self) -> None:
        """As a dispatcher does: record what comes, give what there is room for."""
        given = 0
        while True:
            taken = self.seats.take_reports(self.clock.boot_ms())
            await asyncio.sleep(self.chance.choice((0.001, 0.05)))
            for seat, it in taken:
                self.over.setdefault(it.ref, []).append(it.report)
                seat.taken -= len(self.over[it.ref]) == 1
            self.seats.recorded([it.ref for _, it in taken])
            count = min(self.seats.room(self.clock.boot_ms()), _CLAIMS - given, 3)
            claims = []
            for seat in self.seats.share(max(0, count), self.clock.boot_ms()):
                given += 1
                ends_ms = self.clock.wall_ms() + 35_000
                claims.append((seat, Claim(ClaimRef(given, 1), _TERM, T0, ends_ms, f"j{given}", T0, job_spec())))
            self.seats.give(claims)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self.tasks:
            for one in (self.exchange.run(), self.runners.run(), self.attempt(), self.lead()):
                self.tasks.create_task(one)
            await asyncio.sleep(_BAD_S)
            self.is_bad = False
            await asyncio.sleep(_GOOD_S)
            raise asyncio.CancelledError


@pytest.mark.parametrize("seed", range(40))
def test_each_claim_is_attempted_once_or_surely_not_and_every_report_arrives(seed: int) -> None:
    world: World | None = None

    async def main() -> None:
        nonlocal world
        world = World(seed)
        running = asyncio.gather(world.run(), return_exceptions=True)
        await running

    virtual_time.run(main())
    assert world is not None
    assert all(count <= 1 for count in world.sent.values()), "no request is made twice"
    assert world.over.keys() == {ClaimRef(seq, 1) for seq in range(1, _CLAIMS + 1)}, "nothing is forgotten"
    for ref, reports in world.over.items():
        assert any(it.sent for it in reports) == bool(world.sent.get(ref)), "what was sent is known to be"
        assert world.sent.get(ref) or all(it.costs_no_attempt for it in reports)
    assert any(world.sent.values())
