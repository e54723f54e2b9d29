"""The two ends of a front's link: what each makes of the other's messages, and that neither outruns the other."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.errors import DeadlineExceeded, DiskFault, Halted, HooklineError
from hookline.http_api.callers import ApiCaller
from hookline.http_api.messages import AsgiMessage, AsgiReceive, AsgiScope, AsgiSend
from hookline.node.api.views import Pending
from hookline.node.config import NodeConfig
from hookline.node.front import messages as m
from hookline.node.front.counted import Counted
from hookline.node.front.front_end import AnsweredByNode, BrokenOff, FrontEnd, RelayInstead
from hookline.node.front.node_end import NodeEnd
from hookline.node.front.setup import FrontSetup, decode_setup, encode_setup, without_secrets
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import open_state
from hookline.processes.link import Link, linked
from hookline.protocol.http import WaitingFor
from hookline.telemetry.area_log import log_levels
from hookline.testing import Receiver
from hookline.testing.assembly import LoneParts, assemble
from tests.node_parts import OWNER, GatedCommit, ManualClock, create, settle

CALLER = ApiCaller("proxy", 3, "digest", "c0")

FROM_FRONT: list[m.FromFront] = [
    m.Ready(),
    m.Create(1, [create("a"), create("b", key="k")], True, False, CALLER, True, has_more=True),
    m.Confirm(2, 7, "getJob", None, [Pending("", "https://a.example:443", 5, 1, b"sealed")]),
    m.Begin(3, "GET", "/jobs/\ufffd", b"/jobs/%ff", b"a=b", [(b"x", b"\xff")], ("::1", 80), "1.1"),
    m.Begin(3, "GET", "/", b"/", b"", [], None, "1.0"),
    m.Part(3, b"body", True),
    m.Gone(3),
    m.Taken(3),
    m.Counts([0.5], {"invalid_url": 2}),
]
FROM_NODE: list[m.FromNode] = [
    m.Drain(),
    m.NodeTime(1.5, 7, {"api": "debug"}),
    m.CreateAnswer(1, [m.JobFate("a"), m.JobFate(refused="x"), m.JobFate(home="c1")], 9, WaitingFor("time", "not due")),
    m.Confirmed(2, [WaitingFor("slots", "all are in use", "2030-01-01T00:00:00Z")]),
    m.GivenAnswer(1, 404, b"{}", b"application/problem+json", [(b"retry-after", b"1")]),
    m.NotByYou(1, 0),
    m.Want(3),
    m.Start(3, 200, [(b"a", b"b")]),
    m.Body(3, b"piece", True),
    m.Broken(3),
]


def test_every_message_arrives_as_it_was_sent() -> None:
    assert [m.from_front(m.encode(message)) for message in FROM_FRONT] == FROM_FRONT
    assert [m.from_node(m.encode(message)) for message in FROM_NODE] == FROM_NODE
    assert {type(message) for message in FROM_FRONT} == set(m.FrontMessage.__subclasses__())
    assert {type(message) for message in FROM_NODE} == set(m.NodeMessage.__subclasses__())


async def test_a_front_writes_its_log_from_the_levels_of_its_node_on() -> None:
    FrontEnd().received(m.encode(m.NodeTime(0, 1, {"api": "error"})))
    assert log_levels()["api"] == "error"


def test_the_setup_has_no_secret() -> None:
    secrets: dict[str, Any] = {"signing_secret": "whsec_signing", "secret_key": "sealing", "etcd_password": "quorum"}
    config = NodeConfig(data_dir=Path("/data"), slots=7, **secrets)
    sent = encode_setup(FrontSetup(without_secrets(config), ("a.example",), True, {"api": "info"}))
    assert not [secret for secret in secrets.values() if secret.encode() in sent]
    setup = decode_setup(sent)
    assert setup.config.signing_secret is not None, "it shows in a job that it is signed"
    assert replace(setup.config, **secrets) == config


class Fronted:
    """A node with a link whose other end is the test's."""

    def __init__(self) -> None:
        self.link: Link
        self.end: NodeEnd
        self.replica: Any
        self.node: Any
        self.messages: list[m.FromNode] = []
        self._came = asyncio.Event()

    def received(self, frame: bytes) -> None:
        self.messages.append(m.from_node(frame))
        self._came.set()

    def send(self, *messages: m.FromFront) -> None:
        for message in messages:
            self.link.send(m.encode(message))

    async def until(self, count: int) -> list[m.FromNode]:
        """So many messages, sorted by their call."""
        while len(self.messages) < count:
            self._came.clear()
            await self._came.wait()
        return sorted(self.messages, key=lambda message: getattr(message, "number", 0))


