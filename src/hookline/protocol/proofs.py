"""Proves to a process of ours that a call comes from another one: one header, made and read here. Pure.

It is ``hookline-proof: KEY:TIME:NONCE:BODY:MAC``, all but the time in hex:

    KEY    4 bytes   which of the keys that both may have
    TIME             milliseconds since 1970 UTC, by the caller's clock
    NONCE  16 bytes  never used twice
    BODY   32 bytes  SHA-256 of the body
    MAC    32 bytes  HMAC-SHA256 of all that, the method, the target and every header whose name begins with hookline-

The digest of the body is a part of it, so whoever has no key is refused by the head of a call alone.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

PROOF: Final = b"hookline-proof"
SLACK_MS: Final = 300_000  # by so much the two clocks may differ; for so long a proof holds
NONCE_BYTES: Final = 16
NO_BODY: Final = hashlib.sha256(b"").hexdigest().encode()

_OURS: Final = b"hookline-"
_LABEL: Final = b"hookline calls between our processes 1"
_CLOCK_LABEL: Final = b"hookline clock 1"
_FORM: Final = re.compile(rb"([0-9a-f]{8}):([0-9]{1,16}):([0-9a-f]{32}):([0-9a-f]{64}):([0-9a-f]{64})")

NamedValues = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class ProofKey:
    """A key that several processes derive from a secret which they share.

    Attributes:
        id: tells it from others; says nothing about it.
    """

    id: bytes
    secret: bytes = field(repr=False)


def proof_key(shared: bytes) -> ProofKey:
    """The key that follows from a shared secret, which does not follow from the key (HKDF-SHA256, RFC 5869)."""
    extracted = hmac.digest(bytes(32), shared, "sha256")
    secret = hmac.digest(extracted, _LABEL + b"\x01", "sha256")
    return ProofKey(hashlib.sha256(secret).hexdigest()[:8].encode(), secret)


class Proof(NamedTuple):
    """A header taken apart. Nothing of it is believed before ``is_of``."""

    key: bytes
    time_ms: int
    nonce: bytes
    body: bytes
    mac: bytes

    def is_of(self, key: ProofKey, method: str, target: bytes, headers: NamedValues) -> bool:
        """Was it made with this key, for this call?"""
        return hmac.compare_digest(self.mac, _mac(key, method, target, headers, self._said()))

    def _said(self) -> bytes:
        return b"%b:%d:%b:%b" % self[:4]


def prove(
    key: ProofKey, method: str, target: bytes, headers: NamedValues, *, body: bytes, time_ms: int, nonce: bytes
) -> bytes:
    """The value of the header.

    Args:
        key: one that the other process has.
        method: as it is sent.
        target: path and query, likewise.
        headers: of the call; those of others than us do not count.
        body: its SHA-256, in hex.
        time_ms: now.
        nonce: 16 bytes that were never used before.
    """
    said = b"%b:%d:%b:%b" % (key.id, time_ms, nonce.hex().encode(), body)
    return said + b":" + _mac(key, method, target, headers, said)


def read_proof(values: Sequence[bytes]) -> Proof | None:
    """The proof in the one header of that name; None: that is not what is there."""
    found = _FORM.fullmatch(values[0]) if len(values) == 1 else None
    return None if found is None else Proof(found[1], int(found[2]), found[3], found[4], found[5])


def clock_word(key: ProofKey, nonce: bytes, time_ms: int) -> str:
    """Shows to the one who made a proof with this nonce that a process of ours says what its clock says."""
    return hmac.digest(key.secret, b"%b\n%b\n%d" % (_CLOCK_LABEL, nonce, time_ms), "sha256").hex()


def _mac(key: ProofKey, method: str, target: bytes, headers: NamedValues, said: bytes) -> bytes:
    """No part has a line break, so what is joined can be taken apart in one way only."""
    ours = sorted(b"%b:%b" % pair for pair in headers if pair[0].startswith(_OURS) and pair[0] != PROOF)
    lines = (_LABEL, method.encode(), target, *ours, said)
    return hmac.digest(key.secret, b"\n".join(lines), "sha256").hex().encode()
