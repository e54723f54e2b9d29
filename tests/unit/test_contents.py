"""A state is read through: every row that somebody changed, added or took out is noticed, by whatever tool."""

import sqlite3
from pathlib import Path

import apsw
import pytest

from hookline.errors import StateDamaged
from hookline.node.state_machine.contents import SLICE_ROWS, check_contents
from hookline.node.state_machine.leader_reads import LeaderReads
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.reads import Reads
from hookline.protocol import commands as c
from hookline.protocol.api_keys import ApiKey, KeySecret, encode_key
from hookline.protocol.jobs import DEFAULT_TENANT, encode_spec, without_payload, work_of
from hookline.protocol.settings import DestinationSettings, encode
from hookline.protocol.tenants import REMOVED, TenantSettings, encode_tenant
from tests.node_parts import OWNER, T0, apply, create, job_spec, outcome, work

DESTINATION = "https://a.example:443"
SCHEDULE = c.PutSchedule("s", 0, b"spec", work(), T0, False)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """With a row of every kind, and a history."""
    path = tmp_path / "state.db"
    database = open_state(path, durable=False)
    machine = StateMachine(database)
    jobs = [create(f"j{n}", job_spec(labels=("x",), body=b"100.00")) for n in range(8)]
    apply(machine, *jobs, create("keyed", key="k", key_expires_ms=T0 + 9, fingerprint=b"f"), SCHEDULE)
    apply(machine, c.ClaimJobs(((1, T0), (2, T0), (3, T0)), T0 + 9, OWNER))
    apply(machine, outcome(1, 1), outcome(2, 1, state=0, kind=1, retry_at_ms=T0 + 5), c.CancelJobs((4,)))
    apply(machine, c.PutDestination("", DESTINATION, encode(DestinationSettings(paused=True))))
    key = ApiKey("", "ci", ("read",), (KeySecret(b"h"),), T0)
    apply(machine, c.PutApiKeys((("k", encode_key(key)), ("gone", encode_key(key)))), c.TouchApiKeys((("k", T0),)))
    apply(machine, c.PutApiKeys((("gone", encode_key(key.revoked(T0))),)))
    apply(machine, c.SetMode("hybrid"), c.NoteAudit(c.AuditNote("n1", "changeCluster"), 1))
    apply(machine, c.SetMode("leader"), c.NoteAudit(c.AuditNote("n1", "changeCluster"), 1))
    apply(machine, c.NoteAudit(c.AuditNote("n2", "handover", actor="k"), 0), c.PurgeAudit(0, 9, 9))
    apply(machine, c.PutTenant("a", encode_tenant(TenantSettings(7))), c.PutTenant("b", REMOVED))
    apply(machine, c.PurgeFinished(T0 + 1, 0, 1), c.RunSchedule("", "s", "tick", T0))
    spec = job_spec(labels=("y",), body=b"new")
    apply(machine, c.UpdateJob(5, 1, T0, work_of(spec, DEFAULT_TENANT)), create("z", spec))
    gone = create("gone", job_spec(labels=("x",)), key="gone", key_expires_ms=T0 + 8)
    apply(machine, gone, create("blank", job_spec(body=b"private", labels=("y",))), c.CancelJobs((13,)))
    apply(machine, c.DeleteJob(12), c.DeletePayload(13, 1, encode_spec(without_payload(job_spec(labels=("y",))))))
    database.close()
    return path


def read_through(state: Path) -> None:
    connection = apsw.Connection(str(state))
    try:
        check_contents(connection)
    finally:
        connection.close()


