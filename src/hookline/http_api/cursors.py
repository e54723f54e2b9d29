"""Cursors of lists: where the next page starts, tied by a checksum to the list it belongs to. Pure.

The checksum is not a secret. It keeps a cursor that was cut, mistyped or taken from another filter from silently giving
the wrong page.
"""

import base64
import hashlib

from hookline.errors import InvalidCursor

_NUMBER_CHARS_MAX = 19
_CHECK_BYTES = 6
_CURSOR_CHARS_MAX = 400


def encode_cursor(position: str, scope: str) -> str:
    """Opaque text for ``position`` within the list named by ``scope``."""
    raw = position.encode()
    return base64.urlsafe_b64encode(_check(raw, scope) + raw).rstrip(b"=").decode()


def decode_cursor(cursor: str, scope: str, chars_max: int = _CURSOR_CHARS_MAX) -> str:
    """The position. Raises InvalidCursor unless ``encode_cursor`` made it for the same scope."""
    try:
        if len(cursor) > chars_max:
            raise InvalidCursor(field="cursor")
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = raw[_CHECK_BYTES:].decode()
    except ValueError as error:
        raise InvalidCursor(field="cursor") from error
    if encode_cursor(position, scope) != cursor:
        raise InvalidCursor(
            "the cursor is damaged or belongs to another filter; start again without it", field="cursor"
        )
    return position


def decode_number(cursor: str, scope: str) -> int:
    """A position that is a number. Its check is not a secret, so anybody can make a cursor of anything."""
    position = decode_cursor(cursor, scope)
    if not (position.isascii() and position.isdigit() and len(position) <= _NUMBER_CHARS_MAX):
        raise InvalidCursor(field="cursor")
    return int(position)


def _check(position: bytes, scope: str) -> bytes:
    return hashlib.blake2b(
        position + b"\x00" + scope.encode(), digest_size=_CHECK_BYTES, person=b"hookline-cursor"
    ).digest()
