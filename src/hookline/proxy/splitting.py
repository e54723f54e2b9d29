"""The ids in request bodies: read without reading the rest, put in where there is none, batches split by them. Pure."""

from collections.abc import Callable, Hashable, Iterable
from io import BytesIO
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from hookline.protocol.http import BatchRequest

H = TypeVar("H", bound=Hashable)

_WHITE = b" \t\r\n"


class _Named(Struct):
    id: str | UnsetType = UNSET


class _Dedupable(Struct):
    deduplicated: bool = False


class _Result(Struct):
    status: int
    job: _Dedupable | None = None


_named = msgspec.json.Decoder(_Named)
_batch = msgspec.json.Decoder(BatchRequest)
_list = msgspec.json.Decoder(list[Raw])
_fields = msgspec.json.Decoder(dict[str, Raw])
_dedupable = msgspec.json.Decoder(_Dedupable)
_result = msgspec.json.Decoder(_Result)
_encode = msgspec.json.Encoder().encode


def given_id(body: bytes | Raw) -> str | None:
    """The ``id`` of a JSON object; None when it has none. Raises ValueError when the body is nothing of that kind."""
    try:
        found = _named.decode(body).id
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("no object with an id, or without") from error
    return None if found is UNSET else found


def with_id(body: bytes | Raw, new_id: str) -> bytes:
    """The body, for which ``given_id`` is None, with the id as its first field. The rest stays byte for byte."""
    rest = bytes(body).lstrip(_WHITE)[1:]
    comma = b"" if rest.lstrip(_WHITE).startswith(b"}") else b","
    return b'{"id":"%s"%s%s' % (new_id.encode(), comma, rest)


def without_deduplicated(body: bytes) -> bytes | None:
    """The object without its true ``deduplicated``; None when it has none."""
    try:
        if not _dedupable.decode(body).deduplicated:
            return None
        fields = _fields.decode(body)
    except msgspec.DecodeError:
        return None
    del fields["deduplicated"]
    return _encode(fields)


def as_new_result(result: Raw) -> Raw:
    """An item of a batch's answer: known already, because we sent it twice, is new to the client, who sent it once."""
    try:
        read = _result.decode(result)
    except msgspec.DecodeError:
        return result
    if read.status != 200 or read.job is None or not read.job.deduplicated:
        return result
    fields = _fields.decode(result)
    job = _fields.decode(fields["job"])
    del job["deduplicated"]
    return Raw(_encode({**fields, "status": 201, "job": job}))


def batch_items(body: bytes) -> list[Raw]:
    """The jobs of a batch, which is an object or a bare list. Raises ValueError when the body is neither."""
    try:
        if body.lstrip(_WHITE).startswith(b"["):
            return _list.decode(body)
        return _batch.decode(body).jobs
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("no batch") from error


def batch_body(items: Iterable[bytes | Raw]) -> bytes:
    """A batch of these jobs, at least one, each as it is. It may be large, so nothing is copied twice."""
    body = BytesIO()
    before = b'{"jobs":['
    for item in items:
        body.write(before)
        body.write(item)
        before = b","
    body.write(b"]}")
    return body.getvalue()


def split(positions: Iterable[int], place: Callable[[int], H]) -> dict[H, list[int]]:
    """The positions by where ``place`` puts them, their order kept."""
    sides: dict[H, list[int]] = {}
    for position in positions:
        sides.setdefault(place(position), []).append(position)
    return sides
