"""Webhook signatures by the Standard Webhooks specification, version 1.0.0.

What is signed is ``{webhook-id}.{webhook-timestamp}.{body}``, the body byte for byte as it travels. Secrets are text::

    whsec_<base64>   24 to 64 bytes, HMAC-SHA256              signs and verifies, signature "v1,<base64>"
    whsk_<base64>    ed25519, 32-byte seed or seed + public   signs and verifies, signature "v1a,<base64>"
    whpk_<base64>    ed25519, 32-byte public key              verifies only

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from hookline import errors
from hookline.protocol.ed25519_points import is_strong

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"

HMAC_PREFIX = "whsec_"
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"

HMAC_BYTES_MIN = 24
HMAC_BYTES_MAX = 64
ED25519_BYTES = 32

# A sender in the middle of a rotation sends two or three. The bound keeps a hostile header from costing thousands
# of ed25519 verifications.
SIGNATURES_MAX = 16

# Longer than 12 digits is past the year 33000; the ASCII class keeps out digits of other scripts, which int() takes.
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class Headers(Protocol):
    """A request's headers as the frameworks give them; one that came twice may be there twice."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""


class SigningKey(ABC):
    """One parsed secret. Its repr, and the errors about it, never show the key."""

    __slots__ = ()
    version: ClassVar[str]
    prefix: ClassVar[str]
    can_sign: ClassVar[bool] = True

    @abstractmethod
    def sign(self, content: bytes) -> str:
        """Return the signature of ``content`` as it goes into the header: ``version,base64``."""

    @abstractmethod
    def verifies(self, content: bytes, candidates: Sequence[bytes]) -> bool:
        """Whether any of the base64 ``candidates`` (all of this key's version) is a signature of ``content``."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.prefix}…)"


class HmacKey(SigningKey):
    """A shared secret, HMAC-SHA256."""

    __slots__ = ("_keyed",)
    version = "v1"
    prefix = HMAC_PREFIX

    def __init__(self, key: bytes) -> None:
        if not HMAC_BYTES_MIN <= len(key) <= HMAC_BYTES_MAX:
            raise errors.InvalidSecret(
                f"A {HMAC_PREFIX} secret must hold {HMAC_BYTES_MIN} to {HMAC_BYTES_MAX} bytes, not {len(key)}."
            )
        # The key's two hash blocks are computed once; copying the state takes 1.4 µs where hmac.digest takes 2.0 µs.
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)

    def sign(self, content: bytes) -> str:
        return f"v1,{self._signature(content).decode()}"

    def verifies(self, content: bytes, candidates: Sequence[bytes]) -> bool:
        # Comparing the base64 text, not what it decodes to, also refuses other spellings of the same bytes.
        expected = self._signature(content)
        return any(hmac.compare_digest(expected, candidate) for candidate in candidates)

    def _signature(self, content: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(content)
        return binascii.b2a_base64(mac.digest(), newline=False)


class Ed25519PublicKey(SigningKey):
    """The half of an ed25519 pair that receivers hold: it verifies and cannot sign."""

    __slots__ = ("_public",)
    version = "v1a"
    prefix = PUBLIC_PREFIX
    can_sign = False

    def __init__(self, key: bytes) -> None:
        if len(key) != ED25519_BYTES:
            raise errors.InvalidSecret(f"A {PUBLIC_PREFIX} key must hold {ED25519_BYTES} bytes, not {len(key)}.")
        if not is_strong(key):
            raise errors.InvalidSecret(f"The {PUBLIC_PREFIX} key is weak or no key: anybody could sign for it.")
        self._public = _public_key(key)

    def sign(self, content: bytes) -> str:
        raise errors.InvalidSecret(f"A {PUBLIC_PREFIX} key can only verify; sign with the {PRIVATE_PREFIX} key.")

    def verifies(self, content: bytes, candidates: Sequence[bytes]) -> bool:
        return any(_ed25519_verifies(self._public, content, candidate) for candidate in candidates)


class Ed25519PrivateKey(SigningKey):
    """An ed25519 key pair: the sender's half."""

    __slots__ = ("_private", "_public")
    version = "v1a"
    prefix = PRIVATE_PREFIX

    def __init__(self, key: bytes) -> None:
        if len(key) not in (ED25519_BYTES, 2 * ED25519_BYTES):
            raise errors.InvalidSecret(
                f"A {PRIVATE_PREFIX} key must hold {ED25519_BYTES} bytes (seed) or {2 * ED25519_BYTES} (seed and public"
                f" key), not {len(key)}."
            )
        self._private = _private_key(key[:ED25519_BYTES])
        self._public = self._private.public_key()
        if key[ED25519_BYTES:] not in (b"", self._public.public_bytes_raw()):
            raise errors.InvalidSecret(f"The two halves of the {PRIVATE_PREFIX} key do not belong together.")

    def sign(self, content: bytes) -> str:
        return f"v1a,{_encode(self._private.sign(content))}"

    def verifies(self, content: bytes, candidates: Sequence[bytes]) -> bool:
        return any(_ed25519_verifies(self._public, content, candidate) for candidate in candidates)


