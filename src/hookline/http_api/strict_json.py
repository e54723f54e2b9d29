"""Reading JSON without leniency: what could be read in two ways is refused, with the place where it went wrong. Pure.

msgspec is strict about the grammar, also in parts it skips. Added here: the whole body is UTF-8, and no object of
ours names a field twice.
"""

import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from hookline.errors import InvalidJson, InvalidRequest, PayloadTooLarge, UnknownField
from hookline.protocol import http
from hookline.protocol.limits import ENVELOPE_BYTES_MAX

T = TypeVar("T")

_objects = msgspec.json.Decoder(dict[str, Raw])
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `(.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*?)`(?: - at `(.*)`)?", re.DOTALL)
_PLACED = re.compile(r"(.*) - at `(.*)`", re.DOTALL)
_PAYLOAD = ("payload", "body_base64")
_SHOWN_CHARS = 80
_SEARCHED_BYTES = 64 * 1024
_DECODED_BYTES = 256 * 1024
_utf8 = codecs.getincrementaldecoder("utf-8")
READ_ONLY = frozenset({*http.Job.__struct_fields__, *http.Schedule.__struct_fields__})


def check_utf8(body: bytes) -> None:
    """Raise InvalidJson unless the body is UTF-8 and starts without a byte order mark."""
    if body.isascii():  # as most are: fifty times as quick
        return
    for _ in utf8_steps(body):
        pass


