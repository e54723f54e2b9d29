"""Entries as bytes: a change of the format is seen, damage is found, and sizes are never underestimated."""

import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.errors import EntryDamaged, EntryTooLarge, UnknownCommand
from hookline.protocol import commands as c
from hookline.protocol.codec import VERSION, Entry, command_size, decode_entry, encode_entry, split
from hookline.protocol.jobs import DEFAULT_TENANT, Work
from hookline.protocol.limits import ENTRY_BYTES_GATHER, ENTRY_BYTES_MAX, ENTRY_COMMANDS_MAX
from hookline.protocol.modes import ATTEMPTING

# What this release writes. Never change a line: entries of earlier releases are read again. A new field has a default
# and is added at the end; a new command gets a new line.
WORK = Work("t", "http://h:80", -5, True, 2, 500, ("x=1",), b"s")
WORK_BYTES = "98a174ab687474703a2f2f683a3830fbc302cd01f491a3783d31c40173"
GOLDEN: list[tuple[c.AnyCommand, str]] = [
    (c.BeginTerm("n1/a/1", ("n2/b/2",)), "9301a66e312f612f3191a66e322f622f32"),
    (
        c.CreateJob("a", 7, WORK, b"f", "k", 9, True),
        "9802a16107" + WORK_BYTES + "c40166a16b09c3",
    ),
    (c.ClaimJobs(((1, 7), (2, 8)), 9, "n1"), "94039292010792020809a26e31"),
    (
        c.RecordOutcome(1, 2, 1, 0, 99, 503, "e", 7, 5, (("a", "b"),), b"r", "n1", 3, True),
        "9f0401020100 63cd01f7a165070591 92a161a162c40172a26e3103c3".replace(" ", ""),
    ),
    (c.CancelJobs((1, 300)), "92059201cd012c"),
    (
        c.UpdateJob(1, 2, 7, WORK),
        "9506010207" + WORK_BYTES,
    ),
    (c.RedriveJobs((1,), 7), "9307910107"),
    (
        c.PutSchedule("s", 0, b"c", WORK, None, True, False),
        "9808a17300c40163" + WORK_BYTES + "c0c3c2",
    ),
    (c.DeleteSchedule("t", "s"), "9309a174a173"),
    (c.RecordTicks(1, 2, 7, ((7, 8, "t"),), 0, 67), "970a010207 91930708a174 0043".replace(" ", "")),
    (c.RunSchedule("t", "s", "j", 7), "950ba174a173a16a07"),
    (c.PutDestination("t", "http://h:80", b"p"), "940ca174ab687474703a2f2f683a3830c40170"),
    (c.PurgeFinished(7, 8, 9), "950d070809c0"),
    (c.PurgeKeys(7, 9), "930e0709"),
    (c.ExpireClaims("n1/a/b"), "920fa66e312f612f62"),
    (c.SetTopology(7, b"{}", 3), "951107c4027b7d03c2"),
    (
        c.ImportDestinations(7, (("t", "d", b"s"),), True, (("t", b"s"),)),
        "95140791 93a174a164c40173 c3 91 92a174c40173".replace(" ", ""),
    ),
    (c.BeginLog("f" * 32, 1, "c0", 0), "9512d920" + "66" * 32 + "01a2633000"),
    (c.DeleteJob(300), "9215cd012c"),
    (c.DeletePayload(1, 2, b"s"), "94160102c40173"),
    (c.LoseClaims(((1, 2),)), "921791920102"),
    (c.SetMode("hybrid"), "9218a6687962726964"),
    (c.PutApiKeys((("k", b"r"),)), "921e9192a16bc40172"),
    (c.TouchApiKeys((("k", 7),)), "921f9192a16b07"),
    (
        c.NoteAudit(c.AuditNote("r", "a", "t", "k", "n", "", "h", "v", "s", "x"), 1, "done", "", True),
        "9632 9aa172a161a174a16ba16ea0a168a176a173a178 01a4646f6e65a0c3".replace(" ", ""),
    ),
    (c.PurgeAudit(7, 8, 9), "9433070809"),
    (c.PutTenant("t", b"s"), "9322a174c40173"),
    (c.TakeBatch("s/1", 7, b"b"), "943ca3732f3107c40162"),
    (c.GiveAway(2, 7, b"b", ((1, 0, 5, 1, 0),), ((3, 1, 4, None),)), "963d0207c40162919501000501009194030104c0"),
    (c.ActivateBatch("s/1", 7, (0, 2), (1,)), "953ea3732f31079200029101"),
    (c.EndDeparture(2, 7, 12), "943f02070c"),
    (c.EndMove(9, True, False), "944009c3c2"),
    (c.PurgeElsewhere(99, True, 500), "944163c3cd01f4"),
    (c.ForgetPointer(1, "t", "k", 2), "954201a174a16b02"),
]


