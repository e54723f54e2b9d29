"""A deleted job is gone from the state: no row, no sum, no byte in the file; and it is in nobody's way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hookline.node.state_machine.contents import check_contents
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.reads import Reads
from hookline.node.state_machine.tables import STATEMENTS
from hookline.protocol import commands as c
from hookline.protocol.jobs import PAYLOAD_REMOVED, encode_spec, without_payload
from hookline.protocol.settings import ScheduleSpec, encode
from tests.node_parts import OWNER, T0, apply, create, job_spec, outcome, work

DESTINATION = "https://a.example:443"
PRIVATE = b"alice@example.org"
# Larger than a page of the file, so that it lies on pages of its own, and small, so that it lies among others.
SIZES = (PRIVATE, PRIVATE * 3_000)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[StateMachine]:
    made = StateMachine(open_state(tmp_path / "state.db"))
    yield made
    check_contents(made.database.reader)
    made.database.close()


def finish(machine: StateMachine, seq: int, *, body: bytes = b"") -> None:
    apply(machine, c.ClaimJobs(((seq, T0),), T0 + 9, OWNER))
    apply(machine, outcome(seq, 1, body=body))


def delete_payload(machine: StateMachine, seq: int, job_id: str) -> c.Result:
    row = Reads(machine.database.reader).job("", job_id)
    assert row is not None
    return apply(machine, c.DeletePayload(seq, row.revision, encode_spec(without_payload(row.spec))))[0]


def file_of(machine: StateMachine) -> bytes:
    machine.make_durable()
    return machine.database.path.read_bytes()


@pytest.mark.parametrize("body", SIZES, ids=["small", "large"])
@pytest.mark.parametrize("is_whole", [True, False], ids=["job", "payload"])
def test_no_byte_of_it_stays_in_the_file(machine: StateMachine, body: bytes, is_whole: bool) -> None:
    spec = job_spec(body=body, headers=(("x-user", PRIVATE.decode()),), labels=("x",))
    neighbours = [create(f"n{number}", job_spec(body=bytes([number]) * 1_500)) for number in range(20)]
    apply(machine, *neighbours[:10], create("mine", spec), *neighbours[10:])
    finish(machine, 11, body=body)
    assert PRIVATE in file_of(machine)
    if is_whole:
        apply(machine, c.DeleteJob(11))
    else:
        assert delete_payload(machine, 11, "mine") == c.Changed(1)
    assert PRIVATE not in file_of(machine)


def test_the_record_of_a_job_without_payload_stays(machine: StateMachine) -> None:
    apply(machine, create("mine", job_spec(headers=(("x-user", "alice"),), labels=("x",))))
    finish(machine, 1, body=b"hello alice")
    delete_payload(machine, 1, "mine")
    row = Reads(machine.database.reader).job("", "mine")
    assert row is not None
    assert (row.size, row.spec.body, row.spec.headers) == (PAYLOAD_REMOVED, b"", (("x-user", ""),))
    assert (row.spec.url, row.spec.labels) == ("https://a.example/hook", ("x",))
    assert row.last_attempt is not None


def test_it_is_never_sent_again(machine: StateMachine) -> None:
    apply(machine, create("mine"), create("other"))
    finish(machine, 1)
    finish(machine, 2)
    delete_payload(machine, 1, "mine")
    assert apply(machine, c.RedriveJobs((1, 2), T0)) == [c.Changed(1)]
    assert machine.tables.counters["pending"] == 1


def test_an_attempt_that_a_cancel_broke_off_brings_nothing_back(machine: StateMachine) -> None:
    apply(machine, create("mine"), create("other"))
    apply(machine, c.ClaimJobs(((1, T0), (2, T0)), T0 + 9, OWNER), c.CancelJobs((1, 2)))
    delete_payload(machine, 1, "mine")
    assert apply(machine, c.DeleteJob(2), outcome(1, 1, body=PRIVATE), outcome(2, 1, body=PRIVATE)) == [
        c.Changed(1),
        c.Changed(0),
        c.Changed(0),
    ]
    assert machine.tables.sums["attempts"] == 0


@pytest.mark.parametrize("is_whole", [True, False], ids=["job", "payload"])
def test_many_answers_take_several_commands_and_no_attempt_comes_between(machine: StateMachine, is_whole: bool) -> None:
    apply(machine, create("mine"))
    for number in range(1, 121):
        failed = outcome(1, number, state=0, kind=1, retry_at_ms=T0, body=PRIVATE)
        apply(machine, c.ClaimJobs(((1, T0),), T0 + 9, OWNER), failed)
    blank = encode_spec(without_payload(job_spec()))
    command = c.DeleteJob(1) if is_whole else c.DeletePayload(1, 1, blank)
    if not is_whole:
        apply(machine, c.CancelJobs((1,)))
    assert apply(machine, command) == [c.Changed(0)]
    assert apply(machine, c.ClaimJobs(((1, T0),), T0 + 9, OWNER)) == [c.Claimed(())]
    assert apply(machine, command, command) == [c.Changed(0), c.Changed(1)]
    left = machine.database.writer.execute("SELECT count(*), count(response_body) FROM attempts").fetchall()
    assert left == [(0 if is_whole else 120, 0)]


def test_the_key_of_a_deleted_job_makes_a_new_one(machine: StateMachine) -> None:
    keyed = {"key": "k", "key_expires_ms": T0 + 9, "fingerprint": b"f"}
    apply(machine, create("first", **keyed), c.DeleteJob(1))  # type: ignore[arg-type]
    assert machine.database.writer.execute("SELECT count(*) FROM idempotency_keys").fetchall() == [(0,)]
    assert apply(machine, create("second", **keyed)) == [c.Created(2, "second", deduplicated=False)]  # type: ignore[arg-type]


def test_an_older_key_that_still_stands_names_nothing(machine: StateMachine) -> None:
    for window, key in ((5, "older"), (9, "newer")):
        command = create("mine", key=key, key_expires_ms=T0 + window, fingerprint=b"f", chosen=True)
        assert apply(machine, command)[0] == c.Created(1, "mine", deduplicated=key == "newer")
    apply(machine, c.DeleteJob(1))
    again = create("mine", key="older", key_expires_ms=T0 + 20, fingerprint=b"g", chosen=True)
    assert apply(machine, again) == [c.Created(2, "mine", deduplicated=False)]


def test_the_key_is_found_without_a_scan(machine: StateMachine) -> None:
    query = machine.database.writer.execute(f"EXPLAIN QUERY PLAN {STATEMENTS['delete_keys_of']}", (1,))
    assert not [step for *_, step in query if "SCAN" in step]


def test_a_deleted_last_job_lets_the_next_tick_of_its_schedule_go(machine: StateMachine) -> None:
    spec = encode(ScheduleSpec("* * * * *", "UTC", "all", 1, True, 0, None, None))
    put = c.PutSchedule("s", 0, spec, work(), T0, skip_overlap=True)
    tick = [c.RecordTicks(1, 1, T0 + n, ((T0 + n, T0, f"s-{n}"),), 0, T0 + n + 1) for n in range(3)]
    apply(machine, put, tick[0])
    assert apply(machine, tick[1]) == [c.Changed(0)], "the one before is pending, so this one is skipped"
    assert apply(machine, c.DeleteJob(1), tick[2]) == [c.Changed(1), c.Changed(1)]
    reads = Reads(machine.database.reader)
    schedule = reads.schedule("", "s")
    assert schedule is not None
    assert (schedule.last_job, schedule.made, schedule.skipped) == ("s-2", 2, 1)
    apply(machine, c.DeleteJob(2))
    schedule = reads.schedule("", "s")
    assert schedule is not None
    assert schedule.last_job is None
