"""Creates that travel together, over a sender that holds each call until the test lets it go on. Virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from hookline.http_api.forwarded_headers import CLUSTER, EPOCH, TIMEOUT, TOPOLOGY
from hookline.peers.sender import NeverLeft, NodeAnswer, NodeCall, NotSent, Unclear
from hookline.protocol.internal_http import MESSAGEPACK, GatheredAnswer, GatheredCreate
from hookline.protocol.limits import GATHERED_BYTES_MAX, GATHERED_JOB_BYTES_MAX, GATHERED_JOBS_MAX
from hookline.proxy.gathering import BATCHES_MAX, WITHOUT_S, GatheringSender
from hookline.proxy.metrics import ProxyMetrics
from hookline.testing import virtual_time
from tests.node_parts import settle
from tests.proxy_parts import problem

NODE = "http://a:1"
ROUTE = ((EPOCH, b"7"), (TOPOLOGY, b"1f2e"), (CLUSTER, b"c0"))
IDENTITY = ((b"hookline-node", b"n1"),)
JSON = b"application/json"


def create(name: str, *headers: tuple[bytes, bytes], route: tuple[tuple[bytes, bytes], ...] = ROUTE) -> NodeCall:
    return NodeCall("POST", "/jobs", (*headers, *route, (TIMEOUT, b"4000")), name.encode())


def items(call: NodeCall) -> list[GatheredCreate]:
    assert call.target == "/internal/jobs"
    return msgspec.msgpack.decode(call.body, type=list[GatheredCreate])


def names(call: NodeCall) -> list[str]:
    """The bodies that travel with it."""
    return [call.body.decode()] if call.target == "/jobs" else [item.body.decode() for item in items(call)]


def well(call: NodeCall) -> NodeAnswer:
    """The answer of a node that takes everything: to each its own body."""
    if call.target != "/internal/jobs":
        return NodeAnswer(201, call.body, JSON, IDENTITY)
    answers = [GatheredAnswer(201, item.body, JSON, ((b"location", item.body),)) for item in items(call)]
    return NodeAnswer(200, msgspec.msgpack.encode(answers), MESSAGEPACK, IDENTITY)


Said = Callable[[NodeCall], NodeAnswer] | NodeAnswer | Exception


class Gate:
    """Holds calls back; one that is not let through in its time is unclear."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, NodeCall, float]] = []
        self._held: list[asyncio.Future[NodeAnswer]] = []
        self.travellers: list[asyncio.Task[NodeAnswer]] = []
        self.sender = GatheringSender(self, ProxyMetrics())

    async def send(self, url: str, call: NodeCall, timeout_s: float) -> NodeAnswer:
        held: asyncio.Future[NodeAnswer] = asyncio.get_running_loop().create_future()
        self.sent.append((url, call, timeout_s))
        self._held.append(held)
        try:
            async with asyncio.timeout(timeout_s):
                return await held
        except TimeoutError:
            raise Unclear("silence") from None

    @property
    def loads(self) -> list[list[str]]:
        """The creates that travelled with each call."""
        return [names(call) for _, call, _ in self.sent]

    async def arrive(self, *calls: NodeCall, url: str = NODE, timeout_s: float = 4.0) -> list[asyncio.Task[NodeAnswer]]:
        """They come at one moment; what each of them comes to."""
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self.sender.send(url, call, timeout_s)) for call in calls]
        self.travellers += tasks
        await settle()
        return tasks

    async def let(self, number: int, said: Said = well) -> None:
        """The call with that number is answered."""
        if isinstance(said, Exception):
            self._held[number].set_exception(said)
        else:
            self._held[number].set_result(said if isinstance(said, NodeAnswer) else said(self.sent[number][1]))
        await settle()

    async def fill(self) -> None:
        """From now on others gather."""
        for number in range(BATCHES_MAX):
            await self.arrive(create(f"first-{number}"))
        assert len(self.sent) == BATCHES_MAX


