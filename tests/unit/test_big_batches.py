"""A large batch is taken apart as a decoder would, in steps, and a hostile one is left early."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline.errors import BatchTooLarge, InvalidJson
from hookline.http_api import big_batches
from hookline.http_api.big_batches import items_in_steps


def items(body: bytes, most: int = 1_000) -> tuple[list[bytes], int]:
    """(the items, how many steps it took)."""
    steps, count = items_in_steps(body, most), 0
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value, count
        count += 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(values, max_size=10), st.booleans(), st.booleans(), st.sampled_from([2, 7, 2**20]))
def test_each_item_is_what_it_was(batch: list[object], is_wrapped: bool, is_ascii: bool, step: int) -> None:
    body = json.dumps({"jobs": batch} if is_wrapped else batch, indent=1, ensure_ascii=is_ascii).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(big_batches, "BYTES_A_STEP", step)
        found, _ = items(body)
    assert [json.loads(item) for item in found] == batch


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"1",
        b"{}",
        b"[",
        b"[1",
        b"[1,",
        b"[1,]",
        b"[,1]",
        b"[1,,2]",
        b"[1] 2",
        b"[1]]",
        b"[1]}",
        b'["',
        b'["x',
        b'["x\\',
        b'["x\\"]',
        b'{"jobs":[1]',
        b'{"jobs":[1]]',
        b'{"jobs":[1],"jobs":[2]}',
        b'{"other":[1]}',
        b'{"jobs":1}',
        b'{"jobs":[1]}}',
    ],
)
def test_what_is_no_batch(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        items(body)


@pytest.mark.parametrize("body", [b"[" + b"1," * 10**6, b"[" + b"{}," * 10**6, b'{"jobs":[' + b"[]," * 10**6])
def test_one_too_many_is_the_end(body: bytes) -> None:
    with pytest.raises(BatchTooLarge, match="more than 3"):
        items(body, 3)
    assert items(b"[1,2,3]", 3) == ([b"1", b"2", b"3"], 0)


@pytest.mark.parametrize(
    "body",
    [b"[[" + b"1," * 500_000 + b"1]]", b'["' + b"x" * 2**20 + b'"]', b'["' + b'\\"' * 2**19 + b'"]'],
    ids=["tokens", "text", "escapes"],
)
def test_others_have_turns(body: bytes) -> None:
    found, steps = items(body)
    assert found == [body[1:-1]]
    assert steps >= 3
