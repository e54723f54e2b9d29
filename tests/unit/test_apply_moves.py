"""Two states, one of which gives up what the other takes over: each command, and each of them twice."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from hookline.node.state_machine.contents import check_contents
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.move_reads import MoveReads
from hookline.node.state_machine.reads import Reads
from hookline.protocol import commands as c
from hookline.protocol.jobs import DEFAULT_TENANT, State
from hookline.protocol.moves import JOB, KEY, SCHEDULE, Batch, Pointer, encode_batch
from hookline.protocol.settings import ScheduleSpec, encode
from hookline.protocol.topology import ClusterEntry, Topology, encode_topology
from tests.node_parts import OWNER, T0, apply, create, entry, job_spec, work

HERE, THERE = 0, 1  # shards
SOURCE = "c0/1"
CALENDAR = encode(ScheduleSpec("* * * * *", "UTC", "all", 1, False, 0, None, None))
DOCUMENT = encode_topology(Topology(epoch=1, clusters=(ClusterEntry(name="c0", shard=0, nodes=("http://a:1",)),)))


class States(NamedTuple):
    """The old home and the new one."""

    old: StateMachine
    new: StateMachine

    def reads(self, machine: StateMachine) -> Reads:
        return Reads(machine.database.reader)

    def batch(self, *pointers: Pointer) -> tuple[bytes, tuple[c.JobGuard, ...], tuple[c.ScheduleGuard, ...]]:
        """All that the old one has, as a leader reads it."""
        reads = MoveReads(self.old.database.reader)
        jobs, schedules = reads.jobs(0, 100), reads.schedules(0, 100)
        records = [reads.record(job.seq) for job in jobs]
        calendars = [reads.schedule_record(one.seq) for one in schedules]
        batch = Batch(tuple(filter(None, records)), tuple(filter(None, calendars)), pointers)
        return (
            encode_batch(batch),
            tuple((job.seq, job.state, job.due_ms, job.revision, job.attempts) for job in jobs),
            tuple((one.seq, one.revision, one.ticks, one.next_tick_ms) for one in schedules),
        )

    def move(self, number: int = 1, *pointers: Pointer) -> c.GivenAway:
        """All of it, in one batch."""
        batch, jobs, schedules = self.batch(*pointers)
        assert apply(self.new, c.TakeBatch(SOURCE, number, batch)) == [c.Changed(1)]
        (gone,) = apply(self.old, c.GiveAway(THERE, number, batch, jobs, schedules))
        assert isinstance(gone, c.GivenAway)
        apply(self.new, c.ActivateBatch(SOURCE, number, gone.jobs, gone.schedules))
        apply(self.old, c.EndDeparture(THERE, number, 7))
        return gone


@pytest.fixture
def states(tmp_path: Path) -> Iterator[States]:
    with ExitStack() as stack:
        databases = [
            stack.enter_context(closing(open_state(tmp_path / name, durable=False))) for name in ("old", "new")
        ]
        states = States(*map(StateMachine, databases))
        for machine in states:
            apply(machine, c.SetTopology(1, DOCUMENT, 0))
        yield states
        for database in databases:
            check_contents(database.reader)


def test_a_job_is_the_same_at_its_new_home(states: States) -> None:
    spec = job_spec(body=b"pay", labels=("red",))
    new = create("a", spec, fingerprint=b"f", key="k", key_expires_ms=T0 + 99, chosen=True)
    apply(states.old, new)
    before = MoveReads(states.old.database.reader).record(_seq(states.old, "a"))
    states.move()
    assert MoveReads(states.new.database.reader).record(_seq(states.new, "a")) == before
    assert states.reads(states.old).job(DEFAULT_TENANT, "a") is None
    assert apply(states.new, new) == [c.Created(_seq(states.new, "a"), "a", True)]
    assert states.old.tables.total(*State) == 0
    assert states.new.tables.total(State.PENDING) == 1


@pytest.mark.parametrize("change", ["claim", "update", "cancel", "delete"])
def test_a_job_that_changed_since_it_was_read_stays(states: States, change: str) -> None:
    apply(states.old, create("a"), create("b"))
    batch, jobs, _ = states.batch()
    seq, row = _seq(states.old, "a"), MoveReads(states.old.database.reader).jobs(0, 1)[0]
    changes: dict[str, c.AnyCommand] = {
        "claim": c.ClaimJobs(((seq, row.due_ms),), T0, OWNER),
        "update": c.UpdateJob(seq, 1, row.due_ms + 5, work(body=b"other")),
        "cancel": c.CancelJobs((seq,)),
        "delete": c.DeleteJob(seq),
    }
    apply(states.old, changes[change])
    apply(states.new, c.TakeBatch(SOURCE, 1, batch))
    assert apply(states.old, c.GiveAway(THERE, 1, batch, jobs)) == [c.GivenAway((1,), ())]
    apply(states.new, c.ActivateBatch(SOURCE, 1, (1,), ()))
    assert states.reads(states.new).job(DEFAULT_TENANT, "a") is None
    assert states.reads(states.new).job(DEFAULT_TENANT, "b") is not None


def test_each_step_twice_is_that_step(states: States) -> None:
    apply(states.old, create("a"))
    batch, jobs, _ = states.batch()
    take, give = c.TakeBatch(SOURCE, 1, batch), c.GiveAway(THERE, 1, batch, jobs)
    activate = c.ActivateBatch(SOURCE, 1, (0,), ())
    assert apply(states.new, take, take) == [c.Changed(1), c.Changed(1)]
    assert apply(states.old, give, give) == [c.GivenAway((0,), ()), c.Refused("misdirected")]
    assert apply(states.new, activate, activate, take) == [c.Changed(1), c.Changed(0), c.Changed(0)]
    end = c.EndDeparture(THERE, 1, 7)
    assert apply(states.old, end, end) == [c.Changed(1), c.Changed(0)]
    assert states.new.tables.total(State.PENDING) == 1
    assert states.old.tables.longest_frozen_ms == 7


def test_what_did_not_arrive_does_not_count(states: States) -> None:
    unknown = c.Refused("batch_unknown")
    assert apply(states.new, c.ActivateBatch(SOURCE, 1, (0,), ())) == [unknown]
    apply(states.old, create("a"))
    batch, _, _ = states.batch()
    apply(states.new, c.TakeBatch(SOURCE, 2, batch))
    assert apply(states.new, c.ActivateBatch(SOURCE, 3, (0,), ())) == [unknown]
    assert apply(states.new, c.ActivateBatch("c0/2", 2, (0,), ())) == [unknown]


def test_a_batch_waits_until_the_one_before_has_ended(states: States) -> None:
    apply(states.old, create("a"), create("b"))
    batch, jobs, _ = states.batch()
    apply(states.old, c.GiveAway(THERE, 1, batch, jobs[:1]))
    assert apply(states.old, c.GiveAway(THERE, 2, batch, jobs[1:])) == [c.Refused("misdirected")]
    assert apply(states.old, c.GiveAway(2, 1, batch, jobs[1:])) == [c.GivenAway((0,), ())]  # another way
    apply(states.old, c.EndDeparture(THERE, 1, 0))
    assert apply(states.old, c.GiveAway(THERE, 1, batch, ())) == [c.Refused("misdirected")]  # an old number


def test_names_lead_to_where_things_are(states: States) -> None:
    new = create("a", fingerprint=b"f", key="k", key_expires_ms=T0 + 99, chosen=True)
    apply(states.old, new)
    batch, jobs, _ = states.batch()
    apply(states.new, c.TakeBatch(SOURCE, 1, batch))
    assert apply(states.new, new) == [c.Refused("arriving")]
    apply(states.old, c.GiveAway(THERE, 1, batch, jobs))
    assert apply(states.old, new, replace(new, key=None), replace(new, id="other")) == 3 * [c.Refused("moved")]
    reads = states.reads(states.old)
    assert [reads.elsewhere(DEFAULT_TENANT, kind, name) for kind, name in ((JOB, "a"), (KEY, "k"), (JOB, "b"))] == [
        (THERE, False),
        (THERE, False),
        None,
    ]
    assert apply(states.old, create("a", tenant="other", chosen=True))[0] == c.Created(
        _seq(states.old, "a", "other"), "a", False
    )


def test_it_comes_back_and_nothing_is_said_to_be_elsewhere(states: States) -> None:
    apply(states.old, create("a", key="k", key_expires_ms=T0 + 99, chosen=True))
    states.move()
    back = States(states.new, states.old)
    batch, jobs, _ = back.batch()
    apply(back.new, c.TakeBatch("c1/1", 1, batch))
    apply(back.old, c.GiveAway(HERE, 1, batch, jobs))
    apply(back.new, c.ActivateBatch("c1/1", 1, (0,), ()))
    assert states.reads(states.old).job(DEFAULT_TENANT, "a") is not None
    assert states.reads(states.old).elsewhere(DEFAULT_TENANT, JOB, "a") is None
    assert states.reads(states.old).job_of_key(DEFAULT_TENANT, "k", T0) == "a"


def test_a_schedule_goes_on_at_its_new_home(states: States) -> None:
    apply(states.old, c.PutSchedule("s", 0, CALENDAR, work(), T0 + 60_000, False))
    before = MoveReads(states.old.database.reader).schedule_record(1)
    assert states.move().schedules == (0,)
    assert MoveReads(states.new.database.reader).schedule_record(1) == before
    tick = c.RecordTicks(1, 1, T0 + 60_000, ((T0 + 60_000, T0 + 60_000, "t"),), 0, T0 + 120_000)
    assert apply(states.old, tick) == [c.Refused("schedule_not_found")]
    assert apply(states.new, tick) == [c.Changed(1)]
    again = c.PutSchedule("s", 0, CALENDAR, work(), T0 + 60_000, False)
    assert apply(states.old, again) == [c.Refused("moved")]
    assert states.reads(states.old).elsewhere(DEFAULT_TENANT, SCHEDULE, "s") == (THERE, False)


def test_a_schedule_that_allows_one_open_job_waits_for_its_end(states: States) -> None:
    apply(
        states.old,
        c.PutSchedule("s", 0, CALENDAR, work(), T0 + 60_000, True),
        c.RunSchedule(DEFAULT_TENANT, "s", "r", T0),
    )
    (sign,) = MoveReads(states.old.database.reader).schedules(0, 10)
    assert sign.waits
    batch, _, schedules = states.batch()
    assert apply(states.old, c.GiveAway(THERE, 1, batch, (), schedules)) == [c.GivenAway((), ())]
    apply(states.old, c.EndDeparture(THERE, 1, 0), c.CancelJobs((_seq(states.old, "r"),)))
    assert not MoveReads(states.old.database.reader).schedules(0, 10)[0].waits
    assert apply(states.old, c.GiveAway(THERE, 2, batch, (), schedules)) == [c.GivenAway((), (0,))]


def test_a_pointer_leads_to_what_is_kept_elsewhere_until_that_is_gone(states: States) -> None:
    pointers = [Pointer(JOB, "", "x", HERE, T0 + 99), Pointer(KEY, "", "k", HERE, T0 + 9)]
    states.move(1, *pointers)
    keyed = create("y", key="k", key_expires_ms=T0 + 50)
    assert apply(states.new, create("x", chosen=True), keyed) == 2 * [c.Refused("moved")]
    assert states.reads(states.new).elsewhere("", JOB, "x") == (HERE, True)
    assert apply(states.new, c.ForgetPointer(JOB, "", "x", 5), c.ForgetPointer(JOB, "", "x", HERE)) == [
        c.Changed(0),
        c.Changed(1),
    ]
    assert isinstance(apply(states.new, create("x", chosen=True))[0], c.Created)
    assert apply(states.new, c.PurgeElsewhere(T0 + 10, False, 10)) == [c.Changed(1)]
    assert isinstance(apply(states.new, keyed)[0], c.Created)
    states.move(2, *pointers)  # they are here by now
    assert states.reads(states.new).elsewhere("", JOB, "x") is None


def test_nobody_forgets_by_a_pointer_what_moved(states: States) -> None:
    apply(states.old, create("a", chosen=True))
    states.move()
    assert apply(states.old, c.ForgetPointer(JOB, "", "a", THERE)) == [c.Changed(0)]
    assert apply(states.old, c.PurgeElsewhere(T0, False, 10), c.PurgeElsewhere(T0, True, 10)) == [
        c.Changed(0),
        c.Changed(1),
    ]


def test_a_cluster_that_left_begins_nothing(states: States) -> None:
    apply(states.old, create("done"), c.PutSchedule("s", 0, CALENDAR, work(), None, False))
    seq = _seq(states.old, "done")
    apply(states.old, c.CancelJobs((seq,)))
    assert apply(states.old, c.EndMove(7, True, True), c.EndMove(1, True, True)) == [
        c.Refused("misdirected"),
        c.Changed(1),
    ]
    left = c.Refused("cluster_left")
    schedule = c.PutSchedule("new", 0, CALENDAR, work(), None, False)
    assert apply(states.old, create("b"), c.RedriveJobs((seq,), T0), schedule) == 3 * [left]
    again = create("done", chosen=True)
    assert apply(states.old, again) == [c.Created(seq, "done", True)]  # what is there can be asked for
    assert apply(states.old, c.SetTopology(2, DOCUMENT, 0, True)) == [c.Changed(1)]  # a new change begins
    assert isinstance(apply(states.old, create("b"))[0], c.Created)


def test_arrivals_are_listed_among_those_created_when_they_were(states: States) -> None:
    apply(states.old, create("old"), time_ms=T0 + 10)
    apply(states.new, create("first"), time_ms=T0)
    apply(states.new, create("last"), time_ms=T0 + 20)
    states.move()
    rows = MoveReads(states.new.database.reader).jobs(0, 10)
    assert [row.id for row in rows] == ["first", "old", "last"]
    apply(states.new, create("newest"), time_ms=T0 + 10)  # by a clock that is behind
    assert MoveReads(states.new.database.reader).jobs(0, 10)[-1].id == "newest"


def _seq(machine: StateMachine, job_id: str, tenant: str = DEFAULT_TENANT) -> int:
    seq = Reads(machine.database.reader).seq_of(tenant, job_id)
    assert seq is not None
    return seq


def test_what_counts_by_an_entry_that_is_not_committed_is_known(states: States) -> None:
    apply(states.old, create("a"), create("b"))
    batch, jobs, _ = states.batch()
    apply(states.new, c.TakeBatch(SOURCE, 1, batch))
    apply(states.old, c.GiveAway(THERE, 1, batch, jobs[:1]))
    new = states.new
    before = new.committed
    new.apply(entry(new.applied + 1, [c.ActivateBatch(SOURCE, 1, (0,), ())], term=1, before=new.digest))
    assert states.reads(new).job(DEFAULT_TENANT, "a") is None, "readers do not see it yet"
    assert not new.tables.is_arriving(DEFAULT_TENANT, JOB, "a")
    assert new.committed == before
    assert [new.came_after(before, DEFAULT_TENANT, JOB, name) for name in ("a", "b")] == [True, False]
    new.commit()
    assert states.reads(new).job(DEFAULT_TENANT, "a") is not None
    assert not new.came_after(new.committed, DEFAULT_TENANT, JOB, "a")