async def no_app(_scope: AsgiScope, _receive: AsgiReceive, _send: AsgiSend) -> None:
    raise AssertionError("nothing is relayed here")


@asynccontextmanager
async def fronted(data_dir: Path, commit: GatedCommit, app: Any = no_app, **settings: Any) -> AsyncIterator[Fronted]:
    clock, leadership, fronted = ManualClock(), MemoryLeadership(), Fronted()
    async with AsyncExitStack() as stack:
        database = open_state(data_dir / "state.db")
        stack.callback(database.close)
        config = NodeConfig(data_dir=data_dir, **settings)
        node = assemble(LoneParts(config, clock, database, MemoryLog(), leadership, commit, Receiver(clock)))
        fronted.node, fronted.replica = node, node.member.replica
        await leadership.acquire()
        given = commit.open, commit.fails_with
        commit.open, commit.fails_with = True, None
        await fronted.replica.begin_term(1, OWNER)
        commit.open, commit.fails_with = given
        node.member.is_serving.set()
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        leading = tasks.create_task(_lead(fronted.replica))
        fronted.end = NodeEnd(node.api, app, tasks.create_task, lambda: None)
        its, ours = socket.socketpair()
        fronted.end.link = await linked(ours, fronted.end.received)
        fronted.link = await linked(its, fronted.received)
        try:
            yield fronted
        finally:
            commit.stay_open()
            fronted.link.close()
            await fronted.end.link.ended.wait()
            fronted.end.gone()
            fronted.replica.close()
            await leading


async def _lead(replica: Any) -> None:
    try:
        await replica.lead()
    except HooklineError:
        return


def single(number: int, name: str | None = None, **job: Any) -> m.Create:
    return m.Create(number, [create(name or f"j{number}", **job)], False, True, None, False)


async def test_creates_that_come_together_are_one_entry_of_the_log(tmp_path: Path) -> None:
    commit = GatedCommit()
    async with fronted(tmp_path, commit) as front:
        before = front.replica.applied
        front.send(*map(single, range(1, 31)))
        await commit.reached()
        assert not front.messages, "nobody is answered before the commit"
        commit.let_through()
        answers = await front.until(30)
        assert front.replica.applied == before + 1
        assert [(one.number, one.fates[0].id) for one in answers if isinstance(one, m.CreateAnswer)] == [
            (number, f"j{number}") for number in range(1, 31)
        ]
        assert front.node.services.admission.usage()["pending_jobs"][0] == 30, "what was held is given back"


async def test_a_batch_in_parts_is_taken_whole_or_forgotten(tmp_path: Path) -> None:
    commit = GatedCommit(open=True)
    async with fronted(tmp_path, commit) as front:
        part = m.Create(1, [create("a"), create("b")], True, False, None, False, has_more=True)
        front.send(part, m.Gone(1))
        front.send(replace_number(part, 2), m.Create(2, [create("c")], True, False, None, False), m.Gone(2))
        (answer,) = await front.until(1)
        assert isinstance(answer, m.CreateAnswer)
        assert [fate.id for fate in answer.fates] == ["a", "b", "c"]
        assert front.replica.counters["pending"] == 3


