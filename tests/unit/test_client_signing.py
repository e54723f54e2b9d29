"""``hookline.verify``: what a receiver calls."""

import msgspec
import pytest

from hookline import errors
from hookline.client.signing import WebhookInfo, verify
from hookline.clock import SystemClock
from hookline.protocol import signatures

SECRET = signatures.generate_secret(b"k" * 32)
PRIVATE_SECRET, PUBLIC_SECRET = signatures.generate_ed25519(b"s" * 32)
NOW_S = 1_700_000_000
BODY = b'{"a": 1}'


def headers(secret: str = SECRET, timestamp_s: int = NOW_S, **more: str) -> dict[str, str]:
    signature = signatures.sign([signatures.parse_secret(secret)], "job-1", timestamp_s, BODY)
    own = {"Webhook-Id": "job-1", "Webhook-Timestamp": str(timestamp_s), "Webhook-Signature": signature}
    return own | {f"Hookline-{name.replace('_', '-').title()}": value for name, value in more.items()}


def test_returns_what_the_headers_say() -> None:
    given = headers(attempt="3", scheduled_at="2023-11-14T22:13:20Z", term="7")
    assert verify(BODY, given, SECRET, now=NOW_S) == WebhookInfo(
        id="job-1", timestamp=NOW_S, attempt=3, scheduled_at="2023-11-14T22:13:20Z", term=7
    )


def test_hookline_headers_may_be_missing() -> None:
    assert verify(BODY, headers(), SECRET, now=NOW_S) == WebhookInfo(id="job-1", timestamp=NOW_S)


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "³", "\u0663", "1" * 5000])
def test_unsigned_numbers_that_are_malformed_are_none(value: str) -> None:
    info = verify(BODY, headers(attempt=value, term=value), SECRET, now=NOW_S)
    assert (info.attempt, info.term) == (None, None)


def test_info_is_frozen() -> None:
    info = verify(BODY, headers(), SECRET, now=NOW_S)
    with pytest.raises(AttributeError):
        info.id = "other"  # type: ignore[misc]
    assert msgspec.to_builtins(info)["id"] == "job-1"


def test_without_now_the_system_clock_decides() -> None:
    now_s = SystemClock().wall_ms() // 1000
    verify(BODY, headers(timestamp_s=now_s), SECRET)
    with pytest.raises(errors.InvalidSignature, match="in the past"):
        verify(BODY, headers(timestamp_s=now_s - 400), SECRET)


def test_tolerance_in_seconds() -> None:
    verify(BODY, headers(), SECRET, now=NOW_S + 10.9, tolerance=10.5)
    with pytest.raises(errors.InvalidSignature, match="11 s in the past"):
        verify(BODY, headers(), SECRET, now=NOW_S + 11.0, tolerance=10.5)


def test_public_key_and_several_secrets() -> None:
    verify(BODY, headers(PRIVATE_SECRET), PUBLIC_SECRET, now=NOW_S)
    verify(BODY, headers(PRIVATE_SECRET), [SECRET, PUBLIC_SECRET], now=NOW_S)


def test_changed_body_and_bad_secret() -> None:
    with pytest.raises(errors.InvalidSignature, match="No signature matches"):
        verify(BODY + b" ", headers(), SECRET, now=NOW_S)
    with pytest.raises(errors.InvalidSecret):
        verify(BODY, headers(), "not-a-secret", now=NOW_S)