def test_what_was_written_is_sound(state: Path) -> None:
    read_through(state)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM jobs WHERE seq = 3",
        "DELETE FROM specs WHERE seq = 3",
        "DELETE FROM jobs WHERE seq > 2",
        "DELETE FROM attempts",
        "DELETE FROM labels WHERE seq = 3",
        "DELETE FROM idempotency_keys",
        "DELETE FROM schedules",
        "DELETE FROM destinations",
        "DELETE FROM counters WHERE name = 'running'",
        "UPDATE jobs SET id = 'other' WHERE seq = 3",
        "UPDATE jobs SET tenant = 'other' WHERE seq = 3",
        "UPDATE idempotency_keys SET tenant = 'other'",
        "UPDATE schedules SET tenant = 'other'",
        "UPDATE destinations SET tenant = 'other' WHERE id = 1",
        "UPDATE counters SET tenant = 'other'",
        "UPDATE jobs SET state = 2 WHERE seq = 3",
        "UPDATE jobs SET size = size + 1 WHERE seq = 3",
        "UPDATE specs SET spec = spec || x'00' WHERE seq = 3",
        "UPDATE specs SET spec = x'90' WHERE seq = 3",
        "UPDATE specs SET spec = 7 WHERE seq = 3",
        "UPDATE specs SET fingerprint = x'00' WHERE seq = 3",
        "UPDATE specs SET sum = 7 WHERE seq = 3",
        "UPDATE idempotency_keys SET key = 'other'",
        "UPDATE idempotency_keys SET expires_ms = expires_ms + 1",
        "UPDATE schedules SET paused = 1",
        "UPDATE schedules SET next_tick_ms = next_tick_ms + 1",
        "UPDATE destinations SET settings = NULL",
        "DELETE FROM audit WHERE number = 1",
        "DELETE FROM audit",
        "UPDATE audit SET actor = 'other' WHERE number = 2",
        "UPDATE audit SET time_ms = time_ms + 1 WHERE number = 2",
        "UPDATE audit SET record = record || x'00' WHERE number = 1",
        "DELETE FROM api_keys WHERE id = 'gone'",
        "UPDATE api_keys SET record = (SELECT record FROM api_keys WHERE id = 'k') WHERE id = 'gone'",
        "UPDATE api_keys SET id = 'other' WHERE id = 'k'",
        "UPDATE api_keys SET used_ms = 0",
        "UPDATE tenants SET settings = (SELECT settings FROM tenants WHERE name = 'b') WHERE name = 'a'",
        "DELETE FROM tenants WHERE name = 'b'",
        "UPDATE destinations SET name = name || 'x' WHERE id = 1",
        "UPDATE counters SET value = value + 1 WHERE name = 'pending'",
        "INSERT INTO jobs SELECT 99, 'forged', tenant, state, lane, due_ms, run_at_ms, created_ms, finished_ms, "
        "attempts, attempts_before, budget_from_ms, lost, claim_term, claim_deadline_ms, claimed_ms, claim_owner, "
        "at_most_once, size, timeout_ms, revision, kept_until_ms, schedule FROM jobs WHERE seq = 3",
        "INSERT INTO specs SELECT 99, spec, fingerprint, sum FROM specs WHERE seq = 3",
        "INSERT INTO destinations (tenant, name) VALUES ('', 'http://x:1')",
        "UPDATE specs SET spec = (SELECT spec FROM specs WHERE seq = 10), sum = (SELECT sum FROM specs WHERE seq = 10) "
        "WHERE seq = 3",
        "UPDATE meta SET value = x'80' WHERE name = 'sums'",
        "DELETE FROM meta WHERE name = 'sums'",
    ],
)
def test_a_row_that_was_changed_is_noticed(state: Path, statement: str) -> None:
    connection = sqlite3.connect(state)
    with connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()
    with pytest.raises(StateDamaged):
        read_through(state)


def test_a_changed_payload_is_neither_claimed_nor_shown(state: Path) -> None:
    database = open_state(state, durable=False)
    assert LeaderReads(database.reader).claimed([3])
    database.writer.execute("UPDATE specs SET spec = CAST(replace(spec, '100.00', '900.00') AS BLOB) WHERE seq = 3")
    with pytest.raises(StateDamaged, match="j2"):
        LeaderReads(database.reader).claimed([3])
    with pytest.raises(StateDamaged, match="j2"):
        Reads(database.reader).job("", "j2")
    database.close()


def test_reading_pauses_after_each_slice_and_may_be_broken_off(tmp_path: Path) -> None:
    database = open_state(tmp_path / "state.db", durable=False)
    apply(StateMachine(database), *[create(f"j{n}") for n in range(2 * SLICE_ROWS)])
    pauses = 0

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        check_contents(database.reader, pause)
    check_contents(database.reader)
    database.close()


def test_a_row_that_is_missing_shows_in_the_digest_of_the_entry_that_touches_it(tmp_path: Path) -> None:
    digests = []
    for number, edit in enumerate(("", "DELETE FROM jobs WHERE seq = 2", "DELETE FROM labels WHERE seq = 2")):
        database = open_state(tmp_path / f"{number}.db", durable=False)
        machine = StateMachine(database)
        apply(machine, *[create(f"j{n}", job_spec(labels=("x",))) for n in range(3)])
        if edit:
            database.writer.execute(edit)
        apply(machine, c.CancelJobs((2,)), c.PurgeFinished(T0 + 1, 0, 9))
        digests.append(machine.digest)
        database.close()
    assert len(set(digests)) == 3