def entry_of(*commands: c.AnyCommand) -> Entry:
    return Entry(VERSION, 1, 2, 3, b"\0" * 8, b"d", commands)


@pytest.mark.parametrize(("command", "golden"), GOLDEN, ids=lambda value: type(value).__name__)
def test_the_bytes_of_each_command_stay_as_they_are(command: c.AnyCommand, golden: str) -> None:
    body = bytes.fromhex("9705010203c408" + "00" * 8 + "c40164" + "91" + golden)
    stored = zlib.crc32(body).to_bytes(4, "big") + body
    assert encode_entry(entry_of(command)) == stored
    assert decode_entry(stored) == entry_of(command)


def test_every_command_has_golden_bytes() -> None:
    assert {type(command) for command, _ in GOLDEN} == set(c.Command.__subclasses__()) & set(c.AnyCommand.__args__)
    assert len(GOLDEN) == len(c.AnyCommand.__args__)


def test_a_command_of_an_earlier_release_gets_the_defaults() -> None:
    body = bytes.fromhex("9705010203c400c400 91 9402a16107 98a0a16400c202cd01f490c40173".replace(" ", ""))
    stored = zlib.crc32(body).to_bytes(4, "big") + body
    assert decode_entry(stored).commands == (c.CreateJob("a", 7, Work("", "d", 0, False, 2, 500, (), b"s")),)


def test_a_flipped_bit_anywhere_is_noticed() -> None:
    stored = encode_entry(entry_of(*[command for command, _ in GOLDEN]))
    for position in range(len(stored)):
        for bit in range(8):
            damaged = bytearray(stored)
            damaged[position] ^= 1 << bit
            with pytest.raises(EntryDamaged):
                decode_entry(bytes(damaged))


@pytest.mark.parametrize("length", [0, 1, 4, 5, 19])
def test_a_cut_entry_is_damaged(length: int) -> None:
    with pytest.raises(EntryDamaged):
        decode_entry(encode_entry(entry_of())[:length])


def packed(value: Any) -> bytes:
    body = msgspec.msgpack.encode(value)
    return zlib.crc32(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "value",
    [
        [VERSION, 1, 2, 3, b"", b"", [[99, "what"]]],
        [VERSION + 1, 1, 2, 3, b"", b"", []],
        [VERSION + 1, 1, 2, 3, b"", b"", [], "a new field"],
        [VERSION, 1, 2, 3, b"", b"", [[1, 5, True]]],
        {"version": 2},
        "text",
    ],
)
def test_what_this_release_does_not_know_asks_for_an_upgrade(value: Any) -> None:
    with pytest.raises(UnknownCommand, match="upgrade me"):
        decode_entry(packed(value))


def test_an_entry_may_have_the_limit_and_not_a_byte_more() -> None:
    room = ENTRY_BYTES_MAX - len(encode_entry(entry_of(c.PutDestination("", "d", bytes(100_000))))) + 100_000
    fits = c.PutDestination("", "d", bytes(room))
    assert len(encode_entry(entry_of(fits))) == ENTRY_BYTES_MAX
    with pytest.raises(EntryTooLarge):
        encode_entry(entry_of(c.PutDestination("", "d", bytes(room + 1))))