def run(test: Callable[[Gate], Coroutine[Any, Any, None]]) -> None:
    """The test; at its end everybody has an answer or an error, and nothing is left behind."""

    async def main() -> None:
        gate = Gate()
        await test(gate)
        for number, held in enumerate(gate._held):  # noqa: SLF001 - the rest of what the test began
            if not held.done():
                await gate.let(number)
        await settle()
        await asyncio.gather(*gate.travellers, return_exceptions=True)
        assert gate.sender.ways == 0

    virtual_time.run(main())


def test_a_lone_one_goes_at_once_as_it_came() -> None:
    async def test(gate: Gate) -> None:
        call = create("a", (b"idempotency-key", b"k"))
        (it,) = await gate.arrive(call)
        assert gate.sent == [(NODE, call, 4.0)]
        await gate.let(0)
        assert (it.result().status, it.result().body) == (201, b"a")

    run(test)


def test_those_that_come_at_one_moment_go_together_each_with_its_own_headers_and_answer() -> None:
    async def test(gate: Gate) -> None:
        key, prefer = (b"idempotency-key", b"k"), (b"prefer", b"return=minimal")
        one, two = await gate.arrive(create("a", key), create("b", prefer))
        ((url, call, timeout_s),) = gate.sent
        assert (url, call.method, call.is_repeatable, timeout_s) == (NODE, "POST", True, 4.0)
        assert call.headers == ((b"content-type", MESSAGEPACK), *ROUTE, (TIMEOUT, b"4000"))
        assert items(call) == [GatheredCreate(b"a", [key]), GatheredCreate(b"b", [prefer])]
        await gate.let(0)
        assert [it.result().body for it in (one, two)] == [b"a", b"b"]
        assert one.result().headers == (*IDENTITY, (b"location", b"a"))

    run(test)


def test_while_batches_are_under_way_the_next_gathers_and_leaves_when_one_returns() -> None:
    async def test(gate: Gate) -> None:
        await gate.fill()
        for name in "abc":
            await gate.arrive(create(name))
        assert len(gate.sent) == BATCHES_MAX
        await gate.let(0)
        assert gate.loads[BATCHES_MAX:] == [["a", "b", "c"]]

    run(test)


def test_a_slow_batch_does_not_hold_up_the_others() -> None:
    async def test(gate: Gate) -> None:
        await gate.fill()
        for number in range(1, 6):
            await gate.arrive(create(f"next-{number}"))
            await gate.let(number)
            assert gate.loads[-1] == [f"next-{number}"]
        assert [it.done() for it in gate.travellers] == [False, *[True] * 5, *[False] * (BATCHES_MAX - 1)]

    run(test)


def test_other_calls_pass_by() -> None:
    async def test(gate: Gate) -> None:
        await gate.fill()
        others = [
            NodeCall("GET", "/jobs", ROUTE),
            NodeCall("POST", "/jobs/batch", ROUTE, b"{}"),
            NodeCall("POST", "/jobs?x=1", ROUTE, b"{}"),
            replace(create("again"), is_again=True),
            replace(create("once"), is_repeatable=False),
            create("x" * (GATHERED_JOB_BYTES_MAX + 1)),
            create("headers", (b"x", b"x" * GATHERED_JOB_BYTES_MAX)),
        ]
        await gate.arrive(*others)
        assert [call for _, call, _ in gate.sent[BATCHES_MAX:]] == others

    run(test)


def test_a_batch_is_bounded_in_number_and_bytes() -> None:
    async def test(gate: Gate) -> None:
        await gate.fill()
        large = [create(f"{number}" + "x" * (GATHERED_JOB_BYTES_MAX - 200)) for number in range(6)]
        await gate.arrive(*large, *(create(f"s{number}") for number in range(GATHERED_JOBS_MAX)))
        await gate.let(0)
        await gate.let(1)
        one, two = gate.loads[BATCHES_MAX:]
        assert len(one) == GATHERED_BYTES_MAX // GATHERED_JOB_BYTES_MAX
        assert len(two) == GATHERED_JOBS_MAX
        await gate.let(2)
        assert len(one) + len(two) + len(gate.loads[BATCHES_MAX + 2]) == 6 + GATHERED_JOBS_MAX

    run(test)


