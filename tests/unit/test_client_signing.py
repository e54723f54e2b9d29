"""``hookline.verify``: what a receiver calls."""

from datetime import UTC, datetime
from typing import Any

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


WRONG_CALLS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"body": BODY.decode()}, TypeError, "body is str; give the raw bytes"),
    ({"body": {"a": 1}}, TypeError, "body is dict"),
    ({"body": None}, TypeError, "body is NoneType"),
    ({"headers": None}, TypeError, "headers is NoneType"),
    ({"headers": list(headers().items())}, TypeError, "headers is list; give a mapping"),
    ({"headers": {name.encode(): value.encode() for name, value in headers().items()}}, TypeError, "bytes to bytes"),
    ({"headers": headers() | {"Webhook-Timestamp": NOW_S}}, TypeError, "str to int"),
    ({"headers": {name: [value] for name, value in headers().items()}}, TypeError, "str to list"),
    ({"secret": SECRET.encode()}, TypeError, "secret is bytes; give it as text"),
    ({"secret": None}, TypeError, "secret is NoneType"),
    ({"secret": [SECRET.encode()]}, TypeError, "secret is list"),
    ({"now": float("nan")}, ValueError, "now is nan"),
    ({"now": float("inf")}, ValueError, "now is inf"),
    ({"now": "1700000000"}, TypeError, "now is str; give seconds"),
    ({"now": datetime.fromtimestamp(NOW_S, UTC)}, TypeError, "now is datetime"),
    ({"tolerance": float("nan")}, ValueError, "tolerance is nan"),
    ({"tolerance": float("inf")}, ValueError, "tolerance is inf"),
    ({"tolerance": None}, TypeError, "tolerance is NoneType"),
]


@pytest.mark.parametrize(("wrong", "kind", "said"), WRONG_CALLS)
def test_a_wrong_call_is_told_what_is_wrong(wrong: dict[str, Any], kind: type[Exception], said: str) -> None:
    usual: dict[str, Any] = {"body": BODY, "headers": headers(), "secret": SECRET, "now": NOW_S}
    with pytest.raises(kind, match=said):
        verify(**usual | wrong)


@pytest.mark.parametrize("buffer", [bytearray, memoryview])
def test_any_buffer_is_a_body(buffer: Any) -> None:
    assert verify(buffer(BODY), headers(), SECRET, now=NOW_S).id == "job-1"


def test_public_key_and_several_secrets() -> None:
    verify(BODY, headers(PRIVATE_SECRET), PUBLIC_SECRET, now=NOW_S)
    verify(BODY, headers(PRIVATE_SECRET), [SECRET, PUBLIC_SECRET], now=NOW_S)


def test_changed_body_and_bad_secret() -> None:
    with pytest.raises(errors.InvalidSignature, match="No signature matches"):
        verify(BODY + b" ", headers(), SECRET, now=NOW_S)
    with pytest.raises(errors.InvalidSecret):
        verify(BODY, headers(), "not-a-secret", now=NOW_S)
