"""How a leader ends when its log has stopped answering."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from msgspec import structs
from structlog.testing import capture_logs

from hookline.errors import DeadlineExceeded
from hookline.node.assembly import Node
from hookline.node.config import NodeConfig
from hookline.node.dispatch import attempt_log
from hookline.node.dispatch.exchange import NoExchange
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.replica import inline_commit
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol.claims import ClaimReport
from hookline.protocol.codec import Entry
from hookline.protocol.commands import BeginTerm, ClaimJobs
from hookline.protocol.jobs import State
from hookline.protocol.limits import LOST_CLAIMS_MAX
from hookline.testing import Receiver, SimulatedClock, answer, virtual_time
from hookline.testing.assembly import LoneParts, assemble
from tests.node_parts import NEXT_OWNER, OWNER, T0, apply, create, job_spec

GRACE_MS = 3_000


class SilentLog(MemoryLog):
    """From some entry on it does not answer."""

    silent_from = 1_000_000

    async def append(self, entry: Entry) -> int:
        if entry.index >= self.silent_from:
            await asyncio.Event().wait()
        return await super().append(entry)


class Elsewhere(NoExchange):
    """Another leader: takes what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[ClaimReport] = []

    def close(self) -> list[ClaimReport]:
        return []

    def report(self, report: ClaimReport) -> None:
        self.told.append(report)


def node(
    directory: Path,
    log: MemoryLog,
    *,
    has_successor: bool,
    elsewhere: Elsewhere | None = None,
    slots: int = 100,
    receiver: Receiver | None = None,
) -> Node:
    clock = SimulatedClock(asyncio.get_running_loop().time)
    return assemble(
        LoneParts(
            config=NodeConfig(
                data_dir=directory, shutdown_grace_ms=GRACE_MS, slots=slots, allow_private_destinations=True
            ),
            clock=clock,
            database=open_state(directory / "state.db", durable=False),
            log=log,
            leadership=MemoryLeadership(),
            commit=inline_commit,
            transport=receiver or Receiver(clock),
            elsewhere=(elsewhere or Elsewhere()) if has_successor else None,
        )
    )


