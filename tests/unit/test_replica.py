"""Group commit: what is proposed during a commit shares the next entry, and each waiter gets its own results."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest

from hookline.errors import (
    DeadlineExceeded,
    EntryTooLarge,
    Fenced,
    LogFault,
    NotLeader,
    PayloadTooLarge,
    ShuttingDown,
)
from hookline.node.replica import Commit, Replica, ThreadCommit, inline_commit
from hookline.node.replicated_log.interface import ReplicatedLog
from hookline.node.replicated_log.local import LocalLog
from hookline.node.replicated_log.memory import MemoryLog
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol import commands as c
from hookline.protocol.codec import Entry, encode_entry
from hookline.protocol.limits import ENTRY_BYTES_MAX, ENTRY_COMMANDS_MAX
from tests.node_parts import OWNER, T0, GatedCommit, ManualClock, create, fill, job_spec, settle


@asynccontextmanager
async def replica_on(
    path: Path, commit: Commit, log: ReplicatedLog | None = None
) -> AsyncIterator[tuple[Replica, MemoryLog]]:
    """A replica that runs, in its first term; entry 1 is its BeginTerm."""
    database = open_state(path / "state.db", durable=False)
    try:
        memory = MemoryLog()
        replica = Replica(StateMachine(database), log or memory, ManualClock(), commit=commit)
        if isinstance(commit, GatedCommit):
            commit.open = True
        await replica.begin_term(1, OWNER)
        if isinstance(commit, GatedCommit):
            commit.open = False
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(replica.lead())
            yield replica, memory
            replica.close()
            if isinstance(commit, GatedCommit):
                commit.stay_open()
            await running
    finally:
        database.close()


def ids(made: Sequence[c.Result | c.AnyCommand]) -> list[str]:
    """Of jobs that are created or asked for; nothing else may be among them."""
    found = [it.id for it in made if isinstance(it, c.Created | c.CreateJob)]
    assert len(found) == len(list(made))
    return found


async def test_proposals_made_during_a_commit_share_one_entry(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with replica_on(tmp_path, gate) as (replica, log):
        first = replica.propose([create("a")])
        await gate.reached()
        others = [replica.propose([create(name)]) for name in "bcde"]
        await settle()
        assert not first.done()
        gate.let_through()
        assert ids(await first) == ["a"]
        await gate.reached()
        assert not any(other.done() for other in others)
        gate.let_through()
        assert [ids(await other) for other in others] == [["b"], ["c"], ["d"], ["e"]]
        entries = await log.read_from(2)
        assert [ids(logged.commands) for logged in entries] == [["a"], ["b", "c", "d", "e"]]
        assert replica.applied == 3


async def test_each_waiter_gets_the_results_of_its_own_commands(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with replica_on(tmp_path, gate) as (replica, _):
        blocker = replica.propose([create("x")])
        await gate.reached()
        one = replica.propose([create("a"), create("b")])
        none = replica.propose([])
        two = replica.propose([c.CancelJobs((999,)), create("c"), c.DeleteSchedule("", "s")])
        gate.stay_open()
        await blocker
        assert ids(await one) == ["a", "b"]
        assert await none == []
        assert await two == [c.Changed(0), c.Created(4, "c", False), c.Refused("schedule_not_found")]


async def test_a_waiter_that_went_away_does_not_disturb_the_others(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with replica_on(tmp_path, gate) as (replica, _):
        gone, stays = replica.propose([create("a")]), replica.propose([create("b")])
        await gate.reached()
        gone.cancel()
        gate.stay_open()
        assert await stays == [c.Created(2, "b", False)]


async def test_an_entry_takes_only_so_many_commands_and_never_splits_a_proposal(tmp_path: Path) -> None:
    gate = GatedCommit()
    nothing = c.CancelJobs(())
    async with replica_on(tmp_path, gate) as (replica, log):
        blocker = replica.propose([nothing])
        await gate.reached()
        proposals = [replica.propose([nothing] * 700) for _ in range(4)]
        gate.stay_open()
        await asyncio.gather(blocker, *proposals)
        sizes = [len(logged.commands) for logged in await log.read_from(3)]
        assert sizes == [1400, 1400]
        assert max(sizes) <= ENTRY_COMMANDS_MAX


async def test_an_entry_takes_only_so_many_bytes(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with replica_on(tmp_path, gate) as (replica, log):
        blocker = replica.propose([c.CancelJobs(())])
        await gate.reached()
        proposals = [replica.propose([create(f"j{n}", job_spec(body=bytes(100_000)))]) for n in range(5)]
        gate.stay_open()
        await asyncio.gather(blocker, *proposals)
        entries = await log.read_from(3)
        assert [len(logged.commands) for logged in entries] == [2, 2, 1]
        assert all(len(encode_entry(logged)) <= ENTRY_BYTES_MAX for logged in entries)


async def test_a_proposal_that_fits_no_entry_is_refused_alone(tmp_path: Path) -> None:
    async with replica_on(tmp_path, inline_commit) as (replica, _):
        big = [create(f"j{n}", job_spec(body=bytes(500_000))) for n in range(3)]
        with pytest.raises(EntryTooLarge):
            await replica.propose(big)
        assert await replica.propose([create("a")]) == [c.Created(1, "a", False)]


class SmallLog(MemoryLog):
    """Takes small entries only, as etcd does when it is told to."""

    async def append(self, entry: Entry) -> int:
        if len(encode_entry(entry)) > 10_000:
            raise EntryTooLarge("too large for this one")
        return await super().append(entry)


async def test_what_the_log_finds_too_large_is_refused_and_what_came_with_it_is_taken(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with replica_on(tmp_path, gate, SmallLog()) as (replica, _):
        replica.propose([create("first")])
        await gate.reached()
        before = replica.propose([create("before")])
        large = replica.propose([create("large", job_spec(body=bytes(20_000)))])
        after = replica.propose([create("after")])
        gate.stay_open()
        with pytest.raises(PayloadTooLarge, match="too large for this one"):
            await large
        assert [result.id for result in [*await before, *await after]] == ["before", "after"]  # type: ignore[union-attr]


async def test_nothing_is_answered_before_the_commit_and_effects_come_before_answers(tmp_path: Path) -> None:
    gate = GatedCommit()
    order: list[str] = []
    async with replica_on(tmp_path, gate) as (replica, _):
        replica.listen(lambda effects: order.append(f"effects of {len(effects.due)} jobs"))
        future = replica.propose([create("a"), create("b")])
        future.add_done_callback(lambda _: order.append("answer"))
        await gate.reached()
        await settle()
        assert order == []
        gate.let_through()
        await future
        await settle()
        assert order == ["effects of 2 jobs", "answer"]


async def test_a_fault_of_the_log_fails_all_waiters_and_ends_run(tmp_path: Path) -> None:
    gate = GatedCommit()
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - what fails is the end of the replica
        async with replica_on(tmp_path, gate) as (replica, log):
            first = replica.propose([create("a")])
            await gate.reached()
            second, third = replica.propose([create("b")]), replica.propose([create("c")])
            await log.take_over(2)
            gate.stay_open()
            await first
            await settle()
    assert caught.group_contains(Fenced)
    for failed in (second, third):
        with pytest.raises(NotLeader):  # surely not in the log, so it may be tried elsewhere
            await failed
    with pytest.raises(NotLeader):
        replica.propose([create("d")])


@pytest.mark.parametrize("error", [OSError("disk"), apsw.FullError("disk"), LogFault("disk")])
async def test_a_failed_commit_leaves_open_what_was_appended_and_refuses_the_rest(
    tmp_path: Path, error: Exception
) -> None:
    gate = GatedCommit(fails_with=None)
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - what fails is the end of the replica
        async with replica_on(tmp_path, gate) as (replica, _):
            first = replica.propose([create("a")])
            await gate.reached()
            second = replica.propose([create("b")])
            gate.fails_with = error
            gate.stay_open()
            await settle()
    assert caught.group_contains(type(error), match="disk")
    with pytest.raises(DeadlineExceeded, match="same id"):
        await first
    with pytest.raises(NotLeader, match="not accepted"):
        await second
    with pytest.raises(NotLeader):
        replica.propose([create("c")])


async def test_a_cancelled_lead_leaves_open_what_was_appended_and_refuses_the_rest(tmp_path: Path) -> None:
    database = open_state(tmp_path / "state.db", durable=False)
    gate = GatedCommit(open=True)
    replica = Replica(StateMachine(database), MemoryLog(), ManualClock(), commit=gate)
    await replica.begin_term(1, OWNER)
    gate.open = False
    async with asyncio.TaskGroup() as tasks:
        leading = tasks.create_task(replica.lead())
        first = replica.propose([create("a")])
        await gate.reached()
        second = replica.propose([create("b")])
        leading.cancel()
    with pytest.raises(DeadlineExceeded):
        await first
    with pytest.raises(NotLeader):
        await second
    database.close()


async def test_close_makes_durable_what_was_taken_and_takes_no_more(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with replica_on(tmp_path, gate) as (replica, log):
        first = replica.propose([create("a")])
        await gate.reached()
        second = replica.propose([create("b")])
        replica.close()
        with pytest.raises(ShuttingDown):
            replica.propose([create("c")])
        gate.stay_open()
        await asyncio.gather(first, second)
    assert await log.last_index() == 3


async def test_entries_carry_term_consecutive_indices_and_the_wall_clock(tmp_path: Path) -> None:
    async with replica_on(tmp_path, inline_commit) as (replica, log):
        await replica.propose([create("a")])
        await replica.propose([create("b")])
        entries = await log.read_from(1)
        assert [(logged.index, logged.term, logged.time_ms) for logged in entries] == [
            (1, 1, T0),
            (2, 1, T0),
            (3, 1, T0),
        ]
        assert len({logged.nonce for logged in entries}) == 3


async def test_a_new_leader_applies_what_the_log_holds_before_it_begins_its_term(tmp_path: Path) -> None:
    log = MemoryLog()
    await log.take_over(4)
    await fill(log, 250, term=4)  # more than one read gives
    database = open_state(tmp_path / "state.db", durable=False)
    replica = Replica(StateMachine(database), log, ManualClock(), commit=inline_commit)
    await replica.begin_term(5, OWNER)
    assert (replica.applied, replica.term) == (251, 5)
    assert replica.counters["pending"] == 250
    (begin,) = await log.read_from(251)
    assert begin.commands[-1] == c.BeginTerm(OWNER)
    database.close()


async def test_a_node_that_was_leader_before_cannot_begin_an_older_term(tmp_path: Path) -> None:
    log = MemoryLog()
    await log.take_over(4)
    database = open_state(tmp_path / "state.db", durable=False)
    replica = Replica(StateMachine(database), log, ManualClock(), commit=inline_commit)
    with pytest.raises(Fenced):
        await replica.begin_term(4, OWNER)
    assert await log.last_index() == 0
    database.close()


async def test_on_a_real_disk_and_thread_acknowledged_jobs_are_there_after_reopening(tmp_path: Path) -> None:
    database = open_state(tmp_path / "state.db")
    commit = ThreadCommit()
    replica = Replica(StateMachine(database), LocalLog(database), ManualClock(), commit=commit)
    await replica.begin_term(1, OWNER)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(replica.lead())
        await asyncio.gather(*[replica.propose([create(f"j{number}")]) for number in range(200)])
        digest = replica.machine.digest
        replica.close()
    commit.close()
    database.close()
    again = open_state(tmp_path / "state.db")
    machine = StateMachine(again)
    assert machine.digest == digest
    assert machine.tables.counters["pending"] == 200
    again.close()


async def test_what_a_commit_raises_is_raised_where_it_is_awaited() -> None:
    commit = ThreadCommit()

    def fail() -> None:
        raise apsw.FullError("full")

    with pytest.raises(apsw.FullError):
        await commit(fail)
    await commit(lambda: None)
    commit.close()


async def test_a_commit_whose_waiter_is_cancelled_is_ended_first() -> None:
    commit = ThreadCommit()
    begun, may_end, ended = threading.Event(), threading.Event(), False

    def work() -> None:
        nonlocal ended
        begun.set()
        may_end.wait()
        ended = True

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(commit(work))
        await asyncio.to_thread(begun.wait)
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
        may_end.set()
    assert waiting.cancelled()
    assert ended
    commit.close()


async def test_a_follower_commits_what_it_read_together_once(tmp_path: Path) -> None:
    database = open_state(tmp_path / "state.db", durable=False)
    commits, heard, all_heard = 0, 0, asyncio.Event()

    async def counting(commit: Callable[[], None]) -> None:
        nonlocal commits
        commits += 1
        commit()

    log = MemoryLog()
    await log.take_over(1)
    await fill(log, 5, term=1)
    replica = Replica(StateMachine(database), log, ManualClock(), commit=counting)

    def hear(_effects: object) -> None:
        nonlocal heard
        heard += 1
        if heard == 5:
            all_heard.set()

    replica.listen(hear, this_term=False)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(replica.follow())
        await all_heard.wait()
        following.cancel()
    assert (replica.applied, commits, heard) == (5, 1, 5)
    database.close()


async def test_what_no_later_entry_makes_durable_is_made_so_between_two_entries(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with replica_on(tmp_path, gate) as (replica, _):
        first = replica.propose([create("a")])
        await gate.reached()
        making = asyncio.create_task(replica.make_durable())  # noqa: TID251 - awaited below
        await settle()
        assert gate.waiting == 1, "it waits until the open transaction has ended"
        gate.let_through()
        await first
        assert replica.durable == 0
        await gate.reached()
        second = replica.propose([create("b")])
        await settle()
        assert (gate.waiting, replica.applied) == (1, 2), "and the next entry waits for it"
        gate.let_through()
        await making
        assert replica.durable == 2
        await gate.reached()
        gate.let_through()
        await second


async def test_what_is_durable_already_is_left_alone(tmp_path: Path) -> None:
    gate = GatedCommit()
    async with replica_on(tmp_path, gate) as (replica, _):
        gate.stay_open()
        await replica.make_durable()
        assert replica.durable == replica.applied == 1
        gate.fails_with = AssertionError("nothing is to be done")
        await replica.make_durable()
        gate.fails_with = None


async def test_a_reader_that_goes_on_puts_it_off(tmp_path: Path) -> None:
    async with replica_on(tmp_path, inline_commit) as (replica, _):
        reader = apsw.Connection(str(tmp_path / "state.db"), flags=apsw.SQLITE_OPEN_READONLY)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchall()
        await replica.propose([create("a")])
        await replica.make_durable()
        assert replica.durable < replica.applied
        reader.execute("COMMIT")
        await replica.make_durable()
        assert replica.durable == replica.applied
        reader.close()
