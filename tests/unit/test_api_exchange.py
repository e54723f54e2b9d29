"""``POST /internal/exchange``: who may report to a leader, and what comes of it."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.node.assembly import Node
from hookline.node.config import NodeConfig
from hookline.node.dispatch.http_exchange import PATH
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.replica import inline_commit
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.vault import KEY_BYTES, Vault
from hookline.protocol.claims import ClaimRef, ClaimReport, Frame, Orders, Report
from hookline.protocol.commands import CancelJobs, ClaimJobs
from hookline.protocol.jobs import Outcome, State
from hookline.testing import Receiver, SimulatedClock, virtual_time
from hookline.testing.assembly import LoneParts, assemble
from tests.node_parts import OTHER_OWNER, T0, apply, create
from tests.proofs import proof_of

ONE, TWO = ClaimRef(1, 1), ClaimRef(2, 1)
GOOD = Report(Outcome.SUCCESS, "good", T0, 5, sent=True, status=200)
FRAME = Frame("n2", (ClaimReport(ONE, 0, GOOD),), (TWO,), OTHER_OWNER)
OWN = Vault([bytes(KEY_BYTES)])  # as the assembly's


async def post(node: Node, body: bytes, vault: Vault = OWN) -> tuple[int, bytes]:
    proof = proof_of(vault.proof_keys[0], "POST", PATH, body, time_ms=node.clock.wall_ms())
    headers = [(name.encode(), value.encode()) for name, value in proof.items()]
    scope = {"type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "query_string": b""}
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await node.app(scope | {"headers": headers}, receive, send)
    return messages[0]["status"], b"".join(message.get("body", b"") for message in messages[1:])


def leading(directory: Path) -> Node:
    """A node with two jobs that another process, which may be alive, has claimed; one was cancelled since."""
    database = open_state(directory / "state.db", durable=False)
    machine = StateMachine(database)
    apply(machine, create("a"), create("b"), ClaimJobs(((1, T0), (2, T0)), T0 + 5_000, OTHER_OWNER), term=0)
    apply(machine, CancelJobs((2,)), term=0)
    clock = SimulatedClock(asyncio.get_running_loop().time, start_ms=T0)
    config = NodeConfig(data_dir=directory, allow_private_destinations=True)
    return assemble(
        LoneParts(
            config=config,
            clock=clock,
            database=database,
            log=MemoryLog(),
            leadership=MemoryLeadership(),
            commit=inline_commit,
            transport=Receiver(clock),
        )
    )


@pytest.fixture
def answers(tmp_path: Path) -> Any:
    """Gives the leader's answers to pairs of (body, vault), and the states of the jobs after that."""

    def ask(*asked: tuple[bytes, Vault]) -> tuple[list[tuple[int, bytes]], list[State]]:
        async def main() -> tuple[list[tuple[int, bytes]], list[State]]:
            node = leading(tmp_path)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(node.member.run())
                await node.member.is_serving.wait()
                replies = [await post(node, *one) for one in asked]
                rows: list[tuple[Any, ...]] = node.machine.database.writer.execute(
                    "SELECT state FROM jobs ORDER BY seq"
                ).fetchall()
                node.member.stop()
                await running
            return replies, [State(state) for (state,) in rows]

        return virtual_time.run(main())

    return ask


def test_a_report_is_recorded_and_the_answer_names_what_was_cancelled(answers: Any) -> None:
    body = msgspec.msgpack.encode(FRAME)
    replies, states = answers((body, OWN), (body, OWN))
    assert [status for status, _ in replies] == [200, 200], "a repeat changes nothing, and is told nothing"
    orders = [msgspec.msgpack.decode(body, type=Orders) for _, body in replies]
    assert [(it.cancelled, it.claims, it.term) for it in orders] == [((TWO,), (), 1), ((), (), 1)]
    assert states == [State.SUCCEEDED, State.CANCELLED]


def test_claims_of_a_process_that_may_be_alive_outlive_a_leader(answers: Any) -> None:
    assert answers()[1] == [State.RUNNING, State.CANCELLED]


def test_from_anybody_else_it_is_refused_and_what_cannot_be_read_is_refused(answers: Any) -> None:
    replies, states = answers((msgspec.msgpack.encode(FRAME), Vault([b"x" * 32])), (b"\xc1", OWN))
    assert [status for status, _ in replies] == [401, 400]
    assert b"reports cannot be read" in replies[1][1]
    assert states == [State.RUNNING, State.CANCELLED]