def parse_secret(text: str) -> SigningKey:
    """Read a ``whsec_``, ``whsk_`` or ``whpk_`` secret; the base64 padding may be left out.

    Raises:
        InvalidSecret: unknown prefix, not base64, or the wrong length. The message never repeats the secret.
    """
    for kind in (HmacKey, Ed25519PrivateKey, Ed25519PublicKey):
        if text.startswith(kind.prefix):
            return kind(_decode_key(text[len(kind.prefix) :], kind.prefix))
    raise errors.InvalidSecret(f"The secret does not start with {HMAC_PREFIX}, {PRIVATE_PREFIX} or {PUBLIC_PREFIX}.")


def sign(keys: Sequence[SigningKey], webhook_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the ``webhook-signature`` header: one signature per key, in their order, separated by spaces.

    Args:
        keys: what to sign with; none gives an empty text, and then the header should be left out.
        webhook_id: the value of ``webhook-id``.
        timestamp_s: the value of ``webhook-timestamp``, whole seconds since 1970 UTC.
        body: exactly the bytes that are sent.

    Raises:
        InvalidSecret: one of the keys is a public key.
    """
    content = b"%s.%d.%s" % (webhook_id.encode(), timestamp_s, body)
    return " ".join([key.sign(content) for key in keys])


def verify(
    headers: Headers,
    body: bytes,
    secrets: Sequence[str] | str,
    *,
    now_s: int,
    tolerance_s: int = 300,
) -> None:
    """Return if any signature in the headers was made with any of the secrets, at about ``now_s``.

    Args:
        headers: the request's headers, names in any case.
        body: the request's body as received, not parsed and serialised again.
        secrets: one secret or several (during a rotation), as text.
        now_s: seconds since 1970 UTC.
        tolerance_s: how far ``webhook-timestamp`` may be from ``now_s``, into the past or the future.

    Raises:
        InvalidSignature: the request is not to be trusted; the detail says which check failed.
        InvalidSecret: one of the secrets cannot be read or is weak, or none was given.
    """
    keys = [parse_secret(text) for text in ([secrets] if isinstance(secrets, str) else secrets)]
    if not keys:
        raise errors.InvalidSecret("Give at least one secret to verify with.")
    webhook_id, timestamp, signatures = _signature_headers(headers)
    _check_id(webhook_id)
    _check_timestamp(timestamp, now_s, tolerance_s)
    # "surrogatepass" maps every text to its own bytes; "replace" would let one id pass for another.
    content = b"%s.%s.%s" % (webhook_id.encode("utf-8", "surrogatepass"), timestamp.encode(), body)
    candidates = _by_version(signatures)
    if not any(key.verifies(content, candidates.get(key.version, ())) for key in keys):
        raise errors.InvalidSignature(_why_none_matches(keys, candidates))


def generate_secret(random_bytes: bytes) -> str:
    """Return the ``whsec_`` secret for 24 to 64 fresh random bytes.

    Raises:
        InvalidSecret: too few or too many bytes.
    """
    HmacKey(random_bytes)
    return HMAC_PREFIX + _encode(random_bytes)


def generate_ed25519(seed: bytes) -> tuple[str, str]:
    """Return the ``whsk_`` private key (seed and public key) and the ``whpk_`` public key for 32 fresh random bytes.

    Raises:
        InvalidSecret: the seed is not 32 bytes long.
    """
    if len(seed) != ED25519_BYTES:
        raise errors.InvalidSecret(f"An ed25519 seed has {ED25519_BYTES} bytes, not {len(seed)}.")
    public = _private_key(seed).public_key().public_bytes_raw()
    return PRIVATE_PREFIX + _encode(seed + public), PUBLIC_PREFIX + _encode(public)


def _signature_headers(headers: Headers) -> tuple[str, str, str]:
    """The values of the three headers; refuses a missing one, and one given twice (which of them would be signed?)."""
    found: dict[str, str] = {}
    for name, value in headers.items():
        lowered = name.lower()
        if lowered in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER):
            if lowered in found:
                raise errors.InvalidSignature(f"The {lowered} header is there more than once.")
            found[lowered] = value
    for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER):
        if not found.get(name):
            raise errors.InvalidSignature(f"The {name} header is missing.")
    return found[ID_HEADER], found[TIMESTAMP_HEADER], found[SIGNATURE_HEADER]


def _check_id(webhook_id: str) -> None:
    """Receivers split the signed content at its dots: a dot in the id would make it also fit another id and body."""
    if "." in webhook_id:
        raise errors.InvalidSignature(f"The {ID_HEADER} header has a dot, so it is not clear what was signed.")


def _check_timestamp(timestamp: str, now_s: int, tolerance_s: int) -> None:
    if not _TIMESTAMP.fullmatch(timestamp):
        raise errors.InvalidSignature(f"The {TIMESTAMP_HEADER} header is not whole seconds since 1970.")
    age_s = now_s - int(timestamp)
    if not abs(age_s) <= tolerance_s:  # NaN is neither above nor below
        direction = "in the past" if age_s > 0 else "in the future"
        raise errors.InvalidSignature(
            f"The {TIMESTAMP_HEADER} is {abs(age_s)} s {direction}, outside the tolerance of {tolerance_s} s."
        )


def _by_version(signatures: str) -> dict[str, list[bytes]]:
    """The base64 parts of the header by their version; versions nobody knows are simply never asked for."""
    parts = signatures.split(" ")
    if len(parts) > SIGNATURES_MAX:
        raise errors.InvalidSignature(f"The {SIGNATURE_HEADER} header has more than {SIGNATURES_MAX} signatures.")
    found: dict[str, list[bytes]] = {}
    for part in parts:
        version, _, encoded = part.partition(",")
        found.setdefault(version, []).append(encoded.encode("utf-8", "surrogatepass"))
    return found


def _why_none_matches(keys: Sequence[SigningKey], candidates: Mapping[str, object]) -> str:
    wanted = sorted({key.version for key in keys})
    if not any(version in candidates for version in wanted):
        return f"No signature matches: the {SIGNATURE_HEADER} header has none of version {' or '.join(wanted)}."
    return "No signature matches: another secret was used, or the id, the timestamp or the body was changed."


# --- ed25519, whose library (cryptography, 16 MB) only those need who use it ---------------------------------------


def _private_key(seed: bytes) -> "ed25519.Ed25519PrivateKey":
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        raise _without_library(PRIVATE_PREFIX) from error
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed)


def _public_key(key: bytes) -> "ed25519.Ed25519PublicKey":
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        raise _without_library(PUBLIC_PREFIX) from error
    return ed25519.Ed25519PublicKey.from_public_bytes(key)


def _without_library(prefix: str) -> errors.ExtraMissing:
    return errors.ExtraMissing(
        f"A {prefix} key is ed25519, which needs the cryptography library: pip install 'hookline[ed25519]'"
    )


def _ed25519_verifies(public: "ed25519.Ed25519PublicKey", content: bytes, candidate: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    try:
        signature = base64.b64decode(candidate, validate=True)
        public.verify(signature, content)
    except (ValueError, InvalidSignature):
        return False
    # base64 has several spellings for the same bytes; only the canonical one was ever sent.
    return binascii.b2a_base64(signature, newline=False) == candidate


def _decode_key(encoded: str, prefix: str) -> bytes:
    unpadded = encoded.rstrip("=")
    try:
        return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except ValueError:
        # "from None": a traceback that shows the cause's arguments would be one more place for the secret.
        raise errors.InvalidSecret(f"What follows {prefix} in the secret is not base64.") from None


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
