import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from hookline.errors import NotLeader
from hookline.node.successor import PATH, Teller
from hookline.node.vault import Vault
from hookline.protocol.commands import AnyCommand, RecordOutcome, Result
from hookline.protocol.jobs import Outcome, State
from hookline.testing import SimulatedClock
from tests.scripted_server import Answer, scripted_server

OUTCOME = RecordOutcome(1, 1, Outcome.SUCCESS, State.SUCCEEDED, None, 200, None, 1, 1)


@asynccontextmanager
async def running(teller: Teller) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(teller.run())
        yield
        task.cancel()
    await teller.close()


async def test_all_is_told_only_when_the_next_leader_has_recorded_it() -> None:
    leader: list[str] = []
    teller = Teller(
        lambda: leader[0] if leader else None,
        lambda: None,
        Vault([bytes(32)]),
        SimulatedClock(asyncio.get_running_loop().time),
    )
    with scripted_server() as server:
        server.answers = [Answer(503), Answer(200)]
        async with running(teller), asyncio.timeout(10):
            told = teller.tell([OUTCOME])
            waiting = asyncio.gather(teller.all_told())
            await asyncio.sleep(0)
            assert not waiting.done(), "nobody leads"
            leader.append(server.url)
            await waiting
            assert told.done()
    assert [asked.path for asked in server.asked] == [PATH, PATH]


async def test_nothing_to_tell_is_told() -> None:
    teller = Teller(lambda: None, lambda: None, Vault([bytes(32)]), SimulatedClock(asyncio.get_running_loop().time))
    async with running(teller), asyncio.timeout(10):
        await teller.all_told()


async def test_a_node_that_leads_again_records_them_itself() -> None:
    recorded: list[AnyCommand] = []
    leads = False

    async def propose(commands: Sequence[AnyCommand]) -> list[Result]:
        if not recorded:
            recorded.extend(commands)
            raise NotLeader  # it lost the lead once more; the outcome may be there, and is recorded again
        recorded.extend(commands)
        return []

    clock = SimulatedClock(asyncio.get_running_loop().time)
    teller = Teller(lambda: None, lambda: propose if leads else None, Vault([bytes(32)]), clock)
    async with running(teller), asyncio.timeout(10):
        told = teller.tell([OUTCOME])
        await asyncio.sleep(0)
        assert not told.done(), "nobody leads"
        leads = True
        await teller.all_told()
        assert told.done()
    assert recorded == [OUTCOME, OUTCOME]
