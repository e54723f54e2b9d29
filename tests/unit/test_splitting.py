"""Ids in bodies: read, put in, and batches split by them."""

import json

import msgspec
import pytest
from msgspec import Raw

from hookline.proxy import splitting


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"id":"a","url":"u"}', "a"),
        (b'{"url":"u","payload":{"id":"inner"}}', None),
        (b" \n{ } ", None),
        (b'{"payload":1,"id":"\\u0061b"}', "ab"),
    ],
)
def test_the_id_of_an_object_is_read(body: bytes, found: str | None) -> None:
    assert splitting.given_id(body) == found


@pytest.mark.parametrize("body", [b"", b"[]", b'{"id":1}', b'{"id":null}', b'{"id":"a"', b'{"url":"u"} x', b"[" * 9999])
def test_what_is_no_such_object_is_left_to_a_node(body: bytes) -> None:
    with pytest.raises(ValueError, match="no object"):
        splitting.given_id(body)


@pytest.mark.parametrize("body", [b'{"url":"u","payload": 1.00 }', b' {"url":"u"}\n', b"{}", b" { } "])
def test_an_id_is_put_first_and_the_rest_stays(body: bytes) -> None:
    changed = splitting.with_id(body, "x-1")
    assert json.loads(changed) == {"id": "x-1"} | json.loads(body)
    assert changed.endswith(body.lstrip()[1:])


def test_our_own_repetition_looks_like_the_first_time() -> None:
    assert (
        splitting.without_deduplicated(b'{"id":"a","payload":1.00,"deduplicated":true}') == b'{"id":"a","payload":1.00}'
    )
    assert splitting.without_deduplicated(b'{"id":"a"}') is None
    known = Raw(b'{"status":200,"job":{"id":"a","deduplicated":true}}')
    assert msgspec.json.decode(splitting.as_new_result(known)) == {"status": 201, "job": {"id": "a"}}
    for other in (b'{"status":201,"job":{"id":"a"}}', b'{"status":422,"error":{"code":"x"}}'):
        assert bytes(splitting.as_new_result(Raw(other))) == other


def test_a_batch_is_an_object_or_a_list() -> None:
    assert [bytes(item) for item in splitting.batch_items(b'{"jobs":[{"id":"a"}, 2]}')] == [b'{"id":"a"}', b"2"]
    assert [bytes(item) for item in splitting.batch_items(b' [{"id":"a"}]')] == [b'{"id":"a"}']
    for other in (b"{}", b'{"jobs":1}', b'{"jobs":[],"x":1}', b"1", b""):
        with pytest.raises(ValueError, match="no batch"):
            splitting.batch_items(other)
    assert splitting.batch_body([b'{"a":1}', Raw(b"2")]) == b'{"jobs":[{"a":1},2]}'


def test_positions_keep_their_order_on_each_side() -> None:
    assert splitting.split([4, 1, 3, 2], lambda position: position % 2) == {0: [4, 2], 1: [1, 3]}