@pytest.fixture(params=[True, False], ids=["with a successor", "alone"])
def has_successor(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@asynccontextmanager
async def leading(directory: Path, log: MemoryLog, *, has_successor: bool) -> AsyncIterator[Node]:
    """A node that leads; it is told to stop at the end, and has to be gone in time."""
    parts = node(directory, log, has_successor=has_successor)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(parts.member.run())
        await parts.member.is_serving.wait()
        yield parts
        await asyncio.sleep(1)
        parts.member.stop()
        async with asyncio.timeout(3 * GRACE_MS / 1_000):
            await running


def test_a_log_that_does_not_answer_is_not_waited_for_longer_than_the_grace(
    tmp_path: Path, has_successor: bool
) -> None:
    async def main() -> None:
        log = SilentLog()
        async with leading(tmp_path, log, has_successor=has_successor) as parts:
            log.silent_from = 0
            created = parts.member.replica.propose([create("a", job_spec("http://127.0.0.1/"))])
        with pytest.raises(DeadlineExceeded, match="before it was known"):
            created.result()

    virtual_time.run(main())


def test_an_outcome_that_the_log_never_takes_leaves_its_claim_open_and_the_end_in_order(
    tmp_path: Path, has_successor: bool
) -> None:
    async def main() -> None:
        log = SilentLog()
        async with leading(tmp_path, log, has_successor=has_successor) as parts:
            log.silent_from = parts.member.replica.applied + 3  # after the job and its claim
            await parts.member.replica.propose([create("a", job_spec("http://127.0.0.1/"), due_ms=0)])
        states: list[tuple[Any, ...]] = parts.machine.database.writer.execute("SELECT state FROM jobs").fetchall()
        assert states == [(State.RUNNING,)]

    virtual_time.run(main())


def test_a_call_that_takes_hours_outlives_the_lead_and_keeps_its_slot(tmp_path: Path) -> None:
    async def main() -> None:
        elsewhere = Elsewhere()
        receiver = Receiver(SimulatedClock(asyncio.get_running_loop().time))
        parts = node(tmp_path, MemoryLog(), has_successor=True, elsewhere=elsewhere, slots=1, receiver=receiver)
        receiver.next(answer(after="2h"))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(parts.member.run())
            await parts.member.is_serving.wait()
            hours = job_spec("http://127.0.0.1/long", timeout_ms=3 * 3_600_000)
            await parts.member.replica.propose([create("long", hours, due_ms=0)])
            await receiver.wait_for(1)
            assert parts.member.hand_over()
            await asyncio.sleep(60)
            assert parts.member.is_leading, "again"
            assert parts.member.replica.term == 2
            await parts.member.replica.propose([create("short", job_spec("http://127.0.0.1/"), due_ms=0)])
            await asyncio.sleep(3_600)
            assert len(receiver.requests) == 1, "the slot is taken"
            await asyncio.sleep(3_600)
            states = parts.machine.database.reader.execute("SELECT state, attempts FROM jobs ORDER BY seq").fetchall()
            assert states == 2 * [(State.SUCCEEDED, 1)]
            assert elsewhere.told == []
            assert len(receiver.requests) == 2
            parts.member.stop()
            await running

    virtual_time.run(main())


def test_a_node_that_stops_waits_for_calls_of_earlier_terms_as_long_as_the_grace(tmp_path: Path) -> None:
    async def main() -> None:
        elsewhere = Elsewhere()
        receiver = Receiver(SimulatedClock(asyncio.get_running_loop().time))
        parts = node(tmp_path, MemoryLog(), has_successor=True, elsewhere=elsewhere, receiver=receiver)
        receiver.next(answer(after="2h"))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(parts.member.run())
            await parts.member.is_serving.wait()
            hours = job_spec("http://127.0.0.1/long", timeout_ms=3 * 3_600_000)
            await parts.member.replica.propose([create("long", hours, due_ms=0)])
            await receiver.wait_for(1)
            parts.member.hand_over()
            await asyncio.sleep(60)
            parts.member.stop()
            async with asyncio.timeout(GRACE_MS / 1_000 + 1):
                await running
        assert ["broken off" in (it.report.error or "") for it in elsewhere.told] == [True]

    virtual_time.run(main())


def test_a_job_that_ends_with_a_lost_node_is_a_line_in_the_log_of_who_leads_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_log, "_log", structlog.get_logger())  # an earlier test may have used and cached it
    spec = job_spec("http://127.0.0.1/secret", "http://127.0.0.1:80")
    database = open_state(tmp_path / "state.db", durable=False)
    machine = StateMachine(database)
    apply(
        machine,
        create("often", spec),
        create("once", structs.replace(spec, at_most_once=True)),
        create("fine", spec),
        term=0,
    )
    for _ in range(LOST_CLAIMS_MAX - 1):
        apply(machine, ClaimJobs(((1, T0),), T0 + 1, OWNER), BeginTerm(NEXT_OWNER), term=0)
    apply(machine, ClaimJobs(((1, T0), (2, T0), (3, T0)), T0 + 1, OWNER), term=0)
    database.close()

    async def main() -> list[Any]:
        with capture_logs() as lines:
            async with leading(tmp_path, MemoryLog(), has_successor=False):
                pass
        return [line for line in lines if line["event"] in ("job_dead", "job_unknown")]

    lines = virtual_time.run(main())
    assert [(line["event"], line["job"], line["destination"], line["attempt"]) for line in lines] == [
        ("job_dead", "often", "http://127.0.0.1:80", LOST_CLAIMS_MAX),
        ("job_unknown", "once", "http://127.0.0.1:80", 1),
    ]
    assert lines[0]["error"] == f"the node was lost during {LOST_CLAIMS_MAX} attempts in a row"
    assert "secret" not in str(lines)
