"""Ids: minting with a shard hint, reading the hint back, and which ids a client may choose. Pure."""

import re

from hookline.errors import InvalidId
from hookline.protocol.limits import ID_CHARS_MAX, KEY_CHARS_MAX

_MINTED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-(0|[1-9][0-9]{0,8})")
# No dot: the text that is signed is id.timestamp.body, and a dot in the id would make it ambiguous.
_CHOSEN = re.compile(r"[A-Za-z0-9_:-]+")


def uuid_text(number: int) -> str:
    """The 8-4-4-4-12 form of a 128-bit number."""
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def mint_id(now_ms: int, random_bytes: bytes, shard: int) -> str:
    """A UUIDv7 (RFC 9562) of ``now_ms`` and 10 random bytes, followed by ``-`` and the shard."""
    tail = int.from_bytes(random_bytes[:10], "big")
    number = (now_ms << 80 | tail) & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return f"{uuid_text(number)}-{shard}"


def shard_hint(job_id: str) -> int | None:
    """The shard a well-formed minted id names, else None (an id that merely ends in ``-2`` is not a hint)."""
    match = _MINTED.fullmatch(job_id)
    return int(match[1]) if match else None


def check_id(job_id: str, field: str = "id") -> str:
    """Return the id, or raise InvalidId."""
    if not job_id or len(job_id) > ID_CHARS_MAX or not _CHOSEN.fullmatch(job_id):
        raise InvalidId(field=field)
    return job_id


def check_key(key: str) -> str:
    """Return the idempotency key (1 to 255 visible ASCII characters), or raise InvalidId."""
    if not key or len(key) > KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        raise InvalidId(
            f"an Idempotency-Key has 1 to {KEY_CHARS_MAX} printable ASCII characters; this one has {len(key)}",
            field="Idempotency-Key",
        )
    return key
