"""A leader's duties beside dispatching: it rests until something is due, and lets others get in between."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from hookline.node.clocks.guarded import GuardedClock
from hookline.node.dispatch.duties import Duties
from hookline.node.dispatch.duty import Duty
from hookline.node.dispatch.key_uses import KeyUses
from hookline.node.dispatch.ticks import Ticks
from hookline.node.replica import Replica
from hookline.node.state_machine.api_keys import ApiKeys
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol.api_keys import ApiKey, encode_key
from hookline.protocol.commands import PutApiKeys
from hookline.protocol.due_ticks import DueSchedule
from hookline.protocol.settings import ScheduleSpec
from tests.node_parts import T0, ManualClock, apply, settle

SPEC = ScheduleSpec("* * * * *", "UTC", "all", 10**9, False, 0, None, None)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[StateMachine]:
    database = open_state(tmp_path / "state.db", durable=False)
    yield StateMachine(database)
    database.close()


class TickingReplica:
    """Takes what is proposed; ``turns`` is how often others got in between until then."""

    newest_ms = 0

    def __init__(self) -> None:
        self.turns = 0
        self.turns_at: list[int] = []

    def listen(self, listener: Any) -> None:
        self.commit = listener

    def propose(self, commands: Any, *, no_timeout: bool) -> "asyncio.Future[list[Any]]":
        assert len(commands) == 1
        self.turns_at.append(self.turns)
        taken = asyncio.get_running_loop().create_future()
        taken.set_result([])
        return taken


class Schedules:
    """So many of them are due once they are told of."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.next_ms: int | None = None

    def next_tick_ms(self) -> int | None:
        return self.next_ms

    def due_schedules(self, now_ms: int, limit: int) -> list[DueSchedule]:
        self.next_ms = None
        return [DueSchedule(seq, f"s{seq}", 1, SPEC, now_ms - 10**9) for seq in range(self.count)]


async def test_others_get_in_between_the_decisions_about_many_due_schedules() -> None:
    """Each is a bounded step; a hundred in one would hold up every delivery."""
    replica, schedules = TickingReplica(), Schedules(50)
    ticks = Ticks(cast("Replica", replica), cast("LeaderReads", schedules), GuardedClock(ManualClock()), shard=0)

    async def other() -> None:
        while True:
            replica.turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(ticks.run())
        others = tasks.create_task(other())
        await settle()
        assert replica.turns_at == []
        schedules.next_ms = T0
        replica.commit(Effects(schedules_changed=True))
        await settle(80)
        ticks.stop()
        await running
        others.cancel()
    assert len(replica.turns_at) == len(set(replica.turns_at)) == 50


class Recorded(Duty):
    """Rests for ever; says what happens to it."""

    def __init__(self, name: str, told: list[str]) -> None:
        super().__init__()
        self._name = name
        self._told = told

    async def run(self) -> None:
        self._told.append(f"{self._name} runs")
        while not self._is_over:
            await self.rest(10**6)
            if not self._is_over:
                self._told.append(f"{self._name} looks")

    def stop(self) -> None:
        self._told.append(f"{self._name} stops")
        super().stop()


async def test_duties_start_in_their_order_look_again_when_the_time_was_set_and_stop_in_reverse() -> None:
    told: list[str] = []
    duties = Duties([Recorded("first", told), Recorded("second", told)])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(duties.run())
        await settle()
        duties.wake()
        await settle()
        duties.stop()
        await running
    assert told == ["first runs", "second runs", "first looks", "second looks", "second stops", "first stops"]


async def test_a_wake_up_during_work_ends_the_next_rest() -> None:
    duty = Recorded("it", [])
    duty.wake()
    async with asyncio.timeout(60):
        await duty.rest(10**6)
    duty.stop()
    async with asyncio.timeout(60):
        await duty.rest(10**6)
        await duty.rest(10**6)


async def test_the_use_of_a_key_is_written_down_once_an_hour(machine: StateMachine) -> None:
    hour_ms, record = 3_600_000, ApiKey("", "ci", ("read",), (), T0)
    apply(machine, PutApiKeys((("a", encode_key(record)), ("b", encode_key(record)))))
    uses: dict[str, int] = {}

    class AppliedAtOnce:
        proposed = 0

        @property
        def api_keys(self) -> ApiKeys:
            return machine.tables.api_keys

        async def propose(self, commands: Any, *, no_timeout: bool) -> None:
            self.proposed += 1
            apply(machine, *commands)

    replica = AppliedAtOnce()
    duty = KeyUses(cast("Replica", replica), uses)
    await duty.step()
    assert replica.proposed == 0, "an idle node writes nothing"
    uses |= {"a": T0, "gone": T0}
    for used_ms, proposed in ((T0, 1), (T0 + hour_ms - 1, 1), (T0 + hour_ms, 2)):
        uses["a"] = used_ms
        await duty.step()
        assert replica.proposed == proposed
    known = machine.tables.api_keys.by_id
    assert {key: known[key].used_ms for key in known} == {"a": T0 + hour_ms, "b": 0}
