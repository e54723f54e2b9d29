"""Encrypts what jobs send and what receivers answer: before it enters the log, and back where it is used.

What is sealed: the headers and the payload of a job, and the body of a response. What apply has to know of a job stays
readable: url, labels, times, policy.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from hookline.errors import SecretKeyMissing, StateDamaged
from hookline.node.vault import NONCE_BYTES
from hookline.protocol.jobs import JobSpec, Work, encode_spec, work_of

# Before a sealed response. A receiver may answer with it, too: then it is shown as one that cannot be opened.
_SEALED_RESPONSE: Final = b"\x00hookline sealed\x00"

_encode = msgspec.msgpack.encode
_content = msgspec.msgpack.Decoder(tuple[tuple[tuple[str, str], ...], bytes])


class ContentSealer(Protocol):
    """A ``Vault``, as far as contents need it."""

    def seal_bytes(self, plaintext: bytes, *, nonce: bytes) -> bytes:
        """Encrypt with the first key."""

    def open_bytes(self, sealed: bytes) -> bytes:
        """The inverse. Raises SecretKeyMissing, StateDamaged."""


class ContentSeal:
    """Seals if it is on; opens what was sealed in any case.

    Args:
        vault: has the keys.
        token: fresh random bytes.
        is_on: new contents are sealed.
    """

    def __init__(self, vault: ContentSealer, token: Callable[[int], bytes], *, is_on: bool) -> None:
        self._vault = vault
        self._token = token
        self._is_on = is_on

    def work_of(self, spec: JobSpec, tenant: str) -> Work:
        """The work that a spec describes, as it is stored."""
        return work_of(spec, tenant, stored=self._stored(spec))

    def encode(self, spec: JobSpec) -> bytes:
        """The stored form of a spec."""
        return encode_spec(self._stored(spec))

    def opened(self, spec: JobSpec) -> JobSpec:
        """The spec with its content. Raises SecretKeyMissing, StateDamaged."""
        return opened(spec, self._vault)

    def shown(self, spec: JobSpec) -> JobSpec:
        """The same, or the spec as it is where a key is missing: ``sealed_content`` is there then."""
        try:
            return opened(spec, self._vault)
        except SecretKeyMissing:
            return spec

    def stored_response(self, body: bytes) -> bytes:
        """The body of a response as it is stored."""
        return _SEALED_RESPONSE + self._sealed(body) if self._is_on and body else body

    def shown_response(self, stored: bytes) -> bytes:
        """The inverse; empty if it cannot be opened."""
        if not stored.startswith(_SEALED_RESPONSE):
            return stored
        try:
            return self._vault.open_bytes(stored[len(_SEALED_RESPONSE) :])
        except (SecretKeyMissing, StateDamaged):
            return b""

    def _stored(self, spec: JobSpec) -> JobSpec:
        if not self._is_on or spec.sealed_content or not (spec.headers or spec.body):
            return spec
        return replace(spec, headers=(), body=b"", sealed_content=self._sealed(_encode((spec.headers, spec.body))))

    def _sealed(self, plaintext: bytes) -> bytes:
        return self._vault.seal_bytes(plaintext, nonce=self._token(NONCE_BYTES))


def opened(spec: JobSpec, vault: ContentSealer) -> JobSpec:
    """The spec with its content. Raises SecretKeyMissing, StateDamaged."""
    if not spec.sealed_content:
        return spec
    try:
        headers, body = _content.decode(vault.open_bytes(spec.sealed_content))
    except msgspec.MsgspecError as error:
        raise StateDamaged(f"what a job is to send was sealed in a form that nobody knows ({error})") from error
    fields: dict[str, Any] = {"headers": headers, "body": body, "sealed_content": b""}
    return replace(spec, **fields)
