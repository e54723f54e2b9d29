"""The audit log below the API: what a row tells, that it is in the entry of the change, and how long it is kept."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from hookline.http_api.addresses import addresses_in
from hookline.http_api.audit_notes import trace_of
from hookline.http_api.forwarded_headers import ADDRESSES
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.node.state_machine.matching import AuditFilter
from hookline.node.state_machine.reads import Reads
from hookline.protocol import commands as c
from hookline.protocol.api_keys import ApiKey, KeySecret, encode_key
from hookline.protocol.audit import SUMMARY_CHARS_MAX, AuditRecord, decode_audit, of_filter, told
from hookline.protocol.settings import DELETED, DestinationSettings, encode
from hookline.protocol.topology import ClusterEntry, Topology, encode_topology
from hookline.testing import InProcessNode, run
from tests.node_parts import T0, apply, create

NOTE = c.AuditNote("r1", "changeCluster", actor="k", address="10.0.0.1")
KEY = ApiKey("", "shop", ("read",), (KeySecret(b"planted-hash"),), T0)


@pytest.fixture
def machine(tmp_path: Path) -> StateMachine:
    return StateMachine(open_state(tmp_path / "state.db", durable=False))


def rows(machine: StateMachine) -> list[AuditRecord]:
    found: list[Any] = machine.database.writer.execute("SELECT record FROM audit ORDER BY number").fetchall()
    return [decode_audit(record) for (record,) in found]


def test_a_row_tells_what_came_of_the_change_beside_it(machine: StateMachine) -> None:
    apply(machine, c.SetMode("hybrid"), c.NoteAudit(NOTE, 1))
    apply(machine, c.SetMode("hybrid"), c.NoteAudit(msgspec.structs.replace(NOTE, id="r2"), 1))
    apply(machine, c.DeleteSchedule("", "none"), c.NoteAudit(msgspec.structs.replace(NOTE, id="r3"), 1))
    apply(machine, c.NoteAudit(msgspec.structs.replace(NOTE, id="r4"), 0, "refused", "forbidden"))
    assert [(row.outcome, row.changed, row.code) for row in rows(machine)] == [
        ("done", 1, ""),
        ("unchanged", 0, ""),
        ("refused", 0, "schedule_not_found"),
        ("refused", 0, "forbidden"),
    ]
    assert rows(machine)[0].note == NOTE


def test_what_others_put_into_the_same_entry_does_not_matter(machine: StateMachine) -> None:
    other = c.NoteAudit(msgspec.structs.replace(NOTE, id="r2"), 1)
    apply(machine, create("a"), c.SetMode("hybrid"), c.NoteAudit(NOTE, 1), c.SetMode("hybrid"), other, create("b"))
    assert [(row.note.id, row.outcome) for row in rows(machine)] == [("r1", "done"), ("r2", "unchanged")]


def test_one_request_has_one_row_however_many_entries_it_takes(machine: StateMachine) -> None:
    apply(machine, *(create(f"j{number}") for number in range(5)))
    for seqs in ((1, 2), (3,), (3,)):
        apply(machine, c.CancelJobs(seqs), c.NoteAudit(NOTE, 1))
    (row,) = rows(machine)
    assert (row.outcome, row.changed) == ("done", 3)


def test_what_is_repeated_all_the_time_leaves_a_row_only_if_it_changes_something(machine: StateMachine) -> None:
    for number in range(3):
        note = msgspec.structs.replace(NOTE, id=f"r{number}")
        apply(machine, c.PutApiKeys((("k", encode_key(KEY)),)), c.NoteAudit(note, 1, only_changes=True))
    assert [row.note.id for row in rows(machine)] == ["r0"]


def test_a_command_that_breaks_our_own_handling_has_its_row(machine: StateMachine) -> None:
    broken = c.PutDestination("", "https://a.example:443", b"\xc1")
    apply(machine, create("a"), broken, c.NoteAudit(NOTE, 1), create("b"))
    (row,) = rows(machine)
    assert (row.outcome, row.code) == ("refused", "internal")


def test_the_digest_has_the_row_in_it(tmp_path: Path) -> None:
    digests = set()
    for actor in ("k1", "k2", None):
        machine = StateMachine(open_state(tmp_path / f"{actor}.db", durable=False))
        note = () if actor is None else (c.NoteAudit(msgspec.structs.replace(NOTE, actor=actor), 1),)
        apply(machine, c.SetMode("hybrid"), *note)
        digests.add(machine.digest)
    assert len(digests) == 3


def test_rows_are_forgotten_by_age_and_number_a_few_at_a_time(machine: StateMachine) -> None:
    for number in range(10):
        note = msgspec.structs.replace(NOTE, id=f"r{number}")
        apply(machine, c.NoteAudit(note, 0), time_ms=T0 + number * 1_000)
    assert apply(machine, c.PurgeAudit(T0 + 3_000, 100, 2)) == [c.Changed(2)]
    assert apply(machine, c.PurgeAudit(T0 + 3_000, 100, 5)) == [c.Changed(1)]
    assert [row.note.id for row in rows(machine)] == [f"r{number}" for number in range(3, 10)]
    assert apply(machine, c.PurgeAudit(0, 4, 100)) == [c.Changed(3)]
    assert apply(machine, c.PurgeAudit(0, 4, 100)) == [c.Changed(0)]
    assert [row.note.id for row in rows(machine)] == [f"r{number}" for number in range(6, 10)]


def test_numbers_are_not_used_again(machine: StateMachine) -> None:
    apply(machine, c.NoteAudit(NOTE, 0), c.PurgeAudit(T0 + 1, 0, 10))
    apply(machine, c.NoteAudit(NOTE, 0))
    assert machine.database.writer.execute("SELECT number FROM audit").fetchall() == [(2,)]


def test_rows_are_found_page_by_page(machine: StateMachine) -> None:
    for number in range(7):
        note = c.AuditNote(f"r{number}", "a" if number % 2 else "b", actor="k" if number < 4 else "")
        apply(machine, c.NoteAudit(note, 0), time_ms=T0 + number)
    reads = Reads(machine.database.writer)

    def found(limit: int, before: int | None = None, **wanted: object) -> tuple[list[str], bool]:
        page, more = run(reads.audit(msgspec.convert(wanted, AuditFilter), before, limit))
        return [row.note for row in page], more

    assert found(3) == (["r6", "r5", "r4"], True)
    assert found(4, before=5) == (["r3", "r2", "r1", "r0"], False)
    assert found(9, action="a") == (["r5", "r3", "r1"], False)
    assert found(1, action="a", before=6) == (["r3"], True)
    assert found(9, actor="") == (["r6", "r5", "r4"], False)
    assert found(9, actor="k", after_ms=T0 + 1) == (["r3", "r2"], False)


def test_a_summary_says_what_changed_and_no_secret() -> None:
    revoked = encode_key(KEY.revoked(T0))
    rotated = encode_key(KEY.rotated(b"planted-new", T0, T0 + 5_000))
    secret = DestinationSettings(5, 10, 60_000, True, (b"planted-1", b"planted-2"))
    topology = Topology(epoch=3, clusters=(ClusterEntry(name="c0", shard=0, nodes=("http://10.0.0.1:7070",)),))
    found = [
        told(commands)
        for commands in (
            [c.PutApiKeys((("k1", encode_key(KEY)),))],
            [c.PutApiKeys((("k1", revoked),))],
            [c.PutApiKeys((("k1", rotated),))],
            [c.PutApiKeys(tuple((f"k{number}", revoked) for number in range(7)))],
            [c.PutDestination("", "https://a.example:443", encode(secret))],
            [c.PutDestination("", "https://a.example:443", DELETED)],
            [c.PutDestination("", "https://a.example:443", encode(DestinationSettings()))],
            [c.SetTopology(3, encode_topology(topology), 0)],
            [c.ImportDestinations(3, (("", "d", b"planted"),), True)],
            [c.SetMode("workers")],
            [c.CancelJobs((1,))],
            [],
        )
    ]
    assert [tuple(one) for one in found] == [
        ("k1", "name shop; scopes read"),
        ("k1", "name shop; scopes read; revoked"),
        ("k1", "name shop; scopes read; new text, the one before holds until 2027-01-15T08:00:05.000Z"),
        ("", "7 keys: k0, k1, k2, k3, k4, …"),
        ("https://a.example:443", "concurrency 5; rate 10 per 1m; paused; 2 secrets"),
        ("https://a.example:443", "settings deleted"),
        ("https://a.example:443", "defaults"),
        ("epoch 3", "strategy modulo; c0 (shard 0, weight 1, 1 nodes)"),
        ("epoch 3", "settings of 1 destinations"),
        ("", "mode workers"),
        ("", ""),
        ("", ""),
    ]
    assert "planted" not in repr(found)


def test_a_filter_is_told_and_of_overrides_only_their_names() -> None:
    assert of_filter([], []) == "all jobs"
    assert of_filter([("state", "dead"), ("label", "a=1")], ["secret", "headers"]) == (
        "state dead; label a=1; overrides headers, secret"
    )
    assert len(of_filter([("error", "x" * 1_000)], [])) == SUMMARY_CHARS_MAX


def test_addresses_are_those_that_were_said_and_the_one_that_is_seen() -> None:
    assert addresses_in([], ("10.0.0.9", 1)) == ["10.0.0.9"]
    said = [(b"x", b"y"), (ADDRESSES, b"203.0.113.5, 10.0.0.8")]
    assert addresses_in(said, ("10.0.0.9", 1)) == ["203.0.113.5", "10.0.0.8", "10.0.0.9"]
    assert addresses_in([(ADDRESSES, b" ,\x07,")], None) == []
    assert len(", ".join(addresses_in([(ADDRESSES, b"1," * 5_000)], None))) < 500


def test_the_trace_is_that_of_the_caller() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    traced = (b"traceparent", f"00-{trace}-00f067aa0ba902b7-01".encode())
    assert trace_of([(b"x-request-id", b"7"), traced]) == trace
    assert trace_of([(b"x-request-id", b"7")]) == "7"
    assert trace_of([(b"traceparent", b"nonsense"), (b"x-request-id", b"x" * 500)]) == ""


def test_old_rows_go_by_themselves() -> None:
    async def main() -> None:
        async with InProcessNode(audit_retention_ms=3_600_000, audit_rows=3) as node:
            for number in range(1, 6):
                await node.client.put_destination("https://shop.example", concurrency=number)
            await node.advance("2m")
            assert [row.summary for row in [row async for row in node.client.list_audit()]] == [
                f"concurrency {number}" for number in (5, 4, 3)
            ]
            await node.advance("2h")
            assert [row async for row in node.client.list_audit()] == []

    run(main())