def utf8_steps(body: bytes) -> Iterator[None]:
    """The same in short steps."""
    decoder = _utf8()
    for begin in range(0, len(body), _DECODED_BYTES):  # not at once: a large one would be there twice
        part = body[begin : begin + _DECODED_BYTES]
        begun = len(decoder.getstate()[0])  # of a character that the part before ended in
        try:
            decoder.decode(part, final=begin + len(part) == len(body))
        except UnicodeDecodeError as error:
            at = begin - begun + error.start
            raise InvalidJson(f"the body is not UTF-8: byte {at}", position=at) from error
        yield
    if body.startswith(b"\xef\xbb\xbf"):
        raise InvalidJson("the body starts with a byte order mark; leave it out", position=0)


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes | Raw) -> T:
    """Decode, with msgspec's errors turned into ours.

    Raises:
        InvalidJson: not JSON, or nested too deeply.
        UnknownField: a field that this call does not know or that is read-only.
        InvalidRequest: a field is missing or of the wrong type.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        _explain(str(error), decoder.type)
    except UnicodeDecodeError as error:
        raise InvalidJson("a text in the body is not UTF-8") from error
    except msgspec.DecodeError as error:
        _explain_grammar(str(error))
    except RecursionError as error:
        raise InvalidJson("the body is nested too deeply") from error


def parts_of(request: type[msgspec.Struct]) -> "msgspec.json.Decoder[Any]":
    """A decoder that finds the fields of such a request, and reads none of them."""
    fields: list[tuple[str, Any, Any]] = [(name, Raw | UnsetType, UNSET) for name in request.__struct_fields__]
    return msgspec.json.Decoder(msgspec.defstruct(f"{request.__name__}Parts", fields, forbid_unknown_fields=True))


def check_envelope(parts: "msgspec.json.Decoder[Any]", body: bytes | Raw) -> None:
    """Raise PayloadTooLarge when what is not a payload is large: reading it could take long, and make many objects.

    Args:
        parts: from ``parts_of``.
        body: of a request for a job.
    """
    if memoryview(body).nbytes <= ENVELOPE_BYTES_MAX:
        return
    found = decode(parts, body)
    size = sum(
        memoryview(value).nbytes
        for name in found.__struct_fields__
        if name not in _PAYLOAD and (value := getattr(found, name)) is not UNSET
    )
    if size > ENVELOPE_BYTES_MAX:
        raise PayloadTooLarge(
            f"all of a job but its payload may have at most {ENVELOPE_BYTES_MAX} bytes; this has {size}",
            limit=ENVELOPE_BYTES_MAX,
        )


def unique_fields(body: bytes | Raw) -> dict[str, Raw]:
    """The fields of an object whose names are known to be ours. Raises InvalidJson when one is there twice.

    A decoder keeps the last of two equal names, so the colons of the first one, at least one, would be missing. Our
    names have no colon themselves, which makes the count exact.
    """
    text = bytes(body)
    fields = decode(_objects, text)
    colons = len(fields)
    for value in fields.values():
        colons += bytes(value).count(b":")
    if text.count(b":") != colons:
        _refuse_duplicate(text)
    return fields


def check_unique_inside(found: dict[str, Raw], job: http.JobChanges) -> None:
    """The same for what a job's fields hold, which ``unique_fields`` found; a payload is the receiver's business.

    It takes long for very many names: ask when the sizes are known to be small. Raises InvalidJson.
    """
    if job.headers is not UNSET:
        check_unique_names(found["headers"])
    if isinstance(job.labels, dict):
        check_unique_names(found["labels"])
    if job.retry is not UNSET:
        unique_fields(found["retry"])


def check_unique_names(raw: Raw) -> None:
    """The same for an object whose names the user chooses, colons and escapes included."""
    text = bytes(raw)
    if b"\\" in text:
        json.loads(text, object_pairs_hook=_pairs, parse_int=str, parse_float=str)
        return
    names = decode(_objects, text)
    if text.count(b":") != len(names) + sum(
        name.count(":") + bytes(value).count(b":") for name, value in names.items()
    ):
        _refuse_duplicate(text)


def _refuse_duplicate(text: bytes) -> NoReturn:
    if len(text) <= _SEARCHED_BYTES:  # to find the name costs as much as to read all
        json.loads(text, object_pairs_hook=_pairs, parse_int=str, parse_float=str)
    raise InvalidJson("a field is there twice")


def _pairs(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise InvalidJson(f"the field {twice[:_SHOWN_CHARS]!r} is there twice", field=twice[:_SHOWN_CHARS])
    return found


def _explain(message: str, request: Any) -> NoReturn:
    from hookline.http_api.json_hints import known_values, meant_field  # noqa: PLC0415 - only a mistake needs it

    if unknown := _UNKNOWN.fullmatch(message):
        name = unknown[1][:_SHOWN_CHARS]
        field = _field(unknown[2], name)
        if name in READ_ONLY and unknown[2] is None:
            raise UnknownField(f"the field {name!r} is read-only; remove it", field=field)
        meant = meant_field(request, unknown[2], name)
        cure = f"did you mean {meant!r}?" if meant else "remove it"
        raise UnknownField(f"there is no field {name!r} here; {cure}", field=field)
    if missing := _MISSING.fullmatch(message):
        raise InvalidRequest(f"the field {missing[1]!r} is missing", field=_field(missing[2], missing[1]))
    if placed := _PLACED.fullmatch(message):
        field = _field(placed[2], None)
        if values := known_values(request, placed[2]):
            wrong = placed[1].removeprefix("Invalid enum value ")
            takes = " or ".join(filter(None, (", ".join(values[:-1]), values[-1])))
            raise InvalidRequest(f"{field} takes {takes}, not {_lower(wrong)}", field=field)
        raise InvalidRequest(_lower(placed[1]), field=field)
    raise InvalidRequest(_lower(message))


def _explain_grammar(message: str) -> NoReturn:
    position = re.search(r"\(byte (\d+)\)", message)
    detail = "the body ends too early, or has half a surrogate pair" if "truncated" in message else _lower(message)
    if position is None:
        raise InvalidJson(detail)
    raise InvalidJson(detail, position=int(position[1]))


def _field(path: str | None, name: str | None) -> str | None:
    parts = [part for part in (path or "").removeprefix("$").split(".") if part]
    return ".".join(parts + ([name] if name else [])) or None


def _lower(text: str) -> str:
    """Without a capital letter at its begin, unless that is an abbreviation's."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
