"""API keys: their text, what is kept of one, and which of two versions holds. Pure.

A key is ``hookline_`` + id + ``_`` + secret + checksum, in the alphabet of base32 in small letters, so that a scanner
finds one by ``hookline_[a-z2-7]{16}_[a-z2-7]{59}`` and tells by the checksum that it is none. Nobody keeps the text:
see docs/decisions/0032-api-keys.md.
"""

import base64
import hashlib
import hmac
import re
import zlib
from typing import Literal

import msgspec

KeyScope = Literal["read", "write", "cancel", "admin"]
KEY_SCOPES: tuple[KeyScope, ...] = ("read", "write", "cancel", "admin")
ID_BYTES, SECRET_BYTES = 10, 32
SECRETS_MAX = 4  # of one key: the newest, and those before it whose time is not over
_PREFIX = "hookline_"
_TEXT = re.compile(r"hookline_([a-z2-7]{16})_[a-z2-7]{52}([a-z2-7]{7})")


class KeySecret(msgspec.Struct, frozen=True, array_like=True):
    """One text that a key has, as its SHA-256. ``until_ms``: it holds so long; None: as long as the key."""

    hash: bytes
    until_ms: int | None = None


class ApiKey(msgspec.Struct, frozen=True, array_like=True):
    """All that is kept of a key but its id.

    Attributes:
        secrets: the newest first; none of a key that was revoked.
        expires_ms: the key holds until then; None: until it is revoked.
        revision: grows with each change.
        rotated_ms: when its newest text was made, if it is not the first.
    """

    tenant: str
    name: str
    scopes: tuple[KeyScope, ...]
    secrets: tuple[KeySecret, ...]
    created_ms: int
    expires_ms: int | None = None
    revision: int = 1
    rotated_ms: int | None = None
    revoked_ms: int | None = None

    def opens(self, digest: bytes, now_ms: int) -> bool:
        """Does the text with this hash hold now? Takes the same time whichever of its texts is meant."""
        found = False
        for secret in self.secrets:
            is_same = hmac.compare_digest(secret.hash, digest)
            found |= is_same and (secret.until_ms is None or now_ms < secret.until_ms)
        return found and self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)

    def rotated(self, digest: bytes, now_ms: int, until_ms: int) -> "ApiKey":
        """With a new text; those before it hold until ``until_ms``, or their own end if that comes first."""
        kept = [
            KeySecret(secret.hash, until_ms if secret.until_ms is None else min(until_ms, secret.until_ms))
            for secret in self.secrets
        ]
        secrets = (KeySecret(digest), *(secret for secret in kept if (secret.until_ms or 0) > now_ms))
        return msgspec.structs.replace(
            self, secrets=secrets[:SECRETS_MAX], revision=self.revision + 1, rotated_ms=now_ms
        )

    def revoked(self, now_ms: int) -> "ApiKey":
        """Without a text, for ever."""
        return msgspec.structs.replace(self, secrets=(), revision=self.revision + 1, revoked_ms=now_ms)


class KeptApiKey(msgspec.Struct, frozen=True):
    """A key as a state has it. ``used_ms``: about when it was used last; 0: never."""

    id: str
    record: ApiKey
    blob: bytes
    used_ms: int = 0


def key_id(random: bytes) -> str:
    """An id of ``ID_BYTES`` random bytes."""
    return _base32(random)


def key_text(of: str, random: bytes) -> str:
    """The text of the key with this id, of ``SECRET_BYTES`` random bytes."""
    body = f"{_PREFIX}{of}_{_base32(random)}"
    return body + _checksum(body)


def id_in(text: str) -> str | None:
    """The id of the key that this may be the text of; None: it is not a key's text."""
    found = _TEXT.fullmatch(text)
    if found is None or _checksum(text[:-7]) != found[2]:
        return None
    return found[1]


def hash_of(text: str) -> bytes:
    """The hash that is kept. The text has 256 random bits, so there is nothing to try out and no need to be slow."""
    return hashlib.sha256(text.encode()).digest()


def _checksum(body: str) -> str:
    return _base32(zlib.crc32(body.encode()).to_bytes(4, "big"))


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ApiKey).decode


def encode_key(record: ApiKey) -> bytes:
    """The stored form."""
    return _encode(record)


def decode_key(blob: bytes) -> ApiKey:
    """The inverse. Raises msgspec.MsgspecError."""
    return _decode(blob)


def outranks(new: bytes, old: bytes) -> bool:
    """Does a stored form take the place of another one of the same key?

    A revoked one always does; else the one with more changes; else, so that all clusters keep the same one, the larger.
    """
    return _rank(new) > _rank(old)


def _rank(blob: bytes) -> tuple[bool, int, bytes]:
    record = decode_key(blob)
    return record.revoked_ms is not None, record.revision, blob
