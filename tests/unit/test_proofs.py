"""A proof holds for one call, with one key, and for nothing else."""

import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hookline.protocol.proofs import NO_BODY, NamedValues, Proof, clock_word, proof_key, prove, read_proof

KEY, OTHER = proof_key(b"a secret that we share"), proof_key(b"another one")
BODY = hashlib.sha256(b"body").hexdigest().encode()
TIME_MS, NONCE = 1_800_000_000_000, bytes(range(16))
HEADERS: NamedValues = ((b"hookline-epoch", b"7"), (b"content-type", b"text/plain"), (b"hookline-for-cluster", b"c0"))


def proven(method: str = "POST", target: bytes = b"/internal/x?a=1", headers: NamedValues = HEADERS) -> Proof:
    value = prove(KEY, method, target, headers, body=BODY, time_ms=TIME_MS, nonce=NONCE)
    proof = read_proof([value])
    assert proof is not None
    return proof


def is_taken(proof: Proof, target: bytes = b"/internal/x?a=1", headers: NamedValues = HEADERS) -> bool:
    return proof.is_of(KEY, "POST", target, headers)


def test_a_proof_holds_for_its_call() -> None:
    proof = proven()
    assert (proof.key, proof.time_ms, proof.nonce, proof.body) == (KEY.id, TIME_MS, NONCE.hex().encode(), BODY)
    assert is_taken(proof)
    assert is_taken(proof, headers=[*reversed([*HEADERS]), (b"date", b"now"), (b"hookline-proof", b"x")])


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda: proven(method="PUT"), id="method"),
        pytest.param(lambda: proven(target=b"/internal/x"), id="no query"),
        pytest.param(lambda: proven(target=b"/internal/x?a=2"), id="query"),
        pytest.param(lambda: proven(headers=()), id="no headers"),
        pytest.param(lambda: proven(headers=[*HEADERS, (b"hookline-forwarded", b"1")]), id="one more header"),
        pytest.param(
            lambda: proven(headers=[(b"hookline-epoch", b"7"), (b"hookline-for-cluster", b"c1")]), id="other value"
        ),
        pytest.param(lambda: proven()._replace(body=NO_BODY), id="body"),
        pytest.param(lambda: proven()._replace(time_ms=TIME_MS + 1), id="time"),
        pytest.param(lambda: proven()._replace(nonce=bytes(16).hex().encode()), id="nonce"),
        pytest.param(lambda: proven()._replace(key=OTHER.id), id="key"),
        pytest.param(lambda: proven()._replace(mac=bytes(32).hex().encode()), id="mac"),
    ],
)
def test_a_proof_of_anything_else_is_none(other: Callable[[], Proof]) -> None:
    assert not is_taken(other())


def test_another_key_proves_nothing() -> None:
    assert not proven().is_of(OTHER, "POST", b"/internal/x?a=1", HEADERS)
    assert KEY.id != OTHER.id
    assert KEY.secret.hex() not in repr(KEY)


def test_keys_follow_from_secrets_as_the_standard_says() -> None:
    derived = HKDF(SHA256(), 32, None, b"hookline calls between our processes 1").derive(b"a secret that we share")
    assert derived == KEY.secret


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b""],
        [b"x"],
        [b"0:1:2:3:4"],
        [b"\xff" * 200],
        2 * [prove(KEY, "GET", b"/", (), body=NO_BODY, time_ms=1, nonce=NONCE)],
        [prove(KEY, "GET", b"/", (), body=NO_BODY, time_ms=1, nonce=NONCE) + b"0"],
        [prove(KEY, "GET", b"/", (), body=NO_BODY, time_ms=10**16, nonce=NONCE)],
    ],
    ids=["none", "empty", "text", "short", "binary", "two", "longer", "late"],
)
def test_what_is_not_a_proof_is_none(values: list[bytes]) -> None:
    assert read_proof(values) is None


def test_a_clock_is_told_to_one_caller_about_one_time() -> None:
    words = {clock_word(*asked) for asked in ((KEY, b"1", 1), (KEY, b"1", 2), (KEY, b"2", 1), (OTHER, b"1", 1))}
    assert len(words) == 4
