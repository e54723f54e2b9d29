"""A signed message verifies, whatever it is; one that is changed afterwards does not."""

import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookline import errors
from hookline.protocol import signatures

NOW_S = 1_700_000_000

ids = st.from_regex(r"[A-Za-z0-9_:][A-Za-z0-9_:-]{0,60}", fullmatch=True)
bodies = st.binary(max_size=200)
hmac_secrets = st.binary(min_size=24, max_size=64).map(signatures.generate_secret)
ed25519_secrets = st.binary(min_size=32, max_size=32).map(lambda seed: signatures.generate_ed25519(seed)[0])
secrets = hmac_secrets | ed25519_secrets


def signed(secrets: list[str], webhook_id: str, body: bytes) -> dict[str, str]:
    keys = [signatures.parse_secret(secret) for secret in secrets]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(NOW_S),
        "webhook-signature": signatures.sign(keys, webhook_id, NOW_S, body),
    }


def flip(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8 % len(raw)] ^= 1 << bit % 8
    return bytes(changed)


@given(secrets, ids, bodies)
def test_what_is_signed_verifies(secret: str, webhook_id: str, body: bytes) -> None:
    signatures.verify(signed([secret], webhook_id, body), body, secret, now_s=NOW_S)


@given(secrets, ids, bodies, st.data())
def test_a_flipped_bit_in_any_part_is_refused(secret: str, webhook_id: str, body: bytes, data: st.DataObject) -> None:
    headers = signed([secret], webhook_id, body)
    part = data.draw(st.sampled_from([*headers, "body"] if body else [*headers]), label="part")
    raw = body if part == "body" else headers[part].encode()
    changed = flip(raw, data.draw(st.integers(0, len(raw) * 8 - 1), label="bit"))
    if part == "body":
        body = changed
    else:
        headers[part] = changed.decode("latin-1")
    # The widest tolerance, so that the signature and not the age has to refuse a changed timestamp.
    with pytest.raises(errors.InvalidSignature):
        signatures.verify(headers, body, secret, now_s=NOW_S, tolerance_s=10**12)


@given(hmac_secrets, ids, bodies, st.integers(min_value=0))
def test_a_flipped_bit_in_the_secret_is_refused(secret: str, webhook_id: str, body: bytes, bit: int) -> None:
    raw = base64.b64decode(secret.removeprefix("whsec_"))
    other = signatures.generate_secret(flip(raw, bit % (len(raw) * 8)))
    with pytest.raises(errors.InvalidSignature):
        signatures.verify(signed([secret], webhook_id, body), body, other, now_s=NOW_S)


@given(secrets, secrets, ids, bodies)
def test_rotation_never_locks_a_receiver_out(old: str, new: str, webhook_id: str, body: bytes) -> None:
    """The sender goes old → old and new → new; the receiver changes over anywhere in the middle, or holds both."""
    during = signed([new, old], webhook_id, body)
    for held in (old, new, [old, new], [new, old]):
        signatures.verify(during, body, held, now_s=NOW_S)
    for sender in ([old], [new]):
        signatures.verify(signed(sender, webhook_id, body), body, [old, new], now_s=NOW_S)


@given(st.text(max_size=80))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for prefix in ("", "whsec_", "whsk_", "whpk_"):
        with suppress(errors.InvalidSecret):
            signatures.parse_secret(prefix + text)


@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()), bodies)
def test_any_headers_are_refused_without_crashing(headers: dict[str, str], body: bytes) -> None:
    secret = signatures.generate_secret(b"k" * 32)
    with pytest.raises(errors.InvalidSignature):
        signatures.verify(headers, body, secret, now_s=NOW_S)
