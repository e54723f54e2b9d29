"""A whole job leaves one state and enters another as it is: rows, sums and what later entries meet."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hookline.node.state_machine import sums
from hookline.node.state_machine.contents import check_contents
from hookline.node.state_machine.effects import Effects
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.records import insert_record, read_record
from hookline.protocol import commands as c
from hookline.protocol.jobs import State, decode_spec, encode_spec, without_payload
from tests.node_parts import OWNER, T0, apply, create, entry, job_spec, outcome, work

TENANTS = ("", "acme")
TABLES = ("jobs", "specs", "labels", "attempts", "idempotency_keys", "counters")

seqs = st.integers(1, 6)
jobs = st.builds(
    lambda number, tenant, priority, once, labels, key, chosen: create(
        f"j{number}" if chosen else f"m{number}",
        job_spec(body=b"x" * number, priority=priority, at_most_once=once, labels=labels),
        key=key,
        key_expires_ms=T0 + number if key else 0,
        fingerprint=b"f" if chosen or key else b"",
        chosen=chosen,
        tenant=tenant,
    ),
    st.integers(1, 4),
    st.sampled_from(TENANTS),
    st.sampled_from([-3, 0, 100]),
    st.booleans(),
    st.sampled_from([(), ("x",), ("x", "n=1")]),
    st.sampled_from([None, "k1", "k2"]),
    st.booleans(),
)
claims = st.builds(lambda seq: c.ClaimJobs(((seq, T0),), T0 + 9, OWNER), seqs)
changes = st.one_of(
    jobs,
    claims,
    st.builds(lambda seq: outcome(seq, 1, body=b"answer"), seqs),
    st.builds(lambda seq: outcome(seq, 1, state=State.DEAD, kind=2), seqs),
    st.builds(lambda seq: outcome(seq, 1, state=0, kind=1, retry_at_ms=T0), seqs),
    st.builds(lambda seq: c.CancelJobs((seq,)), seqs),
    st.builds(lambda seq: c.RedriveJobs((seq,), T0), seqs),
    st.builds(lambda seq, tenant: c.UpdateJob(seq, 1, T0, work(tenant, labels=("y",))), seqs, st.sampled_from(TENANTS)),
    st.builds(lambda seq: c.DeletePayload(seq, 1, encode_spec(without_payload(job_spec()))), seqs),
    st.builds(lambda number: c.RunSchedule("acme", "s", f"tick{number}", T0), st.integers(1, 3)),
)


@contextmanager
def state() -> Iterator[StateMachine]:
    """With a schedule, and with the destinations that jobs name, so that lanes have the same numbers in all."""
    with tempfile.TemporaryDirectory() as directory:
        database = open_state(Path(directory) / "state.db", durable=False)
        machine = StateMachine(database)
        for tenant in TENANTS:
            apply(machine, c.PutSchedule("s", 0, b"cron", work(tenant), None, skip_overlap=False))
            apply(machine, c.PutDestination(tenant, job_spec().destination, b""))
        yield machine
        database.close()


def rows(machine: StateMachine, table: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = machine.database.writer.execute(f"SELECT * FROM {table}").fetchall()
    return sorted((row for row in found if table != "counters" or row[-1]), key=repr)


def with_own_spec(machine: StateMachine, command: c.AnyCommand) -> c.AnyCommand:
    """Gives a command that deletes a payload the rest of that job's spec, as the API does."""
    if not isinstance(command, c.DeletePayload):
        return command
    found = read_record(machine.database.writer, command.seq)
    if found is None:
        return c.PurgeKeys(0, 0)  # of a job that this entry may make: its spec is not known yet
    return replace(command, spec=encode_spec(without_payload(decode_spec(found.record.work.spec))))


def moved_over(source: StateMachine, target: StateMachine) -> Effects:
    """Import all jobs, each under the number that it had. Schedules are not part of a job: they are copied."""
    effects, tables = Effects(), target.tables
    target.database.begin()
    for row in rows(source, "schedules"):
        target.database.writer.execute(f"REPLACE INTO schedules VALUES ({', '.join('?' * len(row))})", row)
    tables.sums[sums.SCHEDULES] = source.tables.sums[sums.SCHEDULES]
    for (seq,) in source.database.writer.execute("SELECT seq FROM jobs ORDER BY seq"):
        found = read_record(source.database.writer, seq)
        assert found is not None
        assert found.is_sound
        insert_record(tables, effects, seq, found.record)
    tables.flush()
    ((newest,),) = source.database.writer.execute("SELECT coalesce(max(value), 1) FROM meta WHERE name = 'next_seq'")
    tables.run("put_meta", "next_seq", newest)
    target.database.commit()
    tables.reload()
    return effects


@given(
    history=st.lists(st.lists(changes, min_size=1, max_size=3), min_size=1, max_size=12),
    then=st.lists(changes, max_size=4),
)
@settings(max_examples=30)
def test_an_imported_job_is_the_one_that_was_exported(
    history: list[list[c.AnyCommand]], then: list[c.AnyCommand]
) -> None:
    with state() as source, state() as target:
        for commands in history:
            apply(source, *[with_own_spec(source, command) for command in commands])
        effects = moved_over(source, target)
        for table in TABLES:
            assert rows(target, table) == rows(source, table)
        kept = (sums.JOBS, sums.KEYS, sums.LABELS, sums.ATTEMPTS)
        assert [target.tables.sums[name] for name in kept] == [sums.wrapped(source.tables.sums)[name] for name in kept]
        check_contents(target.database.reader)
        pending = source.database.writer.execute("SELECT lane, due_ms, seq FROM jobs WHERE state = 0 ORDER BY seq")
        assert effects.due == pending.fetchall()
        met = []
        for machine in (source, target):
            results, later = machine.apply(entry(machine.applied + 1, then, before=machine.digest))
            machine.commit()
            met.append((results, later, machine.tables.found))
        assert met[0] == met[1], "what a later entry finds, which the digest is made of"


def test_a_changed_spec_is_read_as_unsound() -> None:
    with state() as machine:
        apply(machine, create("a"))
        machine.database.writer.execute("UPDATE specs SET sum = sum + 1")
        found = read_record(machine.database.writer, 1)
        assert found is not None
        assert not found.is_sound
        assert read_record(machine.database.writer, 2) is None
