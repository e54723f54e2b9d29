"""The state machine's guard: one bad command costs itself only, a bad disk stops everything."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from hookline.errors import LogFault, UnknownCommand
from hookline.node.state_machine import apply_jobs
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.reads import Reads
from hookline.node.state_machine.tables import Tables
from hookline.protocol import commands as c
from hookline.protocol.codec import VERSION, Entry
from hookline.protocol.settings import DestinationSettings, encode
from tests.node_parts import OWNER, T0, apply, create, entry, job_spec, work


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[StateMachine]:
    database = open_state(tmp_path / "state.db", durable=False)
    yield StateMachine(database)
    database.close()


SHOP = "https://a.example:443"


def rows(machine: StateMachine, query: str) -> list[tuple[Any, ...]]:
    return machine.database.writer.execute(query).fetchall()


def break_create_of(job_id: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating that job fails after it has written half of what it should."""
    real = apply_jobs.create_job

    def create_job(tables: Tables, effects: Effects, time_ms: int, command: c.CreateJob) -> c.Result:
        result = real(tables, effects, time_ms, command)
        if command.id == job_id:
            raise error
        return result

    monkeypatch.setattr(apply_jobs, "create_job", create_job)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("v"),
        TypeError("t"),
        KeyError("k"),
        IndexError("i"),
        AssertionError("a"),
        AttributeError("b"),
        OverflowError("o"),
        ZeroDivisionError("z"),
        apsw.ConstraintError("c"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_command_that_breaks_our_handling_is_refused_and_the_others_are_applied(
    machine: StateMachine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    apply(machine, create("before", job_spec("https://z.example/", "https://z.example:443")))
    break_create_of("poison", error, monkeypatch)
    poison = create("poison", job_spec(labels=("x",), body=b"12345"), key="k", key_expires_ms=T0 + 9)
    logged = entry(2, [create("a"), poison, create("b"), c.CancelJobs((1,))], before=machine.digest)
    results, effects = machine.apply(logged)
    machine.commit()
    assert results == [
        c.Created(2, "a", False),
        c.Refused("internal"),
        c.Created(3, "b", False),
        c.Changed(1),
    ]
    assert [seq for _, _, seq in effects.due] == [2, 3]
    assert rows(machine, "SELECT seq, id, state FROM jobs ORDER BY seq") == [(1, "before", 4), (2, "a", 0), (3, "b", 0)]
    assert rows(machine, "SELECT count(*) FROM labels") == [(0,)]
    assert rows(machine, "SELECT count(*) FROM idempotency_keys") == [(0,)]
    assert machine.tables.counters["pending"] == 2
    assert machine.tables.counters["pending_bytes"] == 4
    assert machine.applied == 2
    # What comes next is not disturbed by what the failed command left in memory.
    monkeypatch.undo()
    assert apply(machine, create("poison")) == [c.Created(4, "poison", False)]


@pytest.mark.parametrize(
    "error", [apsw.IOError, apsw.FullError, apsw.CorruptError, apsw.BusyError, MemoryError, RecursionError]
)
def test_a_bad_disk_is_nobodys_command(
    machine: StateMachine, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    break_create_of("a", error("disk"), monkeypatch)
    with pytest.raises(error):
        machine.apply(entry(1, [create("a")]))


def test_a_bad_disk_found_while_replaying_command_by_command_is_not_swallowed(
    machine: StateMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = apply_jobs.create_job
    calls = 0

    def create_job(tables: Tables, effects: Effects, time_ms: int, command: c.CreateJob) -> c.Result:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ValueError("poison")
        if calls == 3:
            raise apsw.IOError("disk")
        return real(tables, effects, time_ms, command)

    monkeypatch.setattr(apply_jobs, "create_job", create_job)
    with pytest.raises(apsw.IOError):
        machine.apply(entry(1, [create("a"), create("b")]))


def test_a_number_beyond_64_bits_is_refused_not_fatal(machine: StateMachine) -> None:
    assert apply(machine, create("a", due_ms=2**63), create("b")) == [
        c.Refused("internal"),
        c.Created(1, "b", False),
    ]


def test_a_spec_that_cannot_be_read_does_not_stop_an_update_for_others(machine: StateMachine) -> None:
    broken = c.CreateJob("a", T0, replace(work(), spec=b"\xc1"))
    apply(machine, broken, create("b"))
    update = c.UpdateJob(1, 1, T0, work(body=b"new"))
    assert apply(machine, update, c.CancelJobs((2,))) == [c.Refused("internal"), c.Changed(1)]


@pytest.mark.parametrize("index", [0, 1, 3])
def test_an_entry_out_of_order_is_a_fault_of_the_log(machine: StateMachine, index: int) -> None:
    apply(machine, create("a"))
    with pytest.raises(LogFault):
        machine.apply(entry(index, [create("b")]))
    assert machine.applied == 1


def test_an_unknown_command_halts_the_node(machine: StateMachine) -> None:
    class NewCommand(c.Command, frozen=True, array_like=True, tag=99):
        pass

    with pytest.raises(UnknownCommand, match="upgrade me"):
        machine.apply(Entry(VERSION, 1, 1, T0, b"", b"", (NewCommand(),)))  # type: ignore[arg-type]


def test_index_term_and_digest_are_committed_with_the_effects(tmp_path: Path) -> None:
    database = open_state(tmp_path / "state.db", durable=False)
    machine = StateMachine(database)
    apply(machine, create("a"), term=3)
    digest = machine.digest
    machine.apply(entry(2, [create("lost")], term=4, before=digest))  # never committed
    database.close()
    database = open_state(tmp_path / "state.db", durable=False)
    again = StateMachine(database)
    assert (again.applied, again.term, again.digest) == (1, 3, digest)
    assert rows(again, "SELECT id FROM jobs") == [("a",)]
    database.close()


def test_the_digest_tells_other_histories_apart(tmp_path: Path) -> None:
    digests = set()
    for number, commands in enumerate([[create("a")], [create("b")], [create("a"), create("b")], []]):
        database = open_state(tmp_path / f"{number}.db", durable=False)
        machine = StateMachine(database)
        apply(machine, *commands)
        digests.add(machine.digest)
        database.close()
    assert len(digests) == 4


# --- what the model test found, each by itself ------------------------------------------------------------------------


def schedule(name: str = "s", *, revision: int = 0, next_tick_ms: int = T0) -> c.PutSchedule:
    return c.PutSchedule(name, revision, b"cron", work(), next_tick_ms, False)


def test_a_tick_whose_job_exists_is_passed_over_and_the_schedule_goes_on(machine: StateMachine) -> None:
    """The same name deleted and made again, with a clock that went back between: still one job per tick."""
    apply(machine, schedule())
    apply(machine, c.RecordTicks(1, 1, T0, ((T0, T0, "s-tick"),), 0, T0 + 60_000))
    apply(machine, c.DeleteSchedule("", "s"))
    apply(machine, schedule())
    ticks = c.RecordTicks(2, 1, T0, ((T0, T0, "s-tick"), (T0 + 60_000, T0 + 60_000, "s-tick2")), 0, T0 + 120_000)
    assert apply(machine, ticks) == [c.Changed(1)]
    assert rows(machine, "SELECT id FROM jobs ORDER BY seq") == [("s-tick",), ("s-tick2",)]
    assert rows(machine, "SELECT next_tick_ms FROM schedules") == [(T0 + 120_000,)]


def test_the_number_of_a_deleted_schedule_is_not_used_again(machine: StateMachine) -> None:
    apply(machine, schedule())
    apply(machine, c.DeleteSchedule("", "s"), schedule("other"))
    late = c.RecordTicks(1, 1, T0, ((T0, T0, "s-tick"),), 0, None)
    assert apply(machine, late) == [c.Refused("schedule_not_found")]


def test_a_key_that_came_with_a_known_id_is_remembered_too(machine: StateMachine) -> None:
    def with_id_and_key(job_id: str, key: str | None, fingerprint: bytes) -> c.CreateJob:
        return create(job_id, key=key, key_expires_ms=T0 + 1_000, fingerprint=fingerprint, chosen=True)

    apply(machine, with_id_and_key("a", None, b"f"))
    assert apply(machine, with_id_and_key("a", "k", b"f")) == [c.Created(1, "a", True)]
    assert apply(machine, with_id_and_key("b", "k", b"g")) == [c.Refused("idempotency_mismatch")]
    apply(machine, c.CancelJobs((1,)))
    apply(machine, c.PurgeFinished(T0 + 10, 0, 10))
    assert rows(machine, "SELECT id FROM jobs") == [("a",)], "a job is kept as long as a key points at it"


def test_the_newest_topology_is_kept_and_of_two_with_one_epoch_the_first(machine: StateMachine) -> None:
    first, newer = c.SetTopology(3, b"a"), c.SetTopology(5, b"b")
    before = machine.tables.topology
    assert before is None
    assert apply(machine, first, first, c.SetTopology(3, b"other")) == [
        c.Changed(1),
        c.Changed(0),
        c.Refused("epoch_taken"),
    ]
    assert apply(machine, newer, first) == [c.Changed(1), c.Refused("misdirected")]
    assert machine.tables.topology == newer
    assert StateMachine(machine.database).tables.topology == newer


def test_of_two_topologies_with_one_epoch_the_one_that_the_smaller_shard_decided_stays(machine: StateMachine) -> None:
    nobody, third, first = c.SetTopology(3, b"a"), c.SetTopology(3, b"b", 2), c.SetTopology(3, b"c", 0)
    assert apply(machine, nobody, third, nobody) == [c.Changed(1), c.Changed(1), c.Refused("epoch_taken")]
    assert apply(machine, first, third) == [c.Changed(1), c.Refused("epoch_taken")]
    assert machine.tables.topology == first
    assert apply(machine, c.SetTopology(4, b"d", 9)) == [c.Changed(1)], "but never before a newer one"


def test_the_mode_is_kept_and_only_a_change_is_an_effect(machine: StateMachine) -> None:
    results, effects = machine.apply(entry(1, [c.SetMode("hybrid"), c.SetMode("hybrid")], before=machine.digest))
    machine.commit()
    assert (results, effects.mode_changed) == ([c.Changed(1), c.Changed(0)], True)
    assert [it.tables.mode for it in (machine, StateMachine(machine.database))] == ["hybrid", "hybrid"]
    _, effects = machine.apply(entry(2, [c.SetMode("hybrid")], before=machine.digest))
    machine.commit()
    assert not effects.mode_changed


def test_claims_are_lost_for_their_leader_also_beside_a_command_that_fails(
    machine: StateMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(machine, create("a"), c.ClaimJobs(((1, T0),), T0 + 5_000, OWNER))
    monkeypatch.setattr(machine.tables, "keep_mode", lambda _mode: 1 / 0)
    commands: list[c.AnyCommand] = [c.SetMode("workers"), c.LoseClaims(((1, 1),))]
    results, effects = machine.apply(entry(2, commands, before=machine.digest))
    machine.commit()
    assert results == [c.Refused("internal"), c.Changed(1)]
    assert effects.lost == [(1, 1)]


def test_settings_are_imported_until_the_topology_is_there(machine: StateMachine) -> None:
    paused = encode(DestinationSettings(paused=True))
    apply(machine, c.SetTopology(3, b"a"), create("a"))
    pages = c.ImportDestinations(5, (("", SHOP, paused),), False), c.ImportDestinations(5, (), True)
    assert apply(machine, *pages) == [c.Changed(1), c.Changed(0)]
    assert machine.tables.settings_epoch == StateMachine(machine.database).tables.settings_epoch == 5
    assert apply(machine, c.ClaimJobs(((1, T0),), T0 + 1, OWNER)) == [c.Claimed(())], "it binds every later claim"
    apply(machine, c.SetTopology(5, b"b"), c.PutDestination("", SHOP, encode(DestinationSettings())))
    assert apply(machine, pages[0]) == [c.Refused("misdirected")], "late: what was set since is newer"
    assert machine.tables.paused == set()


def test_a_topology_whose_entry_is_rolled_back_is_not_remembered(
    machine: StateMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_command: c.SetTopology) -> None:
        real(c.SetTopology(9, b"half"))
        raise ValueError

    real = machine.tables.keep_topology
    monkeypatch.setattr(machine.tables, "keep_topology", fail)
    assert apply(machine, c.SetTopology(9, b"half")) == [c.Refused("internal")]
    assert machine.tables.topology is None


@pytest.mark.parametrize("end", [c.BeginTerm("n2/b", (OWNER,)), c.ExpireClaims(OWNER)], ids=["term", "expiry"])
def test_an_attempt_whose_node_was_lost_shows_when_it_was_claimed(machine: StateMachine, end: c.AnyCommand) -> None:
    apply(machine, create("a"))
    apply(machine, c.ClaimJobs(((1, T0),), T0 + 5_000, OWNER), time_ms=T0 + 10)
    apply(machine, end, term=2, time_ms=T0 + 3_600_000)
    reads = Reads(machine.database.reader)
    job = reads.job("", "a")
    assert job is not None
    assert job.last_attempt is not None
    assert (job.last_attempt.started_ms, job.last_attempt.duration_ms) == (T0 + 10, None)
    apply(machine, c.ClaimJobs(((1, job.due_ms),), T0 + 4_000_000, OWNER), term=2, time_ms=T0 + 3_700_000)
    apply(machine, end, term=3, time_ms=T0 + 7_200_000)
    assert rows(machine, "SELECT started_ms FROM attempts") == [(T0 + 10,), (T0 + 3_700_000,)]
