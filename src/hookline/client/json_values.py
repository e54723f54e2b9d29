"""Python values as the JSON that a call sends, or an error before anything is sent. Pure.

The encoder is msgspec's, which writes null for NaN and infinity, and a number that JSON does not know for such
a Decimal. Here both are refused, at any depth, and so are other things that would arrive as something else.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from hookline.errors import InvalidRequest

_encode = msgspec.json.Encoder(decimal_format="number").encode  # as text, 1.10 would not be a number any more
_raw = msgspec.json.Decoder(msgspec.Raw)

# What an encoded number that is none leaves behind, and a key that is a number; also found in harmless texts.
_SUSPICIOUS = re.compile(rb"null|nan|inf|\d:", re.IGNORECASE)


def encode_json(body: Mapping[str, Any]) -> bytes:
    """The body of a call. Raises InvalidRequest, naming the place of what cannot be sent."""
    try:
        encoded = _encode(body)
    except RecursionError as error:
        raise InvalidRequest("This cannot be sent as JSON: it is nested too deeply, or contains itself") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(f"This cannot be sent as JSON: {error}") from error
    if _SUSPICIOUS.search(encoded):
        _refuse_what_is_no_number(body)
    return encoded


def check_raw(raw: msgspec.Raw) -> None:
    """Refuse prepared bytes that are not one JSON document: they would spoil the call around them.

    Raises:
        InvalidJson: what the service would say of them.
    """
    from hookline.http_api import strict_json  # noqa: PLC0415  # what is read only has no use for it

    text = bytes(raw)
    strict_json.check_utf8(text)
    strict_json.decode(_raw, text)


def _refuse_what_is_no_number(body: Mapping[str, Any]) -> None:
    waiting: list[tuple[str, Any]] = list(_members("", body))
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, (float, Decimal)):
            if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
                raise InvalidRequest(f"{path} is {value}; JSON has no such number", field=path)
        else:
            waiting.extend(_members(path, value))


def _members(path: str, value: object) -> Iterator[tuple[str, Any]]:
    """The parts of a value, each with its path; none if it has no parts."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            if isinstance(key, (float, Decimal)):
                raise InvalidRequest(f"{path} has the key {key!r}; the keys of JSON are texts", field=path)
            yield _inside(path, key), member
    elif isinstance(value, (list, tuple, set, frozenset)):
        for place, member in enumerate(value):
            yield _inside(path, place), member
    elif isinstance(value, Enum):
        yield path, value.value
    else:
        for name in _attributes(value):
            yield _inside(path, name), getattr(value, name)


def _attributes(value: object) -> Iterable[str]:
    """The names of what the encoder writes of a Struct, a dataclass or an attrs class."""
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if is_dataclass(value):
        return [field.name for field in fields(value)]
    return [attribute.name for attribute in getattr(type(value), "__attrs_attrs__", ())]


def _inside(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
