"""The text of API keys, what is kept of one, and which of two versions holds."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hookline.node.state_machine import apply_keys
from hookline.node.state_machine.machine import StateMachine, open_state
from hookline.protocol import commands as c
from hookline.protocol.api_keys import (
    SECRETS_MAX,
    ApiKey,
    KeySecret,
    encode_key,
    hash_of,
    id_in,
    key_id,
    key_text,
    outranks,
)
from tests.node_parts import T0, apply

DAY_MS = 86_400_000
ID = key_id(bytes(10))
KEY = key_text(ID, bytes(range(32)))
RECORD = ApiKey("", "ci", ("read",), (KeySecret(hash_of(KEY)),), T0)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[StateMachine]:
    database = open_state(tmp_path / "state.db", durable=False)
    yield StateMachine(database)
    database.close()


def put(*keys: tuple[str, ApiKey]) -> c.PutApiKeys:
    return c.PutApiKeys(tuple((key, encode_key(record)) for key, record in keys))


# --- the text ---------------------------------------------------------------------------------------------------------


def test_a_key_is_recognised_by_its_prefix_and_checksum() -> None:
    assert KEY == "hookline_aaaaaaaaaaaaaaaa_aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypqxysrgly"
    assert re.fullmatch(r"hookline_[a-z2-7]{16}_[a-z2-7]{59}", KEY)
    assert id_in(KEY) == ID


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=32, max_size=32))
def test_the_id_of_any_key_is_found_in_it(of: bytes, secret: bytes) -> None:
    assert id_in(key_text(key_id(of), secret)) == key_id(of)


@given(st.integers(0, len(KEY) - 1), st.characters())
def test_a_key_with_one_character_changed_is_not_a_key(at: int, char: str) -> None:
    assert (id_in(KEY[:at] + char + KEY[at + 1 :]) == ID) == (KEY[at] == char)


@pytest.mark.parametrize("text", ["", KEY + "\n", KEY.upper(), KEY[1:], f"{KEY}a", "hookline_", "é"])
def test_other_texts_are_not_keys(text: str) -> None:
    assert id_in(text) is None


# --- what holds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "at_ms", "does_open"),
    [
        (RECORD, T0 + DAY_MS, True),
        (replace(RECORD, expires_ms=T0 + 1), T0, True),
        (replace(RECORD, expires_ms=T0 + 1), T0 + 1, False),
        (RECORD.revoked(T0), T0, False),
        (replace(RECORD, revoked_ms=T0), T0, False),
        (RECORD.rotated(b"new", T0, T0 + 5), T0 + 4, True),
        (RECORD.rotated(b"new", T0, T0 + 5), T0 + 5, False),
        (RECORD.rotated(b"new", T0, T0), T0, False),
        (replace(RECORD, secrets=(KeySecret(b"x"),)), T0, False),
        (replace(RECORD, secrets=(KeySecret(b"x"), KeySecret(hash_of(KEY), T0 + 1))), T0, True),
    ],
)
def test_a_text_holds_until_its_end_and_the_keys(record: ApiKey, at_ms: int, does_open: bool) -> None:
    assert record.opens(hash_of(KEY), at_ms) is does_open


def test_each_rotation_keeps_the_end_of_those_before_and_few_of_them() -> None:
    record = RECORD.rotated(b"1", T0, T0 + 10).rotated(b"2", T0 + 1, T0 + 99)
    assert record.secrets == (KeySecret(b"2"), KeySecret(b"1", T0 + 99), KeySecret(hash_of(KEY), T0 + 10))
    assert record.rotated(b"3", T0 + 10, T0 + 99).secrets[-1] == KeySecret(b"1", T0 + 99), "the first is over"
    for number in range(9):
        record = record.rotated(b"%d" % number, T0 + 2, T0 + 99)
    assert len(record.secrets) == SECRETS_MAX
    assert (record.secrets[0], record.revision) == (KeySecret(b"8"), 12)


versions = st.builds(
    ApiKey,
    st.just(""),
    st.sampled_from(["a", "b"]),
    st.just(("read",)),
    st.just(()),
    st.just(T0),
    revision=st.integers(1, 3),
    revoked_ms=st.none() | st.integers(1, 2),
).map(encode_key)


@given(versions, versions, versions)
def test_of_two_versions_the_same_holds_everywhere(one: bytes, two: bytes, three: bytes) -> None:
    assert (outranks(one, two) + outranks(two, one)) == (one != two)
    if outranks(one, two) and outranks(two, three):
        assert outranks(one, three)


def test_a_revoked_key_stays_so() -> None:
    assert outranks(encode_key(RECORD.revoked(T0)), encode_key(replace(RECORD, revision=99)))


# --- apply ------------------------------------------------------------------------------------------------------------


def test_the_newest_of_a_key_is_kept_in_the_state_and_in_memory(machine: StateMachine) -> None:
    newer = replace(RECORD, revision=2)
    assert apply(machine, put((ID, RECORD), ("b", RECORD)), put((ID, newer)), put((ID, RECORD))) == [
        *(c.Changed(2), c.Changed(1), c.Changed(0)),
    ]
    for it in (machine, StateMachine(machine.database)):
        assert {key: it.tables.api_keys.by_id[key].record for key in (ID, "b")} == {ID: newer, "b": RECORD}
        assert it.tables.api_keys.version == machine.tables.api_keys.version
    before = machine.tables.api_keys.version
    assert apply(machine, c.TouchApiKeys(((ID, T0), (ID, T0 - 1), ("none", T0)))) == [c.Changed(1)]
    assert machine.tables.api_keys.by_id[ID].used_ms == T0
    assert machine.tables.api_keys.version == before, "to have been used does not make it another key"
    apply(machine, put((ID, newer.revoked(T0))))
    assert machine.tables.api_keys.by_id[ID].used_ms == T0
    assert machine.tables.api_keys.version != before


def test_what_cannot_be_read_is_refused_and_forgotten(machine: StateMachine) -> None:
    assert apply(machine, c.PutApiKeys((("a", b"?"),)), put(("b", RECORD))) == [c.Refused("internal"), c.Changed(1)]
    assert list(machine.tables.api_keys.by_id) == ["b"]


def test_there_is_room_for_so_many_and_what_ended_long_ago_makes_room(
    machine: StateMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_keys, "API_KEYS_MAX", 3)
    revoked, expired = RECORD.revoked(T0 - 31 * DAY_MS), replace(RECORD, expires_ms=T0 - 32 * DAY_MS)
    assert apply(machine, put(("a", RECORD), ("b", revoked), ("c", expired))) == [c.Changed(3)]
    assert apply(machine, put(("a", replace(RECORD, revision=2)))) == [c.Changed(1)], "is not a new one"
    for new, left in (("d", "abd"), ("e", "ade")):
        assert apply(machine, put((new, RECORD))) == [c.Changed(1)]
        assert "".join(sorted(machine.tables.api_keys.by_id)) == left
    apply(machine, put(("a", RECORD.revoked(T0 - 29 * DAY_MS))))
    assert apply(machine, put(("f", RECORD))) == [c.Refused("too_many_keys")]