def replace_number(message: m.Create, number: int) -> m.Create:
    return msgspec.structs.replace(message, number=number)


async def test_only_those_that_there_is_no_room_for_are_refused(tmp_path: Path) -> None:
    commit = GatedCommit(open=True)
    async with fronted(tmp_path, commit, pending_jobs_max=2) as front:
        front.send(single(1), single(2), single(3))
        answers = await front.until(3)
        assert [type(answer) for answer in answers] == [m.CreateAnswer, m.CreateAnswer, m.GivenAnswer]
        assert front.replica.counters["pending"] == 2


async def test_a_reader_is_confirmed_only_in_the_term_that_it_read_in(tmp_path: Path) -> None:
    async with fronted(tmp_path, GatedCommit(open=True)) as front:
        front.send(m.Confirm(1, 1, "getJob", None, []), m.Confirm(2, 2, "getJob", None, []))
        assert await front.until(2) == [m.Confirmed(1, []), m.NotByYou(2, 1)]
        front.node.member.is_serving.clear()
        front.send(m.Confirm(3, 1, "getJob", None, []), single(4))
        assert (await front.until(4))[2:] == [m.NotByYou(3, 0), m.NotByYou(4, 0)]


async def test_what_the_log_may_have_is_never_told_to_be_relayed(tmp_path: Path) -> None:
    commit = GatedCommit(fails_with=DiskFault("the disk is full"))
    async with fronted(tmp_path, commit) as front:
        front.send(single(1))
        await commit.reached()
        front.send(single(2))  # it waits behind it: surely not in the log
        await settle()
        commit.let_through()
        first, second = await front.until(2)
        assert isinstance(first, m.GivenAnswer)
        assert msgspec.json.decode(first.body)["code"] == DeadlineExceeded.code
        assert second == m.NotByYou(2, 0)


async def test_trouble_before_the_log_is_the_nodes_own_to_answer(tmp_path: Path) -> None:
    async with fronted(tmp_path, GatedCommit(open=True)) as front:
        front.replica.close(Halted("a person has to decide"))
        front.send(single(1))
        assert await front.until(1) == [m.NotByYou(1, 1)]


# --- relayed calls --------------------------------------------------------------------------------------------------


async def test_a_body_is_read_when_it_is_asked_for_and_an_answer_goes_on_when_it_is_taken(tmp_path: Path) -> None:
    seen: list[AsgiMessage] = []
    is_over = asyncio.Event()

    async def app(scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        assert (scope["method"], scope["client"], scope["path"]) == ("PUT", ("::1", 80), "/x y")
        seen.extend([await receive(), await receive()])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})
        seen.append(await receive())
        is_over.set()

    async with fronted(tmp_path, GatedCommit(open=True), app) as front:
        front.send(m.Begin(1, "PUT", "/x y", b"/x%20y", b"", [], ("::1", 80), "1.1"))
        assert await front.until(1) == [m.Want(1)]
        front.send(m.Part(1, b"abc", True))
        assert await front.until(2) == [m.Want(1)] * 2
        front.send(m.Part(1, b"def", False))
        await front.until(4)
        await settle()
        assert front.messages[2:] == [m.Start(1, 200, [(b"a", b"b")]), m.Body(1, b"one", True)], "the next one waits"
        front.send(m.Taken(1))
        await front.until(6)
        assert front.messages[4:] == [m.Body(1, b"two", False), m.Want(1)]
        front.send(m.Gone(1))
        await is_over.wait()
        assert [message["type"] for message in seen] == ["http.request", "http.request", "http.disconnect"]
        assert [message.get("body") for message in seen[:2]] == [b"abc", b"def"]


async def test_an_application_that_crashes_breaks_one_answer_off(tmp_path: Path) -> None:
    async def app(_scope: AsgiScope, _receive: AsgiReceive, send: AsgiSend) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("of the test")

    async with fronted(tmp_path, GatedCommit(open=True), app) as front:
        front.send(m.Begin(1, "GET", "/", b"/", b"", [], None, "1.1"))
        assert await front.until(2) == [m.Start(1, 200, []), m.Broken(1)]
        front.send(single(2))
        assert isinstance((await front.until(3))[2], m.CreateAnswer)


