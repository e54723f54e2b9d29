"""Reads the ``Prefer`` header, by which a client says what it would like and gets along without (RFC 7240). Pure."""

import re
from collections.abc import Iterable

from hookline.http_api.messages import ApiRequest, HeaderPair

PREFER = b"prefer"
APPLIED_MINIMAL: HeaderPair = (b"preference-applied", b"return=minimal")

# RFC 7240 section 2, with the words of RFC 7230. Possessive, so that no text takes long.
_SPACE = rb"[ \t]*+"
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"(?:[^"\\]|\\.)*+"'
_WORD = rb"(?:" + _TOKEN + rb"|" + _QUOTED + rb")"
_PARAMETER = _TOKEN + rb"(?:" + _SPACE + rb"=" + _SPACE + _WORD + rb"?)?"
_PREFERENCE = re.compile(
    rb"(?P<name>" + _TOKEN + rb")(?:" + _SPACE + rb"=" + _SPACE + rb"(?P<value>" + _WORD + rb")?)?"
    rb"(?:" + _SPACE + rb";" + _SPACE + rb"(?:" + _PARAMETER + rb")?)*+" + _SPACE
)
_ITEM = re.compile(rb'(?:[^",]++|"(?:[^"\\]|\\.?)*+"?)++')  # up to a comma that is not in quotes; quotes may stay open
_ESCAPED = re.compile(rb"\\(.)")


def wants_minimal(request: ApiRequest) -> bool:
    """``Prefer: return=minimal``: ids and states will do."""
    given = [value for name, value in request.headers if name == PREFER]
    return bool(given) and preferences(given).get(b"return", b"").lower() == b"minimal"


def preferences(lines: Iterable[bytes]) -> dict[bytes, bytes]:
    """The preferences by name in lower case; of those with one name the first. What is malformed is left out.

    Args:
        lines: the values of all ``Prefer`` headers, in their order.

    Returns:
        Values without quotes; empty where there is none, which means the same. Parameters are left out.
    """
    found: dict[bytes, bytes] = {}
    for line in lines:
        for item in _ITEM.findall(line):
            preference = _PREFERENCE.fullmatch(item.strip(b" \t"))
            if preference is not None:
                found.setdefault(preference["name"].lower(), _plain(preference["value"] or b""))
    return found


def _plain(word: bytes) -> bytes:
    return _ESCAPED.sub(rb"\1", word[1:-1]) if word.startswith(b'"') else word