ints = st.integers(-(2**63), 2**63 - 1)
ascii_text = st.text(st.characters(max_codepoint=126), max_size=128)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
blobs = st.binary(max_size=300)
label_lists = st.lists(texts, max_size=8).map(tuple)
works = st.builds(Work, ascii_text, ascii_text, ints, st.booleans(), ints, ints, label_lists, blobs)
any_command = st.one_of(
    st.builds(c.BeginTerm, ascii_text, st.lists(ascii_text, max_size=4).map(tuple)),
    st.builds(c.ExpireClaims, ascii_text),
    st.builds(c.LoseClaims, st.lists(st.tuples(ints, ints), max_size=50).map(tuple)),
    st.builds(c.SetMode, st.sampled_from(list(ATTEMPTING))),
    st.builds(c.BeginLog, ascii_text, ints, ascii_text, ints),
    st.builds(c.SetTopology, st.integers(0, 2**53), blobs, st.none() | ints),
    st.builds(
        c.ImportDestinations,
        st.integers(0, 2**53),
        st.lists(st.tuples(ascii_text, ascii_text, blobs), max_size=20).map(tuple),
        st.booleans(),
        st.lists(st.tuples(ascii_text, blobs), max_size=20).map(tuple),
    ),
    st.builds(c.PutTenant, ascii_text, blobs),
    st.builds(
        *(c.CreateJob, ascii_text, ints, works, st.binary(max_size=32), st.none() | ascii_text, ints, st.booleans()),
    ),
    st.builds(c.ClaimJobs, st.lists(st.tuples(ints, ints), max_size=50).map(tuple), ints, ascii_text),
    st.builds(
        *(c.RecordOutcome, ints, ints, ints, ints, st.none() | ints, st.none() | ints, st.none() | texts, ints, ints),
        *(st.lists(st.tuples(texts, texts), max_size=20).map(tuple), blobs, texts, ints, st.booleans()),
    ),
    st.builds(c.CancelJobs, st.lists(ints, max_size=50).map(tuple)),
    st.builds(c.UpdateJob, ints, ints, ints, works),
    st.builds(c.RedriveJobs, st.lists(ints, max_size=50).map(tuple), ints),
    st.builds(c.PutSchedule, ascii_text, ints, blobs, works, st.none() | ints, st.booleans(), st.booleans()),
    st.builds(c.DeleteSchedule, ascii_text, ascii_text),
    st.builds(
        *(c.RecordTicks, ints, ints, ints, st.lists(st.tuples(ints, ints, ascii_text), max_size=20).map(tuple)),
        *(ints, st.none() | ints),
    ),
    st.builds(c.RunSchedule, ascii_text, ascii_text, ascii_text, ints),
    st.builds(c.PutDestination, ascii_text, ascii_text, blobs),
    st.builds(c.PurgeFinished, ints, ints, ints, st.none() | ints),
    st.builds(c.PurgeKeys, ints, ints),
    st.builds(c.DeleteJob, ints),
    st.builds(c.PutApiKeys, st.lists(st.tuples(ascii_text, blobs), max_size=20).map(tuple)),
    st.builds(c.TouchApiKeys, st.lists(st.tuples(ascii_text, ints), max_size=20).map(tuple)),
    st.builds(c.DeletePayload, ints, ints, blobs),
)


@given(any_command)
def test_a_commands_size_is_never_underestimated(command: c.AnyCommand) -> None:
    assert len(msgspec.msgpack.encode(command)) <= command_size(command)


@given(st.lists(any_command, max_size=40))
def test_entries_come_back_equal(commands: list[c.AnyCommand]) -> None:
    assert decode_entry(encode_entry(entry_of(*commands))).commands == tuple(commands)


def test_the_usual_create_is_not_overestimated_much() -> None:
    work = Work(DEFAULT_TENANT, "https://a.example:443", 0, False, 500, 30_000, (), bytes(700))
    command = c.CreateJob("0192f0c1-0000-7000-8000-000000000000-0", 2**41, work)
    assert command_size(command) <= 1.3 * len(msgspec.msgpack.encode(command))


@given(st.lists(st.tuples(st.integers(0, 90_000), st.integers(0, 30)), max_size=25))
def test_parts_keep_the_order_and_each_fits_what_an_entry_gathers(shape: list[tuple[int, int]]) -> None:
    commands: list[c.AnyCommand] = []
    for size, repeats in shape:
        commands += [c.PutDestination("", "d", bytes(size)), *[c.PurgeKeys(1, 1)] * repeats]
    parts = split(commands)
    assert [command for part in parts for command in part] == commands
    assert all(parts)
    for part in parts:
        assert len(part) == 1 or sum(map(command_size, part)) <= ENTRY_BYTES_GATHER


def test_parts_have_a_limited_number_of_commands() -> None:
    parts = split([c.CancelJobs(())] * (ENTRY_COMMANDS_MAX + 1))
    assert max(map(len, parts)) <= ENTRY_COMMANDS_MAX
    assert split([]) == []


def test_one_large_command_is_a_part_of_its_own() -> None:
    large, small = c.PutDestination("", "d", bytes(ENTRY_BYTES_GATHER)), c.PurgeKeys(1, 1)
    commands: list[c.AnyCommand] = [small, large, small]
    assert split(commands) == [[small], [large], [small]]
