"""Ids: minted ones carry the shard, chosen ones never do by accident."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.errors import InvalidId
from hookline.protocol.ids import check_id, check_key, mint_id, shard_hint, uuid_text
from hookline.protocol.limits import ID_CHARS_MAX, KEY_CHARS_MAX

MINTED = "0192f0c1-5e6f-7abc-8def-0123456789ab"


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10), st.integers(0, 999_999_999))
def test_a_minted_id_is_a_uuid_7_of_its_time_and_names_its_shard(now_ms: int, random: bytes, shard: int) -> None:
    job_id = mint_id(now_ms, random, shard)
    parsed = uuid.UUID(job_id[:36])
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == now_ms
    assert shard_hint(job_id) == shard
    assert check_id(job_id) == job_id


@given(st.integers(0, 2**47), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ids_sort_by_time(now_ms: int, one: bytes, other: bytes) -> None:
    assert mint_id(now_ms, one, 0)[:36] < mint_id(now_ms + 1, other, 0)[:36]


def test_all_random_bits_are_used() -> None:
    assert mint_id(1, bytes(10), 0) != mint_id(1, bytes(9) + b"\x01", 0)
    assert mint_id(1, b"\x0f\xff" + bytes(8), 0) == "00000000-0001-7fff-8000-000000000000-0"


@pytest.mark.parametrize(
    "job_id",
    [
        MINTED,
        f"{MINTED}-",
        f"{MINTED}-02",
        f"{MINTED}-x",
        f"{MINTED}-1-2",
        f"{MINTED}-1234567890",
        f"{MINTED}-2\n",
        f"{MINTED}-\u0662",
        f"x{MINTED}-2",
        f"{MINTED.upper()}-2",
        "order-2",
        "2",
        "0192f0c1-5e6f-9abc-8def-0123456789ab-2",
        "0192f0c1-5e6f-7abc-cdef-0123456789ab-2",
        "0192f0c15e6f7abc8def0123456789ab-2",
    ],
)
def test_only_a_well_formed_minted_id_gives_a_hint(job_id: str) -> None:
    assert shard_hint(job_id) is None


@pytest.mark.parametrize("shard", [0, 2, 10, 999_999_999])
def test_a_hint_is_read_from_any_uuid(shard: int) -> None:
    assert shard_hint(f"{MINTED}-{shard}") == shard


@pytest.mark.parametrize("job_id", ["a", "A_b:c-9", "x" * ID_CHARS_MAX])
def test_chosen_ids(job_id: str) -> None:
    assert check_id(job_id) == job_id


@pytest.mark.parametrize(
    "job_id", ["", "x" * (ID_CHARS_MAX + 1), "../x", "a.b", "a b", "a\n", "ä", "%2e", "a/b", "x\0", "x" * 10_000]
)
def test_other_ids_are_refused_with_the_field_named(job_id: str) -> None:
    with pytest.raises(InvalidId) as caught:
        check_id(job_id, field="schedule")
    assert caught.value.field == "schedule"


@pytest.mark.parametrize("key", ["k", "a b!~", "x" * KEY_CHARS_MAX])
def test_keys(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "x" * (KEY_CHARS_MAX + 1), "ä", "a\n", "a\0", "\x7f"])
def test_other_keys_are_refused(key: str) -> None:
    with pytest.raises(InvalidId) as caught:
        check_key(key)
    assert caught.value.field == "Idempotency-Key"


def test_uuid_text() -> None:
    assert re.fullmatch(r"0{8}-0{4}-0{4}-0{4}-0{11}1", uuid_text(1))
