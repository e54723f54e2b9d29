"""Proofs as processes of ours make them, and as somebody else might."""

import os
from collections.abc import Iterable
from hashlib import sha256

from hookline.clock import SystemClock
from hookline.protocol.proofs import NONCE_BYTES, PROOF, ProofKey, prove


def proof_of(
    key: ProofKey,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    time_ms: int | None = None,
    nonce: bytes | None = None,
) -> dict[str, str]:
    """The header that proves this call; made now, unless it is to have another time."""
    value = prove(
        key,
        method,
        target.encode(),
        headers,
        body=sha256(body).hexdigest().encode(),
        time_ms=SystemClock().wall_ms() if time_ms is None else time_ms,
        nonce=nonce or os.urandom(NONCE_BYTES),
    )
    return {PROOF.decode(): value.decode()}