def test_only_those_travel_together_that_go_to_one_node_by_one_topology() -> None:
    async def test(gate: Gate) -> None:
        newer = ((EPOCH, b"8"), *ROUTE[1:])
        for route in (ROUTE, newer):
            await gate.arrive(*(create(f"{route[0][1]!r}-{n}", route=route) for n in range(BATCHES_MAX)))
        await gate.arrive(create("elsewhere"), create("elsewhere too"), url="http://a:2")
        assert [(url, call.headers[1:4]) for url, call, _ in gate.sent] == [
            (NODE, ROUTE),
            (NODE, newer),
            ("http://a:2", ROUTE),
        ]

    run(test)


@pytest.mark.parametrize("error", [NotSent("refused"), Unclear("reset")], ids=lambda error: error.code)
def test_what_befalls_the_call_befalls_each_of_them(error: NotSent | Unclear) -> None:
    async def test(gate: Gate) -> None:
        tasks = await gate.arrive(create("a"), create("b"), create("c"))
        await gate.let(0, error)
        for task in tasks:
            assert type(task.exception()) is type(error)
        assert len({id(task.exception()) for task in tasks}) == 3, "each has a traceback of its own"

    run(test)


def test_an_answer_about_all_of_them_is_the_answer_of_each() -> None:
    async def test(gate: Gate) -> None:
        tasks = await gate.arrive(create("a"), create("b"))
        await gate.let(0, problem(503, "no_leader"))
        assert [task.result().code for task in tasks] == ["no_leader"] * 2

    run(test)


@pytest.mark.parametrize("body", [b"\xc1", b'{"a": 1}', msgspec.msgpack.encode([]), msgspec.msgpack.encode([1, 2])])
def test_answers_that_cannot_be_told_apart_leave_it_open(body: bytes) -> None:
    async def test(gate: Gate) -> None:
        tasks = await gate.arrive(create("a"), create("b"))
        await gate.let(0, NodeAnswer(200, body, MESSAGEPACK))
        assert [type(task.exception()) for task in tasks] == [Unclear, Unclear]

    run(test)


@pytest.mark.parametrize("refusal", [problem(404, "route_not_found"), problem(401, "unauthorized")], ids=["404", "401"])
def test_a_node_that_does_not_take_the_call_gets_them_one_by_one_for_a_while(refusal: NodeAnswer) -> None:
    async def test(gate: Gate) -> None:
        tasks = await gate.arrive(create("a"), create("b"))
        await gate.let(0, refusal)
        await gate.arrive(create("c"), create("d"))
        assert sorted(gate.loads[1:]) == [["a"], ["b"], ["c"], ["d"]]
        for number in range(1, 5):
            await gate.let(number)
        assert [task.result().body for task in tasks] == [b"a", b"b"]
        await asyncio.sleep(WITHOUT_S)
        await gate.arrive(create("e"), create("f"))
        assert gate.loads[5:] == [["e", "f"]]

    run(test)


def test_each_waits_as_long_as_it_said_and_no_longer() -> None:
    async def test(gate: Gate) -> None:
        loop = asyncio.get_running_loop()
        hurried = loop.create_task(gate.sender.send(NODE, create("hurried"), 0.5))
        patient = loop.create_task(gate.sender.send(NODE, create("patient"), 4.0))
        await settle()
        assert (gate.loads, gate.sent[0][2]) == ([["hurried", "patient"]], 4.0)
        await asyncio.sleep(0.6)
        assert isinstance(hurried.exception(), Unclear), "it may have arrived"
        await gate.let(0)
        assert patient.result().body == b"patient"

    run(test)


