"""How a leader ends when its log has stopped answering."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hookline.errors import DeadlineExceeded
from hookline.node.config import NodeConfig
from hookline.node.leadership.memory import MemoryLeadership
from hookline.node.replica import inline_commit
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import open_state
from hookline.protocol.codec import Entry
from hookline.protocol.jobs import State
from hookline.testing import Receiver, SimulatedClock, virtual_time
from hookline.testing.assembly import Assembly, Parts, assemble
from tests.node_parts import create, job_spec

GRACE_MS = 3_000


class SilentLog(MemoryLog):
    """From some entry on it does not answer."""

    silent_from = 1_000_000

    async def append(self, entry: Entry) -> int:
        if entry.index >= self.silent_from:
            await asyncio.Event().wait()
        return await super().append(entry)


class NobodyElse:
    """A successor that takes what it is told."""

    def tell(self, outcomes: object) -> asyncio.Future[list[object]]:
        future: asyncio.Future[list[object]] = asyncio.get_running_loop().create_future()
        future.set_result([])
        return future

    async def all_told(self) -> None:
        """At once."""


def node(directory: Path, log: MemoryLog, *, has_successor: bool) -> Assembly:
    clock = SimulatedClock(asyncio.get_running_loop().time)
    return assemble(
        Parts(
            config=NodeConfig(data_dir=directory, shutdown_grace_ms=GRACE_MS, allow_private_destinations=True),
            clock=clock,
            database=open_state(directory / "state.db", durable=False),
            log=log,
            leadership=MemoryLeadership(),
            commit=inline_commit,
            transport=Receiver(clock),
            successor=NobodyElse() if has_successor else None,  # type: ignore[arg-type]
        )
    )


@pytest.fixture(params=[True, False], ids=["with a successor", "alone"])
def has_successor(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@asynccontextmanager
async def leading(directory: Path, log: MemoryLog, *, has_successor: bool) -> AsyncIterator[Assembly]:
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
        ((state,),) = parts.machine.database.writer.execute("SELECT state FROM jobs").fetchall()
        assert State(state) is State.RUNNING

    virtual_time.run(main())