# --- the front's end ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def asking() -> AsyncIterator[tuple[FrontEnd, Link, "asyncio.Queue[m.FromFront]"]]:
    """A front's end, the node's link, and what comes there."""
    front = FrontEnd()
    came: asyncio.Queue[m.FromFront] = asyncio.Queue()
    its, ours = socket.socketpair()
    front.link = await linked(its, front.received)
    node = await linked(ours, lambda frame: came.put_nowait(m.from_front(frame)))
    try:
        yield front, node, came
    finally:
        node.close()
        await front.link.ended.wait()


async def test_each_question_gets_its_own_answer() -> None:
    async with asking() as (front, node, came), asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(_outcome(front.ask(m.Confirm(number, 1, "getJob", None, []), m.Confirmed)))
            for number in range(1, 5)
        ]
        for _ in asked:
            await came.get()
        front.received(m.encode(m.Confirmed(99, [])))  # nobody asked
        node.send(m.encode(m.NotByYou(2, 5)))
        node.send(m.encode(m.GivenAnswer(3, 404, b"{}", b"text/plain", [])))
        node.send(m.encode(m.Confirmed(1, [])))
        asked[3].cancel()
        outcomes = [await one for one in asked[:3]]
        assert outcomes[0] == m.Confirmed(1, [])
        assert isinstance(outcomes[1], RelayInstead)
        assert isinstance(outcomes[2], AnsweredByNode)
        assert outcomes[2].reply.status == 404
        assert front.term == 5
        front.received(m.encode(m.Confirmed(4, [])))  # too late: it is nobody's


async def _outcome(asking: Any) -> Any:
    try:
        return await asking
    except (RelayInstead, AnsweredByNode) as outcome:
        return outcome


async def test_an_answer_that_breaks_off_breaks_the_connection_off() -> None:
    sent: list[AsgiMessage] = []

    async def send(message: AsgiMessage) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [],
        "client": None,
        "http_version": "1.1",
    }
    async with asking() as (front, node, came), asyncio.TaskGroup() as tasks:
        relaying = tasks.create_task(_broken(front.relay(scope, _never, send)))
        begin = await came.get()
        assert isinstance(begin, m.Begin)
        for message in (m.Want(begin.number), m.Start(begin.number, 200, []), m.Broken(begin.number)):
            node.send(m.encode(message))
        assert await relaying
        assert [message["type"] for message in sent] == ["http.response.start"]
        assert await came.get() == m.Gone(begin.number)


async def _never() -> AsgiMessage:
    await asyncio.Event().wait()
    raise AssertionError


async def _broken(relaying: Any) -> bool:
    with pytest.raises(BrokenOff):
        await relaying
    return True


async def test_a_front_waits_while_its_node_is_behind() -> None:
    ours, its = socket.socketpair()
    with its:
        front = FrontEnd()
        front.link = await linked(ours, front.received)
        for _ in range(64):
            front.link.send(bytes(100_000))
        await settle()
        waiting = asyncio.ensure_future(front.link.room())  # noqa: TID251 - cancelled or awaited below
        await settle()
        assert not waiting.done()
        its.setblocking(False)
        while not waiting.done():
            await asyncio.sleep(0)
            try:
                its.recv(1_000_000)
            except BlockingIOError:
                continue
        front.link.close()


async def test_counts_are_told_once() -> None:
    async with asking() as (front, _, came):
        counted = Counted(front)
        counted.create_took(0.25)
        counted.refused("invalid_url")
        counted.refused("invalid_url")
        counted.tell()
        counted.tell()
        assert [await came.get(), await came.get()] == [m.Counts([0.25], {"invalid_url": 2}), m.Counts([], {})]