def test_one_whose_time_is_over_before_it_leaves_surely_has_not() -> None:
    async def test(gate: Gate) -> None:
        await gate.fill()
        (hurried,) = await gate.arrive(create("hurried"), timeout_s=0.5)
        (patient,) = await gate.arrive(create("patient"))
        await asyncio.sleep(0.6)
        assert isinstance(hurried.exception(), NeverLeft)
        await gate.let(0)
        assert gate.loads[BATCHES_MAX:] == [["patient"]]
        assert not patient.done()

    run(test)


@pytest.mark.parametrize(
    ("said", "is_silence"),
    [(None, True), (Unclear("reset"), True), (well, False), (problem(503, "no_leader"), False)],
    ids=["nothing", "reset", "answer", "problem"],
)
def test_one_that_never_left_knows_whether_the_node_answered_while_it_waited(
    said: Said | None, is_silence: bool
) -> None:
    async def test(gate: Gate) -> None:
        await gate.fill()
        large = [create(f"{number}" + "x" * (GATHERED_JOB_BYTES_MAX - 200)) for number in range(5)]
        *_, last = await gate.arrive(*large, create("last"), timeout_s=0.5)
        await asyncio.sleep(0.1)
        if said is not None:
            await gate.let(0, said)
        await asyncio.sleep(0.5)
        error = last.exception()
        assert isinstance(error, NeverLeft)
        assert error.is_silence is is_silence

    run(test)


def test_an_answer_from_before_it_came_is_silence_all_the_same() -> None:
    async def test(gate: Gate) -> None:
        await gate.fill()
        await gate.let(0)
        await asyncio.sleep(0.1)
        await gate.arrive(create("first-again"))
        (last,) = await gate.arrive(create("last"), timeout_s=0.5)
        await asyncio.sleep(0.6)
        error = last.exception()
        assert isinstance(error, NeverLeft)
        assert error.is_silence

    run(test)


# --- nobody waits any more -------------------------------------------------------------------------------------------


def test_one_that_is_cancelled_while_it_waits_does_not_leave() -> None:
    async def test(gate: Gate) -> None:
        await gate.fill()
        one, two = await gate.arrive(create("a"), create("b"))
        one.cancel()
        await settle()
        await gate.let(0)
        assert gate.loads[BATCHES_MAX:] == [["b"]]
        await gate.let(BATCHES_MAX)
        assert two.result().status == 201

    run(test)


def test_one_that_is_cancelled_on_its_way_leaves_the_others_where_they_are() -> None:
    async def test(gate: Gate) -> None:
        one, two, three = await gate.arrive(create("a"), create("b"), create("c"))
        two.cancel()
        await settle()
        await gate.let(0)
        assert [it.result().body for it in (one, three)] == [b"a", b"c"]

    run(test)


def test_if_the_one_that_carries_is_cancelled_nobody_knows_about_the_others() -> None:
    async def test(gate: Gate) -> None:
        one, two = await gate.arrive(create("a"), create("b"))
        one.cancel()
        await settle()
        assert one.cancelled()
        assert isinstance(two.exception(), Unclear)
        assert gate.sender.ways == 0

    run(test)


def test_if_it_is_cancelled_just_when_it_should_carry_another_one_does() -> None:
    async def test(gate: Gate) -> None:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(gate.sender.send(NODE, create(name), 4.0)) for name in "abc"]
        await asyncio.sleep(0)  # all have come
        await asyncio.sleep(0)  # the first has been told to carry, and has not begun
        assert gate.sent == []
        tasks[0].cancel()
        await settle()
        assert tasks[0].cancelled()
        assert gate.loads == [["b", "c"]]
        await gate.let(0)
        assert [task.result().body for task in tasks[1:]] == [b"b", b"c"]

    run(test)
