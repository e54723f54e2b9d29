"""Lets a receiver check that a webhook came from its Hookline, unchanged and just now."""

import math
from collections.abc import Sequence

import msgspec

from hookline.clock import SystemClock
from hookline.protocol import signatures
from hookline.protocol.webhook import ATTEMPT_HEADER, SCHEDULED_AT_HEADER, TERM_HEADER

# 18 decimal digits always fit a signed 64-bit integer, where receivers tend to store such numbers.
_COUNT_DIGITS_MAX = 18


class WebhookInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The headers of a verified webhook.

    ``id`` and ``timestamp`` are covered by the signature. The other three are not (Standard Webhooks signs only id,
    timestamp and body): they are as trustworthy as the connection they came over, and None if missing or malformed.

    Attributes:
        id: the job's id, the same on every attempt; use it to recognise duplicates.
        timestamp: when this attempt was signed, seconds since 1970 UTC.
        attempt: the number of this attempt, from 1.
        scheduled_at: when the job was due, RFC 3339.
        term: the number of the leader that sent it; a smaller term than one seen before comes from an old leader.
    """

    id: str
    timestamp: int
    attempt: int | None = None
    scheduled_at: str | None = None
    term: int | None = None


def verify(
    body: bytes,
    headers: signatures.Headers,
    secret: str | Sequence[str],
    *,
    tolerance: float = 300,
    now: float | None = None,
) -> WebhookInfo:
    """Check a received webhook and return what its headers say.

    Args:
        body: the raw bytes of the request's body; parsed and serialised again, they would not verify.
        headers: the request's headers, as Flask, Django, FastAPI or a dict have them; names in any case.
        secret: a ``whsec_`` secret or a ``whpk_`` public key, or several during a rotation.
        tolerance: seconds by which ``webhook-timestamp`` may differ from now, either way.
        now: seconds since 1970 UTC; the system's clock when None.

    Raises:
        InvalidSignature: do not trust the request; the detail says which check failed.
        InvalidSecret: the secret given here cannot be read, or is weak.
        TypeError, ValueError: this call itself is wrong, whatever the request holds; the message says how.
    """
    _check_types(body, headers, secret)
    now_s = SystemClock().wall_ms() // 1000 if now is None else _whole("now", now)
    signatures.verify(headers, body, secret, now_s=now_s, tolerance_s=_whole("tolerance", tolerance))
    lowered = {name.lower(): value for name, value in headers.items()}
    return WebhookInfo(
        id=lowered[signatures.ID_HEADER],
        timestamp=int(lowered[signatures.TIMESTAMP_HEADER]),
        attempt=_count(lowered.get(ATTEMPT_HEADER)),
        scheduled_at=lowered.get(SCHEDULED_AT_HEADER),
        term=_count(lowered.get(TERM_HEADER)),
    )


def _check_types(body: object, headers: object, secret: object) -> None:
    """Say what callers get wrong who have no type checker. Raises TypeError."""
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(
            f"body is {_type(body)}; give the raw bytes of the request's body, not text or what they were parsed to"
        )
    items = getattr(headers, "items", None)
    if not callable(items):
        raise TypeError(f"headers is {_type(headers)}; give a mapping of names to values, both text")
    for name, value in items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"headers maps {_type(name)} to {_type(value)}; give text for both (decode as latin-1)")
    if isinstance(secret, (bytes, bytearray, memoryview)):
        raise TypeError("secret is bytes; give it as text, with its whsec_ or whpk_ in front")
    if not isinstance(secret, str) and not (
        isinstance(secret, Sequence) and all(isinstance(text, str) for text in secret)
    ):
        raise TypeError(f"secret is {_type(secret)}; give text, or a list of texts")


def _type(value: object) -> str:
    return type(value).__name__


def _whole(name: str, seconds: float) -> int:
    """Seconds, rounded down. Raises TypeError, ValueError."""
    try:
        return math.floor(seconds)
    except TypeError:
        raise TypeError(f"{name} is {_type(seconds)}; give seconds as a number") from None
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is {seconds}; give seconds as a finite number") from None


def _count(text: str | None) -> int | None:
    if text is None or len(text) > _COUNT_DIGITS_MAX or not (text.isascii() and text.isdecimal()):
        return None
    return int(text)
